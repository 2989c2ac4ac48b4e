package engine_test

import (
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A provider stays while a plan names it, whether or not a rotation is under way. What is removed
// then is not taken for solved.
func TestAProviderThatPlansNameStays(t *testing.T) {
	w, ctx := newWorld(t, storetest.SQLite(t)), t.Context()
	refused := func(when string) {
		t.Helper()
		if err := w.stock.Remove(ctx, root(), "pay"); !fault.Is(err, fault.ResourceInUse) || !strings.Contains(err.Error(), "provider pay: pay;") {
			t.Errorf("%s: %v", when, err)
		}
		if _, err := w.stock.Get(ctx, root(), "pay"); err != nil {
			t.Errorf("%s, it is gone: %v", when, err)
		}
	}
	refused("before")
	_, err := w.Start(ctx, root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	refused("meanwhile")
	_, err = w.RollBack(ctx, root(), "pay", "test")
	check(t, err)
	w.until(t, rotation.Aborted, 1)
	key := w.alive()[0]
	check(t, w.DeletePlan(ctx, root(), "pay"))
	if why, err := w.stock.Over(ctx, account, "pay", key); why != "" || err != nil {
		t.Errorf("while it is watched: %q, %v", why, err)
	}
	check(t, w.stock.Remove(ctx, root(), "pay"))
	for _, id := range []string{key, ""} {
		if why, err := w.stock.Over(ctx, account, "pay", id); why != "unwatched" || err != nil {
			t.Errorf("after it was removed: %q, %v", why, err)
		}
	}
}

// Nor is a rollout removed that a plan names: its next rotation would find no nodes.
func TestARolloutThatPlansNameStays(t *testing.T) {
	w, ctx := newWorld(t, storetest.SQLite(t)), t.Context()
	err := w.rollouts.Remove(ctx, root(), "pay")
	if !fault.Is(err, fault.ResourceInUse) || !strings.Contains(err.Error(), "rollout pay: pay;") {
		t.Errorf("it answers %v", err)
	}
	if _, err := w.rollouts.Rollout(ctx, root(), "pay"); err != nil {
		t.Errorf("it is gone: %v", err)
	}
	_, err = w.rollouts.Create(ctx, root(), "unplanned", rollout.Draft{Secret: "pay/key"})
	check(t, err)
	check(t, w.rollouts.Remove(ctx, root(), "unplanned"))
	check(t, w.DeletePlan(ctx, root(), "pay"))
	check(t, w.rollouts.Remove(ctx, root(), "pay"))
}
