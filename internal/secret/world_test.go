package secret_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	account = "1000000000000001"
	other   = "2000000000000002"
	origin  = "keyward/test"
)

// A world is one node with a clock of its own.
type world struct {
	*secret.Service
	keys *keytest.Services
	node storetest.Node
	jobs *job.Runner

	meanwhile func() // happens once a secret was found, before it is changed; nil: nothing

	mu     sync.Mutex // guards the fields below
	now    time.Time
	served time.Duration
	uses   []string                                                             // of keys
	reads  int                                                                  // of secrets as they are now
	known  func(ctx context.Context, account string, principals []string) error // nil: anybody is
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) servedNow() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.served, true
}

func (w *world) after(_ context.Context, d time.Duration) (time.Duration, error) {
	served, _ := w.servedNow()
	return served + d, nil
}

// pass lets time pass, of which the service serves a part, and the jobs that are due then run.
func (w *world) pass(t testing.TB, d, serving time.Duration) {
	t.Helper()
	w.mu.Lock()
	w.now, w.served = w.now.Add(d), w.served+serving
	w.mu.Unlock()
	for {
		n, err := w.jobs.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func open(t testing.TB, url string) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	keyring := sealtest.Keyring(t)
	w.node = storetest.Start(t, storetest.Options{
		URL: url, Origin: origin, Keys: keyring, Now: w.clock,
		Changed: func(table, id string) { w.keys.Changed(table, id); w.Changed(table, id) },
	})
	always := func() bool { return true }
	w.keys = keytest.New(keytest.Options{Store: kms.Store{Store: w.node.Store}, Tenants: sealtest.NewTenants(keyring), Log: w.node.Log, Now: w.clock, After: w.after, Known: func(ctx context.Context, account string, principals []string) error {
		if w.known == nil {
			return nil
		}
		return w.known(ctx, account, principals)
	}, Used: func(_ *authz.Call, action string, _ *key.Key, _ key.VersionID, _ material.Context) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.uses = append(w.uses, action)
	}})
	w.Service = secret.New(secret.Options{Store: counted{kms.Store{Store: w.node.Store}, w}, Keys: w.keys.Keys, Crypto: w.keys.Crypto, Log: w.node.Log, Region: "cn-test", Now: w.clock, After: w.after, Fresh: always, Reserved: w.reserved})
	w.jobs = &job.Runner{Store: w.node.Store, Owner: "test", Handlers: w.Handlers(), Now: w.clock, Served: w.servedNow, Logger: slog.New(slog.DiscardHandler)}
	return w
}

// counted is a store whose reads of secrets a world counts.
type counted struct {
	kms.Store
	w *world
}

func (c counted) Secret(ctx context.Context, account, name string) (secret.Secret, error) {
	c.w.mu.Lock()
	c.w.reads++
	c.w.mu.Unlock()
	return c.Store.Secret(ctx, account, name)
}

func (w *world) reserved(context.Context, string, string) error {
	if act := w.meanwhile; act != nil {
		w.meanwhile = nil
		act()
	}
	return nil
}

// root is the root user of an account.
func root(account string) *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: time.Now(), RequestID: "R"}
}

// user is a user with one policy.
func user(t testing.TB, policy string) *authz.Call {
	t.Helper()
	p := must(authz.Compile("test", []byte(policy)))(t)
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Name: "ada", Policies: []*authz.Policy{p}}, Time: time.Now(), RequestID: "R"}
}

func want(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Errorf("have %v, want %q", err, kind)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func data(s string) material.Bytes { return material.NewBytes([]byte(s)) }

// create makes a secret with a value.
func (w *world) create(t testing.TB, name, value string) secret.Secret {
	t.Helper()
	return must(w.Create(t.Context(), root(account), secret.CreateInput{Name: name, Data: data(value)}))(t)
}

// put adds a version with an id, at some stages.
func (w *world) put(t testing.TB, name, version, value string, stages ...secret.Stage) secret.Version {
	t.Helper()
	v, _, err := w.Put(t.Context(), root(account), secret.PutInput{Secret: name, Version: version, Data: data(value), Stages: stages})
	check(t, err)
	return v
}

// get answers the value at a stage; "-" for none.
func (w *world) get(t testing.TB, name string, stage secret.Stage) string {
	t.Helper()
	v, err := w.Get(t.Context(), root(account), secret.GetInput{Secret: name, Stage: stage})
	if fault.Is(err, fault.ResourceNotFound) {
		return "-"
	}
	check(t, err)
	return string(v.Data.Expose())
}

// during answers the records of what happens while do runs.
func (w *world) during(t testing.TB, do func()) (out []audit.Entry) {
	t.Helper()
	first := must(w.node.DB.Head(t.Context(), origin))(t).Size
	do()
	check(t, w.node.DB.Batches(t.Context(), origin, first, func(b audit.Batch) error {
		for leaf := range lines(b.Leaves) {
			if e := must(audit.ParseEntry(leaf))(t); e.Seq >= first {
				out = append(out, e)
			}
		}
		return nil
	}))
	return out
}
