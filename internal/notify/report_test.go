package notify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/oncall"
	"github.com/keyward/keyward/internal/rotation/phrase"
)

const days = 24 * time.Hour

// each is a channel that tells every person.
func each(f message.Family) message.Traits {
	return message.Traits{Family: f, Reaches: func(r message.Recipient) bool { return r.Email != "" }}
}

func (w *world) person(name string) {
	w.t.Helper()
	if _, err := w.SetPerson(w.t.Context(), root(), oncall.Person{Name: name, Email: name + "@example.com"}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) report(c notify.Condition) notify.Incident {
	w.t.Helper()
	if err := w.Report(w.t.Context(), account, c); err != nil {
		w.t.Fatal(err)
	}
	i, found, err := w.shelf.Watched(w.t.Context(), account, c.Name)
	if err != nil || !found {
		w.t.Fatalf("found %v, %v", found, err)
	}
	return i
}

// Two channels and two people whose names would read the same if they were joined with
// hyphens are told all the same.
func TestDeliveriesAreNotTakenForEachOther(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"mail": each(message.Mail), "mail-ops": each(message.Mail)})
	w.person("li")
	w.person("ops-li")
	p := oncall.DefaultPlan()
	p.Levels = []oncall.Level{{"person:li", "person:ops-li"}}
	if _, err := w.SetPlan(t.Context(), root(), p); err != nil {
		t.Fatal(err)
	}
	i := w.report(expires("expiry/k", noon.Add(20*days)))
	sent, err := w.shelf.Deliveries(t.Context(), account, i.ID)
	if err != nil || len(sent) != 4 {
		t.Errorf("have %d deliveries of 4: %+v, %v", len(sent), sent, err)
	}
}

// told answers who got an alarm of an incident, each as often as they did.
func (w *world) told(i notify.Incident) map[string]int {
	w.t.Helper()
	sent, err := w.shelf.Deliveries(w.t.Context(), account, i.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	n := map[string]int{}
	for _, d := range sent {
		n[d.Person]++
	}
	return n
}

// With the plan that nobody had to make, the owner is told first, everybody when the owner does
// not answer, and everybody at once when it is nearly too late.
func TestEverybodyIsTold(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"mail": each(message.Mail)})
	for _, name := range []string{"ann", "bo", "cy"} {
		w.person(name)
	}
	owned := func(name string, left time.Duration) notify.Condition {
		c := expires(name, noon.Add(left))
		c.Owner = "ann"
		return c
	}
	far, near := w.report(owned("expiry/far", 6*days)), w.report(owned("expiry/near", 2*time.Hour))
	if diff := cmp.Diff(map[string]int{"ann": 1}, w.told(far)); diff != "" {
		t.Error("six days before (-want +have):", diff)
	}
	if diff := cmp.Diff(map[string]int{"ann": 1, "bo": 1, "cy": 1}, w.told(near)); diff != "" {
		t.Error("two hours before (-want +have):", diff)
	}
	w.now = noon.Add(days)
	w.work()
	if diff := cmp.Diff(map[string]int{"ann": 2, "bo": 1, "cy": 1}, w.told(far)); diff != "" {
		t.Error("a day without an answer (-want +have):", diff)
	}
}

// An alarm that reached nobody is not spent: it says so, and it is given when there is somebody.
func TestUnheardAlarms(t *testing.T) {
	for name, left := range map[string]time.Duration{"one that asks for no answer": 20 * days, "an urgent one": 2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]message.Traits{"mail": each(message.Mail)})
			c := expires("expiry/k", noon.Add(left))
			i := w.report(c)
			if !i.Unheard() {
				t.Fatalf("nobody was there, and yet %+v", i)
			}
			w.now = noon.Add(time.Minute)
			if again := w.report(c); again.Rev != i.Rev {
				t.Error("reporting the same again was a change")
			}
			w.person("li")
			w.now = noon.Add(5 * time.Minute)
			w.work()
			if i = w.report(c); i.Unheard() || w.told(i)["li"] != 1 {
				t.Errorf("now there is somebody, and yet %+v", i)
			}
			w.now = noon.Add(10 * time.Minute)
			w.work()
			if n := w.told(i)["li"]; n != 1 {
				t.Errorf("told %d times", n)
			}
		})
	}
}

