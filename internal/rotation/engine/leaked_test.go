package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
)

// nobody is told of findings.
type nobody struct{}

func (nobody) Reconcile(context.Context, string, func(string) bool, map[string]notify.Condition) error {
	return nil
}

// A watch is what compares reports of leaks with the world.
type watch struct {
	*exposure.Service
	w     *world
	inbox *finding.Service
	blind leak.Hasher
}

func (w *world) watch(t *testing.T) *watch {
	t.Helper()
	shelf := inventory.Findings{Store: w.node.Store}
	inbox := finding.New(finding.Options{Store: shelf, Ledger: shelf, Incidents: nobody{}, Rules: exposure.Rules(), Log: w.node.Log, Region: "cn-test", Now: w.clock})
	scanner, err := leak.New(rules.All())
	check(t, err)
	s := exposure.New(exposure.Options{
		Store: inventory.Exposures{Store: w.node.Store}, Marks: kms.Store{Store: w.node.Store}, Secrets: w.secrets, Tenants: w.tenants, Findings: inbox, Rotations: w.Service, Scanner: scanner, Log: w.node.Log, Region: "cn-test", Now: w.clock,
	})
	key, err := s.ScanKey(t.Context(), root())
	check(t, err)
	return &watch{s, w, inbox, leak.NewHasher(nil).Sharing([]byte(key))}
}

// credential answers the parts of what the plan's secret has now.
func (w *world) credential(t *testing.T) map[string]string {
	t.Helper()
	v, err := w.secrets.Get(t.Context(), root(), secret.GetInput{Secret: "pay/key"})
	check(t, err)
	var parts map[string]string
	check(t, json.Unmarshal(v.Data.Expose(), &parts))
	return parts
}

func (x *watch) report(t *testing.T, blind, id string) {
	t.Helper()
	check(t, x.Report(t.Context(), root(), exposure.Report{Origin: "shop", Seen: []exposure.Seen{{Blind: blind, KeyID: id, Rule: "generic-secret", Severity: finding.High, Places: []exposure.Place{{Path: "pay.env", Commit: "abc"}}}}}))
	x.look(t)
}

func (x *watch) look(t *testing.T) {
	t.Helper()
	_, err := x.Handlers()[exposure.JobLook](t.Context(), job.Job{Account: account})
	check(t, err)
}

// findings answers the rules of the findings in a state.
func (x *watch) findings(t *testing.T, state finding.State) (out []string) {
	t.Helper()
	found, _, err := x.inbox.List(t.Context(), root(), finding.Query{State: state, Limit: 10})
	check(t, err)
	for _, f := range found {
		out = append(out, f.Rule)
	}
	return out
}

func (w *world) onLeak(t *testing.T) {
	t.Helper()
	p, err := w.Plan(t.Context(), root(), "pay")
	check(t, err)
	p.Plan.Care.OnLeak = true
	_, err = w.SavePlan(t.Context(), root(), p.Plan)
	check(t, err)
}

// The loop closes: a value that was found in a repository is replaced within the hour on every
// node, without an outage, and its finding ends by itself. Reporting it again begins nothing.
func TestALeakedKeyIsReplaced(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.onLeak(t)
	x, old := w.watch(t), w.credential(t)
	x.report(t, x.blind.Mark([]byte(old["key_secret"])), "")
	r := w.rotation(t)
	if r.Terms.Profile != rotation.Emergency || !strings.Contains(r.Cause, "leaked") {
		t.Fatalf("it is %+v", r)
	}
	f, _, err := x.inbox.List(t.Context(), root(), finding.Query{State: finding.Open, Limit: 10})
	check(t, err)
	has := func(name, value string) bool {
		return slices.ContainsFunc(f[0].Evidence, func(e notify.Fact) bool { return e.Name == name && strings.Contains(e.Value, value) })
	}
	if len(f) != 1 || !has("rotation", r.ID) || !has("plan", "pay") || !has("nodes", "shop-0, shop-1, shop-2") || !has("commit", "abc") {
		t.Errorf("have %+v", f)
	}
	x.look(t)
	r = w.until(t, rotation.Done, 30*time.Second)
	if took := r.EndedAt.Sub(r.CreatedAt); took > time.Hour {
		t.Errorf("it took %s", took)
	}
	w.pass(t, time.Minute, 10*time.Second)
	w.whole(t, r.New.ID)
	x.report(t, x.blind.Mark([]byte(old["key_secret"])), "")
	if got := x.findings(t, finding.Resolved); !slices.Equal(got, []string{"LK01"}) {
		t.Errorf("resolved: %v, open: %v", got, x.findings(t, finding.Open))
	}
	if again := w.rotation(t); again.ID != r.ID {
		t.Errorf("another one began: %+v", again)
	}
}

