package vectors_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

const passphrase = "fake passphrase of the vectors"

// startServer builds the real program, starts it on SQLite in a process of its own, and
// answers a client of its first account. When the test ends, the server is stopped, and
// must have logged no error.
func startServer(t *testing.T) *client.Client {
	t.Helper()
	// Not t.TempDir: the path of the operator's socket in it must stay short.
	dir, err := os.MkdirTemp("", "keyward-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary, data, config := filepath.Join(dir, "keyward"), filepath.Join(dir, "data"), filepath.Join(dir, "keyward.toml")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/keyward")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0", "GOEXPERIMENT=runtimesecret")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building keyward: %v\n%s", err, out)
	}
	settings := fmt.Sprintf("listen = \"127.0.0.1:0\"\ndata_dir = %q\n[limits]\ncalls_per_access_key = 0\ncalls_per_account = 0\nconnections_per_address = 0\n", data)
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &journal{listening: make(chan string, 1)}
	cmd := exec.Command(binary, "server", "--config", config)
	cmd.Env = append(os.Environ(), "KEYWARD_PASSPHRASE="+passphrase)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("keyward ended with %v", err)
		}
		log.complain(t)
	})
	var address string
	select {
	case address = <-log.listening:
	case <-time.After(time.Minute):
		t.Fatalf("keyward does not listen; it said:\n%s", log.text.String())
	}
	account, err := client.Operator(filepath.Join(data, "operator.sock")).Initialize(t.Context(), api.InitializeRequest{Passphrase: api.SecretBytes(passphrase), Account: "vectors"})
	if err != nil {
		t.Fatalf("initialising: %v", err)
	}
	c, err := client.New(client.Config{Endpoint: "http://" + address, AccessKeyID: account.AccessKeyID, AccessKeySecret: string(account.AccessKeySecret)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A journal takes in what the server logs.
type journal struct {
	listening chan string // the address, once it is logged

	mu    sync.Mutex // guards the fields below
	text  bytes.Buffer
	known bool
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Write(p)
	if j.known {
		return len(p), nil
	}
	if _, after, ok := strings.Cut(j.text.String(), `"msg":"listening","address":"`); ok {
		if address, _, whole := strings.Cut(after, `"`); whole {
			j.known = true
			j.listening <- address
		}
	}
	return len(p), nil
}

// complain fails the test for what bad input must not cause.
func (j *journal) complain(t *testing.T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		for _, never := range []string{`"level":"ERROR"`, `"result":"Internal"`, "panic", passphrase} {
			if strings.Contains(line, never) {
				t.Errorf("keyward logged: %s", line)
			}
		}
	}
}
