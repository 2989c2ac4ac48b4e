// Package rotation replaces the keys that others issued, without an outage.
//
// A [Plan] says how one access key is replaced, for ever: whose it is, in which secret it
// is kept, which nodes use it, when, and how carefully. A [Rotation] is one replacement.
// It creates a second key, seals it, tries it, publishes it wave by wave to the nodes until
// each has proven that it uses it, waits out a grace period, disables the old key, watches,
// and deletes it. Until the old key is deleted it can go back.
//
// [Decide] is the whole of the protocol: a pure function of what is stored, what was seen
// and the time. It answers what to store next and what to do then; it does nothing itself,
// so that the code that an exhaustive search has explored is the code that runs. The engine
// stores, acts, and hands what came of it to the next decision. An act that changes
// something outside is stored as an [Intent] before it starts. Who finds an intent without
// its outcome waits until the act cannot arrive any more, and then looks before it acts:
// nothing is ever repeated blindly.
//
// Rules that the search showed to be necessary, each with a test that fails without it:
// an act whose outcome is unknown is waited out, also before a rollback; generations on
// nodes only grow; a node acknowledges the generation and not the key.
//
// Each store of a rotation compares its revision: of two processes that work on one, the
// slower one's decision is not stored and therefore not acted upon.
//
// Who may call: the API dialects; jobs look at each rotation when its time comes. What is
// stored: plans and rotations in bound rows; no secret. What is trusted: what a provider
// says of its keys; what nodes say only as far as package rollout counts it.
package rotation

import (
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/rollout"
)

// A Step is where a rotation stands. Steps are data that outlive versions of keyward: none
// is ever renamed or given another meaning.
type Step string

// The steps forward, in order.
const (
	Waiting    Step = "waiting"    // for its time, a window, or somebody's approval
	Rehearsing Step = "rehearsing" // what can be tried without effect is tried
	Creating   Step = "creating"
	Verifying  Step = "verifying" // the new key
	Rolling    Step = "rolling"   // wave by wave
	Settling   Step = "settling"  // the secret's current version becomes the new key
	Grace      Step = "grace"     // both keys work; nobody uses the old one any more
	Disabling  Step = "disabling" // the old key
	Observing  Step = "observing" // with the old key off
	Dropping   Step = "dropping"  // nodes forget the old key
	Deleting   Step = "deleting"  // the old key
	Done       Step = "done"
)

// The steps back.
const (
	Enabling    Step = "enabling"    // the old key is switched on again
	Returning   Step = "returning"   // nodes go back to the old key
	Unsettling  Step = "unsettling"  // the secret's current version is the old key again
	Withdrawing Step = "withdrawing" // the new key is ended
	Aborted     Step = "aborted"
)

// A Reason is why a rotation cannot go on by itself, or what somebody should know of it.
type Reason string

// The reasons for which a rotation halts, until a person lets it go on or roll back.
const (
	RehearsalFailed Reason = "rehearsal-failed" // nothing outside was touched
	NoRoom          Reason = "no-room"          // the principal has as many keys as it may have
	OldKeyGone      Reason = "old-key-gone"     // on the way back: the old key is not there any more, or has expired
	Ambiguous       Reason = "ambiguous"        // which of several keys is ours cannot be told
	AnswerLost      Reason = "answer-lost"      // a key may have been created, and nothing tells
	CallRefused     Reason = "call-refused"     // the provider will not do it
	TriesUsedUp     Reason = "tries-used-up"    // it failed too often
	NotAccepted     Reason = "not-accepted"     // a key that must work does not
	SecretChanged   Reason = "secret-changed"   // by somebody else: readers may get a key that is about to end
)

