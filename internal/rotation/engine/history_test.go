package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/storetest"
)

// The audit log has every event of a rotation, also of one whose history is as long as it may be.
func TestALongHistoryIsOnRecord(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	_, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	r := w.rotation(t)
	for n := len(r.History); n < rotation.MaxHistory; n++ {
		r.History = append(r.History, rotation.Event{At: w.clock(), Step: r.Step, Text: fmt.Sprint("failed ", n)})
	}
	check(t, fleet.Rotations{Store: w.node.Store}.SaveRotation(t.Context(), storetest.Record("Test"), &r, nil, nil))
	w.events = nil
	w.until(t, rotation.Done, 10*time.Minute)
	want := map[string]bool{"step rehearsing": true, "published canary": true, "confirmed all": true, "step done": true}
	for _, text := range w.events {
		delete(want, text)
	}
	if len(want) > 0 || len(w.events) > 100 {
		t.Errorf("%d events are on record, and not %v: %q", len(w.events), want, w.events)
	}
}
