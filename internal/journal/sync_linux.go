package journal

import (
	"os"
	"syscall"
)

// syncData makes a file's content durable, and of its metadata what reading it needs.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR { //nolint:errorlint // a bare errno
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
