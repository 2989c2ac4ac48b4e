package rotation

import (
	"cmp"
	"hash/fnv"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/rotation/span"
)

// Limits. docs/rotation.md tells them to users.
const (
	MaxPlans          = 1000 // of one account
	MinEvery          = 24 * time.Hour
	MaxEvery          = 5 * 365 * 24 * time.Hour
	MaxTime           = 90 * 24 * time.Hour // of a bake, a grace period, an observation, a confirmation
	MaxEmergencyGrace = 15 * time.Minute
	MinCall           = time.Second
	MaxCall           = 5 * time.Minute
)

// A Plan says how one access key is replaced, whenever it has to be.
type Plan struct {
	Account   string
	Name      string // chosen by a person, for ever
	Source    string // accesskey.Source.Name
	Principal string // whose key it is: accesskey.Principal.ID
	Key       string // id of the key that is in use now
	Secret    string // that holds its credential
	Rollout   string // that delivers the secret to nodes; "" for none
	Care      Care
	Auto      bool      // rotations begin by themselves
	LastAt    time.Time // when the last rotation ended well, or the plan was made
	CreatedAt time.Time
	Rev       int64
}

// Care is what a person sets of a plan.
type Care struct {
	Every   time.Duration `json:"every,omitempty"` // the age that a key may reach; 0 for any
	Call    time.Duration `json:"call,omitempty"`  // at most, to the provider; 0 for [CallTime]
	Confirm time.Duration `json:"confirm"`
	Grace   time.Duration `json:"grace"`
	Quiet   time.Duration `json:"quiet"`
	Observe time.Duration `json:"observe"`
	Waves   []WaveTerms   `json:"waves"` // as many as the rollout has
	Gates   Gates         `json:"gates"`
	Approve bool          `json:"approve,omitempty"`
	OnLeak  bool          `json:"onLeak,omitempty"` // an emergency rotation begins by itself when the credential in use leaked
	Windows span.Windows  `json:"windows"`          // for what can be felt: to begin, to publish a wave, to disable or delete the old key
}

// DefaultCare is the care of a plan that says nothing else.
func DefaultCare() Care {
	const day = 24 * time.Hour
	return Care{Confirm: 30 * time.Minute, Grace: day, Quiet: time.Hour, Observe: day, Gates: Gates{Refused: 3, Fallbacks: 3}}
}

// A Response is what is done about a credential that leaked.
type Response struct {
	Plan     string   // that replaces it; "" if none does
	Rollout  string   // that delivers it; "" for none
	Nodes    []string // that get it
	Rotation string   // id of the emergency rotation that began because of it; "" if none did
	Refused  string   // why none can begin, for people
	Failed   error    // why none began at this moment; it is to be tried again soon
	Retired  bool     // a rotation has ended the key since: nobody does anything with it any more
}

