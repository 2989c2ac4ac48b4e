// Package ballast has the collector count memory as live that nobody has.
//
// Memory that was never written takes no page of the machine, but Go clears an allocation by
// writing to it when any part of it may have been used before, which depends on what the
// process did earlier: one start of five had all of the ballast resident. So its pages are
// given back to the system after it was allocated; they read as zeros, as they did.
package ballast

// New answers so many bytes that are zero and that nobody may write to. On Linux none of
// their pages are resident.
func New(bytes int) []byte {
	b := make([]byte, bytes)
	discard(b)
	return b
}
