package watch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/watch"
)

const account = "1000000000000001"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A world is a watch with a real store, and repositories, an inbox and a pager of its own.
type world struct {
	t       *testing.T
	service *watch.Service
	store   inventory.Repositories
	node    storetest.Node
	now     time.Time

	tips      watch.Tips // what the repository says
	harvest   watch.Harvest
	err       error
	asked     []string // what the repository was asked, with the token
	swept     func()
	harvested func()
	kept      []string                    // mirrors
	reports   []exposure.Report           // that came in
	tried     []string                    // with the verifier
	full      error                       // of the inbox
	told      map[string]notify.Condition // by the pager
	settings  watch.Search                // of the last harvest
}

func (w *world) Allows(url string) error {
	if strings.HasPrefix(url, "https://") {
		return nil
	}
	return fault.InvalidParameter.New("no")
}

func (w *world) note(what string, r watch.Remote) {
	w.asked = append(w.asked, fmt.Sprint(what, " ", r.URL, " ", r.User, ":", string(r.Token.Expose())))
}

func (w *world) Tips(_ context.Context, r watch.Remote) (watch.Tips, error) {
	w.note("tips", r)
	return w.tips, w.err
}

func (w *world) Harvest(_ context.Context, r watch.Remote, s watch.Search) (watch.Harvest, error) {
	w.note("harvest", r)
	w.settings = s
	w.harvested()
	h := w.harvest
	h.Seen = slices.Clone(h.Seen)
	return h, w.err
}

func (w *world) Keep(needed func() (map[string]bool, error)) error {
	keep, err := needed()
	if err != nil {
		return err
	}
	w.kept = slices.Sorted(maps.Keys(keep))
	w.swept()
	return nil
}

func (w *world) ScanKey(context.Context, *authz.Call) (string, error) { return "key", nil }

func (w *world) Report(_ context.Context, c *authz.Call, r exposure.Report) error {
	if w.full == nil {
		w.reports = append(w.reports, r)
	}
	return w.full
}

func (w *world) Reconcile(_ context.Context, _ string, ours func(string) bool, conditions map[string]notify.Condition) error {
	for name := range conditions {
		if !ours(name) {
			w.t.Errorf("%s is not ours", name)
		}
	}
	w.told = conditions
	return nil
}

func (w *world) Issuers() []string { return []string{"others", "them"} }

func (w *world) Rules(issuers []string) []string {
	if slices.Contains(issuers, "them") {
		return []string{"strong"}
	}
	return nil
}

func (w *world) Asks(c watch.Candidate) string {
	return map[string]string{"strong": "them", "weak": "others"}[c.Rule]
}

func (w *world) Try(_ context.Context, c watch.Candidate) exposure.Verdict {
	w.tried = append(w.tried, string(c.Value.Expose()))
	entries, _, err := audit.List(w.t.Context(), w.node.DB, audit.Query{Account: account, Action: "keyward:VerifyCredential", Limit: 10})
	if err != nil || len(entries) != len(w.tried) || entries[0].Params["KeyId"] != c.KeyID || entries[0].Params["Issuer"] != "them" {
		w.t.Errorf("asked without a record: %+v, %v", entries, err)
	}
	return exposure.Verdict{Liveness: exposure.Live, At: w.now, As: "shop"}
}

type tenant struct{ material.Wrapper }

func (t tenant) Tenant(context.Context, string) (material.Wrapper, error) { return t.Wrapper, nil }

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	w := &world{t: t, now: noon, swept: func() {}, harvested: func() {}, tips: watch.Tips{Digest: "1", Refs: 2, Head: "main"}, harvest: watch.Harvest{Objects: 3}}
	keyring := sealtest.Keyring(t)
	w.node = storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/test", Keys: keyring, Now: func() time.Time { return w.now }, Changed: func(string, string) {}})
	wrapped, err := keyring.NewTenantKey(material.Binding("test"))
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := keyring.Tenant(material.Binding("test"), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	w.store = inventory.Repositories{Store: w.node.Store}
	w.service = watch.New(watch.Options{
		Store: w.store, Mirrors: w, Reports: w, Verifier: w, Tenants: tenant{wrapper}, Incidents: w, Log: w.node.Log, Region: "r", Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
	})
	return w
}

func root() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: noon}
}

const url = "https://git.example.com/shop.git"

