package agent

// PartsOf is partsOf, for its fuzz test.
var PartsOf = partsOf
