package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A node does not leave a rotation by other labels: it is waited for until somebody takes it out.
func TestNoNodeLeavesByItsLabels(t *testing.T) {
	w, ctx := newWorld(t, storetest.SQLite(t)), t.Context()
	_, err := w.rollouts.Update(ctx, root(), "pay", rollout.Draft{
		Members: []form.Pair{{Name: "tier", Value: "main"}}, Waves: []rollout.Wave{{Name: "canary", Labels: []form.Pair{{Name: "first", Value: "1"}}}, {Name: "all"}},
	})
	check(t, err)
	relabel := func(pairs ...form.Pair) error {
		_, err := w.rollouts.Relabel(ctx, root(), "shop-1", pairs)
		return err
	}
	main, first := form.Pair{Name: "tier", Value: "main"}, form.Pair{Name: "first", Value: "1"}
	check(t, relabel(main, first))
	w.pass(t, time.Minute, 10*time.Second)
	_, err = w.Start(ctx, root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	w.until(t, rotation.Rolling, 10*time.Second)
	for what, pairs := range map[string][]form.Pair{"out of it": {first}, "into another wave": {main}} {
		if err := relabel(pairs...); !fault.Is(err, fault.StateConflict) || !strings.Contains(err.Error(), "keyward node drain shop-1") {
			t.Errorf("%s: %v", what, err)
		}
	}
	check(t, relabel(main, first, form.Pair{Name: "more", Value: "1"}))
	_, err = w.rollouts.Drain(ctx, root(), "shop-1")
	check(t, err)
	check(t, relabel(first))
}
