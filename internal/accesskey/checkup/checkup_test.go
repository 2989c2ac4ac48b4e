package checkup_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/check"
	"github.com/keyward/keyward/internal/accesskey/checkup"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	account = "1000000000000001"
	day     = 24 * time.Hour
)

// A world is an inventory that tests write directly, with the inbox and the incidents on it.
type world struct {
	tb       testing.TB
	now      time.Time
	node     storetest.Node
	shelf    inventory.Store
	findings *finding.Service
	alerts   *notify.Service
	run      job.Handler
	sources  map[string]accesskey.Source
}

func newWorld(tb testing.TB, url string) *world {
	tb.Helper()
	w := &world{tb: tb, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), sources: map[string]accesskey.Source{}}
	clock := func() time.Time { return w.now }
	w.node = storetest.Start(tb, storetest.Options{URL: url, Origin: "keyward/test", Keys: sealtest.Keyring(tb), Now: clock, Changed: func(string, string) {}})
	w.shelf = inventory.Store{Store: w.node.Store}
	alerts, inbox := alerts.Store{Store: w.node.Store}, inventory.Findings{Store: w.node.Store}
	w.alerts = notify.New(notify.Options{
		Config: alerts, Directory: alerts, Incidents: alerts, Outbox: alerts, Log: w.node.Log, Region: "r", Now: clock, Logger: slog.New(slog.DiscardHandler),
	})
	w.findings = finding.New(finding.Options{
		Store: inbox, Ledger: inbox, Incidents: w.alerts, Rules: check.Rules(check.Defaults()), Log: w.node.Log, Region: "r", Now: clock, Follow: checkup.Soon,
	})
	w.run = checkup.New(checkup.Options{
		Store: w.shelf, Inventory: w.shelf, Findings: w.findings, Thresholds: check.Defaults(), Log: w.node.Log, Now: clock,
	}).Handlers()[checkup.JobCheck]
	return w
}

func root() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: time.Unix(1_700_000_000, 0)}
}

func record(action string) *audit.Record {
	return &audit.Record{Time: time.Unix(1_700_000_000, 0), Account: account, Principal: "test", Action: action, Result: audit.ResultOK}
}

func (w *world) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

// sync stores what a provider tells now.
func (w *world) sync(name string, s accesskey.Snapshot) {
	w.tb.Helper()
	src, ok := w.sources[name]
	if !ok {
		src = accesskey.Source{Account: account, Name: name, Kind: "aws", Settings: []form.Pair{}, Pace: time.Hour, CreatedAt: w.now}
		w.must(w.shelf.CreateSource(w.tb.Context(), record("AddProvider"), &src, nil))
		w.sources[name] = src
	}
	w.must(w.shelf.SaveSnapshot(w.tb.Context(), record("ObserveProvider"), accesskey.Save{
		Source: src, Snapshot: s, At: w.now, Whole: true,
		State: accesskey.State{Account: account, Source: name, SucceededAt: w.now, Facts: s.Account, Problems: s.Problems, Keys: len(s.Keys)},
	}))
}

// check runs the checks, some time later, and answers when they want to run again.
func (w *world) check() time.Time {
	w.tb.Helper()
	w.now = w.now.Add(time.Hour)
	again, err := w.run(w.tb.Context(), job.Job{Kind: checkup.JobCheck, Account: account})
	w.must(err)
	return again
}

// states answers every finding as RULE subject state, and the open incidents after them.
func (w *world) states() []string {
	w.tb.Helper()
	found, _, err := w.findings.List(w.tb.Context(), root(), finding.Query{Limit: finding.MaxPage})
	w.must(err)
	out := []string{}
	for i := range found {
		out = append(out, fmt.Sprintf("%s %s %s", found[i].Rule, found[i].Subject, found[i].State(w.now)))
	}
	open, err := w.alerts.Incidents(w.tb.Context(), root(), false)
	w.must(err)
	for _, i := range open {
		out = append(out, "incident "+i.Kind+" "+i.Subject)
	}
	slices.Sort(out)
	return out
}

func (w *world) expect(what string, want ...string) {
	w.tb.Helper()
	if diff := cmp.Diff(append([]string{}, want...), w.states()); diff != "" {
		w.tb.Errorf("%s (-want +have):\n%s", what, diff)
	}
}

// account of a cloud where only the second factor of root is off and one key is unused.
func (w *world) trouble() accesskey.Snapshot {
	return accesskey.Snapshot{
		Account:    accesskey.Account{RootMFA: accesskey.No, RootKey: accesskey.No, Quota: 2},
		Principals: []accesskey.Principal{{ID: "u", Name: "ci", Kind: accesskey.User, Disabled: accesskey.No, Console: accesskey.No, Grants: []accesskey.Grant{}}},
		Keys: []accesskey.Observed{{
			ID: "AKfake", Principal: "u", Status: accesskey.Active, CreatedAt: w.now.Add(-60 * day), Use: accesskey.Use{Known: accesskey.Yes, At: w.now.Add(-50 * day)},
			Expiry: accesskey.Expiry{At: w.now.Add(900 * day), Basis: accesskey.Provided},
		}},
	}
}

const (
	noMFA    = "AK20 prod"
	unused   = "AK04 prod/AKfake"
	remark   = "AK16 prod/AKfake open"
	incident = "incident key-finding prod"
)

