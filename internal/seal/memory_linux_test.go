package seal_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"golang.org/x/sys/unix"
)

// cannot skips a test that the machine forbids; in CI nothing may be skipped.
func cannot(t *testing.T, why error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// protectedMappings counts the memory areas of this process that are locked, left
// out of core dumps and wiped in children, as the kernel tells.
func protectedMappings(t *testing.T) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		cannot(t, err)
	}
	count := 0
	for line := range strings.Lines(string(maps)) {
		flags, ok := strings.CutPrefix(line, "VmFlags:")
		if ok && strings.Contains(flags, " lo ") && strings.Contains(flags, " dd ") && strings.Contains(flags, " wf ") {
			count++
		}
	}
	return count
}

func TestMasterSecretsAreProtected(t *testing.T) {
	before := protectedMappings(t)
	k := sealtest.Keyring(t)
	if warning := k.MemoryWarning(); warning != nil {
		cannot(t, warning) // the machine forbids it, and the keyring said so
	}
	if got := protectedMappings(t); got != before+1 {
		t.Errorf("%d protected areas while unsealed, %d before", got, before)
	}
	k.Close()
	if got := protectedMappings(t); got != before {
		t.Errorf("%d protected areas after Close, %d before", got, before)
	}
}

// TestMain lets the test binary play the process that is hardened.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("SEAL_TEST_ENVIRONMENT") != "":
		passphrase, _, err := seal.PassphraseFromEnvironment()
		environ, _ := os.ReadFile("/proc/self/environ")
		left := bytes.Contains(environ, []byte(fakePassphrase)) || strings.Contains(strings.Join(os.Environ(), "\n"), fakePassphrase)
		fmt.Println(string(passphrase.Expose()) == fakePassphrase, err, left, bytes.Contains(environ, []byte("SEAL_TEST_ENVIRONMENT=1")))
		return
	case os.Getenv("SEAL_TEST_HARDEN") == "":
		os.Exit(m.Run())
	}
	err := seal.Harden()
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	var limit unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	fmt.Printf("%v %d %d %d\n", err, dumpable, limit.Cur, limit.Max)
}

const fakePassphrase = "fake passphrase of the environment"

func TestPassphraseLeavesTheEnvironment(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "SEAL_TEST_ENVIRONMENT=1", "KEYWARD_PASSPHRASE="+fakePassphrase)
	output, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(output)); got != "true <nil> false true" {
		t.Errorf("read, error, still there, the rest is as it was: %s", got)
	}
}

// A system that refuses to lock memory is named as such, and the keyring works all the same.
func TestRefusedLockIsReported(t *testing.T) {
	runtime.LockOSThread() // for good: this thread loses what lets root lock memory without limit
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	data[0].Effective &^= 1 << unix.CAP_IPC_LOCK
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &old) })
	if err := seal.CheckMemory(); err == nil || !strings.Contains(err.Error(), "LimitMEMLOCK") {
		t.Errorf("the refused lock is reported as: %v", err)
	}
	if sealtest.Keyring(t).MemoryWarning() == nil {
		t.Error("the keyring says nothing of it")
	}
}

func TestHarden(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "SEAL_TEST_HARDEN=1")
	output, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(output)); got != "<nil> 0 0 0" {
		t.Errorf("error, dumpable, core limits: %s", got)
	}
}

func TestReadPassphraseRefusesPipes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.ReadPassphrase(path); !fault.Is(err, fault.InvalidParameter) { // and it does not hang
		t.Error(err)
	}
}
