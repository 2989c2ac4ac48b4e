package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A rotation, from its start to its end, while shops pay all the time.
func TestRotation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		old := w.alive()[0]
		if _, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay", Cause: "test"}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"}); !fault.Is(err, fault.StateConflict) {
			t.Errorf("two at once: %v", err)
		}
		r := w.until(t, rotation.Grace, 10*time.Second)
		if len(w.alive()) != 2 {
			t.Errorf("in the grace period there are keys %v", w.alive())
		}
		r = w.until(t, rotation.Done, time.Hour)
		if r.Old.ID != old || r.New.ID == old {
			t.Errorf("replaced %s by %s, want %s replaced", r.Old.ID, r.New.ID, old)
		}
		if took := r.EndedAt.Sub(r.CreatedAt); took < 48*time.Hour {
			t.Errorf("it took %s, less than grace and observation", took)
		}
		w.pass(t, time.Minute, 10*time.Second)
		w.whole(t, r.New.ID)
		p, err := w.Plan(t.Context(), root(), "pay")
		if err != nil || p.Plan.Key != r.New.ID || p.UnderWay != "" {
			t.Errorf("the plan is %+v, %v", p, err)
		}
		if len(w.told.open) != 0 {
			t.Errorf("incidents are open: %v", w.told.open)
		}
	})
}

// From every step before the last one there is a way back.
func TestRollback(t *testing.T) {
	for from, step := range map[rotation.Step]time.Duration{rotation.Rolling: time.Minute, rotation.Grace: 5 * time.Minute, rotation.Observing: 30 * time.Minute} {
		t.Run(string(from), func(t *testing.T) {
			w := newWorld(t, storetest.SQLite(t))
			old := w.alive()[0]
			if _, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"}); err != nil {
				t.Fatal(err)
			}
			w.until(t, from, step)
			w.pass(t, 30*time.Second, 10*time.Second)
			if _, err := w.RollBack(t.Context(), root(), "pay", "test"); err != nil {
				t.Fatal(err)
			}
			w.until(t, rotation.Aborted, time.Minute)
			w.pass(t, time.Minute, 10*time.Second)
			w.whole(t, old)
		})
	}
}

// The answer that holds the new secret is lost: the key without a secret is found and
// deleted, and another one is created.
func TestTheAnswerIsLost(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.platform.Creating.Next(cloudtest.LoseAfter)
	if _, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"}); err != nil {
		t.Fatal(err)
	}
	r := w.until(t, rotation.Done, 10*time.Minute)
	w.pass(t, time.Minute, 10*time.Second)
	w.whole(t, r.New.ID)
	if n := len(w.platform.Lives()); n != 3 || r.Attempt != 2 {
		t.Errorf("%d keys in %d attempts, want 3 in 2:\n%s", n, r.Attempt, history(r))
	}
}

// A repeating issuer would make no second key of one attempt, and remembers what it was asked for.
type repeating struct {
	rotation.Issuer
	tried *[]rotation.Attempt
}

func (r repeating) Means() rotation.Means {
	m := r.Issuer.Means()
	m.Repeats = true
	return m
}

func (r repeating) Create(ctx context.Context, a rotation.Attempt) (rotation.Minted, error) {
	*r.tried = append(*r.tried, a)
	return r.Issuer.Create(ctx, a)
}

// Who recognises a repetition is asked for the very same again, whenever that is.
func TestARepetitionIsTheSame(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	_, err := w.AmendPlan(t.Context(), root(), "pay", func(p *rotation.Plan) error { p.Care.Every = 90 * 24 * time.Hour; return nil })
	check(t, err)
	var tried []rotation.Attempt
	w.wrap = func(i rotation.Issuer) (rotation.Issuer, error) { return repeating{i, &tried}, nil }
	w.platform.Creating.Next(cloudtest.LoseAfter)
	_, err = w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	w.pass(t, 5*time.Minute, 10*time.Second)
	if len(tried) < 2 || tried[0] != tried[1] || tried[0].Expire.IsZero() {
		t.Errorf("it was asked for %+v", tried)
	}
}