func TestFindingsFollowTheInventory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.check()
		w.expect("nothing is known")
		trouble := w.trouble()
		w.sync("prod", trouble)
		if again := w.check(); !again.Equal(w.now.Add(day)) {
			t.Errorf("the next run is at %v", again)
		}
		w.expect("trouble", unused+" open", remark, noMFA+" open", incident)

		// What cannot be told any more is neither over nor new.
		blind := w.trouble()
		blind.Account.RootMFA, blind.Keys[0].Use = accesskey.Unknown, accesskey.Use{}
		w.sync("prod", blind)
		w.check()
		w.expect("blind", unused+" open", remark, noMFA+" open", incident)

		// A suppression silences, survives being seen, and ends.
		id := finding.Name(check.Source, "AK20", finding.Subject{Provider: "prod", Kind: finding.Provider})
		_, err := w.findings.Suppress(t.Context(), root(), id, finding.Verdict{Owner: "bob", Reason: "hardware is ordered", Until: w.now.Add(10 * time.Hour)})
		w.must(err)
		ends := w.now.Add(10 * time.Hour)
		w.sync("prod", trouble)
		if again := w.check(); !again.Equal(ends) {
			t.Errorf("the next run is at %v, the suppression ends at %v", again, ends)
		}
		w.expect("suppressed", unused+" open", remark, noMFA+" suppressed")
		w.now = ends
		w.check()
		w.expect("the suppression ended", unused+" open", remark, noMFA+" open", incident)

		// A person's word holds until the provider says otherwise.
		_, err = w.findings.Resolve(t.Context(), root(), id)
		w.must(err)
		w.check()
		w.expect("a person's word", unused+" open", remark, noMFA+" resolved")
		w.now = w.now.Add(time.Hour)
		w.sync("prod", trouble)
		w.check()
		w.expect("the provider says otherwise", unused+" open", remark, noMFA+" open", incident)

		// It is mended, the key is gone.
		w.sync("prod", accesskey.Snapshot{Account: accesskey.Account{RootMFA: accesskey.Yes, RootKey: accesskey.No, Quota: 2}})
		w.check()
		w.expect("mended", unused+" resolved", "AK16 prod/AKfake resolved", noMFA+" resolved")
		w.sync("prod", trouble)
		w.check()
		w.expect("again", unused+" open", remark, noMFA+" open", incident)

		// The provider is removed.
		src := w.sources["prod"]
		w.must(w.shelf.DeleteSource(t.Context(), record("RemoveProvider"), &src))
		w.check()
		w.expect("removed", unused+" resolved", "AK16 prod/AKfake resolved", noMFA+" resolved")
		w.now = w.now.Add(91 * day)
		w.check()
		w.expect("forgotten")
	})
}

// Runs leave the time to others.
func TestRunsRest(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.check()
	again, err := w.run(t.Context(), job.Job{Kind: checkup.JobCheck, Account: account})
	if rest := again.Sub(w.now); err != nil || rest <= 0 || rest > 10*time.Second {
		t.Errorf("it wants to run again in %v, %v", rest, err)
	}
}

// A suppression that nobody made silences nothing: the run fails, loudly.
func TestForgedSuppression(t *testing.T) {
	url := storetest.SQLite(t)
	w := newWorld(t, url)
	w.sync("prod", w.trouble())
	w.check()
	id := finding.Name(check.Source, "AK20", finding.Subject{Provider: "prod", Kind: finding.Provider})
	raw, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	w.must(err)
	defer func() { w.must(raw.Close()) }()
	if _, err := raw.ExecContext(t.Context(), `INSERT INTO finding_suppression (account, finding, rule, subject, owner, reason, by_arn, at, until_at, rev, mac_epoch, mac)
		VALUES ($1, $2, 'AK20', 'prod', 'x', 'x', 'x', 1, $3, 1, 1, x'00')`, account, id, w.now.Add(100*day).UnixMicro()); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
	if _, err := w.run(t.Context(), job.Job{Kind: checkup.JobCheck, Account: account}); err == nil || !strings.Contains(err.Error(), "finding_suppression") {
		t.Errorf("the run answers %v", err)
	}
}

// BenchmarkRun checks 100,000 keys of which nobody said what they are for, and every tenth
// is not used any more: at 500 providers: first into an empty inbox, then again and again.
func BenchmarkRun(b *testing.B) {
	const keys, providers = 100_000, 500
	w := newWorld(b, storetest.SQLite(b))
	for p := range providers {
		s := w.trouble()
		one, user := s.Keys[0], s.Principals[0]
		s.Keys, s.Principals = nil, nil
		for n := range keys / providers {
			one.ID, one.Principal = fmt.Sprintf("AKfake%06d", n), fmt.Sprintf("u%06d", n)
			one.Use.At = w.now
			if n%10 == 0 {
				one.Use.At = w.now.Add(-50 * day)
			}
			user.ID, user.Name = one.Principal, one.Principal
			s.Keys, s.Principals = append(s.Keys, one), append(s.Principals, user)
		}
		w.sync(fmt.Sprintf("p%03d", p), s)
	}
	began := time.Now()
	w.check()
	first := time.Since(began)
	counts, err := (inventory.Findings{Store: w.node.Store}).Counts(b.Context(), account, w.now)
	w.must(err)
	total := 0
	for _, c := range counts {
		total += c.Open
	}
	for b.Loop() {
		w.check()
	}
	b.ReportMetric(first.Seconds(), "first-s")
	b.ReportMetric(float64(total), "findings")
	b.ReportMetric(float64(keys)*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
}
