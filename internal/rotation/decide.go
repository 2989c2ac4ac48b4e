package rotation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/rollout"
)

// An ActKind is a kind of act.
type ActKind string

// The acts. Those from Create on change something that is not stored with the rotation, and
// are stored as an [Intent] before they start.
const (
	Wait     ActKind = "wait"     // until Act.At, or until something changes if that is zero
	Proceed  ActKind = "proceed"  // store, and decide again
	Look     ActKind = "look"     // at the keys that the provider lists
	Rehearse ActKind = "rehearse" // all that can be tried without effect
	Recover  ActKind = "recover"  // a new key that was sealed here and not stored
	Verify   ActKind = "verify"   // that a key works
	Create   ActKind = "create"
	Disable  ActKind = "disable"
	Enable   ActKind = "enable"
	Delete   ActKind = "delete"
	Settle   ActKind = "settle" // make a version of the secret the current one
)

// An Act is what is to be done after a decision is stored.
type Act struct {
	Kind    ActKind
	Key     Key       // that it is about
	Heir    string    // of Delete: the id of the key that stays
	Attempt int       // of Create and Recover
	At      time.Time // of Wait
}

// A Result says what became of an act.
type Result string

// The results.
const (
	Did      Result = "did"
	NoEffect Result = "no-effect" // certainly, and it may be tried again; of Recover: there was nothing
	Denied   Result = "denied"    // certainly without effect, and it will not be otherwise
	Full     Result = "full"      // as Denied: there is no room for another key
	Unclear  Result = "unclear"   // it may have had its effect, or may still have it
)

// An Outcome is what became of the act that the last decision asked for.
type Outcome struct {
	Act     ActKind
	Result  Result
	Key     Key     // of Create and Recover: the new key, sealed in the secret
	Keys    []Held  // of Look
	Verdict Verdict // of Verify
	Why     string  // for people; no secret
}

// A Sight is what is seen when a decision falls.
type Sight struct {
	Outcome *Outcome       // nil after a start, and when something else happened
	Wave    rollout.Census // of the wave that is being rolled
	All     rollout.Census // of all members
	OpensAt time.Time      // when the next window opens; zero if one is open
	Reads   *Reading       // nil if nobody looked
}

// A Reading is what readers of the plan's secret get.
type Reading struct {
	Secret  string
	Version string // "" for none: the secret is gone, or about to be deleted
}

// Decide answers what a rotation is to be stored as, and what is to be done then.
//
//	waiting → rehearsing → creating → verifying → rolling ⟲ → settling → grace → disabling → observing → dropping → deleting → done
//	             │            │          │           │            │         │         │           │          │         ┊
//	             ▼            │          │           └────────────┴────┬────┘         └──── enabling ◄───────┴─────────┘
//	          aborted ◄─── withdrawing ◄─┴──── unsettling ◄─── returning ◄───────────────────────┘
//
// Anything may halt, and then goes on where it was when a person says so. From deleting
// there is no way back once the provider was asked.
func Decide(r Rotation, s Sight, now time.Time) (Rotation, Act) { return rules{}.decide(r, s, now) }

// rules are the parts of the protocol that a test may take away, to see that it fails.
type rules struct{ noDrain bool }

func (x rules) decide(r Rotation, s Sight, now time.Time) (Rotation, Act) {
	d := decision{Rotation: r, s: s, now: now, rules: x}
	d.Trouble, d.Detail, d.OpensAt = "", haltDetail(r), time.Time{}
	d.History = slices.Clip(r.History)
	act := d.next()
	d.Late = !d.FinishBy.IsZero() && d.Needs(now).After(d.FinishBy)
	return d.Rotation, act
}

// haltDetail keeps the words that belong to a halt.
func haltDetail(r Rotation) string {
	if r.Halt == "" {
		return ""
	}
	return r.Detail
}

// A decision is a rotation on its way from one state to the next.
type decision struct {
	Rotation
	s     Sight
	now   time.Time
	rules rules
}

