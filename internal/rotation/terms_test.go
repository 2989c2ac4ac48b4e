package rotation_test

import (
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
)

// The latest safe start leaves time for all that a rotation does, for trying again, and for
// people; and what is counted against the old key's life is only what it is needed for.
func TestBudget(t *testing.T) {
	const hour = time.Hour
	care := rotation.DefaultCare()
	care.Waves = []rotation.WaveTerms{{Name: "canary", Bake: hour}, {Name: "all", Bake: 2 * hour}}
	for _, c := range []struct {
		archetype     rotation.Archetype
		needs, budget time.Duration
	}{
		{rotation.Pair, 4*hour + 24*hour, 4*hour + 24*hour + 24*hour + 48*hour + 72*hour},
		{rotation.Manual, 4*hour + 24*hour, 4*hour + 24*hour + 24*hour + 48*hour + 72*hour},
		{rotation.Multi, 4*hour + 24*hour, 4*hour + 24*hour + 48*hour + 72*hour},
		{rotation.FixedOverlap, 4 * hour, 4*hour + 24*hour + 48*hour + 72*hour},
	} {
		terms := rotation.Plan{Care: care}.Terms(rotation.Means{Archetype: c.archetype}, rotation.Planned)
		needs := rotation.Rotation{Terms: terms, Step: rotation.Waiting}.Needs(epoch).Sub(epoch)
		if needs != c.needs || terms.Budget() != c.budget {
			t.Errorf("%s: the old key is needed for %s, want %s; it begins %s before, want %s", c.archetype, needs, c.needs, terms.Budget(), c.budget)
		}
	}
	care.Waves[0].Bake = 60 * hour
	terms := rotation.Plan{Care: care}.Terms(rotation.Means{Archetype: rotation.Multi}, rotation.Planned)
	if want := 2*63*hour + 24*hour + 72*hour; terms.Budget() != want {
		t.Errorf("waves of days get %s, want as long again: %s", terms.Budget(), want)
	}
}

// What was waited already is not waited again: a rotation that keeps to its terms is not
// called late on its way, and when nobody needs the old key any more it is not at all.
func TestNeedsOnTheWay(t *testing.T) {
	const hour = time.Hour
	r := rotation.Rotation{Terms: rotation.Terms{
		Means: rotation.Means{Archetype: rotation.Pair}, Confirm: hour, Grace: 10 * hour, Observe: 24 * hour, Waves: []rotation.WaveTerms{{Bake: 2 * hour}, {Bake: 4 * hour}},
	}}
	for _, c := range []struct {
		name string
		set  func(*rotation.Rotation)
		want time.Duration // from then on; 0 for the old key is not needed
	}{
		{"before", func(r *rotation.Rotation) { r.Step = rotation.Creating }, 18 * hour},
		{"nothing published", func(r *rotation.Rotation) { r.Step = rotation.Rolling }, 18 * hour},
		{"published half an hour ago", func(r *rotation.Rotation) { r.Step, r.Published = rotation.Rolling, epoch.Add(-hour/2) }, 17*hour + hour/2},
		{"published long ago", func(r *rotation.Rotation) { r.Step, r.Published = rotation.Rolling, epoch.Add(-9*hour) }, 17 * hour},
		{"bakes for an hour", func(r *rotation.Rotation) {
			r.Step, r.Published, r.Confirmed = rotation.Rolling, epoch.Add(-2*hour), epoch.Add(-hour)
		}, 16 * hour},
		{"the last wave bakes", func(r *rotation.Rotation) { r.Step, r.Wave, r.Confirmed = rotation.Rolling, 1, epoch.Add(-hour) }, 13 * hour},
		{"settling", func(r *rotation.Rotation) { r.Step = rotation.Settling }, 10 * hour},
		{"grace for three hours", func(r *rotation.Rotation) { r.Step, r.Since = rotation.Grace, epoch.Add(-3*hour) }, 7 * hour},
		{"observing", func(r *rotation.Rotation) { r.Step = rotation.Observing }, 0},
		{"returning", func(r *rotation.Rotation) { r.Step = rotation.Returning }, 0},
	} {
		at := r
		c.set(&at)
		if got := at.Needs(epoch); c.want == 0 && !got.IsZero() || c.want != 0 && !got.Equal(epoch.Add(c.want)) {
			t.Errorf("%s: until %s, want %s from %s", c.name, got, c.want, epoch)
		}
	}
}

// A key that lives shorter than a careful rotation asks for is replaced at half of its life,
// and not again as soon as it is there.
func TestAShortLivedKeyIsNotReplacedWithoutAPause(t *testing.T) {
	p := rotation.Plan{Care: rotation.DefaultCare(), CreatedAt: epoch.Add(-time.Hour), LastAt: epoch}
	terms := p.Terms(rotation.Means{Archetype: rotation.Pair}, rotation.Planned)
	due, latest := p.Due(terms, epoch, epoch.Add(4*24*time.Hour))
	if !due.Equal(epoch.Add(2*24*time.Hour)) || !latest.Before(epoch) {
		t.Errorf("it is due at %s, at the latest %s", due, latest)
	}
	p.LastAt = p.CreatedAt // no rotation has made it: it may be late already
	if due, _ := p.Due(terms, epoch, epoch.Add(4*24*time.Hour)); due.After(epoch) {
		t.Errorf("a key that was found so late is due at %s", due)
	}
}

// What is refused names the step as people are shown it.
func TestRefusalsNameTheStep(t *testing.T) {
	_, err := rotation.Rotation{Step: rotation.Creating}.Approve("p", epoch)
	said := fault.TextOf(err)
	if want := "该轮换没有在等待批准；当前步骤：创建"; said.String() != "the rotation waits for no approval; its state is creating" || said.Chinese() != want {
		t.Errorf("%s; %s", said, said.Chinese())
	}
}
