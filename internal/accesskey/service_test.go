package accesskey_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/storetest"
)

const account = "1000000000000001"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A world is an inventory with a provider that answers what a test wants, and a vault.
type world struct {
	*accesskey.Service
	t     *testing.T
	now   time.Time
	jobs  *job.Runner
	shelf inventory.Store

	snapshot accesskey.Snapshot
	refuse   error  // of the provider
	during   func() // happens while the provider is read
	opened   []form.Filling
	vault    map[string]string
}

// Check implements accesskey.Provider.
func (w *world) Check(context.Context) (accesskey.Identity, error) {
	return accesskey.Identity{Account: "acme"}, w.refuse
}

// Observe implements accesskey.Provider.
func (w *world) Observe(context.Context) (accesskey.Snapshot, error) {
	if w.during != nil {
		w.during()
	}
	return w.snapshot, w.refuse
}

// Keep implements accesskey.Vault.
func (w *world) Keep(_ context.Context, _ *authz.Call, name string, parts map[string]material.Bytes) error {
	w.vault[name] = string(parts["key"].Expose())
	return nil
}

type tenant struct{ material.Wrapper }

func (t tenant) Tenant(context.Context, string) (material.Wrapper, error) { return t.Wrapper, nil }

func root() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: noon}
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	w := &world{t: t, now: noon, vault: map[string]string{}}
	keyring := sealtest.Keyring(t)
	clock := func() time.Time { return w.now }
	node := storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/test", Keys: keyring, Now: clock, Changed: func(string, string) {}})
	wrapped, err := keyring.NewTenantKey(material.Binding("test"))
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := keyring.Tenant(material.Binding("test"), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	w.shelf = inventory.Store{Store: node.Store}
	w.Service = accesskey.New(accesskey.Options{
		Sources: w.shelf, Keys: w.shelf, Tenants: tenant{wrapper}, Vault: w, Log: node.Log, Region: "r", Now: clock,
		Kinds: []accesskey.KindOfProvider{{
			Name: "fake", Pace: time.Hour, Capabilities: accesskey.Capabilities{Disable: true}, Varies: true,
			Form: form.Form{Settings: []form.Field{{Name: "host", Required: true}}, Credential: []form.Field{{Name: "token", Required: true}}},
			Open: func(o accesskey.Opening) (accesskey.Provider, error) {
				w.opened = append(w.opened, o.Filling)
				return w, nil
			},
		}, {
			Name: "watched", Pace: time.Hour, Capabilities: accesskey.Capabilities{Manual: true}, // as certificates, which only people change
			Open: func(accesskey.Opening) (accesskey.Provider, error) { return w, nil },
		}, {
			Name: "paper", Pace: time.Hour, Capabilities: accesskey.Capabilities{Manual: true},
			Open:   func(accesskey.Opening) (accesskey.Provider, error) { return w, nil },
			Guides: []accesskey.Guide{{Name: "stamp", Check: check}, {Name: "seal", Check: check, Capabilities: accesskey.Capabilities{Undo: 7 * 24 * time.Hour, Manual: true}}},
		}},
	})
	w.jobs = &job.Runner{
		Store: node.Store, Owner: "test", Handlers: w.Handlers(), Now: clock, Served: func() (time.Duration, bool) { return 0, true },
		Logger: slog.New(slog.DiscardHandler),
	}
	return w
}

// check takes what a person entered; its id is the setting.
func check(f form.Filling, now time.Time) (accesskey.Evidence, error) {
	if f.Settings["id"] == "" {
		return accesskey.Evidence{}, fault.InvalidParameter.New("there is no id")
	}
	return accesskey.Evidence{ID: f.Settings["id"], Expiry: accesskey.Expiry{At: now.Add(100 * time.Hour), Basis: accesskey.Certificate}}, nil
}

func filling(host, token string) form.Filling {
	return form.Filling{Settings: map[string]string{"host": host}, Credential: map[string]material.Bytes{"token": material.NewBytes([]byte(token))}}
}

func (w *world) add() accesskey.Source {
	w.t.Helper()
	src, _, err := w.Add(w.t.Context(), root(), "prod", "fake", accesskey.Draft{Filling: filling("a", "fake-token")})
	if err != nil {
		w.t.Fatal(err)
	}
	return src
}