func (d *decision) next() Act {
	if d.Over() {
		return d.wait(time.Time{})
	}
	if d.Intent != nil {
		return d.learn()
	}
	if d.Halt != "" || d.Paused != "" {
		return d.wait(time.Time{})
	}
	if d.Back != "" && !d.Returns() {
		return d.turn()
	}
	ending := d.Step == Withdrawing && (d.Doubt || d.Terms.Means.Archetype == Manual) // the new key may be gone, too
	if d.Returns() && d.gone(d.now) && !ending {
		return d.halt(OldKeyGone, d.Old.ID+" has expired")
	}
	if d.s.Outcome == nil && d.now.Before(d.NotBefore) {
		return d.wait(d.NotBefore)
	}
	if d.s.Reads != nil {
		if detail := d.Astray(*d.s.Reads); detail != "" {
			return d.halt(SecretChanged, detail)
		}
	}
	switch d.Step {
	case Waiting:
		return d.waiting()
	case Rehearsing:
		return d.rehearsing()
	case Creating:
		return d.creating()
	case Verifying:
		return d.verifying()
	case Rolling:
		return d.rolling()
	case Settling:
		return d.settling(d.New.Version)
	case Grace:
		return d.grace()
	case Disabling:
		return d.disabling()
	case Observing:
		return d.observing()
	case Dropping:
		return d.dropping()
	case Deleting:
		return d.deleting()
	case Enabling:
		return d.enabling()
	case Returning:
		return d.returning()
	case Unsettling:
		return d.settling(d.Old.Version)
	case Withdrawing:
		return d.withdrawing()
	}
	return d.halt(TriesUsedUp, "this version of keyward does not know the step "+string(d.Step))
}

// Astray answers what is wrong, for people, where somebody else has changed what readers of the
// secret get, "" where nothing is: they may then have a key that the step ends.
func (r Rotation) Astray(now Reading) string {
	want := r.Old.Version
	switch r.Step {
	case Rehearsing, Creating:
	case Settling:
		if now.Version == r.New.Version {
			return ""
		}
	case Grace, Disabling, Observing, Dropping, Deleting:
		want = r.New.Version
	case Withdrawing: // whatever else they have stays
		if r.New.Version == "" || now.Version != r.New.Version {
			return ""
		}
	default: // no key is touched
		return ""
	}
	switch now.Version {
	case want:
		return ""
	case "":
		return fmt.Sprintf("secret %s is deleted or about to be, and no key is ended meanwhile: keyward secret restore %s, and let the rotation go on; or roll it back", now.Secret, now.Secret)
	}
	return fmt.Sprintf("somebody has made version %s of secret %s the current one, where the rotation needs %s, and no key is ended meanwhile: keyward secret rollback %s %s, and let the rotation go on; or roll it back",
		now.Version, now.Secret, want, now.Secret, want)
}

// learn takes in what became of an act that was begun. While that is not known nothing else
// happens: the act may still arrive. When it cannot any more, the provider is looked at.
func (d *decision) learn() Act {
	o := d.s.Outcome
	if o == nil || o.Act != d.Intent.Kind || o.Result == Unclear {
		if drained := d.Intent.Until.Add(d.Terms.CallTime()); d.now.Before(drained) && !d.rules.noDrain {
			return d.wait(drained)
		}
		d.note("unclear", string(d.Intent.Kind)+" "+d.Intent.Key)
		d.Intent, d.Doubt = nil, true
		return d.fail("it is not known whether it happened")
	}
	kind, id := d.Intent.Kind, d.Intent.Key
	d.Intent = nil
	switch o.Result {
	case NoEffect:
		return d.fail(o.Why)
	case Denied:
		return d.halt(CallRefused, o.Why)
	case Full:
		if m := d.Terms.Means; !m.Listed || !m.Tagged {
			return d.halt(NoRoom, o.Why)
		}
		d.Doubt = true // a request that was doubled on its way fills the room itself: the key has our tag
		return d.fail(o.Why)
	}
	d.note(string(kind)+"d", id+o.Key.ID)
	d.Tries, d.NotBefore = 0, time.Time{}
	switch {
	case kind == Create:
		return d.minted(o.Key)
	case kind == Disable:
		d.DisabledAt = d.now
		return d.to(Observing)
	case kind == Enable:
		return act(Proceed) // look at it
	case kind == Settle && d.Step == Settling:
		return d.to(Grace)
	case kind == Settle:
		return d.to(Withdrawing)
	case id == d.Old.ID:
		return d.to(Done)
	case id == d.New.ID:
		return d.to(Aborted)
	}
	return act(Proceed) // an orphan; look whether there is another
}