// What others wrote becomes one line, whatever they wrote, and is reported only once.
func TestHostileTexts(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group()})
	c := notify.Condition{
		Name: "expiry/k", Kind: notify.KeyExpiry, Subject: "pay\r\nBcc: all@example.com\x1b[2J\x00\xff\u202e" + strings.Repeat("长", 5000),
		Deadline: noon.Add(20*days + 1), Facts: []notify.Fact{{Name: "purpose", Value: "a\nb" + strings.Repeat("x", 1<<20)}},
	}
	first := w.report(c)
	if again := w.report(c); again.Rev != first.Rev {
		t.Error("reporting the same again was a change")
	}
	w.work()
	if len(w.fake["plain"].all) != 1 {
		t.Fatalf("told %d times", len(w.fake["plain"].all))
	}
	m := w.fake["plain"].all[0]
	for _, text := range append(m.Lines, m.Title, m.Short, m.Values.Subject) {
		if strings.ContainsAny(text, "\r\n\x00\x1b\u202e") || len([]rune(text)) > 1100 {
			t.Errorf("%.80q of %d bytes", text, len(text))
		}
	}
}

// What a rotation does and why it does not go on is told in words, not in those of the
// protocol.
func TestRotationsAreToldInWords(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group()})
	w.report(notify.Condition{
		Name: "rotation-stuck/pay", Kind: notify.RotationStuck, Subject: "pay", Severity: message.Critical,
		Facts: []notify.Fact{{Name: "step", Value: "grace"}, {Name: "reason", Value: "old-key-used"}, {Name: "detail", Value: "grace"}},
	})
	w.work()
	if len(w.fake["plain"].all) != 1 {
		t.Fatalf("told %d times", len(w.fake["plain"].all))
	}
	text := strings.Join(w.fake["plain"].all[0].Lines, "\n")
	step, reason := phrase.Step("grace"), phrase.Reason("old-key-used")
	if !strings.Contains(text, step.English) && !strings.Contains(text, step.Chinese) || !strings.Contains(text, reason.English) && !strings.Contains(text, reason.Chinese) || strings.Contains(text, "old-key-used") {
		t.Errorf("it is told as %s", text)
	}
}

// A headline needs no subject, and a kind that is not known has one all the same.
func TestHeadlines(t *testing.T) {
	for kind, want := range map[string]string{
		notify.ScanLate: "The scan for expiring keys is incomplete", notify.KeyFinding: "Problem with 100%s", "of-a-newer-release": "100%s",
	} {
		if have := notify.Headline(notify.Incident{Kind: kind, Subject: "100%s"}, message.English, noon); have != want {
			t.Errorf("%s: %q, want %q", kind, have, want)
		}
	}
	for want, i := range map[string]notify.Incident{
		"Key pay expires in 3 h": {Kind: notify.KeyExpiry, Deadline: noon.Add(3 * time.Hour)},
		"Key pay HAS EXPIRED":    {Kind: notify.KeyExpiry, Deadline: noon},
		"The rotation pay needs somebody; its key expires in 3 h":                 {Kind: notify.RotationStuck, Deadline: noon.Add(3 * time.Hour)},
		"The rotation pay cannot finish in time any more; its key HAS EXPIRED":    {Kind: notify.RotationMissed, Deadline: noon},
		"It is too late for a careful rotation of pay; its key expires in 2 days": {Kind: notify.RotationLate, Deadline: noon.Add(48 * time.Hour)},
	} {
		if i.Subject = "pay"; notify.Headline(i, message.English, noon) != want {
			t.Errorf("%q, want %q", notify.Headline(i, message.English, noon), want)
		}
	}
}

// A broken store refuses one condition.
type brokenIncidents struct {
	notify.IncidentStore
	condition string
}

func (b brokenIncidents) SaveIncident(ctx context.Context, rec *audit.Record, i *notify.Incident, d []notify.Delivery, jobs []job.Job) error {
	if i.Condition == b.condition {
		return errors.New("injected")
	}
	return b.IncidentStore.SaveIncident(ctx, rec, i, d, jobs)
}

