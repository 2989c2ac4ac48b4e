package rotation

import (
	"github.com/keyward/keyward/internal/accesskey"
)

// The steps back.

// turn takes the first step back. No act is under way when it is taken.
func (d *decision) turn() Act {
	if !d.CanGoBack(d.now) {
		d.note("too-late", d.Back)
		d.Back = ""
		return act(Proceed)
	}
	switch d.Step {
	case Waiting, Rehearsing:
		return d.to(Aborted)
	case Creating, Verifying:
		if d.Attempt == 0 && d.New.ID == "" && !d.Terms.Means.ends() { // a person may have changed it, and not said so
			return d.to(Aborted)
		}
		return d.to(Withdrawing)
	case Disabling, Observing, Dropping, Deleting:
		if d.Step == Dropping && d.Terms.Means.single() { // nodes are to know the old key when the console has it
			d.Generation++
		}
		if a := d.Terms.Means.Archetype; a == Manual && !d.Terms.Means.ends() || a == Pair && (d.Step != Disabling || d.Doubt) {
			return d.to(Enabling)
		}
	}
	return d.giveBack()
}

// giveBack has the nodes return to the old key.
func (d *decision) giveBack() Act {
	if d.Generation > 0 {
		d.Generation++
		return d.to(Returning)
	}
	return d.returned()
}

// returned goes on when no node has the new key first.
func (d *decision) returned() Act {
	if d.Settled {
		return d.to(Unsettling)
	}
	return d.to(Withdrawing)
}

// enabling switches the old key on again, and tries it before any node returns to it.
func (d *decision) enabling() Act {
	if c := d.s.All; d.Terms.Means.single() && c.There < c.Members {
		return d.trouble(NodesBehind, behind(c))
	}
	if d.Terms.Means.single() {
		return d.trouble(NeedsHand, "enter the old key "+d.Old.ID+" at the provider's console again, and confirm it")
	}
	if d.Terms.Means.Archetype == Manual {
		return d.trouble(NeedsHand, "enable "+d.Old.ID+" at the provider's console, and confirm it")
	}
	if o := d.s.Outcome; o != nil && o.Act == Verify && o.Result == Did {
		if o.Verdict == Accepted {
			return d.giveBack()
		}
		if d.now.Before(d.Since.Add(max(5*d.Terms.Means.Activates, idleTime))) {
			return d.poll()
		}
		return d.halt(NotAccepted, "the provider answers that the old key is "+string(o.Verdict))
	}
	if o := d.s.Outcome; o != nil && o.Act == Verify {
		return d.fail(o.Why)
	}
	o, act := d.seen(Look)
	if o == nil {
		return act
	}
	d.Doubt = false
	old, there := find(o.Keys, d.Old.ID)
	switch {
	case !there:
		return d.halt(OldKeyGone, d.Old.ID+" is not at the provider any more")
	case old.Status != accesskey.Active:
		return d.begin(Act{Kind: Enable, Key: d.Old})
	case !d.Terms.Means.Verifies:
		return d.giveBack()
	}
	return Act{Kind: Verify, Key: d.Old}
}

func (d *decision) returning() Act {
	if c := d.s.All; c.There < c.Members {
		if d.now.After(d.Since.Add(d.Terms.Confirm)) {
			return d.trouble(NodesBehind, behind(c))
		}
		return d.poll()
	}
	return d.returned()
}

// withdrawing ends the new key, and whatever attempts to create one have left.
func (d *decision) withdrawing() Act {
	if d.s.All.There < d.s.All.Members && d.Generation > 0 {
		return d.trouble(NodesBehind, behind(d.s.All))
	}
	m := d.Terms.Means
	switch m.Archetype {
	case Manual:
		if m.ends() && d.New.ID == "" {
			return d.trouble(NeedsHand, "undo the change at the provider's console if it was made there, for it ends "+d.Old.ID+", and confirm it")
		}
		if d.New.ID == "" || m.single() { // the console has the old key, or has it again
			return d.to(Aborted)
		}
		if m.ends() {
			return d.trouble(NeedsHand, "undo the change at the provider's console, which ends "+d.New.ID+", and confirm it")
		}
		return d.trouble(NeedsHand, "delete "+d.New.ID+" at the provider's console, and confirm it")
	case Counterparty, Pending:
		return d.to(Aborted) // a pending key dies by itself; the other side's is not ours to end
	}
	if quiet := d.Since.Add(d.Terms.Quiet); d.Generation > 0 && d.now.Before(quiet) {
		return d.until(quiet)
	}
	if !m.Listed {
		if d.New.ID == "" {
			if d.Doubt {
				return d.halt(AnswerLost, "a key may have been created, and the provider cannot be asked: look there and delete it, and let the rotation go on")
			}
			return d.to(Aborted)
		}
		return d.begin(Act{Kind: Delete, Key: d.New, Heir: d.Old.ID})
	}
	o, act := d.seen(Look)
	if o == nil {
		return act
	}
	if _, there := find(o.Keys, d.New.ID); d.New.ID != "" && there {
		return d.begin(Act{Kind: Delete, Key: d.New, Heir: d.Old.ID})
	}
	orphans, clear := d.ours(o.Keys)
	if !clear {
		return d.whose(orphans)
	}
	if len(orphans) > 0 {
		return d.begin(Act{Kind: Delete, Key: Key{ID: orphans[0].ID}, Heir: d.Old.ID})
	}
	return d.to(Aborted)
}
