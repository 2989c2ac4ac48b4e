package durable

import (
	"errors"
	"os"
	"syscall"
)

// ErrLocked tells that another process has the lock.
var ErrLocked = errors.New("another process has the lock")

// Lock makes this process the only one that has locked the file at path, which is created
// if it is not there, mode 0600, and stays. The lock lasts until unlock is called or the
// process ends, however it ends.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, err
	}
	return func() {
		// A child process that another goroutine has forked and that has not yet begun its program
		// shares the open file: closing ours alone would leave the lock to it for that time.
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		_ = f.Close()
	}, nil
}
