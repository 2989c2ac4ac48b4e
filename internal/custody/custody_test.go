package custody_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/shamir"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/root"
	"github.com/keyward/keyward/internal/store/storetest"
)

const origin = "keyward.test/custody"

// A world is a custody service over a real store, whose root key opens with a passphrase.
type world struct {
	*custody.Service
	node    storetest.Node
	keyring *seal.Keyring
	iam     *iam.Service
	crash   func(step string) error // asked before and after each write; nil for none
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	ctx := t.Context()
	db, err := database.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{}
	first := seal.Protection{Name: "daily", Passphrase: material.NewBytes([]byte(sealtest.Passphrase)), Cost: sealtest.Cost()}
	if w.keyring, _, err = seal.Found(ctx, db, first, start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.keyring.Close)
	private, public, err := audit.GenerateKey("keyward.test/other")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := w.keyring.SealBytes(seal.AuditSign, binding("keyward.test/other"), material.NewBytes([]byte(private)))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.CreateLog(ctx, audit.Identity{Origin: "keyward.test/other", PublicKey: public, SealedKey: sealed}), db.Close()); err != nil {
		t.Fatal(err)
	}
	w.node = storetest.Start(t, storetest.Options{URL: url, Origin: origin, Keys: w.keyring, Now: time.Now, Changed: func(string, string) {}})
	w.iam, err = iam.New(iam.Options{
		Store: crashingAccounts{identity.Store{Store: w.node.Store}, w}, Log: w.node.Log, Keyring: w.keyring, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Fresh: w.node.Store.Fresh,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Service = custody.New(custody.Options{
		Store: crashing{root.Store{Store: w.node.Store}, w}, Logs: sealedLogs{w.node.DB}, Log: w.node.Log, Keyring: w.keyring, Tenants: w.iam, Now: time.Now, Cost: sealtest.Cost(), LogBinding: binding,
	})
	return w
}

func binding(origin string) []byte { return material.Binding("test", origin) }

// sealedLogs leaves out the test's own log, whose key is not sealed.
type sealedLogs struct{ audit.Reader }

func (l sealedLogs) Logs(ctx context.Context) ([]audit.Identity, error) {
	all, err := l.Reader.Logs(ctx)
	var out []audit.Identity
	for _, id := range all {
		if id.Origin != origin {
			out = append(out, id)
		}
	}
	return out, err
}

// crashing and crashingAccounts are stores that may fail before a write or after it, as
// a process does that is killed there.
type crashing struct {
	root.Store
	w *world
}

type crashingAccounts struct {
	identity.Store
	w *world
}

func (w *world) write(what string, do func() error) error {
	if w.crash == nil {
		return do()
	}
	if err := w.crash("before " + what); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return w.crash("after " + what)
}

func (c crashing) ReplaceLogKey(ctx context.Context, rec *audit.Record, origin string, old, renewed []byte) error {
	return c.w.write("log "+origin, func() error { return c.Store.ReplaceLogKey(ctx, rec, origin, old, renewed) })
}

func (c crashing) AddEpoch(ctx context.Context, rec *audit.Record, e seal.Epoch, jobs []job.Job) error {
	return c.w.write("epoch", func() error { return c.Store.AddEpoch(ctx, rec, e, jobs) })
}

func (c crashingAccounts) UpdateAccount(ctx context.Context, rec *audit.Record, a *iam.Account) error {
	return c.w.write("account "+a.Name, func() error { return c.Store.UpdateAccount(ctx, rec, a) })
}

func operatorCall() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: time.Now(), Scheme: "operator-socket"}
}

// open performs an act with the passphrase.
func (w *world) open(t *testing.T, passphrase string, i custody.Intent) ([]custody.Delivery, error) {
	t.Helper()
	return w.openWith(t, seal.WithPassphrase(material.NewBytes([]byte(passphrase))), i)
}

func (w *world) openWith(t *testing.T, with seal.Opener, i custody.Intent) ([]custody.Delivery, error) {
	t.Helper()
	root, err := seal.Open(t.Context(), w.node.DB, with)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return w.Perform(t.Context(), operatorCall(), i, root, custody.Opening{Envelope: root.Envelope()})
}