// sync has the source read now.
func (w *world) sync() accesskey.State {
	w.t.Helper()
	if err := w.Sync(w.t.Context(), root(), "prod"); err != nil {
		w.t.Fatal(err)
	}
	w.work()
	all, err := w.List(w.t.Context(), root())
	if err != nil || len(all) == 0 {
		w.t.Fatal(all, err)
	}
	return all[len(all)-1].State
}

func (w *world) work() {
	w.t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = w.jobs.Step(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) ids(status accesskey.Status) string {
	w.t.Helper()
	keys, _, err := w.Keys(w.t.Context(), root(), accesskey.Query{Status: status, Order: accesskey.BySubject, Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, k := range keys {
		ids = append(ids, k.Observed.ID)
	}
	return strings.Join(ids, " ")
}

func key(id, principal string) accesskey.Observed {
	return accesskey.Observed{ID: id, Principal: principal, CreatedAt: noon}
}

func TestNothingIsStoredOfWhatTheProviderRefuses(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.refuse = fault.InvalidParameter.New("the token is wrong")
	_, _, err := w.Add(t.Context(), root(), "prod", "fake", accesskey.Draft{Filling: filling("a", "fake-token")})
	if !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("have %v", err)
	}
	if all, err := w.List(t.Context(), root()); err != nil || len(all) != 0 {
		t.Errorf("have %+v, %v", all, err)
	}
	w.refuse = nil
	w.add()
	w.refuse = fault.InvalidParameter.New("the token is wrong")
	other := filling("b", "other-token")
	if _, err := w.Update(t.Context(), root(), "prod", accesskey.Change{Filling: &other}); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("have %v", err)
	}
	w.refuse, w.opened = nil, nil
	w.work()
	if len(w.opened) != 1 || w.opened[0].Settings["host"] != "a" {
		t.Errorf("opened %+v", w.opened)
	}
}

// Whoever may change a source cannot have its credential sent somewhere else.
func TestNewSettingsNeedTheCredentialAnew(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add()
	elsewhere := form.Filling{Settings: map[string]string{"host": "evil"}}
	if _, err := w.Update(t.Context(), root(), "prod", accesskey.Change{Filling: &elsewhere, Unchecked: true}); !fault.Is(err, fault.MissingParameter) {
		t.Errorf("have %v", err)
	}
	for _, f := range w.opened {
		if f.Settings["host"] == "evil" {
			t.Error("the credential went somewhere else")
		}
	}
}

func TestSynchronisationsFailAndRecover(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add()
	w.snapshot.Keys = []accesskey.Observed{key("k1", "u1")}
	first := w.sync()
	w.refuse = errors.New("dial tcp: token=secret\x1b[2J")
	for n := 1; n < 4; n++ {
		w.now = w.now.Add(time.Hour)
		w.work()
		all, err := w.List(t.Context(), root())
		if err != nil {
			t.Fatal(err)
		}
		st := all[0].State
		if st.Failures != n || st.Error == "" || strings.Contains(st.Error, "secret") || !st.SucceededAt.Equal(first.SucceededAt) || st.Keys != 1 {
			t.Errorf("after %d failures: %+v", n, st)
		}
	}
	if w.ids("") != "k1" {
		t.Errorf("have %q", w.ids(""))
	}
	w.refuse = nil
	if st := w.sync(); st.Failures != 0 || st.Error != "" || !st.SucceededAt.Equal(w.now) {
		t.Errorf("have %+v", st)
	}
}

func TestOnlyWhatWasReadCanBeGone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.add()
		w.snapshot.Keys = []accesskey.Observed{key("a1", "alice"), key("b1", "bob"), key("c1", "carol")}
		w.sync()
		w.snapshot.Keys = []accesskey.Observed{key("a1", "alice")}
		w.snapshot.Problems = []accesskey.Problem{{What: "ListAccessKeys", Subject: "bob", Lists: true}}
		if st := w.sync(); len(st.Problems) != 1 || w.ids("") != "a1 b1" || w.ids(accesskey.Gone) != "c1" {
			t.Errorf("have %q, gone %q, %+v", w.ids(""), w.ids(accesskey.Gone), st.Problems)
		}
		w.snapshot.Problems[0].Subject = ""
		w.snapshot.Keys = nil
		if w.sync(); w.ids("") != "a1 b1" {
			t.Errorf("have %q", w.ids(""))
		}
	})
}

