package proof

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A door is an address that stays the same while the server behind it is killed and
// started elsewhere. It carries connections and breaks them when the server does.
type door struct {
	listener net.Listener
	turn     atomic.Uint64

	mu     sync.Mutex // guards behind
	behind []string   // addresses of the servers
}

// newDoor opens a door that leads nowhere yet.
func newDoor(t *testing.T) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	d := &door{listener: l}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return // it was closed
			}
			go d.carry(in)
		}
	}()
	return d
}

func (d *door) url() string { return "http://" + d.listener.Addr().String() }

// leadTo lets the door lead to servers, each in its turn.
func (d *door) leadTo(servers ...*server) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.behind = nil
	for _, s := range servers {
		d.behind = append(d.behind, s.address)
	}
}

// dial connects with a server that is there, if one is.
func (d *door) dial() (out net.Conn, err error) {
	d.mu.Lock()
	behind := slices.Clone(d.behind)
	d.mu.Unlock()
	err = errors.New("the door leads nowhere")
	for range behind {
		if out, err = net.Dial("tcp", behind[d.turn.Add(1)%uint64(len(behind))]); err == nil {
			return out, nil
		}
	}
	return nil, err
}

// carry carries one connection until one side ends it, which is the other side's end, too.
func (d *door) carry(in net.Conn) {
	defer in.Close() //nolint:errcheck // whoever is there notices
	out, err := d.dial()
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
	_ = out.Close()
}

// A nodeAgent is the real agent of one machine, in a process of its own.
type nodeAgent struct {
	t      *testing.T
	binary string
	name   string
	dir    string // private: its configuration, state, socket and log
	cmd    *exec.Cmd
	back   time.Time // when it is started again, of one that was killed
	log    *os.File
}

// joinAgent makes an agent that has joined the server with a token, and starts it.
func joinAgent(t *testing.T, binary, server, name string, token api.SecretText) *nodeAgent {
	t.Helper()
	a := &nodeAgent{t: t, binary: binary, name: name, dir: storetest.ShortDir(t)}
	config := fmt.Sprintf("state = %q\nlisten = %q\nreport = \"2s\"\n", filepath.Join(a.dir, "state"), a.socket())
	if err := writeDir(a.dir, map[string][]byte{"agent.toml": []byte(config), "token": []byte(token)}); err != nil {
		t.Fatal(err)
	}
	join := exec.Command(binary, "agent", "join", "--server", server, "--name", name, "--token-file", filepath.Join(a.dir, "token"), "--state", filepath.Join(a.dir, "state"))
	if out, err := join.CombinedOutput(); err != nil {
		t.Fatalf("joining as %s: %v\n%s", name, err, out)
	}
	t.Cleanup(a.kill)
	a.start()
	return a
}

func (a *nodeAgent) socket() string { return filepath.Join(a.dir, "s") }

// start starts the process. It does not wait until it listens.
func (a *nodeAgent) start() {
	a.t.Helper()
	var err error
	if a.log, err = os.OpenFile(filepath.Join(a.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		a.t.Fatal(err)
	}
	a.cmd = exec.Command(a.binary, "agent", "run", "--config", filepath.Join(a.dir, "agent.toml"))
	a.cmd.Stderr = a.log
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
}

// kill ends the process as a power cut does, as far as the process is concerned.
func (a *nodeAgent) kill() {
	if a.cmd == nil {
		return
	}
	_ = a.cmd.Process.Kill() // it may have ended by itself, which the checks find out
	_ = a.cmd.Wait()
	_ = a.log.Close()
	a.cmd = nil
}

// lastWords answers the end of the log.
func (a *nodeAgent) lastWords() string {
	content, _ := os.ReadFile(filepath.Join(a.dir, "log"))
	return string(content[max(0, len(content)-2000):])
}