func (w *world) add(d watch.Draft) watch.Standing {
	w.t.Helper()
	d.URL = url
	got, err := w.service.Add(w.t.Context(), root(), "shop", d)
	if err != nil {
		w.t.Fatal(err)
	}
	w.asked = nil
	return got
}

// look looks once and answers how the repository stands then, and after how long it is looked at again.
func (w *world) look() (watch.Standing, time.Duration) {
	w.t.Helper()
	again, err := w.service.Handlers()[watch.JobLook](w.t.Context(), job.Job{Kind: watch.JobLook, Account: account, Subject: "shop"})
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := w.service.Show(w.t.Context(), root(), "shop")
	if err != nil {
		w.t.Fatal(err)
	}
	return got, again.Sub(w.now)
}

func (w *world) whys() map[string]string {
	out := map[string]string{}
	for name, c := range w.told {
		for _, f := range c.Facts {
			if f.Name == "reason" || f.Name == "what" {
				out[name] += f.Value + ";"
			}
		}
	}
	return out
}

func TestOnlyNewsAreFetched(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		secret := material.NewBytes([]byte("fake-token"))
		made := w.add(watch.Draft{Place: watch.Place{User: "bot", Token: secret}, Severity: finding.Medium, Owner: "alice"})
		if made.State.Status != watch.Waiting || made.Pace != time.Hour {
			t.Errorf("%+v", made)
		}
		seen := []exposure.Seen{
			{KeyID: "AKIDFAKE", Rule: "id", Severity: finding.Low, Places: []exposure.Place{{Path: "a"}}},
			{Blind: strings.Repeat("a", 64), Rule: "weak", Severity: finding.Low, Places: []exposure.Place{{Path: "a"}}},
			{Blind: strings.Repeat("b", 64), Rule: "strong", Severity: finding.High, Places: []exposure.Place{{Path: "a"}}},
		}
		w.harvest.Seen, w.harvest.Unread = seen, []string{"a.zip: it ends\x1b[2J early"}
		got, again := w.look()
		if again < time.Hour || again > 66*time.Minute {
			t.Errorf("again after %v", again)
		}
		want := watch.State{
			Account: account, Repository: "shop", ID: made.ID, Status: watch.Complete, StartedAt: noon, CompleteAt: noon, ReportedAt: noon, Severity: finding.Medium, Digest: "1", Head: "main", Refs: 2, Objects: 3, Found: 2,
			Unread: 1, Problems: []string{"a.zip: it ends.[2J early"},
		}
		if diff := cmp.Diff(want, got.State); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]exposure.Report{{Origin: "https://git.example.com/shop.git", Owner: "alice", Seen: []exposure.Seen{seen[2], seen[0]}}}, w.reports); diff != "" {
			t.Error(diff)
		}
		asked := []string{"tips https://git.example.com/shop.git bot:fake-token", "harvest https://git.example.com/shop.git bot:fake-token"}
		if diff := cmp.Diff(asked, w.asked); diff != "" {
			t.Error(diff)
		}

		// nothing is new
		w.now = noon.Add(time.Hour)
		if got, _ = w.look(); got.State.Status != watch.Complete || got.State.CompleteAt != w.now || len(w.asked) != 3 || len(w.reports) != 1 {
			t.Errorf("%+v, asked %q", got.State, w.asked)
		}
		// once a day everything is reported, and what was taken away is asked for from then on
		w.now, w.harvest.Rewritten = noon.Add(25*time.Hour), true
		if got, _ = w.look(); got.State.Rewritten != w.now || len(w.reports) != 2 || w.settings.Gone {
			t.Errorf("%+v", got.State)
		}
		w.tips.Digest, w.harvest.Rewritten = "2", false
		if got, _ = w.look(); got.State.Digest != "2" || !w.settings.Gone || w.settings.Key != "key" {
			t.Errorf("%+v, %+v", got.State, w.settings)
		}
		// another threshold is another report
		if _, err := w.service.Update(t.Context(), root(), "shop", watch.Change{Severity: new(finding.Low)}); err != nil {
			t.Fatal(err)
		}
		if got, _ = w.look(); got.State.Found != 3 || got.ID != made.ID {
			t.Errorf("%+v", got.State)
		}
		// and other refs are another repository, with the same token
		other, err := w.service.Update(t.Context(), root(), "shop", watch.Change{Refs: &[]string{"main"}})
		if err != nil || other.ID == made.ID || other.State.Status != watch.Waiting {
			t.Errorf("%+v, %v", other, err)
		}
		if diff := cmp.Diff([]string{other.ID}, w.kept); diff != "" {
			t.Error(diff)
		}
		w.asked = nil
		if w.look(); len(w.asked) != 2 || !strings.HasSuffix(w.asked[0], "bot:fake-token") {
			t.Errorf("%q", w.asked)
		}
		// a place without its token is another place
		if _, err := w.service.Update(t.Context(), root(), "shop", watch.Change{Place: &watch.Place{URL: "https://evil.example.com/x.git"}}); err != nil {
			t.Fatal(err)
		}
		w.asked = nil
		if w.look(); w.asked[0] != "tips https://evil.example.com/x.git :" {
			t.Errorf("%q", w.asked)
		}
	})
}

