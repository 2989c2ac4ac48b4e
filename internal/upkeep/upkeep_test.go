package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/upkeep"
)

const day = 24 * time.Hour

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A world is an account with keys, of which some were used.
type world struct {
	keys  []key.Key
	used  map[key.ID]time.Time
	since time.Time
	torn  key.ID // whose count cannot be read
	told  map[string]notify.Condition
}

func (w *world) Keys(_ context.Context, _ string, _ key.Filter, p key.Page) ([]key.Key, int, error) {
	return w.keys[min((p.Number-1)*p.Size, len(w.keys)):min(p.Number*p.Size, len(w.keys))], len(w.keys), nil
}

func (w *world) LastUsed(_ context.Context, k key.Key) (last, since time.Time, err error) {
	if k.ID == w.torn {
		return last, since, errors.New("the row was tampered with")
	}
	return w.used[k.ID], w.since, nil
}

func (w *world) Reconcile(_ context.Context, _ string, ours func(string) bool, conditions map[string]notify.Condition) error {
	w.told = conditions
	for name := range conditions {
		if !ours(name) {
			return fmt.Errorf("%s is somebody else's", name)
		}
	}
	return nil
}

// look answers what is told, by condition: kind and severity.
func (w *world) look(t *testing.T) map[string]string {
	t.Helper()
	s := upkeep.New(upkeep.Options{Keys: w, Uses: w, Incidents: w, Now: func() time.Time { return noon }})
	again, err := s.Handlers()[upkeep.JobLook](t.Context(), job.Job{Kind: upkeep.JobLook, Account: "1"})
	if err != nil || !again.After(noon) {
		t.Fatalf("%v, again at %v", err, again)
	}
	out := map[string]string{}
	for name, c := range w.told {
		out[name] = fmt.Sprint(c.Kind, " ", c.Subject, " ", c.Severity)
		if !c.Deadline.IsZero() { // the plan says how severe it is
			out[name] = fmt.Sprint(c.Kind, " ", c.Subject, " ", c.Deadline)
		}
	}
	return out
}

func aged(id key.ID, state key.State) key.Key {
	return key.Key{Account: "1", ID: id, State: state, CreatedAt: noon.Add(-200 * day)}
}

func TestWhatIsTold(t *testing.T) {
	w := &world{since: noon.Add(-100 * day), used: map[key.ID]time.Time{"used": noon.Add(-89 * day), "idle": noon.Add(-90 * day)}}
	late, soon, off := aged("late", key.Enabled), aged("soon", key.Enabled), aged("off", key.Disabled)
	late.Rotation = key.Rotation{Enabled: true, Interval: 30 * day, Last: noon.Add(-30*day - 2*time.Hour)}
	soon.Rotation = key.Rotation{Enabled: true, Interval: 30 * day, Last: noon.Add(-30 * day)}
	off.Rotation = late.Rotation
	for _, id := range []key.ID{"late", "soon"} {
		w.used[id] = noon
	}
	gone := aged("gone", key.PendingDeletion)
	gone.DeleteAt = noon.Add(7 * day)
	going := aged("going", key.PendingDeletion)
	going.DeleteAt = noon.Add(8 * day)
	imported, empty := aged("imported", key.Enabled), aged("empty", key.PendingImport)
	imported.ExpireAt, empty.ExpireAt, empty.Empty = noon.Add(20*day), noon.Add(day), true
	w.used["imported"] = noon
	young := aged("young", key.Enabled)
	young.CreatedAt = noon.Add(-89 * day)
	w.keys = []key.Key{late, soon, off, gone, going, imported, empty, young, aged("used", key.Enabled), aged("idle", key.Enabled), aged("never", key.Enabled)}
	want := map[string]string{
		"upkeep/late": fmt.Sprint(notify.KMSRotation, " late ", message.Warning), "upkeep/gone": fmt.Sprint(notify.KMSDeletion, " gone ", message.Warning),
		"upkeep/imported": fmt.Sprint(notify.KMSMaterial, " imported ", noon.Add(20*day)),
		"upkeep/unused":   fmt.Sprint(notify.KMSUnused, " 2 ", message.Info),
	}
	if diff := cmp.Diff(want, w.look(t)); diff != "" {
		t.Errorf("-want +told\n%s", diff)
	}
	w.since = noon.Add(-89 * day) // nobody can know that a key was not used before
	delete(want, "upkeep/unused")
	if diff := cmp.Diff(want, w.look(t)); diff != "" {
		t.Errorf("when the counting is young: -want +told\n%s", diff)
	}
}

// A count that cannot be read keeps nobody from being told of what is urgent.
func TestCountThatCannotBeRead(t *testing.T) {
	gone := aged("gone", key.PendingDeletion)
	gone.DeleteAt = noon.Add(day)
	w := &world{since: noon.Add(-100 * day), torn: "torn", keys: []key.Key{aged("torn", key.Enabled), aged("never", key.Enabled), gone}}
	s := upkeep.New(upkeep.Options{Keys: w, Uses: w, Incidents: w, Now: func() time.Time { return noon }})
	_, err := s.Handlers()[upkeep.JobLook](t.Context(), job.Job{Kind: upkeep.JobLook, Account: "1"})
	if err == nil || !strings.Contains(err.Error(), "torn") {
		t.Errorf("the job does not fail for it: %v", err)
	}
	if len(w.told) != 2 || w.told["upkeep/gone"].Kind != notify.KMSDeletion || w.told["upkeep/unused"].Subject != "1" {
		t.Errorf("told %+v", w.told)
	}
}

// However many keys nobody uses, it is one message.
func TestManyUnusedKeys(t *testing.T) {
	w := &world{since: noon.Add(-1000 * day)}
	for i := range 250 {
		w.keys = append(w.keys, aged(key.ID(fmt.Sprint("k", i)), key.Enabled))
	}
	w.look(t)
	c := w.told["upkeep/unused"]
	if len(w.told) != 1 || c.Subject != "250" || len(c.Facts[0].Value) > 200 {
		t.Errorf("told %+v", w.told)
	}
}
