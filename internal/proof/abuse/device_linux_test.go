package abuse

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// replaceJournal puts a device in the place of the files of the audit journal, as the
// server has them open, and answers what undoes it. /dev/full has no space for what is
// written; /dev/null takes it and cannot be synced.
func replaceJournal(t *testing.T, dir, device string) (undo func()) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	into, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer into.Close() //nolint:errcheck // it was only duplicated
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var open []int // before any is duplicated
	for _, entry := range fds {
		path, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err != nil || filepath.Dir(path) != dir || !strings.Contains(filepath.Base(path), "-audit.") {
			continue
		}
		fd, err := strconv.Atoi(entry.Name())
		must(err)
		open = append(open, fd)
	}
	if len(open) != 2 {
		t.Fatalf("the server has %d files of its journal open, want 2", len(open))
	}
	var undos []func()
	for _, fd := range open {
		kept, err := syscall.Dup(fd)
		must(err)
		must(syscall.Dup3(int(into.Fd()), fd, syscall.O_CLOEXEC))
		undos = append(undos, func() {
			must(syscall.Dup3(kept, fd, syscall.O_CLOEXEC))
			must(syscall.Close(kept))
		})
	}
	return func() {
		for _, undo := range undos {
			undo()
		}
	}
}