// What is not complete says so, is told to people, and stays told until it is complete.
func TestTroublesAreTold(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add(watch.Draft{Severity: finding.Medium})
	w.look()
	for n, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		w.err = &watch.Trouble{Status: watch.Denied, Text: fault.Say("it answers %d", 401)}
		got, again := w.look()
		if got.State.Status != watch.Denied || got.State.Failures != n+1 || !got.State.CompleteAt.Equal(noon) || again < wait || again > wait+wait/10 || got.State.Chinese != "返回 401" {
			t.Errorf("%d: %+v, again after %v", n, got.State, again)
		}
		want := map[string]string{}
		if n >= 2 {
			want["repository/shop"] = "denied;it answers 401;"
		}
		if diff := cmp.Diff(want, w.whys()); diff != "" {
			t.Errorf("%d: %s", n, diff)
		}
	}
	w.err = nil
	if got, _ := w.look(); got.State.Status != watch.Complete || got.State.Failures != 0 || got.State.Error != "" || got.State.Chinese != "" || len(w.told) > 0 {
		t.Errorf("%+v, %v", got.State, w.told)
	}

	// an error of ours says nothing of it to people
	w.err, w.tips.Digest = errors.New("disk: /secret/path"), "3"
	if got, _ := w.look(); got.State.Status != watch.Failed || strings.Contains(got.State.Error, "secret") {
		t.Errorf("%+v", got.State)
	}
	w.err, w.full = nil, fault.LimitExceeded.New("the account has too many")
	w.harvest.Seen = []exposure.Seen{{KeyID: "AKIDFAKE", Rule: "id", Places: []exposure.Place{{Path: "a"}}}}
	if got, _ := w.look(); got.State.Status != watch.Failed || !strings.Contains(got.State.Error, "0 of 1") || got.State.Digest == "3" {
		t.Errorf("%+v", got.State)
	}
	w.full, w.harvest.Shallow = nil, true
	if got, _ := w.look(); got.State.Status != watch.Shallow || got.State.Failures != 0 || got.State.Digest == "3" {
		t.Errorf("%+v", got.State)
	}
	w.tips = watch.Tips{Head: "trunk"}
	if got, _ := w.look(); got.State.Status != watch.Empty || !got.State.CompleteAt.Equal(noon) {
		t.Errorf("%+v", got.State)
	}
	// nobody looks: another job tells it
	w.now = noon.Add(26 * time.Hour)
	again, err := w.service.Checks()[watch.JobCheck](t.Context(), job.Job{Kind: watch.JobCheck, Account: account})
	if err != nil || again.Sub(w.now) != time.Hour || len(w.told) != 1 {
		t.Errorf("%v, again at %v, told %v", err, again, w.told)
	}
}