// The reasons for which a rotation waits and goes on by itself when they are over.
const (
	NeedsApproval Reason = "needs-approval"
	NeedsKey      Reason = "needs-key"      // a person is to enter the new key
	NeedsHand     Reason = "needs-hand"     // a person is to disable or delete a key and confirm it
	NodesBehind   Reason = "nodes-behind"   // and their time is over
	OldKeyUsed    Reason = "old-key-used"   // by somebody who is no node
	NewKeyUnused  Reason = "new-key-unused" // since the old one was disabled
)

// Late is why people are told of a rotation that goes on: it cannot end before its key dies.
const Late Reason = "late"

// A Key is a key of a rotation.
type Key struct {
	ID      string `json:"id"`      // at the provider; "" for not known
	Version string `json:"version"` // of the secret that holds its credential
}

// An Intent is an act that was begun and whose outcome is not known.
type Intent struct {
	Kind  ActKind   `json:"kind"`
	Key   string    `json:"key,omitempty"`
	Until time.Time `json:"until"` // when whoever acts gives up at the latest
}

// A Rotation is one replacement of one key.
type Rotation struct {
	Account string `json:"-"`
	ID      string `json:"-"` // 16 hexadecimal digits
	Plan    string `json:"-"` // name
	Rollout string // that delivers the secret; "" for none
	Machine int    // version of the protocol that its step is of
	Terms   Terms  // of the plan when it began

	Step      Step
	Since     time.Time // when the step began
	Intent    *Intent
	Doubt     bool // an act may have had its effect: look before acting
	Tries     int  // of the step, that failed
	NotBefore time.Time

	Old, New   Key
	Heir       *accesskey.Observed `json:",omitempty"` // the new key that a person made, as its guide's check found it
	Before     []string            // ids that the provider listed before the last attempt to create
	Attempt    int                 // to create
	TriedAt    time.Time           // when the last attempt to create began
	MintedAt   time.Time           // when the new key was created
	Base       int64               // generation of the rollout before
	Generation int64               // that was published last; 0 for none
	Wave       int                 // that is being rolled
	Published  time.Time           // when the wave was published; zero for not yet
	Confirmed  time.Time           // when the wave was whole; zero for not yet
	Settled    bool                // the current version may be the new key
	DisabledAt time.Time

	Cause    string    // why it was started, for people
	StartAt  time.Time // it does not begin before
	FinishBy time.Time // when the old key expires; zero for never
	Approved int       // parts that a person approved: the start, then each wave
	Waived   bool      // a person accepted that the new key is not seen in use
	Ungated  bool      // a person accepted what nodes report of the new key
	Paused   string    // by whom; "" for not
	Back     string    // why it goes back; "" for it does not
	Halt     Reason    // why it does not go on; "" for it does
	Trouble  Reason    // what it waits for, and somebody should know
	Detail   string    // of Halt or Trouble, for people
	Late     bool      // it cannot end in time any more
	OpensAt  time.Time // when the window opens that it waits for; zero for it waits for none

	CreatedAt time.Time `json:"-"`
	ChangedAt time.Time
	EndedAt   time.Time `json:"-"`
	History   []Event
	Rev       int64 `json:"-"`
}

// An Event is one line of a rotation's history.
type Event struct {
	At    time.Time `json:"at"`
	Step  Step      `json:"step"`
	Actor string    `json:"actor,omitempty"` // ARN of who ordered it; "" for keyward itself
	Text  string    `json:"text"`            // a word of the protocol, such as "created", and what it is about
}

// Machine is the version of the protocol that rotations which begin now are of.
const Machine = 1

// MaxHistory is how many events a rotation keeps; of a longer one those in the middle are
// dropped, for the audit log has them all.
const MaxHistory = 400

// Over tells whether the rotation has ended.
func (r Rotation) Over() bool { return r.Step == Done || r.Step == Aborted }

// Returns tells whether the rotation is on its way back.
func (r Rotation) Returns() bool {
	return slices.Contains([]Step{Enabling, Returning, Unsettling, Withdrawing, Aborted}, r.Step)
}

