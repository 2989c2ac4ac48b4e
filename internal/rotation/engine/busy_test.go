package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A busy store is that of a server whose audit log does not get round to everything.
type busy struct {
	engine.Store
	w *world
}

// tooBusy is what the audit log answers then.
func tooBusy() error {
	return fault.AuditUnavailable.New("the audit log could not be written in time; nothing was done; try again")
}

func (b busy) SaveRotation(ctx context.Context, rec *audit.Record, r *rotation.Rotation, p *rotation.Plan, jobs []job.Job) error {
	if b.w.refuses != nil {
		if err := b.w.refuses(r); err != nil {
			return err
		}
	}
	for _, p := range rec.Params {
		if name, _, _ := strings.Cut(p.Name, "#"); name == "Event" {
			b.w.events = append(b.w.events, p.Value)
		}
	}
	return b.Store.SaveRotation(ctx, rec, r, p, jobs)
}

// Tenant implements engine.Tenants.
func (w *world) Tenant(ctx context.Context, account string) (material.Wrapper, error) {
	if w.opens > 0 {
		w.opens--
		return nil, tooBusy()
	}
	return w.tenants.Tenant(ctx, account)
}

// What came of an act is not given up when the server is too busy to store it: nothing is
// waited out and looked for that was known.
func TestOutcomesOutliveABusyLog(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	_, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	acts, refused := false, 0 // the last rotation that was stored has an intent
	w.refuses = func(r *rotation.Rotation) error {
		if acts && r.Intent == nil {
			acts = false
			refused++
			return tooBusy()
		}
		acts = r.Intent != nil
		return nil
	}
	r := w.until(t, rotation.Done, time.Hour)
	w.pass(t, time.Minute, 10*time.Second)
	w.whole(t, r.New.ID)
	if text := history(r); refused != 4 || strings.Contains(text, "unclear") || strings.Contains(text, "failed") {
		t.Errorf("%d outcomes were refused, and it tells:\n%s", refused, text)
	}
}

// That the server is too busy to look uses up no try of a rotation, and no person is asked.
func TestLooksOutliveABusyLog(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	_, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	w.opens = 20
	began := w.clock()
	r := w.until(t, rotation.Rolling, time.Minute)
	if text := history(r); w.opens != 0 || strings.Contains(text, "failed") || strings.Contains(text, "halted") {
		t.Errorf("%d times too busy are left, and it tells:\n%s", w.opens, text)
	}
	if took := w.clock().Sub(began); took < time.Hour {
		t.Errorf("20 looks in vain took %s: they do not come ever later", took)
	}
}

// Of a plan that is deleted while a rotation of it begins no rotation is under way, which nobody
// could end and which would keep the rollout for ever: the one or the other is refused.
func TestNoRotationIsOfAPlanThatIsGone(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	stored := fleet.Rotations{Store: w.node.Store}
	w.refuses = func(*rotation.Rotation) error { return w.DeletePlan(t.Context(), root(), "pay") }
	if _, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"}); !fault.Is(err, fault.Changed) {
		t.Errorf("a rotation of a plan that is deleted meanwhile: %v", err)
	}
	w.refuses = nil
	if r, found, err := stored.UnderWay(t.Context(), account, "pay"); found || err != nil {
		t.Errorf("%+v is under way, %v", r, err)
	}
	_, err := w.SavePlan(t.Context(), root(), w.plan())
	check(t, err)
	seen, err := stored.Plan(t.Context(), account, "pay")
	check(t, err)
	_, err = w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	if err := stored.DeletePlan(t.Context(), storetest.Record("DeleteRotationPlan"), &seen); !fault.Is(err, fault.Changed) {
		t.Errorf("deleting a plan of which a rotation has begun meanwhile: %v", err)
	}
	if err := w.DeletePlan(t.Context(), root(), "pay"); !fault.Is(err, fault.StateConflict) {
		t.Errorf("deleting a plan of which a rotation is under way: %v", err)
	}
}