func (d *decision) minted(k Key) Act {
	d.New, d.Doubt, d.MintedAt = k, false, d.now
	if a := d.Terms.Means.Archetype; a == FixedOverlap || a == Roll {
		d.fade()
	}
	return d.to(Verifying)
}

// Moves of a decision.

func act(k ActKind) Act { return Act{Kind: k} }

func (d *decision) wait(at time.Time) Act { return Act{Kind: Wait, At: at} }

// until waits for a time, and looks in between at what nodes tell, if there are any.
func (d *decision) until(at time.Time) Act {
	if soon := d.now.Add(idleTime); len(d.Terms.Waves) > 0 && soon.Before(at) {
		at = soon
	}
	return d.wait(at)
}

// waitForWindow waits until something may be done that can be felt.
func (d *decision) waitForWindow() Act {
	d.OpensAt = d.s.OpensAt
	return d.wait(d.OpensAt)
}

// poll looks again soon: nobody may tell of what is waited for.
func (d *decision) poll() Act { return d.wait(d.now.Add(d.Terms.poll())) }

// trouble waits for what will be over by itself, and tells.
func (d *decision) trouble(why Reason, detail string) Act {
	d.Trouble, d.Detail = why, detail
	return d.wait(d.now.Add(d.Terms.idle()))
}

func (d *decision) to(s Step) Act {
	d.Step, d.Since, d.Tries, d.NotBefore = s, d.now, 0, time.Time{}
	if s != Withdrawing || d.New.ID != "" { // a creation that is in doubt stays so
		d.Doubt = false
	}
	if d.Over() {
		d.EndedAt = d.now
	}
	d.note("step", string(s))
	return act(Proceed)
}

// halt stops until a person lets it go on.
func (d *decision) halt(why Reason, detail string) Act {
	d.Halt, d.Detail = why, detail
	d.note("halted", string(why)+": "+detail)
	return act(Proceed)
}

// fail tries again later, some times.
func (d *decision) fail(why string) Act {
	if d.Tries++; d.Tries > maxTries {
		return d.halt(TriesUsedUp, why)
	}
	d.NotBefore = d.now.Add(d.Terms.back(d.Tries))
	d.note("failed", why)
	return act(Proceed)
}

// goBack has the rotation undone, if that is possible.
func (d *decision) goBack(why Reason, detail string) Act {
	if !d.CanGoBack(d.now) {
		return d.halt(why, detail)
	}
	d.Back = string(why) + ": " + detail
	return act(Proceed)
}

// begin stores that an act starts now.
func (d *decision) begin(a Act) Act {
	d.Intent = &Intent{Kind: a.Kind, Key: a.Key.ID, Until: d.now.Add(d.Terms.CallTime())}
	return a
}

func (d *decision) note(what, about string) {
	if len(d.History) >= MaxHistory {
		d.History = slices.Delete(slices.Clone(d.History), MaxHistory/2, MaxHistory/2+1)
	}
	d.History = append(d.History, Event{At: d.now, Step: d.Step, Text: strings.TrimSpace(what + " " + about)})
}

// seen answers the outcome of an act that changes nothing outside; nil if it is to be done
// first. What failed is tried again later.
func (d *decision) seen(kind ActKind) (*Outcome, Act) {
	o := d.s.Outcome
	if o == nil || o.Act != kind {
		return nil, act(kind)
	}
	switch o.Result {
	case Did:
		d.Tries, d.NotBefore = 0, time.Time{}
		return o, Act{}
	case Denied, Full:
		return nil, d.halt(CallRefused, o.Why)
	}
	return nil, d.fail(o.Why)
}

// find answers a key that a provider lists, and whether it does.
func find(keys []Held, id string) (Held, bool) {
	for _, k := range keys {
		if k.ID == id && k.Status != accesskey.Deleted && k.Status != accesskey.Gone {
			return k, true
		}
	}
	return Held{}, false
}

func itoa(n int) string { return strconv.Itoa(n) }

func behind(c rollout.Census) string {
	text := fmt.Sprintf("%d of %d nodes are there; waiting for %s", c.There, c.Members, strings.Join(c.Behind, ", "))
	if len(c.Behind) < c.Members-c.There {
		text += " and others"
	}
	if len(c.Errors) > 0 {
		text += "; " + strings.Join(c.Errors, "; ")
	}
	return text
}