func (w *world) titles(t *testing.T) (out []string) {
	t.Helper()
	envelopes, err := w.node.DB.Envelopes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tests, err := root.Store{Store: w.node.Store}.Tests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range envelopes {
		title := e.Title()
		for _, test := range tests {
			if test.Envelope == e.ID {
				title += " tested"
			}
		}
		out = append(out, title)
	}
	slices.Sort(out)
	return out
}

// actions answers the log: each record's action and result.
func (w *world) actions(t *testing.T) (out []string) {
	t.Helper()
	err := w.node.DB.Batches(t.Context(), origin, 0, func(b audit.Batch) error {
		for leaf := range strings.Lines(string(b.Leaves)) {
			e, err := audit.ParseEntry([]byte(leaf))
			if err != nil {
				return err
			}
			out = append(out, strings.TrimPrefix(e.Action, "keyward:")+" "+e.Result)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func protect(name, passphrase string) custody.Intent {
	return custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: name, Passphrase: material.NewBytes([]byte(passphrase))}}
}

const second = "fake passphrase, the second"

func TestAddTestRemove(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		must := func(d []custody.Delivery, err error) []custody.Delivery {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		_, err := w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Remove, Envelope: "daily"})
		wantFault(t, "removing the last", err, fault.ResourceInUse, "last root envelope")
		must(w.open(t, sealtest.Passphrase, protect("new", second)))
		_, err = w.open(t, sealtest.Passphrase, protect("NEW", second))
		wantFault(t, "adding one twice", err, fault.ResourceExists, "already")
		_, err = w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Remove, Envelope: "daily"})
		wantFault(t, "leaving an untested one alone", err, fault.StateConflict, "ever opened")
		_, err = w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Remove, Envelope: "none"})
		wantFault(t, "removing what is not there", err, fault.ResourceNotFound, "none")
		must(w.open(t, second, custody.Intent{Act: custody.Test}))
		if diff := cmp.Diff([]string{"daily tested", "new tested"}, w.titles(t)); diff != "" {
			t.Error(diff)
		}
		must(w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Remove, Envelope: "daily"}))
		if diff := cmp.Diff([]string{"new tested"}, w.titles(t)); diff != "" {
			t.Error(diff)
		}
		deliveries := must(w.open(t, second, custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "board", Threshold: 2, Shares: 3}}))
		var shares []shamir.Share
		for _, d := range deliveries[1:] {
			share, err := shamir.Parse(d.Text.Expose())
			if err != nil {
				t.Fatal(err)
			}
			shares = append(shares, share)
		}
		must(w.openWith(t, seal.WithShares(shares), custody.Intent{Act: custody.Remove, Envelope: "new", Untested: true}))
		if diff := cmp.Diff([]string{"board tested"}, w.titles(t)); diff != "" {
			t.Error(diff)
		}
		want := []string{
			"OpenRootKey OK", "RemoveRootEnvelope ResourceInUse", "OpenRootKey OK", "AddRootEnvelope OK", "OpenRootKey OK", "AddRootEnvelope ResourceExists",
			"OpenRootKey OK", "RemoveRootEnvelope StateConflict", "OpenRootKey OK", "RemoveRootEnvelope ResourceNotFound", "TestRootEnvelope OK",
			"OpenRootKey OK", "RemoveRootEnvelope OK", "OpenRootKey OK", "AddRootEnvelope OK", "OpenRootKey OK", "RemoveRootEnvelope OK",
		}
		if diff := cmp.Diff(want, w.actions(t)); diff != "" {
			t.Error(diff)
		}
		for i := range seal.MaxEnvelopes - 1 {
			must(w.openWith(t, seal.WithShares(shares), protect(fmt.Sprint("more-", i), second)))
		}
		_, err = w.openWith(t, seal.WithShares(shares), protect("too-many", second))
		wantFault(t, "one too many", err, fault.LimitExceeded, "16 root envelopes")
	})
}

