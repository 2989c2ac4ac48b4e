package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// A process is what a contender runs in.
type process struct {
	pid     int
	address string // where it listens
}

// tick is the unit of CPU times in /proc.
const tick = time.Second / 100

// cpu answers how much CPU time the process has used, to 10 ms.
func (p process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	return parseStat(string(stat))
}

// parseStat reads user and system time, the 14th and 15th field, from /proc/PID/stat.
// The second field is a file name in parentheses, which may hold anything.
func parseStat(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("reading the CPU time: too few fields")
	}
	user, userErr := strconv.ParseUint(fields[11], 10, 32)
	system, systemErr := strconv.ParseUint(fields[12], 10, 32)
	return time.Duration(user+system) * tick, errors.Join(userErr, systemErr)
}

// A child is a process that this one started.
type child struct {
	name    string
	process process
	end     func() error
	wait    func() error
}

// stop ends the child and waits for it.
func (c *child) stop() error {
	if err := errors.Join(c.end(), c.wait()); err != nil {
		return fmt.Errorf("stopping %s: %w", c.name, err)
	}
	return nil
}

// A server is a running keyward with all that the operations need.
type server struct {
	child
	caller   api.IssuedAccessKey
	material material
}

// form answers what all requests of an operation have in common.
func (s *server) form(o operation) form {
	// No parameter has a character that url.Values and the signature spell differently.
	return form{host: s.process.address, action: o.action, query: o.params(s.material).Encode(), keyID: s.caller.AccessKey.ID, secret: string(s.caller.Secret)}
}

// startServer runs `keyward server` on a new database and prepares it. Nothing but the
// limits of its configuration is special; its log goes to a file.
func startServer(ctx context.Context, binary, dir, database string) (s *server, err error) {
	data := filepath.Join(dir, database)
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, database+".toml")
	if err := os.WriteFile(config, []byte(configuration(address, data, database)), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, database+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(binary, "server", "--config", config)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s = &server{child: child{
		name: database, process: process{cmd.Process.Pid, address},
		end: func() error { return cmd.Process.Signal(syscall.SIGTERM) }, wait: cmd.Wait,
	}}
	if err := s.prepare(ctx, filepath.Join(data, "operator.sock")); err != nil {
		text, _ := os.ReadFile(log.Name()) // if it cannot be read, the error must do
		return nil, errors.Join(fmt.Errorf("%w; its log:\n%s", err, text), s.stop())
	}
	return s, nil
}

func configuration(address, data, database string) string {
	text := fmt.Sprintf("listen = %q\ndata_dir = %q\n", address, data)
	if database == "postgres" {
		text += fmt.Sprintf("database = %q\n", os.Getenv(postgresVariable))
	}
	return text + "[limits]\ncalls_per_access_key = 0\ncalls_per_account = 0\nconnections_per_address = 0\n"
}

// freeAddress finds an address to listen on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// prepare initialises the server, once it answers, and makes what the operations need.
func (s *server) prepare(ctx context.Context, socket string) error {
	operator := client.Operator(socket)
	status, err := operator.Status(ctx)
	for give := time.Now().Add(patience); err != nil && ctx.Err() == nil && time.Now().Before(give); {
		time.Sleep(20 * time.Millisecond)
		status, err = operator.Status(ctx)
	}
	if err != nil {
		return fmt.Errorf("waiting for the server: %w", err)
	}
	if status.Initialized {
		return errors.New("the database is not empty; run: ./scripts/with-postgres go run ./internal/bench")
	}
	founded, err := operator.Initialize(ctx, api.InitializeRequest{Passphrase: []byte("not a secret: benchmark"), Account: "bench"})
	if err != nil {
		return fmt.Errorf("initialising: %w", err)
	}
	endpoint := url.URL{Scheme: "http", Host: s.process.address}
	root, err := client.New(client.Config{Endpoint: endpoint.String(), AccessKeyID: founded.AccessKeyID, AccessKeySecret: string(founded.AccessKeySecret)})
	if err != nil {
		return err
	}
	s.material, s.caller, err = prepare(ctx, root)
	return err
}
