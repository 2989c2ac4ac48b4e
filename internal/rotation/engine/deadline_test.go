package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/rotation/span"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A plan whose rotations cannot end in time is refused, and what was stored stays.
func TestAPlanThatCannotMeetItsDeadline(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.pass(t, time.Minute, time.Minute) // the inventory learns when the key expires: in ten days
	before, err := w.Plan(t.Context(), root(), "pay")
	check(t, err)
	if before.Expires.IsZero() {
		t.Fatal("nobody knows when the key expires")
	}
	for name, spoil := range map[string]func(*rotation.Care){
		"its waves take longer than the key lives":   func(c *rotation.Care) { c.Waves[0].Bake = 11 * 24 * time.Hour },
		"a rotation takes longer than keys live":     func(c *rotation.Care) { c.Every = 2 * 24 * time.Hour },
		"both keys are to work for longer than that": func(c *rotation.Care) { c.Grace = 10 * 24 * time.Hour },
	} {
		p := w.plan()
		p.Rev = before.Plan.Rev
		spoil(&p.Care)
		if _, err := w.SavePlan(t.Context(), root(), p); err == nil || !strings.Contains(err.Error(), "shorten bake") {
			t.Errorf("%s: %v", name, err)
		}
		_, err := w.AmendPlan(t.Context(), root(), "pay", func(p *rotation.Plan) error { spoil(&p.Care); return nil })
		if err == nil {
			t.Errorf("%s: it is amended", name)
		}
		after, err := w.Plan(t.Context(), root(), "pay")
		check(t, err)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: something was stored: %s", name, diff)
		}
	}
	check(t, w.DeletePlan(t.Context(), root(), "pay"))
	p := w.plan()
	p.Care.Waves[1].Bake = 11 * 24 * time.Hour
	if _, err := w.SavePlan(t.Context(), root(), p); !fault.Is(err, fault.StateConflict) {
		t.Errorf("a new plan: %v", err)
	}
	if all, err := w.Plans(t.Context(), root()); err != nil || len(all) != 0 {
		t.Errorf("stored are %v, %v", all, err)
	}
	w.pass(t, 11*24*time.Hour, 12*time.Hour) // the key is dead: nothing can be in time, and a plan is needed all the more
	if _, err := w.SavePlan(t.Context(), root(), p); err != nil {
		t.Errorf("of a dead key: %v", err)
	}
	if all, err := w.Plans(t.Context(), root()); err != nil || len(all) != 1 {
		t.Errorf("made anew it is %v, %v", all, err)
	}
}

// A start is refused when the grace period does not fit into the life of the old key, too, and
// says what does not fit, by how much, and both ways out; each of them is one.
func TestAStartThatIsTooLateForItsGrace(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.pass(t, time.Minute, time.Minute)
	w.pass(t, 9*24*time.Hour+14*time.Hour, 2*time.Hour) // ten hours are left
	start := func(in engine.StartInput) error {
		in.Plan = "pay"
		_, err := w.Start(t.Context(), root(), in)
		return err
	}
	err := start(engine.StartInput{})
	if !fault.Is(err, fault.StateConflict) {
		t.Fatalf("it began: %v", err)
	}
	for _, said := range []string{"15h16m0s longer", "windows take 0s", "the waves 1h15m0s", "grace 24h0m0s", "shorten bake, confirm and grace", "--late", "--emergency"} {
		if !strings.Contains(err.Error(), said) {
			t.Errorf("it does not say %q: %v", said, err)
		}
	}
	for name, begin := range map[string]func() error{
		"late":            func() error { return start(engine.StartInput{Late: true}) },
		"as an emergency": func() error { return start(engine.StartInput{Profile: rotation.Emergency}) },
		"with a shorter grace": func() error {
			_, err := w.AmendPlan(t.Context(), root(), "pay", func(p *rotation.Plan) error { p.Care.Grace = 8 * time.Hour; return nil })
			check(t, err)
			return start(engine.StartInput{})
		},
	} {
		if err := begin(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.RollBack(t.Context(), root(), "pay", "test"); err != nil {
			t.Fatal(err)
		}
		w.until(t, rotation.Aborted, time.Second)
	}
	_, err = w.AmendPlan(t.Context(), root(), "pay", func(p *rotation.Plan) error {
		p.Care.Windows = span.Windows{Allow: []string{"00:00-01:00"}, Unless: time.Second}
		return nil
	})
	if err == nil || strings.Contains(err.Error(), "windows take 0s") {
		t.Errorf("a window that opens too late: %v", err)
	}
}

// A rotation that waits for a window says until when, and nobody is woken for it.
func TestAWindowIsWaitedFor(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	_, err := w.AmendPlan(t.Context(), root(), "pay", func(p *rotation.Plan) error {
		p.Care.Windows = span.Windows{Zone: "Asia/Shanghai", Allow: []string{"02:00-04:00"}}
		return nil
	})
	check(t, err)
	_, err = w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	w.pass(t, time.Minute, time.Minute)
	opens := time.Date(2026, 3, 1, 18, 0, 0, 0, time.UTC)
	if r := w.rotation(t); r.Step != rotation.Waiting || !r.OpensAt.Equal(opens) {
		t.Errorf("it is %s and waits until %s", r.Step, r.OpensAt)
	}
	if len(w.told.open) != 0 {
		t.Errorf("people are told: %v", w.told.open)
	}
	w.pass(t, 6*time.Hour, 10*time.Minute)
	if r := w.rotation(t); r.Step == rotation.Waiting || !r.OpensAt.IsZero() {
		t.Errorf("it is %s and waits until %s", r.Step, r.OpensAt)
	}
}

// When a rotation cannot end any more before its key dies people are told just that, whatever
// else they are told, with what is known and what to do; and when it is over, that it is.
func TestItCannotEndInTime(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.pass(t, time.Minute, time.Minute)
	_, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	w.until(t, rotation.Rolling, 10*time.Second)
	w.shops[2].away = true
	w.pass(t, 8*24*time.Hour+12*time.Hour, 2*time.Hour)
	if _, told := w.told.open["rotation-missed/pay"]; told {
		t.Error("people are told while there is time")
	}
	w.pass(t, 12*time.Hour, time.Hour) // a day is left: for the grace or for the wave
	r := w.rotation(t)
	missed, told := w.told.open["rotation-missed/pay"]
	if !told || !r.Late || missed.Kind != notify.RotationMissed || !missed.Deadline.Equal(r.FinishBy) {
		t.Fatalf("late: %t; people are told of %v", r.Late, w.told.open)
	}
	for _, known := range []string{r.Old.ID, "shop-2", "{reason late ", "{fix keyward rotation status pay "} {
		if !strings.Contains(fmt.Sprint(missed.Facts), known) {
			t.Errorf("they are not told of %s: %v", known, missed.Facts)
		}
	}
	if _, told := w.told.open["rotation-stuck/pay"]; !told {
		t.Error("they are not told of the node any more")
	}
	w.shops[2].away = false
	w.until(t, rotation.Done, 10*time.Minute)
	w.pass(t, time.Minute, 10*time.Second)
	if len(w.told.open) != 0 {
		t.Errorf("open incidents: %v", w.told.open)
	}
}