// TestL9NothingUnrecorded holds that without the log nobody is answered anything: no
// test, no new shares, no removal, no epoch.
func TestL9NothingUnrecorded(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	if _, err := w.open(t, sealtest.Passphrase, protect("new", second)); err != nil {
		t.Fatal(err)
	}
	before := w.titles(t)
	w.node.StopLog()
	for _, i := range []custody.Intent{
		{Act: custody.Test}, {Act: custody.Epoch}, {Act: custody.Remove, Envelope: "new"},
		{Act: custody.Add, Protection: seal.Protection{Name: "board", Threshold: 2, Shares: 3}},
	} {
		deliveries, err := w.open(t, sealtest.Passphrase, i)
		if !fault.Is(err, fault.AuditUnavailable) || deliveries != nil {
			t.Errorf("%s: %v, %d shares", i.Act, err, len(deliveries))
		}
	}
	if err := w.Given(t.Context(), operatorCall(), custody.Test, seal.Envelope{}, 1); !fault.Is(err, fault.AuditUnavailable) {
		t.Errorf("a share was noted: %v", err)
	}
	if err := w.Refused(t.Context(), operatorCall(), custody.Test, errors.New("wrong")); !fault.Is(err, fault.AuditUnavailable) {
		t.Errorf("a refusal was answered: %v", err)
	}
	if diff := cmp.Diff(before, w.titles(t)); diff != "" || w.keyring.Epoch() != 1 {
		t.Errorf("something changed: %s, epoch %d", diff, w.keyring.Epoch())
	}
}

// A reader of the log cannot see a difference, but whoever opens with another root
// than the running server's must not come to anything.
func TestAnotherRootIsRefused(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	other := sealtest.NewStore()
	keyring, err := sealtest.Initialize(t.Context(), other, material.NewBytes([]byte(second)), sealtest.Options{Now: start, Cost: sealtest.Cost()})
	if err != nil {
		t.Fatal(err)
	}
	keyring.Close()
	root, err := seal.Open(t.Context(), other, seal.WithPassphrase(material.NewBytes([]byte(second))))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_, err = w.Perform(t.Context(), operatorCall(), protect("evil", second), root, custody.Opening{Envelope: root.Envelope()})
	if !fault.Is(err, fault.Internal) {
		t.Errorf("another root: %v", err)
	}
	if diff := cmp.Diff([]string{"daily"}, w.titles(t)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"OpenRootKey Internal"}, w.actions(t)); diff != "" {
		t.Error(diff)
	}
}

// accounts makes n accounts and answers their ids.
func (w *world) accounts(t *testing.T, n int) (ids []string) {
	t.Helper()
	for i := range n {
		founded, err := w.iam.CreateAccount(t.Context(), operatorCall(), fmt.Sprint("account-", i))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, founded.Account.ID)
	}
	return ids
}