func TestRemovedRepositories(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	made := w.add(watch.Draft{})
	w.look()
	if err := w.service.Remove(t.Context(), root(), "shop"); err != nil {
		t.Fatal(err)
	}
	if len(w.kept) > 0 {
		t.Error("the mirror stays")
	}
	again, err := w.service.Handlers()[watch.JobLook](t.Context(), job.Job{Kind: watch.JobLook, Account: account, Subject: "shop"})
	if err != nil || !again.IsZero() {
		t.Errorf("%v, %v", again, err)
	}
	// the state of the former one is not that of the next
	if err := w.store.SaveState(t.Context(), watch.State{Account: account, Repository: "shop", ID: made.ID, Status: watch.Complete, Digest: "1"}); err != nil {
		t.Fatal(err)
	}
	if states, err := w.store.States(t.Context(), account); err != nil || len(states) > 0 {
		t.Errorf("%v, %v", states, err)
	}
	next := w.add(watch.Draft{})
	if err := w.store.SaveState(t.Context(), watch.State{Account: account, Repository: "shop", ID: made.ID, Status: watch.Complete, Digest: "1"}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.service.Show(t.Context(), root(), "shop"); err != nil || got.State.Status != watch.Waiting {
		t.Errorf("%+v, %v", got.State, err)
	}
	// mirrors of what is gone are removed
	ctx, cancel := context.WithCancel(t.Context())
	w.swept = cancel
	err = w.service.Run(ctx)
	if diff := cmp.Diff([]string{next.ID}, w.kept); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// Each operation leaves one record, a refused one too, and no token is in one.
func TestRecords(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add(watch.Draft{Place: watch.Place{Token: material.NewBytes([]byte("fake-token"))}})
	nobody := root()
	nobody.Kind, nobody.Name = authz.User, "nobody"
	if err := w.service.Remove(t.Context(), nobody, "shop"); !fault.Is(err, fault.NoPermission) {
		t.Error(err)
	}
	w.err = &watch.Trouble{Status: watch.Denied, Text: fault.Say("it answers 404")}
	if _, err := w.service.Add(t.Context(), root(), "other", watch.Draft{Place: watch.Place{URL: url}}); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), "it answers 404") {
		t.Error(err)
	}
	w.err = &watch.Trouble{Status: watch.Unreachable, Text: fault.Say("it answers 503")}
	if _, err := w.service.Add(t.Context(), root(), "down", watch.Draft{Place: watch.Place{URL: url}}); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	typed := watch.Place{URL: "http://bot:fake-token@git.example.com/shop.git"}
	if _, err := w.service.Add(t.Context(), root(), "typed", watch.Draft{Place: typed}); !fault.Is(err, fault.InvalidParameter) {
		t.Error(err)
	}
	if _, err := w.service.Update(t.Context(), root(), "shop", watch.Change{Place: &typed}); !fault.Is(err, fault.InvalidParameter) {
		t.Error(err)
	}
	entries, _, err := audit.List(t.Context(), w.node.DB, audit.Query{Account: account, Oldest: true, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		have = append(have, e.Action+" "+e.Result)
		if strings.Contains(fmt.Sprintf("%+v", e), "fake-token") {
			t.Errorf("%+v", e)
		}
	}
	if diff := cmp.Diff([]string{"keyward:AddRepository OK", "keyward:RemoveRepository NoPermission", "keyward:AddRepository InvalidParameter", "keyward:AddRepository Unavailable", "keyward:AddRepository InvalidParameter", "keyward:UpdateRepository InvalidParameter"}, have); diff != "" {
		t.Error(diff)
	}
}

// Issuers are asked if somebody said so, once a day, after it is on record.
func TestIssuersAreAsked(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.add(watch.Draft{Severity: finding.Medium})
		blinds := map[string]string{"strong": strings.Repeat("b", 64), "weak": strings.Repeat("c", 64), "low": strings.Repeat("d", 64)}
		find := func(digest string) (given []material.Bytes) {
			w.tips.Digest, w.harvest.Seen, w.harvest.Values = digest, nil, nil
			for i, name := range []string{"strong", "weak", "low"} {
				rule, severity := name, finding.High
				if name == "low" {
					rule, severity = "strong", finding.Low
				}
				seen := exposure.Seen{Blind: blinds[name], Rule: rule, Severity: severity, Places: []exposure.Place{{Path: "a"}}}
				seen.Verdict.Liveness = exposure.Dead // whoever searched has no say
				w.harvest.Seen = append(w.harvest.Seen, seen)
				given = append(given, material.NewBytes(fmt.Appendf(nil, "fake-%s-%d", name, i)))
				w.harvest.Values = append(w.harvest.Values, watch.Candidate{Blind: blinds[name], Rule: rule, KeyID: "AKIDFAKE", Value: given[i]})
			}
			return given
		}
		expect := func(what string, verdict exposure.Verdict, tried ...string) {
			t.Helper()
			if diff := cmp.Diff(tried, w.tried); diff != "" {
				t.Error(what, diff)
			}
			for _, s := range w.reports[len(w.reports)-1].Seen {
				if want := map[string]exposure.Verdict{blinds["strong"]: verdict}[s.Blind]; s.Verdict != want {
					t.Errorf("%s: %+v of %s", what, s.Verdict, s.Blind[:1])
				}
			}
		}
		find("1")
		w.look()
		expect("nobody said so", exposure.Verdict{})
		if w.settings.Values != nil {
			t.Errorf("secrets of %q are wanted", w.settings.Values)
		}
		got, err := w.service.SetIssuers(t.Context(), root(), "shop", []string{"them", "them"})
		if diff := cmp.Diff([]string{"them"}, got.Issuers); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
		given := find("1") // though nothing is new
		w.look()
		expect("them", exposure.Verdict{Liveness: exposure.Live, At: noon, As: "shop"}, "fake-strong-0")
		if diff := cmp.Diff([]string{"strong"}, w.settings.Values); diff != "" || given[0].Len()+given[1].Len()+given[2].Len() > 0 {
			t.Error("not erased, or", diff)
		}
		w.now = noon.Add(23 * time.Hour)
		find("2")
		w.look()
		expect("within a day", exposure.Verdict{}, "fake-strong-0")
		w.now = noon.Add(24 * time.Hour)
		find("3")
		w.look()
		expect("after a day", exposure.Verdict{Liveness: exposure.Live, At: w.now, As: "shop"}, "fake-strong-0", "fake-strong-0")
		if states, err := w.store.States(t.Context(), account); err != nil || strings.Contains(fmt.Sprintf("%+v", states), "fake-strong") || len(states["shop"].Asked) != 1 {
			t.Errorf("%+v, %v", states, err)
		}
	})
}

