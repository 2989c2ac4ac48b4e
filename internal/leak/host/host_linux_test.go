package host_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/keyward/keyward/internal/leak/host"
)

// A key that a running process of this machine was given is found.
func TestThisMachine(t *testing.T) {
	child := exec.Command("sleep", "600")
	child.Env = []string{"TOKEN=" + secret(t, 50)}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait() // it was killed
	})
	s := newSearch(t)
	if err := host.Look(t.Context(), "/", "", s); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Findings() {
		for _, l := range f.Locations {
			if strings.HasPrefix(l.Path, fmt.Sprintf("/proc/%d/environ", child.Process.Pid)) {
				return
			}
		}
	}
	t.Errorf("the process was not found; coverage %+v", s.Coverage())
}

// A home that may not be entered is left out and counted, and the others are looked at.
func TestHomesOfOthers(t *testing.T) {
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nops:x:1:1::/home/ops:/bin/sh\n", "root/.netrc": "TOKEN=" + secret(t, 1), "home/ops/.netrc": "TOKEN=" + secret(t, 2),
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "root"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil {
		t.Fatal(err)
	}
	as := func(user int) {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(user), 0, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	s := newSearch(t)
	runtime.LockOSThread() // until the test ends, for it is the thread that becomes somebody else
	as(65534)
	err := host.Look(t.Context(), root, "", s)
	as(os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Coverage(); c.Skipped[host.ForeignHome] != 1 || len(s.Findings()) != 1 || c.Partial() {
		t.Errorf("%d findings, coverage %+v", len(s.Findings()), c)
	}
}
