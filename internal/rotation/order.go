package rotation

import (
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation/phrase"
)

// What people order. Each answers the rotation as it is to be stored, or why that cannot
// be. Like [Decide] they do nothing themselves.

// Approve lets what waits for an approval go on.
func (r Rotation) Approve(by string, now time.Time) (Rotation, error) {
	switch r.Trouble {
	case NeedsApproval:
		r.Approved++
		if r.Step == Rolling {
			r.Approved = max(r.Approved, r.Wave+2)
		}
	case NewKeyUnused:
		r.Waived = true
	default:
		return r, fault.StateConflict.New("the rotation waits for no approval; its state is %s", phrase.Said(string(r.Step)))
	}
	return r.ordered(by, now, "approved"), nil
}

// Pause keeps the rotation where it is. An act that is under way comes to its end.
func (r Rotation) Pause(by string, now time.Time) (Rotation, error) {
	if r.Over() || r.Paused != "" {
		return r, fault.StateConflict.New("the rotation cannot be paused: it is over, or paused already")
	}
	r.Paused = by
	return r.ordered(by, now, "paused"), nil
}

// Resume lets a rotation that is paused or halted go on where it was.
func (r Rotation) Resume(by string, now time.Time) (Rotation, error) {
	if r.Over() || r.Paused == "" && r.Halt == "" {
		return r, fault.StateConflict.New("the rotation is neither paused nor halted; its state is %s", phrase.Said(string(r.Step)))
	}
	if r.Halt == AnswerLost && r.Step == Deleting {
		return r, fault.StateConflict.New("whether the old key has ended is not known; look at the provider, end it there if it has not, and confirm it")
	}
	switch {
	case r.Halt == AnswerLost || r.Halt == Ambiguous: // the person has looked
		r.Doubt = false
	case r.Halt == OldKeyGone:
		r = r.onward(now)
	case r.Halt == NotAccepted && (r.Step == Rolling || r.Step == Grace || r.Step == Observing):
		r.Ungated = true // what nodes have counted stays counted
	}
	r.Paused, r.Halt, r.Detail, r.Tries, r.NotBefore = "", "", "", 0, time.Time{}
	return r.ordered(by, now, "resumed"), nil
}

// onward goes on with the new key, for there is no old one to go back to.
func (r Rotation) onward(now time.Time) Rotation {
	d := decision{Rotation: r, now: now}
	d.Back, d.Settled, d.Wave = "", true, max(len(r.Terms.Waves)-1, 0)
	if d.Generation > 0 {
		d.Generation++
	}
	d.to(Settling)
	return d.Rotation
}

// Rollback has the rotation undone.
func (r Rotation) Rollback(by, why string, now time.Time) (Rotation, error) {
	if r.Over() || r.Returns() || r.Back != "" {
		return r, fault.StateConflict.New("the rotation is over, or on its way back already; its state is %s", phrase.Said(string(r.Step)))
	}
	if r.dead(now) {
		return r, fault.StateConflict.New("it is too late to go back: the old key has ended, or ends within a day; let the rotation go on, and replace the new key by an emergency rotation then")
	}
	if !r.CanGoBack(now) {
		return r, fault.StateConflict.New("it is too late to go back: of this provider's keys nothing can be undone from the step %s on; start an emergency rotation to replace the new key", r.Terms.Means.PointOfNoReturn())
	}
	if a := r.Terms.Means.Archetype; r.Halt == AnswerLost && (a == FixedOverlap || a == Roll) {
		r.Doubt = false // the person has looked, and what has begun cannot be stopped
	}
	r.Back, r.Paused, r.Halt, r.Detail, r.Tries, r.NotBefore = "ordered: "+why, "", "", "", 0, time.Time{}
	return r.ordered(by, now, "rolled-back"), nil
}

// Confirm says that a person has done at the console what the rotation waits for.
func (r Rotation) Confirm(by string, now time.Time) (Rotation, error) {
	d := decision{Rotation: r, now: now}
	switch {
	case r.Trouble != NeedsHand && !(r.Halt == AnswerLost && r.Step == Deleting):
		return r, fault.StateConflict.New("the rotation waits for nothing that a person does; its state is %s", phrase.Said(string(r.Step)))
	case r.Step == Disabling:
		d.DisabledAt = now
		d.to(Observing)
	case r.Step == Enabling:
		d.giveBack()
	case r.Step == Deleting:
		d.Halt, d.Detail = "", ""
		d.to(Done)
	case r.Step == Withdrawing:
		d.to(Aborted)
	}
	return d.Rotation.ordered(by, now, "confirmed"), nil
}

// Entered says which key a person has made, after it was checked and sealed.
func (r Rotation) Entered(k Key, by string, now time.Time) (Rotation, error) {
	if r.Trouble != NeedsKey {
		return r, fault.StateConflict.New("the rotation waits for no key; its state is %s", phrase.Said(string(r.Step)))
	}
	if k.ID == r.Old.ID && r.Terms.Means.Guide == "" { // which knows ids that all keys of an account have
		return r, fault.StateConflict.New("this is the old key, %s; make a new one and enter that", k.ID)
	}
	r.New = k
	return r.ordered(by, now, "entered "+k.ID), nil
}

func (r Rotation) ordered(by string, now time.Time, what string) Rotation {
	d := decision{Rotation: r, now: now}
	d.Trouble = ""
	d.note(what, "")
	d.History[len(d.History)-1].Actor = by
	d.ChangedAt = now
	return d.Rotation
}

// Next answers the command that a person would give next, "" if there is none to give.
func (r Rotation) Next() string {
	const cmd = "keyward rotation "
	switch {
	case r.Over():
		return ""
	case r.Halt == AnswerLost && r.Step == Deleting, r.Halt == "" && r.Trouble == NeedsHand:
		return cmd + "confirm " + r.Plan
	case r.Halt != "", r.Paused != "":
		return cmd + "resume " + r.Plan
	case r.Trouble == NeedsApproval, r.Trouble == NewKeyUnused:
		return cmd + "approve " + r.Plan
	case r.Trouble == NeedsKey:
		return cmd + "enter " + r.Plan
	}
	return cmd + "status " + r.Plan
}