// Reserves tells whether nobody else may change what readers of the secret get. A person who has
// paused the rotation may, and when it has halted: it looks at that before it ends a key.
func (r Rotation) Reserves() bool {
	return !r.Over() && (r.Intent != nil || r.Paused == "" && r.Halt == "")
}

// CanGoBack tells whether the rotation can still be undone at a time.
func (r Rotation) CanGoBack(at time.Time) bool {
	if r.Over() || r.Returns() || r.dead(at) {
		return false
	}
	switch r.Terms.Means.Archetype {
	case FixedOverlap, Roll: // the old key's end has begun with the new one's beginning
		return r.Step == Waiting || r.Step == Rehearsing || r.Step == Creating && r.Intent == nil && (!r.Doubt || r.Halt == AnswerLost)
	case Pending: // the new key is not used before it is verified
		return r.Step == Waiting || r.Step == Rehearsing || r.Step == Creating
	case Manual:
		return r.Step != Deleting && (!r.Terms.Means.ends() || r.DisabledAt.IsZero())
	}
	return r.Step != Deleting || r.Intent == nil && !r.Doubt
}

// gone tells whether by a time the old key has expired that nodes or readers would go back to.
func (r Rotation) gone(at time.Time) bool {
	return (r.Generation > 0 || r.Settled) && !r.FinishBy.IsZero() && !at.Before(r.FinishBy)
}

// dead tells whether by a time nobody should go back any more: the old key is gone, or the
// provider may have ended it after a person's change, or will before nodes are back.
func (r Rotation) dead(at time.Time) bool {
	ends := r.Terms.Means.ends() && !r.MintedAt.IsZero() && !at.Add(endMargin).Before(r.MintedAt.Add(r.Terms.Means.Overlap))
	return ends || r.gone(at)
}

// endMargin is how long before a key's end nobody returns to it: a person enters a key some time
// after it was changed, and nodes need some time.
const endMargin = 24 * time.Hour

// PointOfNoReturn answers the step from which on nothing can be undone.
func (m Means) PointOfNoReturn() Step {
	switch m.Archetype {
	case FixedOverlap, Roll:
		return Creating
	case Pending:
		return Verifying
	case Counterparty:
		return Done
	}
	if m.ends() {
		return Observing
	}
	return Deleting
}

// Tag answers the mark that the key of an attempt carries at the provider.
func (r Rotation) Tag(attempt int) string { return r.mark() + itoa(attempt) }

func (r Rotation) mark() string { return "keyward/" + r.ID + "/" }

// Generations answers what each wave of the rollout is to have, given what it had before:
// what is published follows from the rotation alone, and is stored with it.
func (r Rotation) Generations(before []rollout.Generation) []rollout.Generation {
	out := slices.Clone(before)
	switch {
	case r.Generation == 0:
	case r.Step == Enabling: // the old key is not back yet
		fill(out, rollout.Generation{Number: r.Generation, Primary: r.New.Version, Fallback: r.spare()})
	case r.Returns():
		fill(out, rollout.Generation{Number: r.Generation, Primary: r.Old.Version})
	case r.Step == Dropping, r.Step == Deleting, r.Step == Done:
		fill(out, rollout.Generation{Number: r.Generation, Primary: r.New.Version})
	default:
		upTo := min(r.Wave, len(out)-1)
		if r.Step == Rolling && r.Published.IsZero() {
			upTo--
		}
		fill(out[:upTo+1], rollout.Generation{Number: r.Generation, Primary: r.New.Version, Fallback: r.Old.Version})
	}
	return out
}

// spare answers the version that nodes fall back to while the old key is off: none once
// they were told to forget it, unless a console will have it in the new one's place at once.
func (r Rotation) spare() string {
	if r.Generation > r.Base+1 && !r.Terms.Means.single() {
		return ""
	}
	return r.Old.Version
}

func fill(out []rollout.Generation, g rollout.Generation) {
	for i := range out {
		out[i] = g
	}
}