// Whatever is wrong with the plan that should replace it, a leak is told, and why nothing began.
func TestALeakIsToldWithoutItsRollout(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.onLeak(t)
	x, parts := w.watch(t), w.credential(t)
	ro, err := w.rollouts.Rollout(t.Context(), root(), "pay")
	check(t, err)
	row := bound.Row{Table: "rollout", Keys: 2, Rev: &ro.Rev, Columns: []bound.Column{bound.Text("account", &ro.Account), bound.Text("name", &ro.Name)}}
	check(t, w.node.Store.Mutate(t.Context(), storetest.Record("RemoveRollout"), func(ctx context.Context, tx *bound.Tx) error {
		return tx.Remove(ctx, row) // as earlier versions let it go
	}))
	x.report(t, x.blind.Mark([]byte(parts["key_secret"])), "")
	found, _, err := x.inbox.List(t.Context(), root(), finding.Query{State: finding.Open, Limit: 10})
	check(t, err)
	told := func(e notify.Fact) bool { return e.Name == "refused" && strings.Contains(e.Value, `no rollout "pay"`) }
	if len(found) != 1 || !slices.ContainsFunc(found[0].Evidence, told) {
		t.Errorf("told is %+v", found)
	}
}

// What keeps a rotation from beginning for a moment is not told as a refusal: the leak is told, and
// the look fails, so that it comes again within minutes.
func TestALeakedKeyIsReplacedAfterAMoment(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.onLeak(t)
	x, parts := w.watch(t), w.credential(t)
	check(t, x.Report(t.Context(), root(), exposure.Report{Origin: "shop", Seen: []exposure.Seen{{
		Blind: x.blind.Mark([]byte(parts["key_secret"])), Rule: "generic-secret", Severity: finding.High, Places: []exposure.Place{{Path: "pay.env"}},
	}}}))
	for _, away := range []error{
		tooBusy(), errors.New("the connection was reset"), fault.Unavailable.New("the database cannot be read now; try again"),
		fault.Changed.New("somebody else changed it"), fault.ResourceExists.New("a rotation of plan pay is under way already"),
	} {
		w.refuses = func(*rotation.Rotation) error { return away }
		if _, err := x.Handlers()[exposure.JobLook](t.Context(), job.Job{Account: account}); !errors.Is(err, away) {
			t.Errorf("the look answers %v, not %v", err, away)
		}
		found, _, err := x.inbox.List(t.Context(), root(), finding.Query{State: finding.Open, Limit: 10})
		check(t, err)
		if len(found) != 1 || slices.ContainsFunc(found[0].Evidence, func(e notify.Fact) bool { return e.Name == "refused" || e.Name == "rotation" }) {
			t.Errorf("%v: told is %+v", away, found)
		}
	}
	w.refuses = nil
	x.look(t)
	if r := w.rotation(t); r.Terms.Profile != rotation.Emergency {
		t.Errorf("it is %+v", r)
	}
}

// What is no proof begins nothing: an id, an id with a made-up secret, a leak that a person
// accepts; nor does anything begin of a plan that does not say so.
func TestWhatBeginsNoRotation(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	x, parts := w.watch(t), w.credential(t)
	none := func(what string) {
		t.Helper()
		if some, err := w.Rotations(t.Context(), root(), "", 10); err != nil || len(some) > 0 {
			t.Fatalf("%s: %+v, %v", what, some, err)
		}
	}
	proof := x.blind.Mark([]byte(parts["key_secret"]))
	x.report(t, proof, "")
	none("nobody turned it on")
	found, _, err := x.inbox.List(t.Context(), root(), finding.Query{State: finding.Open, Limit: 10})
	check(t, err)
	_, err = x.inbox.Suppress(t.Context(), root(), found[0].ID, finding.Verdict{Owner: "ann", Reason: "known", Until: w.clock().Add(time.Hour)})
	check(t, err)
	w.onLeak(t)
	x.look(t)
	none("accepted")
	x.report(t, "", parts["key_id"])
	none("an id")
	x.report(t, x.blind.Mark([]byte("made-up-0123456789-abcdefg")), parts["key_id"])
	none("an id with something")
	x.report(t, x.blind.Mark([]byte(parts["key_id"])), "")
	none("an id that was taken for a secret")
	w.pass(t, 2*time.Hour, time.Hour) // the acceptance ends
	x.look(t)
	if r := w.rotation(t); r.Terms.Profile != rotation.Emergency {
		t.Errorf("it is %+v", r)
	}
}
