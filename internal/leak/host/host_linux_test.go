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

	"github.com/google/go-cmp/cmp"

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

// What may not be entered or listed is left out and counted, each directory once however
// many patterns lead into it, and the rest is looked at.
func TestDirectoriesOfOthers(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"etc/passwd":  "root:x:0:0:root:/root:/bin/sh\nops:x:1:1::/home/ops:/bin/sh\njenkins:x:2:2::/var/lib/jenkins:/bin/sh\n",
		"root/.netrc": "TOKEN=" + secret(t, 1), "home/ops/.netrc": "TOKEN=" + secret(t, 2), "var/lib/jenkins/credentials.xml": "TOKEN=" + secret(t, 3),
		"var/spool/cron/crontabs/root": "TOKEN=" + secret(t, 4), "var/lib/docker/containers/ab/config.v2.json": "TOKEN=" + secret(t, 5),
		"etc/docker/daemon.json": "TOKEN=" + secret(t, 6), "home/ops/.ssh/config": "TOKEN=" + secret(t, 7), "etc/crontab": "TOKEN=" + secret(t, 8),
		"home/ops/.docker": "no directory, and so not one of others",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{
		"root": 0, "var/lib/jenkins": 0, "var/spool/cron/crontabs": 0o111, "var/lib/docker": 0, "etc/docker": 0, "home/ops/.ssh": 0, "etc/crontab": 0,
		".": 0o755, "..": 0o755,
	} {
		path := filepath.Join(root, name)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(path, 0o700) }) // so that it can be removed
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
	c := s.Coverage()
	if diff := cmp.Diff(map[string]int64{host.ForeignHome: 2, host.ForeignDirectory: 4, host.ForeignFile: 1}, c.Skipped); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if len(s.Findings()) != 1 || c.Partial() {
		t.Errorf("%d findings, coverage %+v", len(s.Findings()), c)
	}
}