// A node that is cut off holds its wave up, people are told, and the rotation goes on when
// it is back.
func TestANodeIsCutOff(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	if _, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"}); err != nil {
		t.Fatal(err)
	}
	w.until(t, rotation.Rolling, 10*time.Second)
	w.shops[2].away = true
	w.pass(t, 2*time.Hour, time.Minute)
	r := w.rotation(t)
	if r.Step != rotation.Rolling || r.Trouble != rotation.NodesBehind || !strings.Contains(r.Detail, "shop-2") {
		t.Fatalf("it is %s, %s: %s", r.Step, r.Trouble, r.Detail)
	}
	if len(w.told.open) != 1 {
		t.Errorf("open incidents: %v", w.told.open)
	}
	w.shops[2].away = false
	r = w.until(t, rotation.Done, 10*time.Minute)
	w.pass(t, time.Minute, 10*time.Second)
	w.whole(t, r.New.ID)
	if len(w.told.open) != 0 {
		t.Errorf("open incidents: %v", w.told.open)
	}
}

// What nodes counted of the old key before a rotation does not speak against the new one.
func TestOldTroublesDoNotCount(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.shops[2].shaken = 10
	w.live(t)
	_, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	r := w.until(t, rotation.Grace, 10*time.Second)
	w.shops[2].shaken = 10
	w.pass(t, time.Minute, 10*time.Second)
	if r = w.rotation(t); r.Back == "" {
		t.Errorf("trouble with the new key is passed over: it is %s\n%s", r.Step, history(r))
	}
}

// A plan that begins by itself is done before its key expires; one that does not raises the
// alarm while there still is time for a careful rotation by hand.
func TestSchedule(t *testing.T) {
	for _, auto := range []bool{true, false} {
		w := newWorld(t, storetest.SQLite(t))
		old := w.alive()[0]
		p, err := w.Plan(t.Context(), root(), "pay")
		if err != nil {
			t.Fatal(err)
		}
		p.Plan.Auto = auto
		if _, err := w.SavePlan(t.Context(), root(), p.Plan); err != nil {
			t.Fatal(err)
		}
		w.pass(t, 9*24*time.Hour+12*time.Hour, 2*time.Hour)
		if auto {
			r := w.rotation(t)
			if r.Step != rotation.Done || r.Old.ID != old || r.Late {
				t.Errorf("it is %s, late %v:\n%s", r.Step, r.Late, history(r))
			}
			w.whole(t, r.New.ID)
			continue
		}
		if _, err := w.Rotation(t.Context(), root(), "pay"); !fault.Is(err, fault.ResourceNotFound) {
			t.Errorf("it began by itself: %v", err)
		}
		if late, ok := w.told.open["rotation-late/pay"]; !ok || !late.Deadline.Equal(p.Expires) && !p.Expires.IsZero() {
			t.Errorf("nobody was told: %+v", w.told.open)
		}
	}
}

// A plan that cannot begin when it is due raises the alarm in time, whatever keeps it from that.
func TestADuePlanThatCannotBegin(t *testing.T) {
	for name, hinder := range map[string]func(*world){
		"waves that are not there any more": func(w *world) {
			_, err := w.rollouts.Update(t.Context(), root(), "pay", rollout.Draft{})
			check(t, err)
		},
		"a source that cannot be opened": func(w *world) {
			w.wrap = func(rotation.Issuer) (rotation.Issuer, error) {
				return nil, fault.InvalidParameter.New("no credential")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storetest.SQLite(t))
			_, err := w.AmendPlan(t.Context(), root(), "pay", func(p *rotation.Plan) error { p.Auto = true; return nil })
			check(t, err)
			hinder(w)
			w.pass(t, 9*24*time.Hour, 2*time.Hour)
			if _, err := w.Rotation(t.Context(), root(), "pay"); !fault.Is(err, fault.ResourceNotFound) {
				t.Errorf("it began: %v", err)
			}
			if _, told := w.told.open["rotation-late/pay"]; !told {
				t.Errorf("people are told of %v", w.told.open)
			}
		})
	}
}

// An emergency needs no approvals and no window, and is over within the hour.
func TestEmergency(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	p, err := w.Plan(t.Context(), root(), "pay")
	if err != nil {
		t.Fatal(err)
	}
	p.Plan.Care.Approve, p.Plan.Care.Waves[1].Approve = true, true
	p.Plan.Care.Windows.Allow = []string{"01-01"}
	if _, err := w.SavePlan(t.Context(), root(), p.Plan); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay", Profile: rotation.Emergency, Cause: "it stood in a repository"}); err != nil {
		t.Fatal(err)
	}
	r := w.until(t, rotation.Done, 30*time.Second)
	if took := r.EndedAt.Sub(r.CreatedAt); took > time.Hour {
		t.Errorf("it took %s:\n%s", took, history(r))
	}
	w.pass(t, time.Minute, 10*time.Second)
	w.whole(t, r.New.ID)
}
