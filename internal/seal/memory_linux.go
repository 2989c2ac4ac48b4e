package seal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newPages maps at least size bytes of zeroed memory outside the Go heap, in whole pages, so
// that the garbage collector neither moves nor copies it. The weakness answered is not an
// error: it says which protection the system refused, most often locking, by
// RLIMIT_MEMLOCK.
func newPages(size int) (memory []byte, weakness, err error) {
	page := os.Getpagesize()
	size = (size + page - 1) / page * page
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

// CheckMemory answers which protection the system refuses to memory for keys, nil if it
// grants all. It tries with a page of its own.
func CheckMemory() error {
	memory, weakness, err := newPages(1)
	if err != nil {
		return err
	}
	freePages(memory)
	return weakness
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

// eraseEnvironment overwrites the value of a variable that was removed, value being what
// os.LookupEnv answered: in the copy of the Go runtime, which keeps it for ever, and in
// the block where the kernel put the environment, which /proc/PID/environ shows. It does
// what it can; where it cannot, the value stays readable to whoever may read the memory of
// the process.
func eraseEnvironment(name, value string) {
	// The runtime's copy is on the heap, and nobody else knows this string any more.
	clear(unsafe.Slice(unsafe.StringData(value), len(value)))
	start, end := environmentBlock()
	block := make([]byte, end-start)
	if len(block) == 0 {
		return
	}
	self := os.Getpid()
	remote := []unix.RemoteIovec{{Base: start, Len: len(block)}}
	local := []unix.Iovec{{Base: &block[0]}}
	local[0].SetLen(len(block))
	if n, err := unix.ProcessVMReadv(self, local, remote, 0); err != nil || n != len(block) {
		return
	}
	defer clear(block)
	for entry := range bytes.SplitAfterSeq(block, []byte{0}) {
		if value, found := bytes.CutPrefix(entry, []byte(name+"=")); found {
			clear(value)
		}
	}
	_, _ = unix.ProcessVMWritev(self, local, remote, 0)
}

// environmentBlock answers where the kernel put the environment, or zeros.
func environmentBlock() (start, end uintptr) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0
	}
	// After the name of the program, which may hold anything, comes the third field.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const envStart, envEnd = 50 - 3, 51 - 3
	if len(fields) <= envEnd {
		return 0, 0
	}
	from, errFrom := strconv.ParseUint(fields[envStart], 10, 64)
	to, errTo := strconv.ParseUint(fields[envEnd], 10, 64)
	if errFrom != nil || errTo != nil || to < from {
		return 0, 0
	}
	return uintptr(from), uintptr(to)
}
