//go:build !linux

package seal

import "errors"

// newPages answers ordinary memory, and says so.
func newPages(size int) (memory []byte, weakness, err error) {
	return make([]byte, size), errors.New("keys are in ordinary memory: this system's locked memory is not supported"), nil
}

// freePages erases memory from newPages.
func freePages(memory []byte) { clear(memory) }

// Harden does nothing on this system.
func Harden() error { return nil }
