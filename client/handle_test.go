package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/client"
)

// A machineAgent is the agent of a machine, as programs see it.
type machineAgent struct {
	t    testing.TB
	path string // of its socket

	mu      sync.Mutex // guards what follows
	key     delivery.Key
	uses    map[delivery.Use]int // with Times 0
	changed chan struct{}        // closed and made anew when one of these changes
	server  *http.Server
}

func newMachineAgent(t testing.TB) *machineAgent {
	t.Helper()
	m := machineAgentIn(t, t.TempDir())
	m.start()
	t.Cleanup(m.stop)
	return m
}

func machineAgentIn(t testing.TB, dir string) *machineAgent {
	return &machineAgent{t: t, path: filepath.Join(dir, "a.sock"), uses: map[delivery.Use]int{}, changed: make(chan struct{})}
}

func (m *machineAgent) start() {
	l, err := net.Listen("unix", m.path)
	if err != nil {
		m.t.Fatal(err)
	}
	m.server = &http.Server{Handler: m, ReadHeaderTimeout: time.Minute}
	go func() { _ = m.server.Serve(l) }()
}

func (m *machineAgent) stop() { _ = m.server.Close() }

func (m *machineAgent) change(how func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	how()
	close(m.changed)
	m.changed = make(chan struct{})
}

// publish gives the agent a generation; a version 0 is none.
func (m *machineAgent) publish(generation int64, primary, fallback int) {
	of := func(n int) delivery.Credential {
		if n == 0 {
			return delivery.Credential{}
		}
		return delivery.Credential{Version: fmt.Sprint("v", n), Parts: map[string]api.SecretText{"id": api.SecretText(fmt.Sprint("AK", n)), "secret": secret}}
	}
	m.change(func() {
		m.key = delivery.Key{Rollout: "pay/a b", Generation: generation, Primary: of(primary), Fallback: of(fallback)}
	})
}

func (m *machineAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.EscapedPath() {
	case "GET /v1/keys/pay%2Fa%20b":
		m.serveKey(w, r)
	case "POST /v1/keys/pay%2Fa%20b/report":
		var u delivery.Use
		if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
			m.t.Error(err)
		}
		m.change(func() {
			times := max(u.Times, 1)
			u.Times = 0
			m.uses[u] += times
		})
		w.WriteHeader(http.StatusNoContent)
	case "GET /v1/status":
		_ = json.NewEncoder(w).Encode(delivery.Status{Node: "acme/shop"})
	default:
		m.t.Errorf("%s %s", r.Method, r.URL.EscapedPath())
	}
}

func (m *machineAgent) serveKey(w http.ResponseWriter, r *http.Request) {
	wait, err := time.ParseDuration(r.FormValue("wait"))
	if err != nil {
		m.t.Error(err)
	}
	over := time.After(wait)
	for {
		m.mu.Lock()
		k, changed := m.key, m.changed
		m.mu.Unlock()
		if k.Generation > 0 && fmt.Sprint(k.Generation) > r.FormValue("after") {
			_ = json.NewEncoder(w).Encode(k)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-over:
			_ = json.NewEncoder(w).Encode(k)
			return
		}
	}
}

// await waits until the agent was told so of versions.
func (m *machineAgent) await(want map[delivery.Use]int) {
	m.t.Helper()
	late := time.After(30 * time.Second)
	for {
		m.mu.Lock()
		diff, changed := cmp.Diff(want, m.uses), m.changed
		m.mu.Unlock()
		if diff == "" {
			return
		}
		select {
		case <-changed:
		case <-late:
			m.t.Fatalf("the agent was told otherwise: %s", diff)
		}
	}
}

func (m *machineAgent) open() *client.Key {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	k, err := client.OpenKey(ctx, client.KeyOptions{Agent: client.AgentConfig{Address: m.path}, Rollout: "pay/a b"})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(k.Close)
	return k
}

// A platform accepts some versions.
type platform struct {
	accepts []string
	calls   []string
	err     error // of accepted calls
}

func (p *platform) pay(c client.Credential) error {
	p.calls = append(p.calls, c.Version)
	for _, v := range p.accepts {
		if v == c.Version {
			return p.err
		}
	}
	return fmt.Errorf("paying: status 401: %w", client.ErrRefused)
}

func use(version, result string) delivery.Use { return delivery.Use{Version: version, Result: result} }

func instead(version string) delivery.Use {
	u := use(version, "used")
	u.Instead = true
	return u
}

