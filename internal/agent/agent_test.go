package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent"
	"github.com/keyward/keyward/internal/agent/agenttest"
	"github.com/keyward/keyward/internal/agent/config"
	"github.com/keyward/keyward/internal/agent/identity"
	"github.com/keyward/keyward/internal/durable"
)

const (
	rollout = "pay/primary"
	canary  = "EXAMPLE-not-a-secret-"
)

// version answers a version as a rotation writes it.
func version(n int) agenttest.Version {
	return agenttest.Version{
		ID:    fmt.Sprintf("%032x", n),
		Value: fmt.Sprintf(`{"access_key_id":"AKEXAMPLE%d","access_key_secret":"%s%d"}`, n, canary, n),
	}
}

// A machine is one on which an agent runs.
type machine struct {
	t      *testing.T
	server *agenttest.Server
	dir    string
	log    *record
	config config.Config
	now    func() time.Time

	full  atomic.Bool // disk
	agent *agent.Agent
	stop  func()
}

// A nobody is a listener to which nobody comes. Unlike a real one it lets virtual time pass.
type nobody struct{ closed chan struct{} }

func newNobody() *nobody { return &nobody{make(chan struct{})} }

func (n *nobody) Accept() (net.Conn, error) {
	<-n.closed
	return nil, net.ErrClosed
}

func (n *nobody) Close() error {
	select {
	case <-n.closed:
	default:
		close(n.closed)
	}
	return nil
}

func (n *nobody) Addr() net.Addr { return &net.UnixAddr{} }

// A record keeps what was logged.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// newMachine joins a machine to a server. Its agent.toml has the text beside its places;
// DIR in it is a directory of the machine.
func newMachine(t *testing.T, text string) *machine {
	t.Helper()
	m := &machine{t: t, server: agenttest.New(t, time.Now), dir: t.TempDir(), log: &record{}, now: time.Now}
	text = fmt.Sprintf("state = %q\nlisten = %q\n", filepath.Join(m.dir, "state"), filepath.Join(m.dir, "a.sock")) + strings.ReplaceAll(text, "DIR", m.dir)
	c, err := config.Parse(text, m.dir)
	if err != nil {
		t.Fatal(err)
	}
	m.config = c
	_, err = agent.Join(t.Context(), agent.Joining{
		Server: "http://127.0.0.1:1", State: c.State, Token: agenttest.Token, Name: "shop-1", Transport: m.server, Now: m.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// start starts the agent.
func (m *machine) start() {
	m.t.Helper()
	a, err := agent.New(agent.Options{
		Config: m.config, Version: "test", Now: m.now, Logger: slog.New(slog.NewTextHandler(m.log, nil)), Transport: m.server, Listener: newNobody(),
		Replace: func(path string, content []byte) error {
			if m.full.Load() {
				return errors.New("no space left on device")
			}
			return durable.Replace(path, content)
		},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	m.agent = a
	m.stop = func() {
		m.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			m.t.Errorf("the agent ended: %v", err)
		}
	}
}

// restart stops the agent and starts another, which takes a second of virtual time.
func (m *machine) restart() {
	m.t.Helper()
	m.stop()
	time.Sleep(time.Second)
	m.start()
}

// await waits until the server was told a level.
func (m *machine) await(generation int64, level string) delivery.Ack {
	m.t.Helper()
	return m.awaitAck(agenttest.Reached(generation, level))
}

func (m *machine) awaitAck(wanted func(delivery.Ack) bool) delivery.Ack {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Hour)
	defer cancel()
	a, err := m.server.Await(ctx, rollout, wanted)
	if err != nil {
		m.t.Fatalf("%v\n%s", err, m.log)
	}
	return a
}

// served answers the secret part of the primary version that the agent serves.
func (m *machine) served() string {
	k, _, _ := m.agent.Key(rollout)
	return string(k.Primary.Parts["access_key_secret"])
}

func (m *machine) file(name string) string {
	m.t.Helper()
	content, err := os.ReadFile(filepath.Join(m.dir, name))
	if err != nil {
		m.t.Error(err)
	}
	return string(content)
}

const keyFile = `
[[deliver]]
rollout = "pay/primary"
[[deliver.file]]
path = "DIR/key.json"
template = '{{json .Primary}} {{with .Fallback}}{{.access_key_id}}{{end}}'
mode = "0640"
[[deliver.file]]
path = "DIR/secret"
part = "access_key_secret"
`

func TestDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, keyFile)
		m.start()
		m.server.Publish(rollout, 1, version(1), agenttest.Version{})
		m.await(1, delivery.LevelApplied)
		if diff := cmp.Diff(`{"access_key_id":"AKEXAMPLE1","access_key_secret":"`+canary+`1"} `, m.file("key.json")); diff != "" {
			t.Error(diff)
		}
		m.server.Publish(rollout, 3, version(2), version(1))
		m.await(3, delivery.LevelApplied)
		if diff := cmp.Diff(`{"access_key_id":"AKEXAMPLE2","access_key_secret":"`+canary+`2"} AKEXAMPLE1`, m.file("key.json")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(canary+"2", m.file("secret")); diff != "" {
			t.Error(diff)
		}
		for name, mode := range map[string]os.FileMode{"key.json": 0o640, "secret": 0o600, "state/seed": 0o600} {
			info, err := os.Stat(filepath.Join(m.dir, name))
			if err != nil || info.Mode() != mode {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
		if !m.agent.Use(rollout, delivery.Use{Version: version(2).ID, Result: delivery.ResultUsed}) {
			t.Error("the use was not taken in")
		}
		if a := m.await(3, delivery.LevelUsed); a.UsedAgo == nil || a.FallbackAgo != nil {
			t.Errorf("%+v", a)
		}
		m.stop()
	})
}

func TestJoinOnce(t *testing.T) {
	m := newMachine(t, "")
	j := agent.Joining{Server: "http://127.0.0.1:1", State: m.config.State, Token: agenttest.Token, Name: "shop-2", Transport: m.server, Now: m.now}
	if _, err := agent.Join(t.Context(), j); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second join: %v", err)
	}
	j.State, j.Token = filepath.Join(m.dir, "other"), "wrong-token-canary"
	if _, err := agent.Join(t.Context(), j); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a wrong token: %v", err)
	}
	j.Server = "http://keyward.example.com"
	if _, err := agent.Join(t.Context(), j); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("plaintext: %v", err)
	}
	if _, err := agent.New(agent.Options{Config: config.Config{State: filepath.Join(m.dir, "other")}, Now: m.now}); !errors.Is(err, identity.ErrNotJoined) {
		t.Errorf("not joined: %v", err)
	}
}

// A join whose answer was lost is repeated as the same machine.
func TestJoinAgainAfterLostAnswer(t *testing.T) {
	s := agenttest.New(t, time.Now)
	j := agent.Joining{Server: "http://127.0.0.1:1", State: t.TempDir() + "/s", Token: agenttest.Token, Name: "shop-1", Now: time.Now}
	j.Transport = lost{s}
	if _, err := agent.Join(t.Context(), j); err == nil {
		t.Fatal("the answer was not lost")
	}
	j.Transport = s
	if _, err := agent.Join(t.Context(), j); err != nil {
		t.Error(err)
	}
}

type lost struct{ to http.RoundTripper }

func (l lost) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := l.to.RoundTrip(r); err != nil {
		return nil, err
	}
	return nil, errors.New("connection reset")
}