// One condition that cannot be stored keeps no other one from being told.
func TestReconcileGoesOn(t *testing.T) {
	w := newWorldOf(t, map[string]message.Traits{"plain": group()}, func(o *notify.Options) {
		o.Incidents = brokenIncidents{o.Incidents, "expiry/k7"}
	})
	all := map[string]notify.Condition{}
	for n := range 200 {
		c := expires(fmt.Sprintf("expiry/k%d", n), noon.Add(20*days))
		all[c.Name] = c
	}
	if err := w.Reconcile(t.Context(), account, func(string) bool { return true }, all); err == nil {
		t.Error("the failure was not told")
	}
	open, err := w.Incidents(t.Context(), root(), false)
	if err != nil || len(open) != 199 {
		t.Errorf("%d of 199 incidents, %v", len(open), err)
	}
}

// Who was told of what nobody watches any more is not told that it was put right.
func TestWhatIsNotWatchedAnyMoreIsNotSolved(t *testing.T) {
	for _, why := range []string{"", "unwatched"} {
		for _, kind := range []string{notify.KeyExpiry, notify.ProviderStale} {
			w := newWorldOf(t, map[string]message.Traits{"plain": group()}, func(o *notify.Options) {
				o.Over = func(_ context.Context, _, provider, _ string) (string, error) {
					if provider != "prod" {
						t.Errorf("%s: it asks for provider %q", kind, provider)
					}
					return why, nil
				}
			})
			p := oncall.DefaultPlan()
			p.Lang = message.English
			if _, err := w.SetPlan(t.Context(), root(), p); err != nil {
				t.Fatal(err)
			}
			c := notify.Condition{Name: "of/prod", Kind: kind, Subject: "prod", Severity: message.Critical, Facts: []notify.Fact{{Name: "provider", Value: "prod"}}}
			w.report(c)
			w.work()
			if err := w.End(t.Context(), account, c.Name); err != nil {
				t.Fatal(err)
			}
			w.work()
			last := w.fake["plain"].all[len(w.fake["plain"].all)-1]
			told, lost := last.Title+strings.Join(last.Lines, "\n")+last.Short, why != ""
			if last.Event != message.Resolve || last.Unwatched != lost || strings.Contains(told, "Not watched any more") != lost || strings.Contains(told, "provider was removed") != lost || strings.Contains(last.Title, "Over: ") == lost {
				t.Errorf("%s, over because %q: %+v", kind, why, last)
			}
		}
	}
}

// A plan names people and rotas that there are, and whom it names is not removed.
func TestPlansNameKnownPeople(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group()})
	w.person("li")
	p := oncall.DefaultPlan()
	p.Levels = []oncall.Level{{"owner", "person:li"}, {"person:lo", "rota:night"}, {"person:lo"}}
	_, err := w.SetPlan(t.Context(), root(), p)
	if !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), ": person:lo, rota:night;") {
		t.Errorf("the plan was answered with %v", err)
	}
	if have, err := w.Plan(t.Context(), root()); err != nil || len(have.Levels) != len(oncall.DefaultPlan().Levels) {
		t.Errorf("the plan became %+v, %v", have, err)
	}
	p.Levels = p.Levels[:1]
	if _, err := w.SetPlan(t.Context(), root(), p); err != nil {
		t.Error(err)
	}
	if err := w.RemovePerson(t.Context(), root(), "li"); !fault.Is(err, fault.ResourceInUse) {
		t.Errorf("removing whom the plan names: %v", err)
	}
}

// A plan whose rungs stand elsewhere silences no incident that stays at its place.
func TestAnotherPlanIsFollowed(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group()})
	c := expires("expiry/k", noon.Add(25*days))
	if i := w.report(c); !i.NextAt.IsZero() {
		t.Fatalf("the first rung asks for an answer: %+v", i)
	}
	p := oncall.DefaultPlan()
	p.Rungs = []oncall.Rung{{Left: 30 * days, Severity: message.Critical, Families: []message.Family{message.Mail}, Wait: time.Hour}}
	if _, err := w.SetPlan(t.Context(), root(), p); err != nil {
		t.Fatal(err)
	}
	if i := w.report(c); i.NextAt.IsZero() {
		t.Errorf("nobody looks at it again: %+v", i)
	}
}

