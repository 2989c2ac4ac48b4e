package sink_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cloud/vault"
	"github.com/keyward/keyward/internal/cloud/vault/vaulttest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/sink"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	account = "1000000000000001"
	origin  = "keyward/test"
)

// A world is one node with a clock of its own, and a Vault.
type world struct {
	*sink.Service
	secrets *secret.Service
	keys    *keytest.Services
	node    storetest.Node
	jobs    *job.Runner
	vault   *vaulttest.Server
	url     string

	database string // URL of the store

	mu  sync.Mutex // guards now
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass lets time pass, in steps of at most five seconds after which the jobs that are due run.
func (w *world) pass(t testing.TB, d time.Duration) {
	t.Helper()
	for d > 0 {
		step := min(d, 5*time.Second)
		d -= step
		w.mu.Lock()
		w.now = w.now.Add(step)
		w.mu.Unlock()
		if _, err := w.jobs.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// open makes a world; between stands between keyward and its Vault, nil for nothing.
func open(t testing.TB, url string, between func(http.Handler) http.Handler) *world {
	t.Helper()
	w := &world{database: url, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), vault: &vaulttest.Server{Token: "fake-token", RoleID: "fake-role", SecretID: "fake-secret-id"}}
	var handler http.Handler = w.vault
	if between != nil {
		handler = between(handler)
	}
	server := httptest.NewServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(server.Close)
	w.url = server.URL
	keyring := sealtest.Keyring(t)
	w.node = storetest.Start(t, storetest.Options{
		URL: url, Origin: origin, Keys: keyring, Now: w.clock,
		Changed: func(table, id string) { w.keys.Changed(table, id); w.secrets.Changed(table, id) },
	})
	always := func() bool { return true }
	after := func(_ context.Context, d time.Duration) (time.Duration, error) { return d, nil }
	wrappers := sealtest.NewTenants(keyring)
	w.keys = keytest.New(keytest.Options{Store: kms.Store{Store: w.node.Store}, Tenants: wrappers, Log: w.node.Log, Now: w.clock, After: after})
	w.secrets = secret.New(secret.Options{Store: kms.Store{Store: w.node.Store}, Keys: w.keys.Keys, Crypto: w.keys.Crypto, Log: w.node.Log, Region: "cn-test", Now: w.clock, After: after, Fresh: always})
	w.Service = sink.New(sink.Options{
		Store: kms.Store{Store: w.node.Store}, Secrets: w.secrets, Tenants: wrappers, Log: w.node.Log, Kinds: []sink.KindOfSink{vault.Kind()}, Region: "cn-test", Now: w.clock,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	w.jobs = &job.Runner{
		Store: w.node.Store, Owner: "test", Handlers: w.Handlers(), Now: w.clock,
		Served: func() (time.Duration, bool) { return 0, true }, Logger: slog.New(slog.DiscardHandler),
	}
	return w
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

func want(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Errorf("have %v, want %q", err, kind)
	}
}

func data(s string) material.Bytes { return material.NewBytes([]byte(s)) }

// draft chooses secrets for the world's Vault.
func (w *world) draft(secrets ...string) sink.Draft {
	return sink.Draft{Kind: "vault", Secrets: secrets, Filling: form.Filling{
		Settings: map[string]string{"address": w.url}, Credential: map[string]material.Bytes{"token": data("fake-token")},
	}}
}

func (w *world) add(t testing.TB, secrets ...string) sink.Sink {
	t.Helper()
	s, err := w.Add(t.Context(), root(), "ours", w.draft(secrets...))
	check(t, err)
	return s
}

// put gives a secret a value, a first one or a new one.
func (w *world) put(t testing.TB, name, value string) {
	t.Helper()
	_, _, err := w.secrets.Put(t.Context(), root(), secret.PutInput{Secret: name, Data: data(value)})
	if fault.Is(err, fault.ResourceNotFound) {
		_, err = w.secrets.Create(t.Context(), root(), secret.CreateInput{Name: name, Data: data(value)})
	}
	check(t, err)
}

// there answers the value that the Vault has, "-" for none.
func (w *world) there(path string) string {
	entry, _ := w.vault.Entry(path)
	value, ok := entry["value"].(string)
	if !ok {
		return "-"
	}
	return value
}

// status answers how a copy stands; zero for none.
func (w *world) status(t testing.TB, name string) sink.Copy {
	t.Helper()
	_, copies, _, err := w.Show(t.Context(), root(), "ours", key.Page{Number: 1, Size: 100})
	check(t, err)
	for _, c := range copies {
		if c.Secret == name {
			return c
		}
	}
	return sink.Copy{}
}

func (w *world) size(t testing.TB) int64 {
	t.Helper()
	head, err := w.node.DB.Head(t.Context(), origin)
	check(t, err)
	return head.Size
}

// actions answers the actions that were recorded from a number on.
func (w *world) actions(t testing.TB, first int64) (out []string) {
	t.Helper()
	check(t, w.node.DB.Batches(t.Context(), origin, first, func(b audit.Batch) error {
		for _, leaf := range lines(b.Leaves) {
			e, err := audit.ParseEntry(leaf)
			if err != nil {
				return err
			}
			if e.Seq >= first {
				out = append(out, e.Action)
			}
		}
		return nil
	}))
	return out
}
