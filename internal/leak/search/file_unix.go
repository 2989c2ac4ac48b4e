//go:build unix

package search

import (
	"errors"
	"fmt"
	"io"
	"syscall"
)

// A file is one that the system has open. It lacks what package os adds so that somebody
// may wait for a file, which for many small ones costs a good part of reading them.
type file int

func openFile(path string) (file, error) {
	fd, err := uninterrupted(func() (int, error) { return syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) })
	if err != nil {
		return 0, fmt.Errorf("open: %w", err)
	}
	return file(fd), nil
}

// Read reads what is there.
func (f file) Read(p []byte) (int, error) {
	return answered(len(p), func() (int, error) { return syscall.Read(int(f), p) })
}

// ReadAt reads all that p has room for, from an offset.
func (f file) ReadAt(p []byte, offset int64) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = answered(len(p)-n, func() (int, error) { return syscall.Pread(int(f), p[n:], offset+int64(n)) })
		n += k
	}
	return n, err
}

// answered gives what a system call for reading answers the form that package io expects.
func answered(room int, call func() (int, error)) (int, error) {
	n, err := uninterrupted(call)
	switch {
	case err != nil:
		return 0, fmt.Errorf("read: %w", err)
	case n == 0 && room > 0:
		return 0, io.EOF
	}
	return n, nil
}

// uninterrupted makes a system call until no signal interrupts it.
func uninterrupted(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// size answers how long a regular file is; false for anything else.
func (f file) size() (int64, bool, error) {
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(f), &stat); err != nil {
		return 0, false, fmt.Errorf("stat: %w", err)
	}
	return stat.Size, stat.Mode&syscall.S_IFMT == syscall.S_IFREG, nil
}

// Close closes the file.
func (f file) Close() error { return syscall.Close(int(f)) }
