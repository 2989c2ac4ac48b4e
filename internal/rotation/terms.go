package rotation

import (
	"cmp"
	"time"
)

// A Profile is how carefully a key is replaced.
type Profile string

// The profiles.
const (
	Planned   Profile = "planned"   // a day with both keys, and a day with the old one disabled
	Emergency Profile = "emergency" // the old key leaked: minutes, at any time, without approvals
)

// Terms are what a rotation keeps to. They are taken from its plan when it begins, and do
// not change.
type Terms struct {
	Means   Means         `json:"means"`
	Profile Profile       `json:"profile"`
	Waves   []WaveTerms   `json:"waves"`
	Confirm time.Duration `json:"confirm"` // by when every node of a wave should use the new key
	Grace   time.Duration `json:"grace"`   // after the last node does, both keys work
	Quiet   time.Duration `json:"quiet"`   // the old key was not used for so long before it is touched
	Observe time.Duration `json:"observe"` // with the old key disabled
	Gates   Gates         `json:"gates"`
	Approve bool          `json:"approve,omitempty"` // a person approves the start
	Uses    bool          `json:"uses,omitempty"`    // nodes tell of uses
	Call    time.Duration `json:"call,omitempty"`    // see [Terms.CallTime]; 0 for the package's
}

// WaveTerms are the terms of one wave.
type WaveTerms struct {
	Name    string        `json:"name"`
	Bake    time.Duration `json:"bake,omitempty"`    // after its nodes use the new key, before the next wave
	Approve bool          `json:"approve,omitempty"` // a person approves it
}

// Gates are what nodes may report of the new key before a rotation goes back by itself.
type Gates struct {
	Refused   int `json:"refused"`   // times that it was refused
	Fallbacks int `json:"fallbacks"` // uses of the old key in its place
}

// How acts are spaced, unless a plan says how long a call to its provider takes.
const (
	CallTime  = 30 * time.Second // at most, of one act at a provider
	DrainTime = CallTime         // after an act was given up, until it cannot arrive any more
	clockSkew = time.Minute      // between a provider's clock and ours
	pollTime  = 5 * time.Second  // between looks at what nobody tells of
	idleTime  = time.Minute      // between looks at what somebody tells of
	maxTries  = 8                // of one step
	maxBack   = 10 * time.Minute // between two tries
)

// CallTime answers how long an act at the provider may take at most. For as long again an
// act that was given up may still arrive there.
func (t Terms) CallTime() time.Duration { return cmp.Or(t.Call, CallTime) }

// poll answers the time between looks at what nobody tells of: where calls are short,
// nothing is waited for longer than one.
func (t Terms) poll() time.Duration { return min(pollTime, t.CallTime()) }

// idle answers the time between looks at a trouble that somebody was told of.
func (t Terms) idle() time.Duration { return min(idleTime, 2*t.CallTime()) }

// back answers how long to wait after so many failures in a row.
func (t Terms) back(tries int) time.Duration { return min(t.poll()<<min(tries, 10), maxBack) }

// Rolls answers how long it takes from a rotation's start until every node uses the new key, if
// nothing goes wrong and each wave takes all the time that it may.
func (t Terms) Rolls() time.Duration {
	rolls := 5 * t.Means.Activates
	for _, w := range t.Waves {
		rolls += w.Bake + t.Confirm
	}
	return rolls
}

// kept answers how long the old key must work after that: the grace period, but where the
// provider itself says how long.
func (t Terms) kept() time.Duration {
	switch t.Means.Archetype {
	case FixedOverlap, Pending, Roll, Counterparty:
		return 0
	}
	return t.Grace
}

// Whole answers how long a rotation takes from its start to its end, if nothing goes wrong and
// each wave takes all the time that it may.
func (t Terms) Whole() time.Duration {
	whole := t.Rolls() + max(t.Grace, t.Quiet)
	if t.Means.ends() {
		whole = max(whole, t.Means.Overlap)
	}
	if a := t.Means.Archetype; a == Pair || a == Manual {
		whole += t.Observe
	}
	return whole
}

// Budget answers how long before its key dies a rotation should begin at the latest: what it
// takes as a whole, as long again for the waves when they are tried again, and what people
// need to see to it when something goes wrong. An emergency has none of that.
func (t Terms) Budget() time.Duration {
	if t.Profile == Emergency {
		return t.Rolls() + t.kept()
	}
	return t.Whole() + max(t.Rolls(), retryTime) + humanTime
}

const (
	retryTime = 48 * time.Hour // for trying again what failed
	humanTime = 72 * time.Hour // that people get to answer an alarm and to put right what is wrong
)

// Needs answers until when the old key must work at least: until every node uses the new one,
// and through the grace period, which is what programs have that no node stands for. What
// follows goes better with it, but not worse without: a key that has died needs no disabling.
// Nobody knows how long a person takes to approve something or to enter a key.
func (r Rotation) Needs(now time.Time) time.Time {
	t, at := r.Terms, now
	switch r.Step {
	case Waiting, Rehearsing, Creating, Verifying:
		return at.Add(t.Rolls() + t.kept())
	case Rolling:
		for i, w := range t.Waves[min(r.Wave, len(t.Waves)):] {
			switch {
			case i == 0 && !r.Confirmed.IsZero():
				at = later(at, r.Confirmed.Add(w.Bake))
			case i == 0 && !r.Published.IsZero():
				at = later(at, r.Published.Add(t.Confirm)).Add(w.Bake)
			default:
				at = at.Add(t.Confirm + w.Bake)
			}
		}
		return at.Add(t.kept())
	case Settling:
		return at.Add(t.kept())
	case Grace:
		return later(at, r.Since.Add(t.kept()))
	}
	return time.Time{}
}
