package xks

// Names is the table of faults.
var Names = names
