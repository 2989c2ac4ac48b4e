package approval_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/password"
	"github.com/keyward/keyward/internal/material/totp"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/storetest"
)

const origin = "keyward.test/node"

// A world is the services on a real database and a real audit log, with a clock of its own,
// and an account with the users alice, bob, carol and dave, who have second factors.
type world struct {
	*approval.Service
	late    *approval.Service        // of another node, which hears of no change
	deaf    func() *approval.Service // makes another such one
	iam     *iam.Service
	people  *people.Service
	roles   *role.Service
	node    storetest.Node
	clock   atomic.Int64 // Unix microseconds
	account string
	told    map[string]notify.Condition // what people are told
}

func newWorld(t testing.TB) *world { return startWorld(t, storetest.SQLite(t)) }

func startWorld(t testing.TB, url string) *world {
	t.Helper()
	w := &world{}
	w.clock.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro())
	keys, always := sealtest.Keyring(t), func() bool { return true }
	w.node = storetest.Start(t, storetest.Options{
		URL: url, Origin: origin, Keys: keys, Now: w.now,
		Changed: func(table, id string) {
			w.iam.Changed(table, id)
			w.roles.Changed(table, id)
			w.people.Changed(table, id)
			w.Changed(table, id)
		},
	})
	digest := func(data []byte) (string, error) {
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:16]), nil
	}
	w.iam = must(iam.New(iam.Options{
		Store: identity.Store{Store: w.node.Store}, Log: w.node.Log, Keyring: keys, Logger: slog.New(slog.DiscardHandler), Now: w.now, Fresh: always,
	}))(t)
	w.roles = role.New(role.Options{
		Store: identity.Store{Store: w.node.Store}, IAM: w.iam, Log: w.node.Log, Sealer: sealtest.Box{Keyring: keys}, Now: w.now, Fresh: always,
		Logins: func(ctx context.Context, account, user, session string) (bool, error) {
			return w.people.InForce(ctx, account, user, session)
		},
	})
	w.people = people.New(people.Options{
		Store: identity.Store{Store: w.node.Store}, IAM: w.iam, Roles: w.roles, Log: w.node.Log, Refusals: refusal.New(w.node.Log),
		Hasher: password.New(password.Cost{MemoryKiB: 64, Time: 1, Threads: 1}, 4, 1000), Digest: digest,
		Logger: slog.New(slog.DiscardHandler), Now: w.now, Fresh: always,
	})
	service := func() *approval.Service {
		return approval.New(approval.Options{
			Store: identity.Approvals{Store: w.node.Store}, Voters: w.people, Roles: w.roles, Users: w.iam, Incidents: w, Log: w.node.Log, Digest: digest,
			Region: "cn-test", Now: w.now, Fresh: always,
		})
	}
	w.deaf = service
	w.Service, w.late = service(), service()
	w.account = must(w.iam.CreateAccount(t.Context(), w.call(authz.Principal{Kind: authz.Service, Name: "operator"}), "Example"))(t).Account.ID
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		w.person(t, name)
	}
	must(w.iam.CreateUser(t.Context(), w.root(), "victim", ""))(t)
	return w
}

// person makes a user who logs in with a second factor.
func (w *world) person(t testing.TB, name string) {
	t.Helper()
	w.advance(time.Minute) // a code serves once, also that of a former user
	must(w.iam.CreateUser(t.Context(), w.root(), name, ""))(t)
	initial := must(w.people.SetPassword(t.Context(), w.root(), name))(t)
	i := must(w.people.Login(t.Context(), w.call(authz.Principal{}), people.Attempt{
		Account: w.account, User: name, Password: initial.Password, NewPassword: material.NewBytes([]byte("fake horse battery staple")),
	}))(t)
	w.factor(t, w.call(must(w.roles.Credential(t.Context(), i.AccessKey, i.Token))(t).Principal))
}

// factor sets up a second factor for the caller.
func (w *world) factor(t testing.TB, c *authz.Call) {
	t.Helper()
	e := must(w.people.EnrollMFA(t.Context(), c))(t)
	secret := must(base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(e.Secret.Expose())))(t)
	must(w.people.ConfirmMFA(t.Context(), c, totp.Code(material.NewBytes(secret), totp.Step(w.now()))))(t)
}

// Reconcile implements approval.Incidents.
func (w *world) Reconcile(_ context.Context, _ string, _ func(string) bool, conditions map[string]notify.Condition) error {
	w.told = conditions
	return nil
}

// look does what the job does.
func (w *world) look(t testing.TB) map[string]notify.Condition {
	t.Helper()
	must(w.Handlers()[approval.JobLook](t.Context(), job.Job{Kind: approval.JobLook, Account: w.account}))(t)
	return w.told
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

func (w *world) call(p authz.Principal) *authz.Call {
	return &authz.Call{Principal: p, Time: w.now(), Source: netip.MustParseAddr("192.0.2.7"), RequestID: "R"}
}

// root answers a call of root that goes round every rule, as no dialect lets anybody.
func (w *world) root() *authz.Call {
	return w.call(authz.Principal{Account: w.account, Kind: authz.Root, Name: "root"})
}

// admin compiles a policy that allows everything.
func admin(t testing.TB) []*authz.Policy {
	t.Helper()
	return []*authz.Policy{must(authz.Compile("all", []byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)))(t)}
}

