package durable_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/keyward/keyward/internal/durable"
)

// A process that is being forked shares the locked file until it begins its program. It does not
// keep the lock.
func TestUnlockWhileForking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := durable.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := unix.Dup(descriptor(t, path))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(shared)
	unlock()
	again, err := durable.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// descriptor answers the number under which this process has the file open.
func descriptor(t *testing.T, path string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil && to == path {
			n, err := strconv.Atoi(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s is not open", path)
	return 0
}