// A key without an owner, and a rung whose channels nobody has, are told all the same.
func TestNoAlarmReachesNobody(t *testing.T) {
	t.Run("no owner", func(t *testing.T) {
		w := newWorld(t, map[string]message.Traits{"mail": each(message.Mail)})
		w.person("li")
		w.report(expires("expiry/k", noon.Add(20*days)))
		w.work()
		if len(w.fake["mail"].all) != 1 {
			t.Errorf("told %d times", len(w.fake["mail"].all))
		}
	})
	t.Run("no such channel", func(t *testing.T) {
		w := newWorld(t, map[string]message.Traits{"chat": {Family: message.Chat, Group: true}})
		w.report(expires("expiry/k", noon.Add(20*days)))
		w.work()
		if len(w.fake["chat"].all) != 1 {
			t.Errorf("told %d times", len(w.fake["chat"].all))
		}
	})
}

// What is over for long is forgotten, with what was sent of it; what lasts is not.
func TestOldIncidentsAreForgotten(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group()})
	w.now = noon.Add(-notify.Kept - days)
	over := w.report(expires("expiry/over", w.now.Add(20*days)))
	lasts := w.report(expires("expiry/lasts", w.now.Add(20*days)))
	w.work()
	if err := w.End(t.Context(), account, "expiry/over"); err != nil {
		t.Fatal(err)
	}
	w.work()
	if err := w.Tidy(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if sent, err := w.shelf.Deliveries(t.Context(), account, over.ID); err != nil || len(sent) != 2 {
		t.Errorf("forgotten too early: %+v, %v", sent, err)
	}
	w.now = noon
	if err := w.Tidy(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	for _, i := range []notify.Incident{over, lasts} {
		if sent, err := w.shelf.Deliveries(t.Context(), account, i.ID); err != nil || len(sent) != 0 {
			t.Errorf("%s: %+v, %v", i.Condition, sent, err)
		}
	}
	if ended, err := w.Incidents(t.Context(), root(), true); err != nil || len(ended) != 0 {
		t.Errorf("have %+v, %v", ended, err)
	}
	if open, err := w.Incidents(t.Context(), root(), false); err != nil || len(open) != 1 || open[0].ID != lasts.ID {
		t.Errorf("have %+v, %v", open, err)
	}
}

// Whoever was told is told why it is over, where that is known.
func TestMessagesSayThatAKeyIsGone(t *testing.T) {
	for _, l := range []struct {
		language       message.Language
		line, headline string
	}{
		{message.English, "Over because: the provider does not list the key any more", "Key expiry/gone expires (over 20 days before)"},
		{message.Chinese, "解除原因：来源不再列出该密钥", "密钥 expiry/gone 即将到期（提前 20 天解除）"},
	} {
		w := newWorldOf(t, map[string]message.Traits{"plain": group()}, func(o *notify.Options) {
			o.Over = func(_ context.Context, of, provider, key string) (string, error) {
				if of == account && provider == "prod" && key == "expiry/gone" {
					return "key-gone", nil
				}
				return "", nil
			}
		})
		p := oncall.DefaultPlan()
		p.Lang = l.language
		if _, err := w.SetPlan(t.Context(), root(), p); err != nil {
			t.Fatal(err)
		}
		said := map[string]bool{}
		for _, name := range []string{"expiry/gone", "expiry/later"} {
			c := expires(name, noon.Add(20*days))
			c.Facts = []notify.Fact{{Name: "provider", Value: "prod"}, {Name: "key", Value: name}}
			w.report(c)
			w.work()
			if err := w.End(t.Context(), account, name); err != nil {
				t.Fatal(err)
			}
			w.work()
			last := w.fake["plain"].all[len(w.fake["plain"].all)-1]
			if last.Event != message.Resolve {
				t.Fatalf("%s: have %+v", name, last)
			}
			said[name] = slices.Contains(last.Lines, l.line)
		}
		if diff := cmp.Diff(map[string]bool{"expiry/gone": true, "expiry/later": false}, said); diff != "" {
			t.Error(diff)
		}
		ended, err := w.Incidents(t.Context(), root(), true)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range ended { // as it stood when it ended, whatever the time is
			if have := notify.Headline(i, l.language, noon.Add(40*days)); i.Subject == "expiry/gone" && have != l.headline {
				t.Errorf("have %q", have)
			}
		}
	}
}
