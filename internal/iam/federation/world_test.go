package federation_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cloud/openid"
	"github.com/keyward/keyward/internal/cloud/openid/openidtest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/password"
	"github.com/keyward/keyward/internal/material/totp"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	origin   = "keyward.test/node"
	home     = "http://127.0.0.1:8400/callback"
	verifier = "a-fake-verifier-of-forty-three-characters-0"
	subject  = "00u-alice"
)

// A world is the services on a real database, a provider named corp, and the user alice, who
// is linked there.
type world struct {
	*federation.Service
	people   *people.Service
	iam      *iam.Service
	roles    *role.Service
	node     storetest.Node
	provider *openidtest.Provider
	clock    atomic.Int64 // Unix microseconds
	account  string
}

func newWorld(t testing.TB) *world { return startWorld(t, storetest.SQLite(t)) }

func startWorld(t testing.TB, database string) *world {
	t.Helper()
	w := &world{}
	w.clock.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro())
	keys, always := sealtest.Keyring(t), func() bool { return true }
	w.node = storetest.Start(t, storetest.Options{
		URL: database, Origin: origin, Keys: keys, Now: w.now,
		Changed: func(table, id string) {
			w.iam.Changed(table, id)
			w.roles.Changed(table, id)
			w.people.Changed(table, id)
		},
	})
	w.iam = must(iam.New(iam.Options{Store: identity.Store{Store: w.node.Store}, Log: w.node.Log, Keyring: keys, Logger: slog.New(slog.DiscardHandler), Now: w.now, Fresh: always}))(t)
	w.roles = role.New(role.Options{
		Store: identity.Store{Store: w.node.Store}, IAM: w.iam, Log: w.node.Log, Sealer: sealtest.Box{Keyring: keys}, Now: w.now, Fresh: always,
		Logins: func(ctx context.Context, account, user, session string) (bool, error) {
			return w.people.InForce(ctx, account, user, session)
		},
	})
	refusals := refusal.New(w.node.Log)
	w.people = people.New(people.Options{
		Store: identity.Store{Store: w.node.Store}, IAM: w.iam, Roles: w.roles, Log: w.node.Log, Refusals: refusals,
		Hasher: password.New(password.Cost{MemoryKiB: 64, Time: 1, Threads: 1}, 4, 1000),
		Digest: func(data []byte) (string, error) {
			sum := sha256.Sum256(data)
			return hex.EncodeToString(sum[:16]), nil
		},
		Party: party, Logger: slog.New(slog.DiscardHandler), Now: w.now, Fresh: always,
	})
	w.provider = openidtest.New(t, w.now)
	w.Service = federation.New(federation.Options{
		Store: identity.Store{Store: w.node.Store}, Uses: identity.Store{Store: w.node.Store}, IAM: w.iam, People: w.people, Log: w.node.Log, Refusals: refusals, Now: w.now,
		Protocol: openid.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, w.now), Sealer: sealtest.Box{Keyring: keys},
	})
	w.account = must(w.iam.CreateAccount(t.Context(), w.call(authz.Principal{Kind: authz.Service, Name: "operator"}), "Example"))(t).Account.ID
	must(w.iam.CreateUser(t.Context(), w.root(), "alice", ""))(t)
	w.add(t, "")
	must(w.Link(t.Context(), w.root(), "corp", "alice", subject))(t)
	return w
}

// add adds the provider, which is believed about a second factor by mfa.
func (w *world) add(t testing.TB, mfa string) {
	t.Helper()
	must(w.CreateProvider(t.Context(), w.root(), federation.NewProvider{
		Name: "corp", Issuer: w.provider.URL, ClientID: openidtest.ClientID, Secret: material.NewBytes([]byte(openidtest.Secret)), MFA: mfa,
	}))(t)
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

func (w *world) stranger() *authz.Call { return w.call(authz.Principal{}) }

func (w *world) root() *authz.Call {
	return w.call(authz.Principal{Account: w.account, Kind: authz.Root, Name: "root"})
}

// as answers a call that was signed with the credentials of a login.
func (w *world) as(t testing.TB, i role.Issued) *authz.Call {
	t.Helper()
	c := must(w.roles.Credential(t.Context(), i.AccessKey, i.Token))(t)
	check(t, c.Refusal)
	return w.call(c.Principal)
}

// over tells whether the credentials of a login are refused.
func (w *world) over(t testing.TB, i role.Issued) bool {
	t.Helper()
	return must(w.roles.Credential(t.Context(), i.AccessKey, i.Token))(t).Refusal != nil
}

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// begin begins a login and answers what is to be finished, once the browser was there.
func (w *world) begin(t testing.TB) federation.Finish {
	t.Helper()
	b := must(w.Begin(t.Context(), w.stranger(), federation.Start{Redirect: home, Challenge: challenge()}))(t)
	return brought(b, openidtest.Visit(t, b.URL))
}

func brought(b federation.Begun, back url.Values) federation.Finish {
	return federation.Finish{Transaction: b.Transaction, Verifier: verifier, State: back.Get("state"), Code: back.Get("code"), Issuer: back.Get("iss")}
}

// finish is Finish for who has no second factor here.
func (w *world) finish(t testing.TB, in federation.Finish) (role.Issued, error) {
	t.Helper()
	issued, again, err := w.Finish(context.WithoutCancel(t.Context()), w.stranger(), in)
	if err != nil && again != "" && !fault.Is(err, fault.MFARequired) {
		t.Errorf("a login that failed goes on: %v", err)
	}
	return issued, err
}

// login logs in whom the provider names.
func (w *world) login(t testing.TB) (role.Issued, error) {
	t.Helper()
	return w.finish(t, w.begin(t))
}

// enroll sets up a second factor for who logged in, and answers its codes.
func (w *world) enroll(t testing.TB, i role.Issued) (code func() string, recovery []material.Bytes) {
	t.Helper()
	e := must(w.people.EnrollMFA(t.Context(), w.as(t, i)))(t)
	secret := material.NewBytes(must(base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(e.Secret.Expose())))(t))
	code = func() string { return totp.Code(secret, totp.Step(w.now())) }
	recovery = must(w.people.ConfirmMFA(t.Context(), w.as(t, i), code()))(t)
	w.advance(time.Minute)
	return code, recovery
}

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