func TestKeyDo(t *testing.T) {
	declined := errors.New("not enough money")
	for name, c := range map[string]struct {
		before, after [3]int // generation, primary, fallback; when it is opened, and when it is refused
		accepts       []string
		business      error
		want          error
		calls         []string
		told          map[delivery.Use]int
	}{
		"it works":            {before: [3]int{1, 1, 0}, accepts: []string{"v1"}, calls: []string{"v1"}, told: map[delivery.Use]int{use("v1", "used"): 1}},
		"a business error":    {before: [3]int{1, 2, 1}, accepts: []string{"v2"}, business: declined, want: declined, calls: []string{"v2"}, told: map[delivery.Use]int{}},
		"the fallback works":  {before: [3]int{2, 2, 1}, accepts: []string{"v1"}, calls: []string{"v2", "v1"}, told: map[delivery.Use]int{use("v2", "refused"): 1, instead("v1"): 1}},
		"a newer one works":   {before: [3]int{2, 1, 0}, after: [3]int{3, 2, 1}, accepts: []string{"v2"}, calls: []string{"v1", "v2"}, told: map[delivery.Use]int{use("v1", "refused"): 1, use("v2", "used"): 1}},
		"nothing works":       {before: [3]int{2, 2, 1}, after: [3]int{3, 3, 2}, want: client.ErrRefused, calls: []string{"v2", "v3"}, told: map[delivery.Use]int{use("v2", "refused"): 1, use("v3", "refused"): 1}},
		"only a third works":  {before: [3]int{2, 3, 2}, after: [3]int{3, 4, 1}, accepts: []string{"v1"}, calls: []string{"v3", "v4", "v1"}, told: map[delivery.Use]int{use("v3", "refused"): 1, use("v4", "refused"): 1, instead("v1"): 1}},
		"there is no more":    {before: [3]int{1, 1, 0}, want: client.ErrRefused, calls: []string{"v1"}, told: map[delivery.Use]int{use("v1", "refused"): 1}},
		"a fallback declines": {before: [3]int{2, 2, 1}, accepts: []string{"v1"}, business: declined, want: declined, calls: []string{"v2", "v1"}, told: map[delivery.Use]int{use("v2", "refused"): 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachineAgent(t)
			m.publish(int64(c.before[0]), c.before[1], c.before[2])
			k := m.open()
			p := &platform{accepts: c.accepts, err: c.business}
			err := k.Do(t.Context(), func(cred client.Credential) error {
				if len(p.calls) == 0 && c.after[0] > 0 {
					m.publish(int64(c.after[0]), c.after[1], c.after[2])
				}
				if cred.Part("secret") != secret || cred.Part("none") != "" {
					t.Errorf("its parts are others: %v", cred)
				}
				return p.pay(cred)
			})
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if diff := cmp.Diff(c.calls, p.calls); diff != "" {
				t.Error(diff)
			}
			m.await(c.told)
		})
	}
}

// A key stays as it was while the agent is away, tells what it could not tell before when
// the agent is back, and follows it.
func TestKeyWithoutAgent(t *testing.T) {
	m := newMachineAgent(t)
	m.publish(1, 1, 0)
	k := m.open()
	m.stop()
	p := &platform{accepts: []string{"v1"}}
	for range 3 {
		if err := k.Do(t.Context(), p.pay); err != nil || k.Current().Part("id") != "AK1" {
			t.Errorf("without the agent: %v", err)
		}
	}
	m.publish(2, 2, 1)
	m.start()
	m.await(map[delivery.Use]int{use("v1", "used"): 3})
	p.accepts = []string{"v2"}
	for k.Current().Version != "v2" {
		if err := k.Do(t.Context(), p.pay); err != nil {
			t.Fatal(err)
		}
	}
	if f, ok := k.Fallback(); !ok || f.Version != "v1" || !f.Fallback {
		t.Errorf("the fallback is %v, %v", f, ok)
	}
	k.Close()
	if got := k.Current().Version; got != "v2" {
		t.Errorf("after closing it is %s", got)
	}
}

func TestKeyReportAndOptions(t *testing.T) {
	m := newMachineAgent(t)
	m.publish(2, 2, 1)
	strange := errors.New("InvalidAccessKeyId")
	k, err := client.OpenKey(t.Context(), client.KeyOptions{
		Agent: client.AgentConfig{Address: m.path}, Rollout: "pay/a b", Refused: func(err error) bool { return err == strange },
	})
	if err != nil {
		t.Fatal(err)
	}
	k.Report(k.Current(), strange)
	k.Report(k.Current(), client.ErrRefused) // not in the eyes of this program
	f, _ := k.Fallback()
	k.Report(f, nil)
	k.Close() // tells what is pending
	m.await(map[delivery.Use]int{use("v2", "refused"): 1, instead("v1"): 1})
	a, err := client.NewAgent(client.AgentConfig{Address: m.path})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := a.Status(t.Context()); err != nil || s.Node != "acme/shop" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestOpenKeyFails(t *testing.T) {
	for _, o := range []client.KeyOptions{
		{Agent: client.AgentConfig{Address: "kms.example.com:1"}, Rollout: "pay"},
		{Agent: client.AgentConfig{Address: "127.0.0.1:1", TokenFile: "/no/such"}, Rollout: "pay"},
		{Agent: client.AgentConfig{Address: "/no/such"}},
	} {
		if _, err := client.OpenKey(t.Context(), o); err == nil {
			t.Errorf("%+v was opened", o)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.OpenKey(ctx, client.KeyOptions{Agent: client.AgentConfig{Address: "/no/such"}, Rollout: "pay"}); err == nil {
		t.Error("a key of no agent was opened")
	}
}

func TestAgentAtAddress(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer EXAMPLE-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(delivery.Status{Node: "acme/shop"})
	}))
	defer s.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("EXAMPLE-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := client.NewAgent(client.AgentConfig{Address: strings.TrimPrefix(s.URL, "http://"), TokenFile: token})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := a.Status(t.Context()); err != nil || st.Node != "acme/shop" {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestCredentialHidesItsParts(t *testing.T) {
	m := newMachineAgent(t)
	m.publish(1, 1, 0)
	c := m.open().Current()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{c, &c, []client.Credential{c}, struct{ c client.Credential }{c}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s of %T shows it: %s", verb, v, text)
			}
		}
	}
}

// A program that pays with a key which may change while it runs.
func ExampleOpenKey() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	agent := machineAgentIn(nil, dir) // in a program, it is keyward agent
	agent.start()
	defer agent.stop()
	agent.publish(2, 2, 1)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	key, err := client.OpenKey(ctx, client.KeyOptions{Agent: client.AgentConfig{Address: agent.path}, Rollout: "pay/a b"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer key.Close()

	err = key.Do(ctx, func(c client.Credential) error {
		fmt.Println("paying as", c.Part("id"))
		if c.Part("id") == "AK2" { // the platform answers 401
			return fmt.Errorf("paying: %w", client.ErrRefused)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// paying as AK2
	// paying as AK1
	// <nil>
}
