package people_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/password"
	"github.com/keyward/keyward/internal/material/totp"
	"github.com/keyward/keyward/internal/material/webauthn"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	origin = "keyward.test/node"
	first  = "fake horse battery staple" // alice's password
	second = "quite another fake text"
)

// party is the server as security keys know it.
var party = webauthn.Party{ID: "keyward.test", Origin: "https://keyward.test"}

// A world is the services on a real database and a real audit log, with a clock of its own,
// and an account with the user alice, who has a password.
type world struct {
	*people.Service
	iam     *iam.Service
	roles   *role.Service
	node    storetest.Node
	keys    *seal.Keyring
	url     string
	clock   *atomic.Int64 // Unix microseconds
	account string
	telling sync.Mutex // guards copied
	copied  []string   // keys that counted backwards
}

func newWorld(t testing.TB) *world { return startWorld(t, storetest.SQLite(t)) }

func startWorld(t testing.TB, url string) *world {
	t.Helper()
	clock := &atomic.Int64{}
	clock.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro())
	w := startNode(t, url, origin, sealtest.Keyring(t), clock)
	operator := w.call(authz.Principal{Kind: authz.Service, Name: "operator"})
	w.account = must(w.iam.CreateAccount(t.Context(), operator, "Example"))(t).Account.ID
	w.user(t, "alice")
	return w
}

// startNode starts a node of a world.
func startNode(t testing.TB, url, origin string, keys *seal.Keyring, clock *atomic.Int64) *world {
	t.Helper()
	w, always := &world{clock: clock, keys: keys, url: url}, func() bool { return true }
	w.node = storetest.Start(t, storetest.Options{
		URL: url, Origin: origin, Keys: keys, Now: w.now,
		Changed: func(table, id string) {
			w.iam.Changed(table, id)
			w.roles.Changed(table, id)
			w.Changed(table, id)
		},
	})
	w.iam = must(iam.New(iam.Options{
		Store: identity.Store{Store: w.node.Store}, Log: w.node.Log, Keyring: keys, Logger: slog.New(slog.DiscardHandler), Now: w.now, Fresh: always,
	}))(t)
	w.roles = role.New(role.Options{
		Store: identity.Store{Store: w.node.Store}, IAM: w.iam, Log: w.node.Log, Sealer: sealtest.Box{Keyring: keys}, Now: w.now, Fresh: always,
		Logins: func(ctx context.Context, account, user, session string) (bool, error) {
			return w.InForce(ctx, account, user, session)
		},
	})
	w.Service = people.New(people.Options{
		Store: identity.Store{Store: w.node.Store}, IAM: w.iam, Roles: w.roles, Log: w.node.Log, Refusals: refusal.New(w.node.Log),
		Hasher: password.New(password.Cost{MemoryKiB: 64, Time: 1, Threads: 1}, 4, 1000),
		Digest: func(data []byte) (string, error) {
			sum := sha256.Sum256(data)
			return hex.EncodeToString(sum[:16]), nil
		},
		Party: party,
		Copied: func(_ context.Context, _, user, key string) error {
			w.telling.Lock()
			defer w.telling.Unlock()
			w.copied = append(w.copied, user+"/"+key)
			return nil
		},
		Logger: slog.New(slog.DiscardHandler), Now: w.now, Fresh: always,
	})
	return w
}

// user makes a user with the password first.
func (w *world) user(t testing.TB, name string) {
	t.Helper()
	must(w.iam.CreateUser(t.Context(), w.root(), name, ""))(t)
	initial := must(w.SetPassword(t.Context(), w.root(), name))(t)
	must(w.Login(t.Context(), w.stranger(), people.Attempt{User: name, Password: initial.Password, NewPassword: text(first)}))(t)
	check(t, w.EndSessions(t.Context(), w.root(), name))
}

func text(s string) material.Bytes { return material.NewBytes([]byte(s)) }

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

func (w *world) stranger() *authz.Call { return w.call(authz.Principal{}) }

func (w *world) from(address string) *authz.Call {
	c := w.stranger()
	c.Source = netip.MustParseAddr(address)
	return c
}

func (w *world) root() *authz.Call {
	return w.call(authz.Principal{Account: w.account, Kind: authz.Root, Name: "root"})
}

// try tries to log in from an address.
func (w *world) try(t testing.TB, address, user, password, code string) (role.Issued, error) {
	t.Helper()
	return w.Login(context.WithoutCancel(t.Context()), w.from(address), people.Attempt{User: user, Password: text(password), Code: code})
}

// login logs alice in.
func (w *world) login(t testing.TB) role.Issued {
	t.Helper()
	return must(w.try(t, "192.0.2.7", "alice", first, ""))(t)
}

// as answers a call that was signed with the credentials of a login.
func (w *world) as(t testing.TB, i role.Issued) *authz.Call {
	t.Helper()
	c := must(w.roles.Credential(t.Context(), i.AccessKey, i.Token))(t)
	check(t, c.Refusal)
	return w.call(c.Principal)
}

// refusal answers why the credentials of a login are refused, nil if they are not.
func (w *world) refusal(t testing.TB, i role.Issued) error {
	t.Helper()
	return must(w.roles.Credential(t.Context(), i.AccessKey, i.Token))(t).Refusal
}

// An app is a second factor in somebody's hand.
type app struct {
	w        *world
	secret   material.Bytes
	recovery []string
}

// enroll sets a second factor up for alice. Its first code is used up.
func (w *world) enroll(t testing.TB) *app {
	t.Helper()
	session := w.login(t)
	e := must(w.EnrollMFA(t.Context(), w.as(t, session)))(t)
	a := &app{w: w, secret: decode32(t, e.Secret)}
	for _, code := range must(w.ConfirmMFA(t.Context(), w.as(t, session), a.code()))(t) {
		a.recovery = append(a.recovery, string(code.Expose()))
	}
	w.advance(time.Minute)
	return a
}

func (a *app) code() string { return totp.Code(a.secret, totp.Step(a.w.now())) }

// records answers all audit records.
func (w *world) records(t testing.TB) []audit.Entry {
	t.Helper()
	var all []audit.Entry
	check(t, w.node.DB.Batches(t.Context(), origin, 0, func(b audit.Batch) error {
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
