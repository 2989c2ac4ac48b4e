// Package hsmtest gives tests a hardware token that is none: a SoftHSM 2 token in a
// directory of the test, and the real helper before it.
package hsmtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/hsm"
)

// What the token is called and opens with.
const (
	Label = "keyward-test"
	PIN   = "fake-pin-1234"
)

// A World is a token and its helper.
type World struct {
	t       testing.TB
	Dir     string // private; has the token in "tokens"
	Socket  string
	PINFile string
	Module  string

	mu     sync.Mutex
	helper *exec.Cmd
	log    bytes.Buffer
}

// Start makes a token and starts the helper, which is stopped with the test. Where SoftHSM
// is not installed the test is skipped, but not in a pipeline (CI=true).
func Start(t testing.TB) *World {
	t.Helper()
	w := New(t)
	w.Run()
	w.Await(hsm.Ready)
	return w
}

// New makes a token without a helper.
func New(t testing.TB) *World {
	t.Helper()
	dir, err := os.MkdirTemp("", "hsm") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &World{t: t, Dir: dir, Socket: filepath.Join(dir, "socket"), PINFile: filepath.Join(dir, "pin")}
	if w.Module = Module(); w.Module == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("SoftHSM 2 is not installed; run: make deps")
		}
		t.Skip("SoftHSM 2 is not installed; run: make deps")
	}
	w.write("softhsm2.conf", "directories.tokendir = "+filepath.Join(dir, "tokens")+"\nlog.level = ERROR\n")
	w.write("pin", PIN+"\n")
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.InitToken(Label)
	return w
}

// Module answers where SoftHSM 2 is installed, "" if it is not.
func Module() string {
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// binary is the helper, built once for all tests of a process and removed by nobody: it
// stands in the directory of temporary files.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "keyward-pkcs11")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "keyward-pkcs11")
	return path, Build(context.Background(), path)
})

// Build builds the helper.
func Build(ctx context.Context, path string) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/keyward/keyward/cmd/keyward-pkcs11")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the helper: %w\n%s", err, out)
	}
	return nil
}

func (w *World) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.Dir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// SetPIN writes the PIN that the helper reads.
func (w *World) SetPIN(pin string) { w.write("pin", pin+"\n") }

// InitToken makes a further token.
func (w *World) InitToken(label string) {
	w.t.Helper()
	w.Tool("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "fake-so-pin", "--pin", PIN)
}

// Tool runs a program on the token and answers what it printed.
func (w *World) Tool(name string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = w.Env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// Env answers the environment of whoever uses the token.
func (w *World) Env() []string {
	return append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(w.Dir, "softhsm2.conf"))
}

// Run starts the helper.
func (w *World) Run(flags ...string) {
	w.t.Helper()
	path, err := binary()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"--module", w.Module, "--token", Label, "--socket", w.Socket, "--pin-file", w.PINFile}, flags...)...)
	cmd.Env = w.Env()
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.helper = cmd
	w.t.Cleanup(func() { w.stop(cmd) })
}

// Kill kills the helper, without a word.
func (w *World) Kill() { w.stop(w.helper) }

func (w *World) stop(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill() // it may be gone
		_ = cmd.Wait()         // it says that it was killed
	}
}

// Write implements io.Writer: it is the helper's log.
func (w *World) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

// Log answers what the helpers of this world have logged.
func (w *World) Log() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// Logged tells how many lines of the log contain all the texts.
func (w *World) Logged(texts ...string) (n int) {
	for line := range strings.Lines(w.Log()) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			n++
		}
	}
	return n
}

// Client answers a new client of the helper.
func (w *World) Client() *hsm.Client {
	return hsm.NewClient(hsm.Options{Socket: w.Socket, Users: []int{os.Geteuid()}, Connections: 8})
}

// Await waits until the token is in a state, and answers its status.
func (w *World) Await(want hsm.State) hsm.Status {
	w.t.Helper()
	c := w.Client()
	var last string
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		s, err := c.Status(context.Background())
		if err == nil && s.State == want {
			return s
		}
		last = fmt.Sprint(s, err)
	}
	w.t.Fatalf("the token is not %s: %s\n%s", want, last, w.Log())
	return hsm.Status{}
}

// TokenDir answers the directory that is the token.
func (w *World) TokenDir() string { return filepath.Join(w.Dir, "tokens") }