var planName = lazy.Regexp(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Check refuses a plan that cannot work.
func (p Plan) Check() error {
	if !planName().MatchString(p.Name) {
		return fault.InvalidParameter.New("the name of a plan has lower-case letters, digits and hyphens, at most 63")
	}
	for _, f := range []struct {
		name  fault.Text
		value string
	}{{fault.Say("source"), p.Source}, {fault.Say("principal"), p.Principal}, {fault.Say("key"), p.Key}, {fault.Say("secret"), p.Secret}} {
		if f.value == "" {
			return fault.MissingParameter.New("a plan needs a %s", f.name)
		}
		if len(f.value) > 256 {
			return fault.InvalidParameter.New("the %s is too long", f.name)
		}
	}
	c := p.Care
	if c.Every != 0 && (c.Every < MinEvery || c.Every > MaxEvery) {
		return fault.InvalidParameter.New("keys can be replaced every 1 to 1825 days; leave it out to replace them only when they expire or somebody says so")
	}
	times := []time.Duration{c.Confirm, c.Grace, c.Quiet, c.Observe}
	for _, w := range c.Waves {
		times = append(times, w.Bake)
	}
	for _, t := range times {
		if t < 0 || t > MaxTime {
			return fault.InvalidParameter.New("confirm, grace, quiet, observe and bake are 0 to 90 days")
		}
	}
	if c.Confirm < time.Second {
		return fault.InvalidParameter.New("confirm is at least a second: nodes need some time to take a new key")
	}
	if c.Call != 0 && (c.Call < MinCall || c.Call > MaxCall) {
		return fault.InvalidParameter.New("a call to the provider may take 1 second to 5 minutes")
	}
	if c.Gates.Refused < 0 || c.Gates.Fallbacks < 0 {
		return fault.InvalidParameter.New("the numbers of gates are not negative")
	}
	if u := c.Windows.Unless; u < 0 || u > MaxTime {
		return fault.InvalidParameter.New("windows can be ignored in the last 0 to 90 days of a key")
	}
	return c.Windows.Check()
}

// Terms answers the terms of a rotation that begins now.
func (p Plan) Terms(m Means, profile Profile) Terms {
	c := p.Care
	t := Terms{
		Means: m, Profile: profile, Waves: c.Waves, Confirm: c.Confirm, Grace: c.Grace, Quiet: c.Quiet, Observe: c.Observe,
		Gates: c.Gates, Approve: c.Approve, Call: c.Call,
	}
	if profile == Emergency {
		t.Approve, t.Grace, t.Quiet, t.Observe = false, min(t.Grace, MaxEmergencyGrace), 0, min(t.Observe, MaxEmergencyGrace)
		t.Waves = nil
		for _, w := range c.Waves {
			t.Waves = append(t.Waves, WaveTerms{Name: w.Name, Bake: min(w.Bake, time.Minute)})
		}
	}
	return t
}

// Due answers when the next rotation is to begin, and the latest time at which it still
// can begin and end well; each is zero for never. The key was made, or last replaced, and
// expires at the given times. Plans with the same rhythm are spread, always to earlier. A key
// that a rotation made is not due before half of its life is over: keys that live shorter
// than a careful rotation asks for would be replaced without a pause.
func (p Plan) Due(t Terms, made, expires time.Time) (due, latest time.Time) {
	if !expires.IsZero() {
		latest = expires.Add(-t.Budget())
		due = latest.Add(-p.spread(min(t.Budget(), 24*time.Hour)))
		if half := p.LastAt.Add(expires.Sub(p.LastAt) / 2); p.LastAt.After(p.CreatedAt) && due.Before(half) {
			due = half
		}
	}
	if c := p.Care.Every; c > 0 && !made.IsZero() {
		by := made.Add(c)
		if start := by.Add(-p.spread(min(c/20, 24*time.Hour))); due.IsZero() || start.Before(due) {
			due = start
		}
	}
	return due, latest
}

// spread answers a part of a time that is the same for a plan at all times.
func (p Plan) spread(over time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(p.Account + "\x00" + p.Name))
	return time.Duration(h.Sum64() % uint64(max(over, 1)))
}

// Needs answers until when the old key must work at least if the rotation begins at a time:
// [Rotation.Needs], with what the start and each wave wait for their windows.
func (c Care) Needs(r Rotation, now time.Time) time.Time {
	at := c.open(r, now).Add(5 * r.Terms.Means.Activates)
	for _, w := range r.Terms.Waves {
		at = c.open(r, at).Add(r.Terms.Confirm + w.Bake)
	}
	return at.Add(r.Terms.kept())
}

// open answers from when on windows let a rotation go on that comes to one at a time.
func (c Care) open(r Rotation, at time.Time) time.Time {
	opens := later(at, c.OpensAt(r, at))
	if free := r.FinishBy.Add(-c.unless()); !r.FinishBy.IsZero() && free.Before(opens) {
		return later(at, free)
	}
	return opens
}

// unless answers how long before the key dies windows do not matter any more.
func (c Care) unless() time.Duration { return cmp.Or(c.Windows.Unless, humanTime) }

// OpensAt answers when the next window opens for a rotation, the zero time if one is open
// or windows do not matter.
func (c Care) OpensAt(r Rotation, now time.Time) time.Time {
	if r.Terms.Profile == Emergency || !r.FinishBy.IsZero() && r.FinishBy.Sub(now) < c.unless() {
		return time.Time{}
	}
	return c.Windows.OpensAt(now)
}