// check holds that every access key's secret opens, as the running server has it and
// after another unsealing, and that no row lost its binding.
func (w *world) check(t *testing.T, ids []string) {
	t.Helper()
	for _, id := range ids {
		w.iam.Changed("", "") // nothing cached
		if _, err := w.iam.Tenant(t.Context(), id); err != nil {
			t.Errorf("the tenant key of %s: %v", id, err)
		}
	}
	keyring, err := sealtest.Unseal(t.Context(), w.node.DB, material.NewBytes([]byte(sealtest.Passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	defer keyring.Close()
	accounts, err := identity.Store{Store: w.node.Store}.Accounts(t.Context(), iam.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if _, old, err := keyring.Rewrap(material.Binding("kms-row/v1", "iam_account", a.ID), a.TenantKey); err != nil {
			t.Errorf("after another unsealing the tenant key of %s: %v (old %t)", a.Name, err, old)
		}
	}
	logs, err := sealedLogs{w.node.DB}.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range logs {
		if _, err := keyring.OpenBytes(seal.AuditSign, binding(id.Origin), id.SealedKey); err != nil {
			t.Errorf("after another unsealing the key of log %s: %v", id.Origin, err)
		}
	}
	if n := w.node.Store.Tampered(); n != 0 {
		t.Errorf("%d rows are not believed", n)
	}
}

// pending answers how many tenant and log keys are not under the newest epoch.
func (w *world) pending(t *testing.T) (n int) {
	t.Helper()
	accounts, err := identity.Store{Store: w.node.Store}.Accounts(t.Context(), iam.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if _, old, err := w.keyring.Rewrap(material.Binding("kms-row/v1", "iam_account", a.ID), a.TenantKey); err != nil || old {
			n++
		}
	}
	logs, err := sealedLogs{w.node.DB}.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range logs {
		if _, old, err := w.keyring.Reseal(seal.AuditSign, binding(id.Origin), id.SealedKey); err != nil || old {
			n++
		}
	}
	return n
}

func (w *world) runner() *job.Runner {
	at := time.Now()
	return &job.Runner{
		Store: w.node.Store, Owner: "test", Handlers: w.Handlers(operatorCall), Logger: slog.New(slog.DiscardHandler),
		Now:    func() time.Time { at = at.Add(time.Hour); return at }, // every lease and delay is over
		Served: func() (time.Duration, bool) { return 0, true },
	}
}

// TestRewrapResumes kills the job of a new epoch before and after each of its writes.
// Whatever had happened by then, everything opens, and the next turn finishes the rest.
func TestRewrapResumes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		const accounts = 3
		ids := w.accounts(t, accounts)
		killed := errors.New("killed here")
		for point := range 2*(accounts+1) + 1 { // each account and one log, before and after; and not at all
			if _, err := w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Epoch}); err != nil {
				t.Fatal(err)
			}
			if n := w.pending(t); n != accounts+1 {
				t.Fatalf("of a new epoch %d keys are pending, want %d", n, accounts+1)
			}
			steps, dead := 0, false
			w.crash = func(string) error {
				if steps++; dead || steps > point {
					dead = true // nothing more comes from a process that was killed
					return killed
				}
				return nil
			}
			runner := w.runner()
			if _, err := runner.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.crash = nil
			w.check(t, ids)
			if n, want := w.pending(t), accounts+1-(point+1)/2; n != want {
				t.Errorf("killed at step %d: %d keys are pending, want %d", point, n, want)
			}
			for {
				if n, err := runner.Step(t.Context()); err != nil {
					t.Fatal(err)
				} else if n == 0 {
					break
				}
			}
			if n := w.pending(t); n != 0 {
				t.Errorf("killed at step %d: at the end %d keys are pending", point, n)
			}
			if scheduled, err := w.node.Store.Scheduled(t.Context(), custody.JobRewrap); err != nil || scheduled {
				t.Errorf("the job is still there: %v", err)
			}
			w.check(t, ids)
		}
		counts := map[string]int{}
		for _, action := range w.actions(t) {
			counts[action]++
		}
		rounds := 2*(accounts+1) + 1
		for action, want := range map[string]int{"BeginEpoch OK": rounds, "FinishEpoch OK": rounds, "RewrapLogKey OK": rounds, "RewrapTenantKey OK": rounds * accounts} {
			if counts[action] != want {
				t.Errorf("%q is recorded %d times, want %d", action, counts[action], want)
			}
		}
	})
}

// A begin of an epoch that is killed before or after its commit leaves a keyring and a
// store that still agree, also with the next epoch.
func TestBeginEpochIsKilled(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			w := newWorld(t, storetest.SQLite(t))
			ids := w.accounts(t, 2)
			w.crash = func(step string) error {
				if step == when+" epoch" {
					return fault.AuditUnavailable.New("nobody knows")
				}
				return nil
			}
			if _, err := w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Epoch}); !fault.Is(err, fault.AuditUnavailable) {
				t.Fatal(err)
			}
			if w.keyring.Epoch() != 1 {
				t.Error("an epoch that may not be stored is used")
			}
			w.crash = nil
			w.check(t, ids)
			if _, err := w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Epoch}); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, w.accountNamed(t, "under the new epoch"))
			w.check(t, ids)
		})
	}
}

func (w *world) accountNamed(t *testing.T, name string) string {
	t.Helper()
	founded, err := w.iam.CreateAccount(t.Context(), operatorCall(), strings.ReplaceAll(name, " ", "-"))
	if err != nil {
		t.Fatal(err)
	}
	return founded.Account.ID
}

