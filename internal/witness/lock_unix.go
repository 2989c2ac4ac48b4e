//go:build unix

package witness

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Lock makes this process the only user of a state directory, until unlock is called or
// the process ends.
func Lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the witness's state: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("locking the witness's state: another witness uses %s; stop it first", dir)
	}
	return func() { _ = f.Close() }, nil // closing releases the lock
}