// What is read of a source is not stored as what it became meanwhile.
func TestASourceThatChangesWhileItIsRead(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add()
	w.snapshot.Keys = []accesskey.Observed{key("old", "")}
	reads := 0
	w.during = func() {
		switch reads++; reads {
		case 1: // another account
			other := filling("b", "other-token")
			if _, err := w.Update(t.Context(), root(), "prod", accesskey.Change{Filling: &other}); err != nil {
				t.Error(err)
			}
		case 2:
			w.snapshot.Keys = []accesskey.Observed{key("new", "")}
			owner := "ops"
			if _, err := w.Update(t.Context(), root(), "prod", accesskey.Change{Owner: &owner}); err != nil {
				t.Error(err)
			}
		}
	}
	for range 5 {
		w.work()
		w.now = w.now.Add(time.Second)
	}
	k, err := w.Key(t.Context(), root(), "prod", "new")
	if err != nil || k.Owner != "ops" || w.ids(accesskey.Gone) != "" {
		t.Errorf("have %+v, %v; gone %q", k, err, w.ids(accesskey.Gone))
	}
	w.during = func() {
		if err := w.Remove(t.Context(), root(), "prod"); err != nil {
			t.Error(err)
		}
		w.during = nil
		w.add()
	}
	w.snapshot.Keys = []accesskey.Observed{key("of the former", ""), key("former", "")}
	if err := w.Sync(t.Context(), root(), "prod"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.jobs.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if have := w.ids(""); have != "" {
		t.Errorf("the source that has the name now has keys of the former one: %q", have)
	}
}

// Whatever a provider answers can be stored and shown.
func TestHostileAnswers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.add()
		evil := "\x00\x1b]0;x\x07\u202e\u2028\xff" + strings.Repeat("€", 10_000)
		far := time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC)
		many := map[string]string{}
		for n := range 1000 {
			many[fmt.Sprint(n, evil)] = evil
		}
		bad := accesskey.Observed{
			ID: "k1", Principal: evil, Name: evil, CreatedAt: far, ChangedAt: far, Expiry: accesskey.Expiry{At: far, Basis: accesskey.Provided},
			Use: accesskey.Use{At: far, Service: evil, Region: evil, IP: evil}, Tags: many, Detail: many, UndoUntil: far,
		}
		w.snapshot = accesskey.Snapshot{
			Identity: accesskey.Identity{Account: evil, Principal: evil, KeyID: evil}, Account: accesskey.Account{Detail: many},
			Keys: []accesskey.Observed{bad, key("k1", ""), key("", ""), key("a b", ""), key(evil, ""), key("k2", "")},
			Principals: []accesskey.Principal{{ID: evil, Name: evil, Remark: evil, Boundary: evil, CreatedAt: far, ConsoleAt: far,
				Grants: []accesskey.Grant{{Name: evil, ID: evil, Via: evil, Wide: []string{evil}}}}, {ID: evil}},
			Problems: []accesskey.Problem{{What: evil, Subject: evil, Reason: evil}},
		}
		st := w.sync()
		if st.Failures > 0 || st.Error != "" || w.ids("") != "k1 k2" {
			t.Fatalf("have %q, %+v", w.ids(""), st)
		}
		k, err := w.Key(t.Context(), root(), "prod", "k1")
		if err != nil || !k.Due.At.IsZero() || k.Principal.Name == "" {
			t.Errorf("have %+v, %v", k, err)
		}
		if shown := fmt.Sprintf("%+v %+v", k, st); strings.ContainsAny(shown, "\x00\x1b\x07\u202e\u2028") || !utf8.ValidString(shown) || len(shown) > 300<<10 {
			t.Errorf("%d bytes, with what moves a cursor", len(shown))
		}
	})
}

