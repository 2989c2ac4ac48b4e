package proof

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// allowCores lets the processes that the test starts dump core, for as long as it runs.
func allowCores(t *testing.T) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &old); err != nil {
		t.Fatal(err)
	}
	most := old
	if os.Geteuid() == 0 {
		most.Max = ^uint64(0)
	}
	most.Cur = most.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &most); err != nil || most.Cur == 0 {
		cannot(t, fmt.Errorf("no process may dump core here: limit %d, %w", most.Cur, err))
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &old) })
}

// dumpsCore kills a process with a signal and tells whether the kernel dumped its core.
func dumpsCore(t *testing.T, cmd *exec.Cmd, signal syscall.Signal) bool {
	t.Helper()
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it ends by a signal
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		t.Fatalf("it did not end by a signal: %v", cmd.ProcessState)
	}
	return status.CoreDump()
}

// L26: a server that crashes leaves no core, even where cores are allowed without limit
// and the Go runtime is told to abort.
func TestCrashLeavesNoCore(t *testing.T) {
	allowCores(t)
	other := exec.Command("sleep", "60")
	other.Dir = t.TempDir()
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if !dumpsCore(t, other, syscall.SIGABRT) {
		cannot(t, errors.New("this machine dumps no cores, so there is nothing to see"))
	}
	t.Setenv("GOTRACEBACK", "crash")
	binary := build(t)
	for _, signal := range []syscall.Signal{syscall.SIGABRT, syscall.SIGSEGV} {
		dev := exec.Command(binary)
		dev.Dir = t.TempDir()
		startDev(t, dev)
		if dumpsCore(t, dev, signal) {
			t.Errorf("%v left a core", signal)
		}
	}
}

// startDev has the command run keyward dev in its directory and waits until it is ready.
func startDev(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Args = append(cmd.Args, "dev", "--data-dir", "data", "--listen", "127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(cmd.Dir, "data", "dev.env")); err == nil {
			return
		}
	}
	t.Fatal("keyward dev does not start")
}

// L26: another process of the same user, without privileges, cannot read the server's
// memory or environment.
func TestOthersCannotReadMemory(t *testing.T) {
	dir, err := os.MkdirTemp("", "keyward-memory-") // t.TempDir is for the test's own user only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary := filepath.Join(dir, "keyward")
	program, err := os.ReadFile(build(t))
	if err = errors.Join(err, os.Chmod(dir, 0o777), os.WriteFile(binary, program, 0o755)); err != nil {
		t.Fatal(err)
	}
	attributes := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		const nobody = 65534
		attributes.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.SysProcAttr, cmd.Dir = attributes, dir
		return cmd
	}
	reads := func(pid int, file string) bool {
		out, err := run("head", "-c", "1", fmt.Sprintf("/proc/%d/%s", pid, file)).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "denied") {
			t.Fatalf("reading %s: %v, %s", file, err, out)
		}
		return err == nil
	}
	other := run("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	dev := run(binary)
	startDev(t, dev)
	for _, file := range []string{"maps", "environ", "auxv"} {
		if !reads(other.Process.Pid, file) {
			t.Errorf("%s of an ordinary process cannot be read, so this proves nothing", file)
		}
		if reads(dev.Process.Pid, file) {
			t.Errorf("%s of the server can be read", file)
		}
	}
	if out, err := run("dd", fmt.Sprintf("if=/proc/%d/mem", dev.Process.Pid), "bs=1", "count=0").CombinedOutput(); err == nil || !strings.Contains(string(out), "denied") {
		t.Errorf("the server's memory can be opened: %v, %s", err, out)
	}
}