// Operators who begin epochs at the same moment get different ones, or are told to try
// again; the keyring never uses a master secret that is not stored.
func TestConcurrentEpochs(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ids := w.accounts(t, 1)
	var roots []*seal.Root
	for range 20 {
		root, err := seal.Open(t.Context(), w.node.DB, seal.WithPassphrase(material.NewBytes([]byte(sealtest.Passphrase))))
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		roots = append(roots, root)
	}
	errs := make(chan error, len(roots))
	for _, root := range roots {
		go func() {
			_, err := w.Perform(t.Context(), operatorCall(), custody.Intent{Act: custody.Epoch}, root, custody.Opening{Envelope: root.Envelope()})
			errs <- err
		}()
	}
	begun := 0
	for range roots {
		switch err := <-errs; {
		case err == nil:
			begun++
		case !fault.Is(err, fault.Changed):
			t.Error(err)
		}
	}
	if begun != 1 || w.keyring.Epoch() != 2 {
		t.Errorf("%d epochs began; the newest is %d", begun, w.keyring.Epoch())
	}
	w.check(t, append(ids, w.accountNamed(t, "afterwards")))
}

// A node that does not know an epoch would take what is under it for damaged: none is
// begun while another node is unsealed.
func TestOtherNodesMustBeSealed(t *testing.T) {
	url := storetest.Postgres(t)
	w := newWorld(t, url)
	mine, err := w.node.DB.LockNode(t.Context(), "node-1")
	if err != nil {
		t.Fatal(err)
	}
	defer mine()
	other, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	unlock, err := other.LockNode(t.Context(), "node-2")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Epoch})
	wantFault(t, "beside another node", err, fault.ResourceInUse, "other nodes are unsealed")
	unlock()
	if _, err = w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Epoch}); err != nil {
		t.Errorf("alone: %v", err)
	}
}

// Two nodes that remove the two last envelopes at once must not both succeed.
func TestRemovalsRace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		if _, err := w.open(t, sealtest.Passphrase, protect("new", second)); err != nil {
			t.Fatal(err)
		}
		errs := make(chan error, 2)
		for _, name := range []string{"daily", "new"} {
			root, err := seal.Open(t.Context(), w.node.DB, seal.WithPassphrase(material.NewBytes([]byte(second))))
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			go func() {
				_, err := w.Perform(t.Context(), operatorCall(), custody.Intent{Act: custody.Remove, Envelope: name, Untested: true}, root, custody.Opening{Envelope: root.Envelope()})
				errs <- err
			}()
		}
		first, last := <-errs, <-errs
		if (first == nil) == (last == nil) || len(w.titles(t)) != 1 {
			t.Errorf("left are %v: %v, %v", w.titles(t), first, last)
		}
	})
}

// Who opened the root key just before what opened it was removed does nothing with it, and
// leaves no mark of an envelope that is gone.
func TestRemovedWhileItOpens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		if _, err := w.open(t, sealtest.Passphrase, protect("new", second)); err != nil {
			t.Fatal(err)
		}
		late, err := seal.Open(t.Context(), w.node.DB, seal.WithPassphrase(material.NewBytes([]byte(second))))
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		if _, err := w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Remove, Envelope: "new", Untested: true}); err != nil {
			t.Fatal(err)
		}
		_, err = w.Perform(t.Context(), operatorCall(), custody.Intent{Act: custody.Test}, late, custody.Opening{Envelope: late.Envelope()})
		if !fault.Is(err, fault.StateConflict) {
			t.Errorf("it is served: %v", err)
		}
		if tests, err := (root.Store{Store: w.node.Store}).Tests(t.Context()); err != nil || len(tests) != 1 {
			t.Errorf("the tests are %v, %v", tests, err)
		}
	})
}

// The mark that an envelope was tested is believed only with its MAC, and its loss
// keeps nobody out.
func TestForgedTestIsNotBelieved(t *testing.T) {
	url := storetest.SQLite(t)
	w := newWorld(t, url)
	if _, err := w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Test}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE seal_test SET tested_at = tested_at + 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := (root.Store{Store: w.node.Store}).Tests(t.Context()); err == nil {
		t.Error("a forged test is shown")
	}
	if _, err := w.open(t, sealtest.Passphrase, custody.Intent{Act: custody.Test}); err != nil {
		t.Errorf("testing is barred: %v", err)
	}
}
