package demo_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built is the real binary, built once for all tests.
var built struct {
	sync.Once
	dir string
	out []byte
	err error
}

// TestMain removes the binary when all tests have ended.
func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(built.dir)
	os.Exit(code)
}

// build answers the path of the real binary.
func build(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "keyward-demo-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-trimpath", "-o", built.dir, "../../cmd/keyward")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOEXPERIMENT=runtimesecret")
		built.out, built.err = cmd.CombinedOutput()
	})
	if built.err != nil {
		t.Fatalf("building keyward: %v\n%s", built.err, built.out)
	}
	return filepath.Join(built.dir, "keyward")
}

// A run is one telling, in a directory for temporary files of its own.
type run struct {
	cmd      *exec.Cmd
	tmp      string
	out, err bytes.Buffer
}

func newRun(t *testing.T, exe string, args ...string) *run {
	t.Helper()
	tmp, err := os.MkdirTemp("", "d") // a short name: there will be sockets in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	r := &run{cmd: exec.CommandContext(t.Context(), exe, append([]string{"demo"}, args...)...), tmp: tmp}
	r.cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "LANG=C.UTF-8", "KEYWARD_LANG=")
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	return r
}

// left answers what is left in the directory, and the processes that use it.
func (r *run) left(t *testing.T) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.tmp, "*"))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range lines {
		if content, err := os.ReadFile(name); err == nil && bytes.Contains(content, []byte(r.tmp+"/")) {
			out = append(out, strings.ReplaceAll(string(content), "\x00", " "))
		}
	}
	return append(files, out...)
}

// The whole story, with the binary that users have, and everything holds.
func TestStory(t *testing.T) {
	t.Parallel()
	r := newRun(t, build(t))
	began := time.Now()
	if err := r.cmd.Run(); err != nil {
		t.Errorf("%v after %v\n%s%s", err, time.Since(began), r.out.String(), r.err.String())
	}
	text := r.out.String()
	if !strings.HasSuffix(text, "\n0 failed. Everything holds.\n") || strings.Contains(text, "FAILS") {
		t.Errorf("it ends with\n%s", text[max(len(text)-1000, 0):])
	}
	if n := strings.Count(text, "\n  holds  "); n != 10 {
		t.Errorf("%d claims hold", n)
	}
	if !regexp.MustCompile(`payments made: [0-9]{4,}, 0 failed`).MatchString(text) {
		t.Error("the payments are not told")
	}
	if left := r.left(t); left != nil {
		t.Errorf("left are %q", left)
	}
	t.Logf("it took %v", time.Since(began).Round(time.Second))
}

// The script's story ends badly and says how badly.
func TestScript(t *testing.T) {
	t.Parallel()
	r := newRun(t, build(t), "--scenario", "script")
	var exit *exec.ExitError
	if err := r.cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ends with %v\n%s", err, r.err.String())
	}
	m := regexp.MustCompile(`payments made: [0-9]+, ([0-9]+) failed, .*the platform refused ([0-9]+)\n$`).FindStringSubmatch(r.out.String())
	if m == nil || m[1] == "0" || m[1] != m[2] || !strings.Contains(r.err.String(), m[1]+" payments failed") {
		t.Errorf("it ends with %q and\n%s\n%s", m, r.out.String(), r.err.String())
	}
	if !regexp.MustCompile(`(?m)^ +frankfurt-1 +paid [0-9]+ +, failed [1-9]`).MatchString(r.out.String()) {
		t.Errorf("the region that was not reached does not fail:\n%s", r.out.String())
	}
}

// A Ctrl-C in the middle, and a SIGKILL, leave no process behind; the first leaves no file.
func TestInterrupt(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the processes of others are looked for in /proc")
	}
	t.Parallel()
	exe := build(t)
	for _, with := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		r := newRun(t, exe)
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		patience, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		await(patience, t, "seven children", func() bool { return len(r.left(t)) == 1+7 })
		if err := r.cmd.Process.Signal(with); err != nil {
			t.Fatal(err)
		}
		if err := r.cmd.Wait(); err == nil {
			t.Errorf("%v: it ends as if all were well", with)
		}
		left := 0
		if with == syscall.SIGKILL {
			left = 1 // the directory, which nobody is there to remove
		}
		await(patience, t, "the children are gone", func() bool { return len(r.left(t)) == left })
	}
}

func await(ctx context.Context, t *testing.T, what string, so func() bool) {
	t.Helper()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: it does not come to that", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
