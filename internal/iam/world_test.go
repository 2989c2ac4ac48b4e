package iam_test

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/storetest"
)

const origin = "keyward.test/node"

// A world is a service on a real database and a real audit log, with a clock of its own.
type world struct {
	*iam.Service
	node  storetest.Node
	store *spy
	clock atomic.Int64 // Unix microseconds
	stale atomic.Bool  // the change feed is cut off
	iam.Founded
	key key.Key // with a policy of its own, if the test made one
}

// A spy counts what is read, and can pretend that a policy is not there.
type spy struct {
	iam.Store
	reads      atomic.Int64
	lostPolicy atomic.Bool
}

func (s *spy) Account(ctx context.Context, id string) (iam.Account, error) {
	s.reads.Add(1)
	return s.Store.Account(ctx, id)
}

func (s *spy) User(ctx context.Context, account, name string) (iam.User, error) {
	s.reads.Add(1)
	return s.Store.User(ctx, account, name)
}

func (s *spy) AccessKey(ctx context.Context, id string) (iam.AccessKey, error) {
	s.reads.Add(1)
	return s.Store.AccessKey(ctx, id)
}

func (s *spy) Policy(ctx context.Context, account, name string) (iam.Policy, error) {
	s.reads.Add(1)
	if s.lostPolicy.Load() {
		return iam.Policy{}, fault.ResourceNotFound.New("lost")
	}
	return s.Store.Policy(ctx, account, name)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := startWorld(t, storetest.SQLite(t), origin, sealtest.Keyring(t))
	w.Founded = must(w.CreateAccount(t.Context(), w.operator(), "Example"))(t)
	return w
}

// startWorld starts one node on the database.
func startWorld(t *testing.T, url, origin string, keys *seal.Keyring) *world {
	t.Helper()
	w := &world{}
	w.clock.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro())
	w.node = storetest.Start(t, storetest.Options{
		URL: url, Origin: origin, Keys: keys, Now: w.now,
		Changed: func(table, id string) { w.Changed(table, id) },
	})
	w.store = &spy{Store: identity.Store{Store: w.node.Store}}
	w.Service = must(iam.New(iam.Options{
		Store: w.store, Log: w.node.Log, Keyring: keys, Logger: slog.New(slog.DiscardHandler),
		Now: w.now, Fresh: func() bool { return !w.stale.Load() },
	}))(t)
	return w
}

func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

func (w *world) advance(d time.Duration) { w.clock.Add(d.Microseconds()) }

// few makes a property, whose every step is a transaction, run fewer times than
// usual; -rapid.checks on the command line still says how often.
func few(t *testing.T) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() != checks.DefValue {
		return
	}
	if err := checks.Value.Set("12"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := checks.Value.Set(checks.DefValue); err != nil {
			t.Error(err)
		}
	})
}

// must answers a value that had to come without an error.
func must[T any](v T, err error) func(rapid.TB) T {
	return func(t rapid.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *world) call(p authz.Principal) *authz.Call {
	return &authz.Call{Principal: p, Time: w.now(), Source: netip.MustParseAddr("192.0.2.7"), RequestID: "R"}
}

func (w *world) operator() *authz.Call {
	return w.call(authz.Principal{Kind: authz.Service, Name: "operator"})
}

// as answers a call that was signed with the access key.
func (w *world) as(t rapid.TB, accessKeyID string) *authz.Call {
	t.Helper()
	c := must(w.Credential(context.Background(), accessKeyID))(t)
	if c.Refusal != nil {
		t.Fatal(c.Refusal)
	}
	return w.call(c.Principal)
}

func (w *world) admin(t rapid.TB) *authz.Call { t.Helper(); return w.as(t, w.Key.AccessKey.ID) }

// root answers a call of the account's root.
func (w *world) root() *authz.Call {
	return w.call(authz.Principal{Account: w.Account.ID, Kind: authz.Root, Name: "root"})
}

// user makes a user with policies and an access key.
func (w *world) user(t rapid.TB, name string, policies ...string) iam.IssuedKey {
	t.Helper()
	must(w.CreateUser(context.Background(), w.root(), name, ""))(t)
	for _, p := range policies {
		if err := w.AttachPolicy(context.Background(), w.root(), name, p); err != nil {
			t.Fatal(err)
		}
	}
	return must(w.CreateAccessKey(context.Background(), w.root(), iam.NewAccessKey{User: name}))(t)
}

// policy makes a policy with one statement on all resources.
func (w *world) policy(t rapid.TB, name, effect, actions string) {
	t.Helper()
	must(w.CreatePolicy(context.Background(), w.root(), iam.NewPolicy{Name: name, Document: document(effect, actions)}))(t)
}

// document is a policy with one statement; actions is a JSON list.
func document(effect, actions string) string {
	return `{"Version":"1","Statement":[{"Effect":"` + effect + `","Action":` + actions + `,"Resource":"*"}]}`
}

// recorded answers how many audit records there are.
func (w *world) recorded(t rapid.TB) int64 {
	t.Helper()
	return must(w.node.DB.Head(context.Background(), origin))(t).Size
}

// records answers the audit records from number first on.
func (w *world) records(t rapid.TB, first int64) []audit.Entry {
	t.Helper()
	var all []audit.Entry
	err := w.node.DB.Batches(context.Background(), origin, first, func(b audit.Batch) error {
		for line := range bytes.Lines(b.Leaves) {
			e, err := audit.ParseEntry(line)
			if err != nil {
				return err
			}
			if e.Seq >= first {
				all = append(all, e)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// may tells whether whoever holds the access key may do the action in the account.
func (w *world) may(t rapid.TB, accessKeyID, action string) bool {
	t.Helper()
	resource := "acs:kms:any:" + w.Account.ID + ":key/any"
	return w.as(t, accessKeyID).Decide(authz.Request{Action: action, Resource: resource}).Allowed
}

func wantKind(t rapid.TB, err error, kind fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Errorf("have %v, want the fault %q", err, kind)
	}
}

// secretOf answers the text of a secret.
func secretOf(b material.Bytes) string { return string(b.Expose()) }