func TestCursors(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.add()
		w.snapshot.Keys = []accesskey.Observed{key("k1", ""), key("k2", "")}
		w.sync()
		for _, q := range []accesskey.Query{
			{After: "x"}, {After: "1"}, {After: "1/prod"}, {After: "1x/prod/k1"}, {After: "1/prod/\x00"}, {After: "1/\xff/k"}, {Order: "due; DROP TABLE job"},
			{Status: "none"}, {Text: "\x00"}, {Text: strings.Repeat("x", 1000)}, {Owner: "\xff"}, {Source: "\x00"},
		} {
			q.Limit = 1
			if _, _, err := w.Keys(t.Context(), root(), q); !fault.Is(err, fault.InvalidParameter) {
				t.Errorf("%+v: %v", q, err)
			}
		}
		for _, limit := range []int{0, -1, accesskey.MaxPage + 1} {
			if _, _, err := w.Keys(t.Context(), root(), accesskey.Query{Limit: limit}); !fault.Is(err, fault.InvalidParameter) {
				t.Errorf("a page of %d: %v", limit, err)
			}
		}
	})
}

// nobody is a user without any policy.
func nobody() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Name: "mallory"}, Time: noon}
}

func TestRights(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add()
	w.snapshot.Keys = []accesskey.Observed{key("k1", "")}
	w.sync()
	owner := "mallory"
	for what, err := range map[string]error{
		"remark": second(w.Remark(t.Context(), nobody(), "prod", "k1", accesskey.Note{Owner: &owner})),
		"key":    second(w.Key(t.Context(), nobody(), "prod", "k1")), "forget": w.Forget(t.Context(), nobody(), "prod", "k1"),
		"update": second(w.Update(t.Context(), nobody(), "prod", accesskey.Change{Owner: &owner})), "remove": w.Remove(t.Context(), nobody(), "prod"),
		"sync": w.Sync(t.Context(), nobody(), "prod"), "list": second(w.List(t.Context(), nobody())),
	} {
		if err == nil || fault.Is(err, fault.ResourceNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if k, err := w.Key(t.Context(), root(), "prod", "k1"); err != nil || k.Owner != "" {
		t.Errorf("have %+v, %v", k, err)
	}
}

func second[T any](_ T, err error) error { return err }

// Entered keys have a secret each, and nothing is kept of what does not pass.
func TestEnteredKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		if _, _, err := w.Add(t.Context(), root(), "pay", "paper", accesskey.Draft{}); err != nil {
			t.Fatal(err)
		}
		enter := func(id string, n accesskey.Note) (accesskey.AccessKey, error) {
			k, _, err := w.Enter(t.Context(), root(), "pay", accesskey.Entry{Guide: "stamp", Note: n, Filling: form.Filling{
				Settings: map[string]string{"id": id}, Credential: map[string]material.Bytes{"key": material.NewBytes([]byte("fake " + id))}}})
			return k, err
		}
		long := strings.Repeat("x", accesskey.MaxText+1)
		for _, err := range []error{
			second(enter("", accesskey.Note{})), second(enter("a b", accesskey.Note{})), second(enter("wechatpay/1", accesskey.Note{Owner: &long})),
		} {
			if !fault.Is(err, fault.InvalidParameter) {
				t.Errorf("have %v", err)
			}
		}
		if len(w.vault) != 0 || w.ids("") != "" {
			t.Errorf("kept %v, %q", w.vault, w.ids(""))
		}
		owner, ids := "li", []string{"wechatpay/1900000001/apiv3", "wechatpay/1900000002/apiv3", "wechatpay-1900000002-apiv3", strings.Repeat("f", 80) + "1", strings.Repeat("f", 80) + "2"}
		for _, id := range ids {
			k, err := enter(id, accesskey.Note{Owner: &owner})
			if err != nil || w.vault[k.Observed.Detail["secret"]] != "fake "+id {
				t.Fatalf("%s: %+v, %v", id, k, err)
			}
			stored, err := w.Key(t.Context(), root(), "pay", id)
			if err != nil || stored.Owner != "li" || !stored.Remark.ExpiresAt.Equal(noon.Add(100*time.Hour)) || !stored.Due.At.Equal(k.Due.At) {
				t.Errorf("%s: %+v, %v", id, stored, err)
			}
		}
		if len(w.vault) != len(ids) {
			t.Errorf("%d keys in %d secrets", len(ids), len(w.vault))
		}
		if _, err := enter(ids[0], accesskey.Note{}); err != nil {
			t.Fatal(err)
		}
		if all, err := w.List(t.Context(), root()); err != nil || all[0].State.Keys != len(ids) {
			t.Errorf("%+v, %v", all, err)
		}
		age := 48 * time.Hour
		if _, err := w.Update(t.Context(), root(), "pay", accesskey.Change{MaxAge: &age}); err != nil {
			t.Fatal(err)
		}
		if due, _, err := w.Keys(t.Context(), root(), accesskey.Query{DueBefore: noon.Add(age + time.Second), Limit: 10}); err != nil || len(due) != len(ids) {
			t.Errorf("%d keys are due after the age that they may reach, %v", len(due), err)
		}
		if err := w.Forget(t.Context(), root(), "pay", ids[0]); err != nil || len(strings.Fields(w.ids(""))) != len(ids)-1 {
			t.Errorf("%v, %q", err, w.ids(""))
		}
	})
}