// Who may have issuers asked is not who may change a repository: another URL ends it, and only
// what is known can be named.
func TestWhoIsAsked(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add(watch.Draft{})
	if _, err := w.service.SetIssuers(t.Context(), root(), "shop", []string{"nobody"}); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), "others, them") {
		t.Error(err)
	}
	if _, err := w.service.SetIssuers(t.Context(), root(), "other", nil); !fault.Is(err, fault.ResourceNotFound) {
		t.Error(err)
	}
	changing := root()
	changing.Principal = authz.Principal{Account: account, Kind: authz.User, Name: "alice"}
	if _, err := w.service.SetIssuers(t.Context(), changing, "shop", []string{"them"}); !fault.Is(err, fault.NoPermission) {
		t.Error(err)
	}
	issuers := func(ch watch.Change) []string {
		t.Helper()
		if _, err := w.service.SetIssuers(t.Context(), root(), "shop", []string{"others", "them"}); err != nil {
			t.Fatal(err)
		}
		got, err := w.service.Update(t.Context(), root(), "shop", ch)
		if err != nil {
			t.Fatal(err)
		}
		return got.Issuers
	}
	if got := issuers(watch.Change{Place: &watch.Place{URL: url}}); len(got) != 2 {
		t.Errorf("of another token, %q", got)
	}
	if got := issuers(watch.Change{Place: &watch.Place{URL: url + "x"}}); len(got) != 0 {
		t.Errorf("at another URL, %q", got)
	}
	entries, _, err := audit.List(t.Context(), w.node.DB, audit.Query{Account: account, Action: "keyward:SetRepositoryIssuers", Limit: 10})
	if err != nil || len(entries) != 5 || entries[0].Params["Issuers"] != "others,them" {
		t.Errorf("%+v, %v", entries, err)
	}
}

// Without a record nobody is asked.
func TestNothingIsAskedWithoutARecord(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add(watch.Draft{})
	if _, err := w.service.SetIssuers(t.Context(), root(), "shop", []string{"them"}); err != nil {
		t.Fatal(err)
	}
	blind := strings.Repeat("b", 64)
	w.harvest.Seen = []exposure.Seen{{Blind: blind, Rule: "strong", Severity: finding.High, Places: []exposure.Place{{Path: "a"}}}}
	w.harvest.Values = []watch.Candidate{{Blind: blind, Rule: "strong", Value: material.NewBytes([]byte("fake"))}}
	w.harvested = func() { w.node.StopLog() }
	_, _ = w.service.Handlers()[watch.JobLook](t.Context(), job.Job{Kind: watch.JobLook, Account: account, Subject: "shop"})
	if len(w.tried)+len(w.reports) > 0 {
		t.Errorf("asked %q", w.tried)
	}
}
