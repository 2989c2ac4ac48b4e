package agentapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/agentapi"
	"github.com/keyward/keyward/internal/server/agentapi/agenttest"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	account = "1000000000000001"
	origin  = "keyward/test"
)

// A database is what several worlds share.
type database struct {
	url     string
	keyring *seal.Keyring
	tenants *sealtest.Tenants
}

// A world is one server with a clock of its own.
type world struct {
	*rollout.Service
	secrets *secret.Service
	dialect *agentapi.Dialect
	node    storetest.Node
	handler http.Handler
	url     string
	told    *incidents

	mu  sync.Mutex // guards now
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// incidents remembers what is open.
type incidents struct {
	mu   sync.Mutex // guards open
	open map[string]notify.Condition
}

func (i *incidents) Report(_ context.Context, _ string, c notify.Condition) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open[c.Name] = c
	return nil
}

func (i *incidents) End(_ context.Context, _, name string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, name)
	return nil
}

func (i *incidents) kinds() (out []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, c := range i.open {
		out = append(out, c.Kind+" "+c.Subject)
	}
	return out
}

func newDatabase(t testing.TB, url string) *database {
	keyring := sealtest.Keyring(t)
	return &database{url, keyring, sealtest.NewTenants(keyring)}
}

// open starts a server; options changes how it serves agents.
func (db *database) open(t testing.TB, name string, options func(*agentapi.Options)) *world {
	t.Helper()
	w := &world{now: time.Now().UTC(), told: &incidents{open: map[string]notify.Condition{}}}
	var keys *keytest.Services
	w.node = storetest.Start(t, storetest.Options{
		URL: db.url, Origin: name, Keys: db.keyring, Now: w.clock,
		Changed: func(table, id string) {
			keys.Changed(table, id)
			w.secrets.Changed(table, id)
			w.Changed(table, id)
			w.dialect.Changed(table, id)
		},
	})
	shared := strings.HasPrefix(db.url, "postgres")
	fresh := func() bool { return true }
	if shared {
		fresh = w.node.Store.Fresh
	}
	after := func(_ context.Context, d time.Duration) (time.Duration, error) { return d, nil }
	keys = keytest.New(keytest.Options{Store: kms.Store{Store: w.node.Store}, Tenants: db.tenants, Log: w.node.Log, Now: w.clock, After: after})
	w.secrets = secret.New(secret.Options{Store: kms.Store{Store: w.node.Store}, Keys: keys.Keys, Crypto: keys.Crypto, Log: w.node.Log, Region: "cn-test", Now: w.clock, After: after, Fresh: fresh})
	fleet := fleet.Store{Store: w.node.Store}
	w.Service = rollout.New(rollout.Options{
		Tokens: fleet, Registry: fleet, Plans: fleet, Reports: fleet, Secrets: w.secrets, Incidents: w.told, Log: w.node.Log, Region: "cn-test",
		Now: w.clock, Fresh: fresh, Logger: slog.New(slog.DiscardHandler),
	})
	o := agentapi.Options{Rollouts: w.Service, Refusals: refusal.New(w.node.Log), Now: w.clock}
	if options != nil {
		options(&o)
	}
	w.dialect = agentapi.New(o)
	w.run(t, w.Service.Run)
	if shared {
		w.run(t, w.node.Store.Run)
	}
	none := func() float64 { return 0 }
	edge := &server.Edge{
		Logger: slog.New(slog.DiscardHandler), Now: w.clock,
		Metrics: server.NewMetrics("test", server.Gauges{Sealed: none, AuditSize: none, TamperedRows: none, Scrubbed: none, Findings: none, ClockJumped: none, ClockOffset: none}),
	}
	w.handler = edge.Handle("agent", agentapi.MaxBody, w.dialect.Serve)
	s := httptest.NewServer(w.handler)
	t.Cleanup(func() { w.dialect.Close(); s.Close() })
	w.url = s.URL
	return w
}

func open(t testing.TB) *world { return newDatabase(t, storetest.SQLite(t)).open(t, origin, nil) }

// run runs a part of the server until the test ends.
func (w *world) run(t testing.TB, part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func root() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: time.Now()}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func data(s string) material.Bytes { return material.NewBytes([]byte(s)) }

func pairs(kv ...string) []form.Pair {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return form.Pairs(m)
}

// token makes a token of many uses.
func (w *world) token(t testing.TB, labels ...string) string {
	t.Helper()
	_, text, err := w.CreateToken(t.Context(), root(), rollout.TokenInput{Labels: pairs(labels...), Uses: 10_000})
	check(t, err)
	return string(text.Expose())
}

// agent makes an agent that has joined.
func (w *world) agent(t testing.TB, name string, labels ...string) *agenttest.Agent {
	t.Helper()
	a := agenttest.New(w.url, http.DefaultClient, w.clock)
	check(t, a.Join(t.Context(), w.token(t, labels...), name))
	return a
}

// rollout makes a secret with a version v1 and a rollout of it to all nodes.
func (w *world) rollout(t testing.TB, name string, waves ...rollout.Wave) rollout.Rollout {
	t.Helper()
	_, err := w.secrets.Create(t.Context(), root(), secret.CreateInput{Name: name, Version: "v1", Data: data("fake-" + name + "-1")})
	check(t, err)
	r, err := w.Create(t.Context(), root(), name, rollout.Draft{Secret: name, Waves: waves})
	check(t, err)
	return r
}

// publish puts a version and publishes it.
func (w *world) publish(t testing.TB, name, version string) rollout.Rollout {
	t.Helper()
	_, _, err := w.secrets.Put(t.Context(), root(), secret.PutInput{Secret: name, Version: version, Data: data("fake-" + name + "-" + version)})
	check(t, err)
	r, err := w.Publish(t.Context(), root(), name, version)
	check(t, err)
	return r
}

// member answers how a node stands in a rollout.
func (w *world) member(t testing.TB, name, node string) rollout.Member {
	t.Helper()
	_, members, err := w.Members(t.Context(), account, name)
	check(t, err)
	for _, m := range members {
		if m.Node.Name == node {
			return m
		}
	}
	t.Fatalf("%s is no member of %s", node, name)
	return rollout.Member{}
}

// records answers the actions on record that are one of some, with their results.
func (w *world) records(t testing.TB, actions ...string) (out []string) {
	t.Helper()
	check(t, w.node.DB.Batches(t.Context(), w.node.Log.Origin(), 0, func(b audit.Batch) error {
		for line := range strings.Lines(string(b.Leaves)) {
			e, err := audit.ParseEntry([]byte(line))
			if err != nil {
				return err
			}
			for _, a := range actions {
				if e.Action == a {
					out = append(out, a+" "+e.Result)
				}
			}
		}
		return nil
	}))
	return out
}

// flush has everything stored that nodes said until now: an acknowledgement that is news
// shares its transaction with what was said before.
func (w *world) flush(t testing.TB) {
	t.Helper()
	w.rollout(t, "flush")
	a := w.agent(t, "flusher")
	_, err := a.Watch(t.Context(), 0)
	check(t, err)
	_, err = a.Report(t.Context(), a.Ack("flush", "received"))
	check(t, err)
}
