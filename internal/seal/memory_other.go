//go:build !linux

package seal

import "errors"

// newPages answers ordinary memory, and says so.
func newPages(size int) (memory []byte, weakness, err error) {
	return make([]byte, size), errors.New("keys are in ordinary memory: this system's locked memory is not supported"), nil
}

// freePages erases memory from newPages.
func freePages(memory []byte) { clear(memory) }

// CheckMemory answers that nothing is protected on this system.
func CheckMemory() error {
	_, weakness, _ := newPages(0)
	return weakness
}

// eraseEnvironment does nothing on this system.
func eraseEnvironment(_, _ string) {}

// Harden does nothing on this system.
func Harden() error { return nil }