// Keys that only people change are read where there is something to read.
func TestWhatPeopleChangeIsRead(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.snapshot.Keys = []accesskey.Observed{{ID: "certificate"}}
	src, _, err := w.Add(t.Context(), root(), "files", "watched", accesskey.Draft{})
	if err != nil {
		t.Fatal(err)
	}
	w.work()
	st, err := w.Get(t.Context(), root(), "files")
	if err != nil || st.Manual || !st.State.SucceededAt.Equal(noon) || w.ids("") != "certificate" || len(w.Needs(src)) != 1 {
		t.Errorf("it is %+v, %v, with %q", st, err, w.ids(""))
	}
	if err := w.Sync(t.Context(), root(), "files"); err != nil {
		t.Error(err)
	}
	if err := w.Forget(t.Context(), root(), "files", "certificate"); !fault.Is(err, fault.StateConflict) {
		t.Errorf("what comes back is forgotten: %v", err)
	}
	if _, _, err := w.Add(t.Context(), root(), "desk", "paper", accesskey.Draft{}); err != nil {
		t.Fatal(err)
	}
	if st, err := w.Get(t.Context(), root(), "desk"); err != nil || !st.Manual || !fault.Is(w.Sync(t.Context(), root(), "desk"), fault.UnsupportedOperation) {
		t.Errorf("what people enter is read: %+v, %v", st, err)
	}
}

// What ending a key means is what its account told, or its guide says, and not guessed.
func TestWhatCanBeUndone(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add()
	w.snapshot.Keys = []accesskey.Observed{{ID: "listed"}}
	w.sync()
	if _, _, err := w.Add(t.Context(), root(), "desk", "paper", accesskey.Draft{}); err != nil {
		t.Fatal(err)
	}
	for _, guide := range []string{"stamp", "seal"} {
		e := accesskey.Entry{Guide: guide, Filling: form.Filling{Settings: map[string]string{"id": guide}}}
		if _, _, err := w.Enter(t.Context(), root(), "desk", e); err != nil {
			t.Fatal(err)
		}
	}
	have := func() map[string]*accesskey.Capabilities {
		out := map[string]*accesskey.Capabilities{}
		keys, _, err := w.Keys(t.Context(), root(), accesskey.Query{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			one, err := w.Key(t.Context(), root(), k.Source, k.Observed.ID)
			if diff := cmp.Diff(k.Can, one.Can); diff != "" || err != nil {
				t.Errorf("%s alone and in the list: %v %s", k.Observed.ID, err, diff)
			}
			out[k.Observed.ID] = k.Can
		}
		return out
	}
	sealed := &accesskey.Capabilities{Undo: 7 * 24 * time.Hour, Manual: true}
	if diff := cmp.Diff(map[string]*accesskey.Capabilities{"listed": nil, "stamp": nil, "seal": sealed}, have()); diff != "" {
		t.Error(diff)
	}
	told := &accesskey.Capabilities{Disable: true, OffFirst: true}
	w.snapshot.Account.Can = told
	w.sync()
	if diff := cmp.Diff(told, have()["listed"]); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsListedCannotBeForgotten(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add()
	w.snapshot.Keys = []accesskey.Observed{key("k1", "")}
	w.sync()
	if err := w.Forget(t.Context(), root(), "prod", "k1"); !fault.Is(err, fault.StateConflict) {
		t.Errorf("have %v", err)
	}
	w.snapshot.Keys = nil
	w.sync()
	w.now = w.now.Add(accesskey.Confirm)
	w.sync()
	if err := w.Forget(t.Context(), root(), "prod", "k1"); err != nil || w.ids(accesskey.Gone) != "" {
		t.Errorf("%v, %q", err, w.ids(accesskey.Gone))
	}
}
