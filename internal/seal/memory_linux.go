package seal

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// newPages maps zeroed memory outside the Go heap, page by page, so that the
// garbage collector neither moves nor copies it. The weakness answered is not an
// error: it says which protection the system refused, most often locking, by
// RLIMIT_MEMLOCK.
func newPages(size int) (memory []byte, weakness, err error) {
	memory, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping memory for keys: %w", err)
	}
	if err := unix.Mlock(memory); err != nil {
		weakness = fmt.Errorf("locking keys in memory, raise LimitMEMLOCK: %w", err)
	}
	if err := unix.Madvise(memory, unix.MADV_DONTDUMP); err != nil {
		weakness = errors.Join(weakness, fmt.Errorf("keeping keys out of core dumps: %w", err))
	}
	if err := unix.Madvise(memory, unix.MADV_WIPEONFORK); err != nil {
		weakness = errors.Join(weakness, fmt.Errorf("keeping keys out of child processes: %w", err))
	}
	return memory, weakness, nil
}

// freePages erases and unmaps memory from newPages.
func freePages(memory []byte) {
	clear(memory)
	_ = unix.Munmap(memory) // erased already; a failure only leaks address space
}

// Harden keeps other processes of the same user from reading this one's memory,
// and the kernel from dumping it. Call it once, before any secret is read.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("making the process undumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	return nil
}