// user answers a call of a user who may do everything, with an access key.
func (w *world) user(t testing.TB, name string) *authz.Call {
	t.Helper()
	return w.call(authz.Principal{Account: w.account, Kind: authz.User, Name: name, AccessKey: "K-" + name, Policies: admin(t)})
}

// login answers a call of somebody who logged in, with a fresh code.
func (w *world) login(t testing.TB, name string) *authz.Call {
	t.Helper()
	c := w.user(t, name)
	c.Session, c.Fresh = &authz.Session{Name: "S", Person: true, MFA: true, Lineage: []string{"login/" + w.account + "/" + name + "/S"}}, true
	return c
}

// assumed answers a call of the role deployer, as whom somebody who logged in acts.
func (w *world) assumed(t testing.TB, name string) *authz.Call {
	t.Helper()
	c := w.login(t, name)
	c.Kind, c.Name = authz.AssumedRole, "deployer"
	c.Session.Lineage = append(c.Session.Lineage, "role/"+w.account+"/deployer/ID/1")
	return c
}

// remark is a dangerous request: it changes what is said of the user victim.
type remark struct {
	text string
	id   string            // of the approval that the request names
	why  string            // reason
	fail bool              // the operation fails although the request is what was approved
	node *approval.Service // nil for the world's
}

// try sends the request as a dialect does.
func (w *world) try(t testing.TB, c *authz.Call, r remark) error {
	t.Helper()
	node := r.node
	if node == nil {
		node = w.Service
	}
	sent := *c
	sent.Approval = must(node.For(t.Context(), c.Principal))(t)
	_, err := approval.Guard(t.Context(), &sent, made(approval.Attempt{
		Approval: r.id, Reason: r.why,
		Spell: func() ([]byte, []approval.Param) {
			return []byte("remark " + r.text), []approval.Param{{Name: "user", Value: "victim"}, {Name: "secretish", Value: r.text}}
		},
		Refuse: func(_ context.Context, err error) error { return err },
	}), func(ctx context.Context) (iam.User, error) {
		text := r.text
		if r.fail {
			text = strings.Repeat("x", iam.MaxRemark+1)
		}
		return w.iam.UpdateUser(ctx, &sent, "victim", iam.UserChange{Remark: &text})
	})
	return err
}

// ask sends a request that must be refused for want of an approval, and answers its id.
func (w *world) ask(t testing.TB, c *authz.Call, text string) string {
	t.Helper()
	err := w.try(t, c, remark{text: text})
	wantKind(t, err, fault.ApprovalRequired)
	id := approval.IDOf(err)
	if id == "" {
		t.Fatalf("no approval request was opened: %v", err)
	}
	return id
}

// rule wants two of alice, bob and carol for what changes users.
func (w *world) rule(t testing.TB, change ...func(*approval.Terms)) approval.Rule {
	t.Helper()
	terms := approval.Terms{Need: 2, Approvers: []string{"alice", "bob", "carol"}, Actions: []string{"ram:UpdateUser"}, Resources: []string{"acs:ram::*:user/victim"}}
	for _, fn := range change {
		fn(&terms)
	}
	return must(w.SetRule(t.Context(), w.root(), "two", terms))(t)
}

// approve has people approve.
func (w *world) approve(t testing.TB, id string, names ...string) {
	t.Helper()
	for _, name := range names {
		must(w.Approve(t.Context(), w.login(t, name), id))(t)
	}
}

// standing answers where an approval request stands.
func (w *world) standing(t testing.TB, id string) approval.State {
	t.Helper()
	return must(w.Get(t.Context(), w.root(), id))(t).Standing
}

// remarked answers what is said of the user victim.
func (w *world) remarked(t testing.TB) string {
	t.Helper()
	return must(w.iam.User(t.Context(), w.account, "victim"))(t).Remark
}

// record answers one for what a test stores.
func (w *world) record(action string) *audit.Record { return audit.NewRecord(w.root(), action) }

// records answers the newest audit records of an action.
func (w *world) records(t testing.TB, action string) []audit.Entry {
	t.Helper()
	var all []audit.Entry
	check(t, w.node.DB.Batches(t.Context(), origin, 0, func(b audit.Batch) error {
		for line := range bytes.Lines(b.Leaves) {
			e, err := audit.ParseEntry(line)
			if err != nil {
				return err
			}
			if e.Action == action {
				all = append(all, e)
			}
		}
		return nil
	}))
	return all
}

// made answers an attempt.
func made(a approval.Attempt) func() approval.Attempt { return func() approval.Attempt { return a } }
