package role_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A world is both services on a real database and a real audit log, with a clock of its
// own, and an account with the user alice, who may assume any role.
type world struct {
	*role.Service
	iam   *iam.Service
	node  storetest.Node
	clock atomic.Int64 // Unix microseconds
	owner iam.Founded
	alice iam.IssuedKey
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{}
	w.clock.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro())
	keys, always := sealtest.Keyring(t), func() bool { return true }
	w.node = storetest.Start(t, storetest.Options{
		URL: storetest.SQLite(t), Origin: "keyward.test/node", Keys: keys, Now: w.now,
		Changed: func(table, id string) { w.iam.Changed(table, id); w.Changed(table, id) },
	})
	w.iam = must(iam.New(iam.Options{
		Store: identity.Store{Store: w.node.Store}, Log: w.node.Log, Keyring: keys, Logger: slog.New(slog.DiscardHandler), Now: w.now, Fresh: always,
	}))(t)
	w.Service = role.New(role.Options{Store: identity.Store{Store: w.node.Store}, IAM: w.iam, Log: w.node.Log, Sealer: sealtest.Box{Keyring: keys}, Now: w.now, Fresh: always})
	w.owner = w.account(t, "Example")
	w.policy(t, w.owner, "assume", `"sts:AssumeRole"`)
	w.alice = w.user(t, w.owner, "alice", "assume")
	return w
}

func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

func (w *world) advance(d time.Duration) { w.clock.Add(d.Microseconds()) }

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

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Errorf("have %v, want the fault %q", err, kind)
	}
}

func (w *world) account(t testing.TB, name string) iam.Founded {
	t.Helper()
	return must(w.iam.CreateAccount(t.Context(), w.call(authz.Principal{Kind: authz.Service, Name: "operator"}), name))(t)
}

func (w *world) call(p authz.Principal) *authz.Call {
	return &authz.Call{Principal: p, Time: w.now(), Source: netip.MustParseAddr("192.0.2.7"), RequestID: "R"}
}

func (w *world) root(of iam.Founded) *authz.Call {
	return w.call(authz.Principal{Account: of.Account.ID, Kind: authz.Root, Name: "root"})
}

// as answers a call that was signed with a permanent access key.
func (w *world) as(t testing.TB, k iam.IssuedKey) *authz.Call {
	t.Helper()
	c := must(w.Credential(t.Context(), k.AccessKey.ID, ""))(t)
	check(t, c.Refusal)
	return w.call(c.Principal)
}

// with answers a call that was signed with temporary credentials.
func (w *world) with(t testing.TB, i role.Issued) *authz.Call {
	t.Helper()
	c := must(w.Credential(t.Context(), i.AccessKey, i.Token))(t)
	check(t, c.Refusal)
	if !c.Secret.Equal(i.Secret) {
		t.Fatal("the token holds another secret")
	}
	return w.call(c.Principal)
}

// refusal answers why temporary credentials are refused, nil if they are not.
func (w *world) refusal(t testing.TB, i role.Issued) error {
	t.Helper()
	c, err := w.Credential(context.WithoutCancel(t.Context()), i.AccessKey, i.Token)
	check(t, err)
	return c.Refusal
}

// policy makes a policy with one statement on all resources; actions is a JSON list.
func (w *world) policy(t testing.TB, of iam.Founded, name, actions string) {
	t.Helper()
	must(w.iam.CreatePolicy(t.Context(), w.root(of), iam.NewPolicy{Name: name, Document: allow(actions)}))(t)
}

func allow(actions string) string {
	return `{"Version":"1","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}]}`
}

// user makes a user with policies and an access key.
func (w *world) user(t testing.TB, of iam.Founded, name string, policies ...string) iam.IssuedKey {
	t.Helper()
	must(w.iam.CreateUser(t.Context(), w.root(of), name, ""))(t)
	for _, p := range policies {
		check(t, w.iam.AttachPolicy(t.Context(), w.root(of), name, p))
	}
	return must(w.iam.CreateAccessKey(t.Context(), w.root(of), iam.NewAccessKey{User: name}))(t)
}

// role makes a role that the whole account is trusted with.
func (w *world) role(t testing.TB, name string, policies ...string) role.Role {
	t.Helper()
	r := must(w.CreateRole(t.Context(), w.root(w.owner), role.NewRole{Name: name, Trust: trust(w.owner.Account.ID, "root", "")}))(t)
	for _, p := range policies {
		check(t, w.AttachPolicy(t.Context(), w.root(w.owner), name, p))
	}
	return r
}

// trust writes a trust policy for one principal, with an external id if there is one.
func trust(account, who, external string) string {
	condition := ""
	if external != "" {
		condition = `,"Condition":{"StringEquals":{"sts:ExternalId":"` + external + `"}}`
	}
	return `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::` + account + `:` + who + `"}` + condition + `}]}`
}

// assume begins a session of a role as alice.
func (w *world) assume(t testing.TB, name string) role.Issued {
	t.Helper()
	return must(w.AssumeRole(t.Context(), w.as(t, w.alice), role.Assumption{Role: name, Session: "ci-7"}))(t)
}

// may tells whether a call may do the action in its account.
func may(c *authz.Call, action string) bool {
	return c.Decide(authz.Request{Action: action, Resource: "acs:kms:any:" + c.Account + ":key/any"}).Allowed
}

// records answers all audit records.
func records(t testing.TB, w *world) []audit.Entry {
	t.Helper()
	var all []audit.Entry
	check(t, w.node.DB.Batches(t.Context(), "keyward.test/node", 0, func(b audit.Batch) error {
		for line := range bytes.Lines(b.Leaves) {
			e, err := audit.ParseEntry(line)
			if err != nil {
				return err
			}
			all = append(all, e)
		}
		return nil
	}))
	return all
}
