// Package proof tests the real server, as a process: it kills it, again and again, while
// it works, and looks afterwards whether everything that it had acknowledged is there and
// right; and it passes known secrets through every operation and looks for them where they
// must not be.
package proof

import (
	"bufio"
	"cmp"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/store/storetest"
)

const passphrase = "fake passphrase of the proofs"

// build makes the real binary.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "keyward")
	cmd := exec.Command("go", "build", "-o", binary, "../../cmd/keyward")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building keyward: %v\n%s", err, out)
	}
	return binary
}

// A server is the real one, in a process of its own.
type server struct {
	t       *testing.T
	binary  string
	dir     string
	socket  string
	url     string // of the database
	cmd     *exec.Cmd
	address string
	key     api.FoundedAccount
	logs    *os.File
}

func newServer(t *testing.T, binary, url string) *server {
	t.Helper()
	s := prepare(t, binary, url)
	s.start()
	var err error
	s.key, err = client.Operator(s.socket).Initialize(t.Context(), api.InitializeRequest{Passphrase: api.SecretBytes(passphrase), Account: "crash"})
	if err != nil {
		t.Fatalf("initialising: %v\n%s", err, s.log())
	}
	return s
}

// prepare gives a server its data directory and configuration; start starts it.
func prepare(t *testing.T, binary, url string) *server {
	t.Helper()
	s := &server{t: t, binary: binary, dir: filepath.Join(t.TempDir(), "data"), url: url}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if s.url == "" {
		s.url = "sqlite:" + filepath.Join(s.dir, "keyward.db")
	}
	s.socket = filepath.Join(storetest.ShortDir(t), "s")
	config := fmt.Sprintf("listen = \"127.0.0.1:0\"\ndata_dir = %q\ndatabase = %q\noperator_socket = %q\n[limits]\ncalls_per_access_key = 0\ncalls_per_account = 0\n",
		s.dir, s.url, s.socket)
	if err := os.WriteFile(filepath.Join(s.dir, "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

// start starts the server and waits until it listens.
func (s *server) start() {
	s.t.Helper()
	offset := s.launch()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if s.address = s.listening(offset); s.address != "" {
			return
		}
	}
	s.t.Fatalf("the server does not start:\n%s", s.log())
}

// launch starts the process and answers where its log begins.
func (s *server) launch() (offset int64) {
	s.t.Helper()
	var err error
	if s.logs, err = os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if offset, err = s.logs.Seek(0, 2); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(s.binary, "server", "--config", filepath.Join(s.dir, "config.toml"))
	s.cmd.Env = append(os.Environ(), "KEYWARD_PASSPHRASE="+passphrase)
	s.cmd.Stderr = s.logs
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return offset
}

// listening finds in the log, from offset on, where the server listens.
func (s *server) listening(offset int64) string {
	f, err := os.Open(s.logs.Name())
	if err != nil {
		return ""
	}
	defer f.Close()
	if _, err := f.Seek(offset, 0); err != nil {
		return ""
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if _, rest, ok := strings.Cut(lines.Text(), `"msg":"listening","address":"`); ok {
			address, _, _ := strings.Cut(rest, `"`)
			return address
		}
	}
	return ""
}

func (s *server) log() string {
	content, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(content[max(0, len(content)-4000):])
}

// kill ends the process as a power cut does, as far as the process is concerned.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself, which the checks find out
	_ = s.cmd.Wait()
	_ = s.logs.Close()
	s.cmd = nil
}

// client answers a client that tells the id of each acknowledged request to heard.
func (s *server) client(heard func(requestID string)) *client.Client {
	c, err := client.New(client.Config{
		Endpoint: "http://" + s.address, AccessKeyID: s.key.AccessKeyID, AccessKeySecret: string(s.key.AccessKeySecret),
		HTTPClient: &http.Client{Transport: listener{heard}}, Timeout: 10 * time.Second,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

type listener struct{ heard func(string) }

// RoundTrip implements http.RoundTripper.
func (l listener) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && resp.StatusCode < 300 {
		l.heard(resp.Header.Get("x-acs-request-id"))
	}
	return resp, err
}

// size answers a size of a campaign from the environment.
func size(t *testing.T, name string, short int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(short)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
