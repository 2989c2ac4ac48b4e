// Package proof tests the real server, as a process, and does to it what a machine may do:
// it kills it, and PostgreSQL under it, lets its system calls fail, fills its disk, and
// cuts the power. Clients work meanwhile, each in a [world] of its own, and know what they
// were acknowledged; afterwards all of that must be there, with one audit record each, and
// nothing else. And it passes known secrets through every operation and looks for them
// where they must not be.
//
// Every campaign has a size, which a variable of the environment sets and whose default is
// a short run, and a seed, which it prints and KEYWARD_SEED sets; the targets of the
// Makefile say how to run them whole. Failing calls and power cuts need ptrace(2) on Linux
// (package trace).
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
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/proof/trace"
	"github.com/keyward/keyward/internal/store/storetest"
)

const passphrase = "fake passphrase of the proofs"

// built is the real binary, made once for all tests.
var built struct {
	sync.Once
	dir, out string
	err      error
}

// TestMain removes the binary when all tests have ended.
func TestMain(m *testing.M) {
	if os.Getenv(bareVariable) != "" {
		fmt.Fprintln(os.Stderr, serveBare())
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(built.dir)
	os.Exit(code)
}

// build answers the path of the real binary, as `make build` makes it.
func build(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "keyward-proof-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-X runtime.godebugDefault=clobberfree=1", "-o", built.dir, "../../cmd/keyward")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOEXPERIMENT=runtimesecret")
		out, err := cmd.CombinedOutput()
		built.out, built.err = string(out), err
	})
	if built.err != nil {
		t.Fatalf("building keyward: %v\n%s", built.err, built.out)
	}
	return filepath.Join(built.dir, "keyward")
}

// A server is the real one, in a process of its own.
type server struct {
	t       *testing.T
	binary  string
	home    string // private; holds the data directory and, outside of it, configuration and log
	dir     string // data directory
	socket  string
	url     string       // of the database
	hooks   *trace.Hooks // if set, the server is traced
	cmd     *exec.Cmd
	traced  *trace.Process
	gone    <-chan struct{} // closed when the process has ended, if it is not traced
	address string
	key     api.FoundedAccount
	logs    *os.File
	dials   *http.Transport // of the clients
	back    time.Time       // when it is started again, of one that was killed
}

// dialer answers connections for many clients of one server, which are kept: a client that
// connects anew for each request is a light load.
func dialer() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: 64} }

// newServer starts a server on a new database that is initialised, with a passphrase that
// takes no time to derive.
func newServer(t *testing.T, binary, url string) *server {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	key := found(t, dir, url)
	s := prepareServer(t, binary, dir, url)
	s.key = key
	s.start()
	return s
}

// initializeServer starts a server on an empty database and initialises it as an operator
// does.
func initializeServer(t *testing.T, binary, url string) *server {
	t.Helper()
	s := prepareServer(t, binary, filepath.Join(t.TempDir(), "data"), url)
	s.start()
	var err error
	s.key, err = client.Operator(s.socket).Initialize(t.Context(), api.InitializeRequest{Passphrase: api.SecretBytes(passphrase), Account: "crash"})
	if err != nil {
		t.Fatalf("initialising: %v\n%s", err, s.log())
	}
	return s
}

// prepareServer makes a server that is not started, with its data in dir, whose parent
// is private.
func prepareServer(t *testing.T, binary, dir, url string) *server {
	t.Helper()
	s := &server{t: t, binary: binary, home: t.TempDir(), dir: dir, url: url, socket: filepath.Join(storetest.ShortDir(t), "s"), dials: dialer()}
	if s.url == "" {
		s.url = "sqlite:" + filepath.Join(s.dir, "keyward.db")
	}
	config := fmt.Sprintf("listen = \"127.0.0.1:0\"\ndata_dir = %q\ndatabase = %q\noperator_socket = %q\n[limits]\ncalls_per_access_key = 0\ncalls_per_account = 0\n",
		s.dir, s.url, s.socket)
	if err := os.WriteFile(filepath.Join(s.home, "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

// start starts the server and waits until it listens.
func (s *server) start() {
	s.t.Helper()
	if !s.tryStart() {
		s.t.Fatalf("the server does not start:\n%s", s.log())
	}
}

// tryStart starts the server and answers whether it listens in the end, or has ended.
func (s *server) tryStart() bool {
	s.t.Helper()
	offset, ended := s.launch()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if s.address = s.listening(offset); s.address != "" {
			return true
		}
		select {
		case <-ended:
			s.kill()
			return false
		case <-time.After(3 * time.Millisecond):
		}
	}
	return false
}

// launch starts the process and answers where its log begins; ended is closed when it ends.
func (s *server) launch() (offset int64, ended <-chan struct{}) {
	s.t.Helper()
	var err error
	if s.logs, err = os.OpenFile(filepath.Join(s.home, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if offset, err = s.logs.Seek(0, 2); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(s.binary, "server", "--config", filepath.Join(s.home, "config.toml"))
	s.cmd.Env = append(os.Environ(), "KEYWARD_PASSPHRASE="+passphrase)
	s.cmd.Stderr = s.logs
	if s.hooks != nil {
		if s.traced, err = trace.Start(s.cmd, *s.hooks); err != nil {
			s.t.Fatal(err)
		}
		return offset, s.traced.Ended()
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	closed, cmd := make(chan struct{}), s.cmd
	s.gone = closed
	go func() {
		_ = cmd.Wait() // it was killed, or says in its log why it ended
		close(closed)
	}()
	return offset, closed
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
			if address, _, whole := strings.Cut(rest, `"`); whole { // it may be on its way
				return address
			}
		}
	}
	return ""
}

// log answers the end of the log.
func (s *server) log() string {
	content := s.wholeLog()
	return content[max(0, len(content)-4000):]
}

func (s *server) wholeLog() string {
	content, _ := os.ReadFile(filepath.Join(s.home, "log"))
	return string(content)
}

// kill ends the process as a power cut does, as far as the process is concerned.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	if s.traced != nil {
		s.traced.Kill()
	} else {
		_ = s.cmd.Process.Kill() // it may have ended by itself, which the checks find out
		<-s.gone
	}
	_ = s.logs.Close()
	s.cmd, s.traced = nil, nil
}

// client answers a client that tells the id of each acknowledged request to heard.
func (s *server) client(heard func(requestID string)) *client.Client {
	c, err := client.New(client.Config{
		Endpoint: "http://" + s.address, AccessKeyID: s.key.AccessKeyID, AccessKeySecret: string(s.key.AccessKeySecret),
		HTTPClient: &http.Client{Transport: listener{s.dials, heard}}, Timeout: 30 * time.Second,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

type listener struct {
	dials *http.Transport
	heard func(requestID string)
}

// RoundTrip implements http.RoundTripper.
func (l listener) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.dials.RoundTrip(r)
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
