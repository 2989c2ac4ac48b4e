package interop_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	region       = "cn-hangzhou"
	passphrase   = "not a secret: interop tests only"
	secretPrefix = "kwsk_" // of access key secrets
	startWithin  = time.Minute
)

// options says how a server differs from the usual one.
type options struct {
	program     string       // default the released one
	database    string       // default SQLite in the server's directory
	cert        string       // file of the certificate chain, beside its ".key"
	callsPerKey int          // a second; default any number
	cleanup     func() error // when the server has ended
	more        string       // of the configuration
}

// A server is keyward as a child process. Its address stays the same when it is
// started again.
type server struct {
	options
	dir     string      // configuration, data and access keys
	address string      // host and port
	process *os.Process // nil while it does not run
	ended   chan error  // how the process ended
	log     *journal
	root    account // that initialisation made
}

// startServer starts and initialises a server in a new directory.
func startServer(o options) (*server, error) {
	// Not t.TempDir: the path of the operator's socket in it must stay short.
	dir, err := os.MkdirTemp("", "keyward-")
	if err != nil {
		return nil, err
	}
	s := &server{options: o, dir: dir, address: "127.0.0.1:0"}
	if err := s.launch(); err != nil {
		return nil, errors.Join(err, s.end())
	}
	if s.root, err = s.issue("operator", "init"); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// newServer starts a server that ends with the test.
func newServer(t *testing.T, o options) *server {
	t.Helper()
	s, err := startServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// launch starts the process and waits until it listens.
func (s *server) launch() error {
	if s.program == "" {
		s.program = world.program
	}
	config := filepath.Join(s.dir, "keyward.toml")
	if err := os.WriteFile(config, []byte(s.configuration()), 0o600); err != nil {
		return err
	}
	s.log = &journal{listening: make(chan string, 1)}
	cmd := exec.Command(s.program, "server", "--config", config)
	cmd.Env = append(os.Environ(), "KEYWARD_PASSPHRASE="+passphrase)
	cmd.Stderr = s.log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.process, s.ended = cmd.Process, make(chan error, 1)
	go func() { s.ended <- cmd.Wait() }()
	select {
	case s.address = <-s.log.listening:
		return nil
	case err := <-s.ended:
		s.process = nil
		return fmt.Errorf("keyward ended with %w; it said:\n%s", err, s.log)
	case <-time.After(startWithin):
		return fmt.Errorf("keyward does not listen; it said:\n%s", s.log)
	}
}

func (s *server) configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen = %q\ndata_dir = %q\nregion = %q\n", s.address, filepath.Join(s.dir, "data"), region)
	if s.database != "" {
		fmt.Fprintf(&b, "database = %q\n", s.database)
	}
	fmt.Fprintf(&b, "[limits]\ncalls_per_access_key = %d\ncalls_per_account = 0\nconnections_per_address = 0\n", s.callsPerKey)
	if s.cert != "" {
		fmt.Fprintf(&b, "[tls]\ncert_file = %q\nkey_file = %q\n", s.cert, s.cert+".key")
	}
	return b.String() + s.more
}

// stop ends the process as an operator does, and answers how it ended.
func (s *server) stop() error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping keyward: %w; it said:\n%s", err, s.log)
	}
	return s.wait()
}

// wait waits for the process to end by itself.
func (s *server) wait() error {
	err := <-s.ended
	s.process = nil
	if err != nil {
		return fmt.Errorf("keyward ended with %w; it said:\n%s", err, s.log)
	}
	return nil
}

// kill ends the process as a crash does.
func (s *server) kill(t *testing.T) {
	t.Helper()
	if err := s.process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.ended // it says that it was killed
	s.process = nil
}

// restart starts the process again.
func (s *server) restart(t *testing.T) {
	t.Helper()
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
}

// end stops the process, removes what it kept, and answers what it must not have logged.
func (s *server) end() error {
	err := s.stop()
	if s.log != nil {
		err = errors.Join(err, s.log.complaint())
	}
	if s.cleanup != nil {
		err = errors.Join(err, s.cleanup())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// run runs a command of the program as a, and answers what it wrote.
func (s *server) run(a account, args ...string) (string, error) {
	cmd := exec.Command(world.program, args...)
	scheme := "http://"
	if s.cert != "" {
		scheme = "https://"
	}
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "KEYWARD_PASSPHRASE="+passphrase, "KEYWARD_ENDPOINT="+scheme+s.address,
		"ALIBABA_CLOUD_ACCESS_KEY_ID="+a.id, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+a.secret, "ALIBABA_CLOUD_REGION_ID="+region)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("keyward %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// command runs a command that has to succeed.
func (s *server) command(t *testing.T, a account, args ...string) {
	t.Helper()
	if _, err := s.run(a, args...); err != nil {
		t.Fatal(err)
	}
}

// An account is an access key, and where to use it.
type account struct {
	*server
	id, secret string
}

// issue runs an operator's command that makes an account.
func (s *server) issue(args ...string) (account, error) {
	return s.issueAs(account{}, append(args, "--data-dir", filepath.Join(s.dir, "data"))...)
}

// issueAs runs a command that makes an access key.
func (s *server) issueAs(a account, args ...string) (account, error) {
	out := filepath.Join(s.dir, rand.Text()+".env")
	if _, err := s.run(a, append(args, "--out", out)...); err != nil {
		return account{}, err
	}
	content, err := os.ReadFile(out)
	if err != nil {
		return account{}, err
	}
	made := account{server: s}
	for line := range strings.Lines(string(content)) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name {
		case "ALIBABA_CLOUD_ACCESS_KEY_ID":
			made.id = value
		case "ALIBABA_CLOUD_ACCESS_KEY_SECRET":
			made.secret = value
		}
	}
	return made, nil
}

// account makes a new account.
func (s *server) account(t *testing.T) account {
	t.Helper()
	a, err := s.issue("operator", "account", "create", "a"+rand.Text())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A journal takes in what the process logs.
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
	_, after, found := strings.Cut(j.text.String(), `"msg":"listening","address":"`)
	if address, _, whole := strings.Cut(after, `"`); found && whole {
		j.known = true
		j.listening <- address
	}
	return len(p), nil
}

// String answers the end of the log.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := j.text.String()
	return text[max(0, len(text)-4<<10):]
}

// complaint answers what no test may cause: an internal error, a panic, a database that
// does not answer, or a secret in the log.
func (j *journal) complaint() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		for _, caused := range []string{"the clock jumped", "an alarm reaches nobody"} { // by TestClockJumps and TestRotateSecret
			line = strings.Replace(line, `"level":"ERROR","msg":"`+caused, "", 1)
		}
		for _, never := range []string{
			`"level":"ERROR"`, `"result":"Internal"`, `"result":"Unavailable"`, `"result":"AuditUnavailable"`, secretPrefix, passphrase,
		} {
			if strings.Contains(line, never) {
				return fmt.Errorf("keyward logged: %s", line)
			}
		}
	}
	return nil
}
