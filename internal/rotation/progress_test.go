package rotation_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A perfect world does at once whatever a rotation asks for, and a person every other thing.
type perfect struct {
	r     rotation.Rotation
	now   time.Time
	keys  []rotation.Held
	steps []rotation.Step
}

func begin(a rotation.Archetype, waves ...string) *perfect {
	m := rotation.Means{Archetype: a, Listed: true, Tagged: true, Verifies: true}
	if a == rotation.Manual || a == rotation.Counterparty {
		m = rotation.Means{Archetype: a}
	}
	p := &perfect{now: noon, keys: []rotation.Held{{ID: "old", Status: accesskey.Active}}, r: rotation.Rotation{
		ID: "0123456789abcdef", Plan: "p", Machine: rotation.Machine, Step: rotation.Waiting, Since: noon, StartAt: noon, CreatedAt: noon,
		Terms: rotation.Terms{Means: m, Profile: rotation.Planned, Confirm: time.Minute}, Old: rotation.Key{ID: "old", Version: "v1"},
	}}
	for _, w := range waves {
		p.r.Terms.Waves = append(p.r.Terms.Waves, rotation.WaveTerms{Name: w, Bake: time.Minute})
	}
	p.steps = []rotation.Step{p.r.Step}
	return p
}

// run goes on until the rotation is over or stands at a step.
func (p *perfect) run(t *testing.T, until rotation.Step) {
	t.Helper()
	var o *rotation.Outcome
	for range 500 {
		var act rotation.Act
		p.r, act = rotation.Decide(p.r, rotation.Sight{Outcome: o, Wave: rollout.Census{Members: 1, There: 1}, All: rollout.Census{Members: 1, There: 1, LastAck: p.now}}, p.now)
		p.note()
		if p.r.Over() || p.r.Step == until {
			return
		}
		if p.r.Halt != "" {
			t.Fatalf("halted at %s: %s, %s", p.r.Step, p.r.Halt, p.r.Detail)
		}
		o = p.do(t, act)
	}
	t.Fatalf("it does not end; it is at %s: %s", p.r.Step, p.r.Trouble)
}

func (p *perfect) note() {
	if p.steps[len(p.steps)-1] != p.r.Step {
		p.steps = append(p.steps, p.r.Step)
	}
}

func (p *perfect) do(t *testing.T, act rotation.Act) *rotation.Outcome {
	t.Helper()
	o := &rotation.Outcome{Act: act.Kind, Result: rotation.Did}
	switch act.Kind {
	case rotation.Wait:
		var err error
		switch p.r.Trouble {
		case rotation.NeedsKey:
			p.r, err = p.r.Entered(rotation.Key{ID: "new", Version: "v2"}, "me", p.now)
		case rotation.NeedsHand:
			p.r, err = p.r.Confirm("me", p.now)
		}
		if err != nil {
			t.Fatal(err)
		}
		p.note()
		p.now = p.now.Add(time.Hour)
		return nil
	case rotation.Proceed:
		return nil
	case rotation.Look:
		o.Keys = p.keys
	case rotation.Verify:
		o.Verdict = rotation.Accepted
	case rotation.Create:
		o.Key = rotation.Key{ID: "new", Version: "v2"}
		p.keys = append(p.keys, rotation.Held{ID: "new", Tag: p.r.Tag(act.Attempt), Status: accesskey.Active})
	case rotation.Delete:
		p.keys = slices.DeleteFunc(p.keys, func(k rotation.Held) bool { return k.ID == act.Key.ID })
	case rotation.Disable, rotation.Enable:
		i := slices.IndexFunc(p.keys, func(k rotation.Held) bool { return k.ID == act.Key.ID })
		p.keys[i].Status = map[rotation.ActKind]accesskey.Status{rotation.Disable: accesskey.Inactive, rotation.Enable: accesskey.Active}[act.Kind]
	}
	return o
}

var archetypes = []rotation.Archetype{
	rotation.Pair, rotation.Multi, rotation.FixedOverlap, rotation.Pending, rotation.Promote, rotation.Counterparty, rotation.Manual, rotation.Roll,
}

// The route that people are shown is the way that a rotation goes, with nodes and without.
func TestRouteIsTheWay(t *testing.T) {
	for _, a := range archetypes {
		for _, waves := range [][]string{nil, {"canary", "rest"}} {
			p := begin(a, waves...)
			route := p.r.Route()
			if p.run(t, ""); p.r.Step != rotation.Done {
				t.Errorf("%s ended at %s", a, p.r.Step)
			}
			if diff := cmp.Diff(route, p.steps); diff != "" {
				t.Errorf("%s with the waves %v (-shown +gone):\n%s", a, waves, diff)
			}
		}
	}
}

// On its way back it shows the steps back, wherever it turns.
func TestRouteBackIsTheWay(t *testing.T) {
	turned := 0
	for _, a := range archetypes {
		for _, waves := range [][]string{nil, {"canary", "rest"}} {
			for _, from := range begin(a, waves...).r.Route() {
				p := begin(a, waves...)
				p.run(t, from)
				back, err := p.r.Rollback("me", "a test", p.now)
				if err != nil {
					if p.r.CanGoBack(p.now) {
						t.Errorf("%s at %s cannot go back: %v", a, from, err)
					}
					continue
				}
				turned++
				p.r, p.steps = back, []rotation.Step{from}
				p.r, _ = rotation.Decide(p.r, rotation.Sight{}, p.now)
				p.steps = append(p.steps, p.r.Step)
				route := p.r.Route()
				if p.run(t, ""); p.r.Step != rotation.Aborted {
					t.Errorf("%s turned at %s ended at %s", a, from, p.r.Step)
				}
				if diff := cmp.Diff(route, p.steps[1:]); diff != "" {
					t.Errorf("%s turned at %s with the waves %v (-shown +gone):\n%s", a, from, waves, diff)
				}
				if diff := cmp.Diff(route, p.r.Route()); diff != "" {
					t.Errorf("%s turned at %s shows another way when it is over:\n%s", a, from, diff)
				}
			}
		}
	}
	if turned < 60 {
		t.Errorf("only %d rotations turned", turned)
	}
}

// Each wave has its times; the one under way those that hold now.
func TestPassagesOfWaves(t *testing.T) {
	p := begin(rotation.Pair, "canary", "rest")
	p.run(t, rotation.Settling)
	got := p.r.Passages()
	if len(got) != 2 || got[0].Name != "canary" || got[1].Name != "rest" {
		t.Fatalf("the waves are %+v", got)
	}
	if c, r := got[0], got[1]; c.Published.IsZero() || c.Confirmed.Before(c.Published) || !r.Published.After(c.Confirmed) || r.Confirmed.Before(r.Published) {
		t.Errorf("the waves were taken at %+v", got)
	}
	p = begin(rotation.Pair, "canary", "rest")
	p.run(t, rotation.Rolling)
	if got := p.r.Passages(); !got[0].Published.IsZero() || !got[1].Published.IsZero() {
		t.Errorf("before anything is published: %+v", got)
	}
}
