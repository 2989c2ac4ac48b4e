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

// Rest answers how long a rotation takes at least from a step on, if nothing goes wrong.
func (t Terms) Rest(s Step, wave int) time.Duration {
	var rest time.Duration
	switch s {
	case Waiting, Rehearsing, Creating, Verifying:
		rest += 5 * t.Means.Activates
		wave = 0
		fallthrough
	case Rolling:
		for _, w := range t.Waves[min(wave, len(t.Waves)):] {
			rest += w.Bake + t.Confirm
		}
	}
	return rest
}

// Whole answers how long a rotation takes from its start to its end, if nothing goes wrong and
// each wave takes all the time that it may.
func (t Terms) Whole() time.Duration {
	whole := t.Rest(Waiting, 0) + max(t.Grace, t.Quiet)
	if a := t.Means.Archetype; a == Pair || a == Manual {
		whole += t.Observe
	}
	return whole
}

// Budget answers how long before its key dies a rotation must begin at the latest: the time
// that it takes until no node uses the old key, twice, and what people need to see to it
// when something goes wrong.
func (t Terms) Budget() time.Duration {
	rest := t.Rest(Waiting, 0)
	if t.Profile == Emergency {
		return rest
	}
	return 2*rest + t.Grace + humanTime
}

// humanTime is what people get to answer an alarm and to put right what is wrong.
const humanTime = 72 * time.Hour
