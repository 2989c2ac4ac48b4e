package rotation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
)

// The steps forward.

func (d *decision) waiting() Act {
	if d.Terms.Approve && d.Approved == 0 {
		return d.trouble(NeedsApproval, "the start")
	}
	if d.now.Before(d.StartAt) {
		return d.wait(d.StartAt)
	}
	if !d.s.OpensAt.IsZero() {
		return d.waitForWindow()
	}
	return d.to(Rehearsing)
}

func (d *decision) rehearsing() Act {
	o := d.s.Outcome
	if o != nil && o.Act == Rehearse && (o.Result == Denied || o.Result == Full) {
		return d.halt(RehearsalFailed, o.Why)
	}
	if o, act := d.seen(Rehearse); o == nil {
		return act
	}
	return d.to(Creating)
}

// creating makes the second key. Before every attempt the provider is looked at: what an
// earlier attempt left behind and nobody has the secret of is deleted first.
func (d *decision) creating() Act {
	m := d.Terms.Means
	if m.Archetype == Manual || m.Archetype == Counterparty {
		return d.entering()
	}
	if act, ok := d.recovered(); ok {
		return act
	}
	if d.Doubt && m.Repeats {
		return d.create() // the same key, if it is there
	}
	if !m.Listed {
		if d.Doubt {
			return d.halt(AnswerLost, "a key may have been created, and the provider cannot be asked: look there, delete it if it is there, and let the rotation go on")
		}
		return d.create()
	}
	o, act := d.seen(Look)
	if o == nil {
		return act
	}
	if orphans, clear := d.ours(o.Keys); !clear {
		return d.whose(orphans)
	} else if len(orphans) > 0 && m.Archetype == FixedOverlap {
		return d.halt(AnswerLost, orphans[0].ID+" was created and its secret is lost; to create another may end the old key at once: delete it and let the rotation go on, or roll it back")
	} else if len(orphans) > 0 {
		return d.begin(Act{Kind: Delete, Key: Key{ID: orphans[0].ID}, Heir: d.Old.ID})
	}
	if live := alive(o.Keys); m.MaxKeys > 0 && len(live) >= m.MaxKeys {
		return d.halt(NoRoom, fmt.Sprintf("there are %d keys already and %d are allowed: %s; delete one that nobody uses, and let the rotation go on", len(live), m.MaxKeys, ids(live)))
	}
	d.Before = nil
	for _, k := range o.Keys {
		d.Before = append(d.Before, k.ID)
	}
	return d.create()
}

// entering waits for the key that a person makes, or that the other side tells of.
func (d *decision) entering() Act {
	if d.New.ID == "" && d.Terms.Means.Guide != "" {
		return d.trouble(NeedsKey, "make the new key by the steps of the guide "+d.Terms.Means.Guide+" and enter it")
	}
	if d.New.ID == "" {
		return d.trouble(NeedsKey, "make the new key at the provider's console and enter it")
	}
	if d.MintedAt = d.now; d.Terms.Means.ends() { // what is entered was changed at the console before
		d.fade()
	}
	return d.to(Verifying)
}

// recovered takes up a new key whose answer was sealed here, and not stored; false if there
// is none.
func (d *decision) recovered() (Act, bool) {
	if !d.Doubt {
		return Act{}, false
	}
	switch o := d.s.Outcome; {
	case o == nil:
		return Act{Kind: Recover, Attempt: d.Attempt}, true
	case o.Act == Recover && o.Result == Did:
		d.note("recovered", o.Key.ID)
		return d.minted(o.Key), true
	case o.Act == Recover && o.Result != NoEffect:
		return d.fail(o.Why), true
	}
	return Act{}, false
}

func (d *decision) create() Act {
	if !d.Doubt || !d.Terms.Means.Repeats { // otherwise the doubt stays until the answer is there
		d.Doubt = false
		d.Attempt++
		d.TriedAt = d.now
	}
	return d.begin(Act{Kind: Create, Attempt: d.Attempt})
}

// ours answers the keys that attempts of this rotation have left. Where keys carry no tag, and
// it is not known what became of the last attempt, a key that was not there before it is ours
// if all that is known says so: it is the only one, was made while the attempt could arrive,
// and was never used. Otherwise it is not clear, and what is somebody's is nobody's to delete.
func (d *decision) ours(keys []Held) (orphans []Held, clear bool) {
	if d.Attempt == 0 || !d.Terms.Means.Tagged && (!d.Doubt || d.New.ID != "") {
		return nil, true
	}
	for _, k := range keys {
		if k.ID == d.Old.ID || k.ID == d.New.ID || k.Status == accesskey.Deleted || k.Status == accesskey.Gone {
			continue
		}
		tagged := strings.HasPrefix(k.Tag, d.mark())
		if tagged || !d.Terms.Means.Tagged && !slices.Contains(d.Before, k.ID) {
			orphans = append(orphans, k)
		}
	}
	if d.Terms.Means.Tagged || len(orphans) == 0 {
		return orphans, true
	}
	return orphans, len(orphans) == 1 && orphans[0].Use.Known == accesskey.No && d.triedWhen(orphans[0].CreatedAt)
}

// triedWhen tells whether the last attempt to create could arrive at a time of the
// provider's clock. Of an attempt whose beginning is not known nothing can be said.
func (d *decision) triedWhen(at time.Time) bool {
	first, last := d.TriedAt.Add(-clockSkew), d.TriedAt.Add(2*d.Terms.CallTime()+clockSkew)
	return !d.TriedAt.IsZero() && !at.Before(first) && !at.After(last)
}

// whose asks a person which key is ours.
func (d *decision) whose(keys []Held) Act {
	var told []string
	for _, k := range keys {
		made := "at an unknown time"
		if !k.CreatedAt.IsZero() {
			made = k.CreatedAt.UTC().Format(time.RFC3339)
		}
		told = append(told, fmt.Sprintf("%s (made %s)", k.ID, made))
	}
	return d.halt(Ambiguous, fmt.Sprintf("one of these keys may be ours, tried at %s: %s; delete the one that nobody uses, and let the rotation go on",
		d.TriedAt.UTC().Format(time.RFC3339), strings.Join(told, ", ")))
}

func alive(keys []Held) (out []Held) {
	for _, k := range keys {
		if k.Status != accesskey.Deleted && k.Status != accesskey.Gone {
			out = append(out, k)
		}
	}
	return out
}

func ids(keys []Held) string {
	var out []string
	for _, k := range keys {
		out = append(out, k.ID)
	}
	return strings.Join(out, ", ")
}

func (d *decision) verifying() Act {
	if !d.Terms.Means.Verifies {
		return d.roll()
	}
	o, act := d.seen(Verify)
	if o == nil {
		act.Key = d.New
		return act
	}
	switch {
	case o.Verdict == Accepted:
		if d.Terms.Means.Archetype == Pending { // that was its first use
			d.fade()
		}
		return d.roll()
	case o.Verdict == Refused && d.now.Before(d.Since.Add(max(5*d.Terms.Means.Activates, idleTime))):
		return d.poll()
	}
	return d.goBack(NotAccepted, "the provider answers that the new key is "+string(o.Verdict))
}

func (d *decision) roll() Act {
	if len(d.Terms.Waves) == 0 { // no node: whoever uses the key reads the secret's current version
		d.Settled = true
		return d.to(Settling)
	}
	d.Wave, d.Published, d.Confirmed = 0, time.Time{}, time.Time{}
	return d.to(Rolling)
}

// rolling publishes a wave, waits until each of its nodes uses the new key, and lets it
// bake.
func (d *decision) rolling() Act {
	w := d.Terms.Waves[d.Wave]
	if d.Published.IsZero() {
		if w.Approve && d.Approved <= d.Wave+1 {
			return d.trouble(NeedsApproval, "wave "+w.Name)
		}
		if !d.s.OpensAt.IsZero() && !d.fading() {
			return d.waitForWindow()
		}
		d.Generation, d.Published = d.Base+1, d.now
		d.note("published", w.Name)
		return act(Proceed)
	}
	c := d.s.Wave
	if act, bad := d.gates(); bad {
		return act
	}
	if c.There < c.Members {
		d.Confirmed = time.Time{}
		if d.now.After(d.Published.Add(d.Terms.Confirm)) {
			return d.trouble(NodesBehind, behind(c))
		}
		return d.poll()
	}
	if d.Confirmed.IsZero() {
		d.Confirmed = d.now
		d.note("confirmed", w.Name)
	}
	if baked := d.Confirmed.Add(w.Bake); d.now.Before(baked) {
		return d.until(baked)
	}
	if d.Wave++; d.Wave < len(d.Terms.Waves) {
		d.Published, d.Confirmed = time.Time{}, time.Time{}
		return act(Proceed)
	}
	d.Wave--
	d.Settled = true
	return d.to(Settling)
}

// gates goes back when nodes report too much trouble with the new key.
func (d *decision) gates() (Act, bool) {
	g, c := d.Terms.Gates, d.s.All
	if d.Ungated || c.Refused <= g.Refused && c.Fallbacks <= g.Fallbacks {
		return Act{}, false
	}
	detail := fmt.Sprintf("nodes report that the new key was refused %d times and that the old one was used in its place %d times", c.Refused, c.Fallbacks)
	return d.goBack(NotAccepted, detail), true
}

// settling moves the secret's current version. Done twice it has no further effect; but one
// that came late would undo what was settled since, so it is waited out like any other act.
func (d *decision) settling(version string) Act {
	return d.begin(Act{Kind: Settle, Key: Key{Version: version}})
}

// grace waits until nobody can be using the old key any more, as far as anybody can tell.
func (d *decision) grace() Act {
	c, t := d.s.All, d.Terms
	if act, bad := d.gates(); bad {
		return act
	}
	if c.There < c.Members {
		return d.trouble(NodesBehind, behind(c))
	}
	from := later(d.Since, c.LastAck)
	if end := later(from.Add(t.Grace), c.OldUseAt.Add(t.Quiet)); d.now.Before(end) {
		return d.until(end)
	}
	if !d.s.OpensAt.IsZero() && !d.fading() {
		return d.waitForWindow()
	}
	if t.Profile == Planned && t.Means.Listed && t.Means.UseLag > 0 {
		if act, ok := d.silent(from); !ok {
			return act
		}
	}
	return d.retire()
}

// silent asks the provider, as the second witness, whether the old key was used since the
// last node left it.
func (d *decision) silent(from time.Time) (Act, bool) {
	m := d.Terms.Means
	if told := from.Add(d.Terms.Quiet + m.UseLag); d.now.Before(told) {
		return d.until(told), false
	}
	o, act := d.seen(Look)
	if o == nil {
		return act, false
	}
	old, there := find(o.Keys, d.Old.ID)
	if used := old.Use.At; there && old.Use.Known == accesskey.Yes && used.After(from) && d.now.Before(used.Add(d.Terms.Quiet+m.UseLag)) {
		return d.trouble(OldKeyUsed, fmt.Sprintf("%s was used at %s, when no node had it first any more (service %s, region %s, address %s)",
			d.Old.ID, used.UTC().Format(time.RFC3339), old.Use.Service, old.Use.Region, old.Use.IP)), false
	}
	return Act{}, true
}

// fading tells whether the old key dies at a time that the provider chose: no window is
// waited for once it has begun.
func (d *decision) fading() bool {
	a := d.Terms.Means.Archetype
	return a == FixedOverlap || a == Pending || a == Roll || d.Terms.Means.ends()
}

// fade says that the old key begins to die.
func (d *decision) fade() {
	if end := d.now.Add(d.Terms.Means.Overlap); d.FinishBy.IsZero() || end.Before(d.FinishBy) {
		d.FinishBy = end
	}
}

// retire goes on to what ends the old key.
func (d *decision) retire() Act {
	switch d.Terms.Means.Archetype {
	case Pair, Manual:
		return d.to(Disabling)
	}
	return d.drop()
}

// drop has nodes forget the old key.
func (d *decision) drop() Act {
	d.Generation++
	return d.to(Dropping)
}

func (d *decision) disabling() Act {
	if d.s.All.There < d.s.All.Members { // a node has come since
		return d.trouble(NodesBehind, behind(d.s.All))
	}
	if d.Terms.Means.Archetype == Manual {
		return d.disablingByHand()
	}
	if d.Doubt {
		o, act := d.seen(Look)
		if o == nil {
			return act
		}
		old, there := find(o.Keys, d.Old.ID)
		if d.Doubt = false; !there || old.Status == accesskey.Inactive {
			d.DisabledAt = d.now
			return d.to(Observing)
		}
	}
	return d.end(Disable)
}

// end begins an act that ends the old key, when a window is open.
func (d *decision) end(k ActKind) Act {
	if !d.s.OpensAt.IsZero() {
		return d.waitForWindow()
	}
	a := Act{Kind: k, Key: d.Old}
	if k == Delete {
		a.Heir = d.New.ID
	}
	return d.begin(a)
}

// disablingByHand has a person switch the old key off, or waits until the provider does. Nobody
// can ask a console whether the new key is in use: where no node tells of it, the person is
// told that nothing proves it.
func (d *decision) disablingByHand() Act {
	m := d.Terms.Means
	switch {
	case m.ends() && !d.now.Before(d.MintedAt.Add(m.Overlap)):
		d.DisabledAt = d.now
		return d.to(Observing)
	case m.ends() && d.Terms.Uses:
		return d.until(d.MintedAt.Add(m.Overlap))
	case m.ends():
		return d.trouble(NeedsHand, "the provider ends "+d.Old.ID+" by itself at "+d.MintedAt.Add(m.Overlap).Format(time.RFC3339)+"; nothing proves that programs use the new key: make sure of it before, and confirm it")
	case m.single() && len(d.Terms.Waves) == 0:
		return d.trouble(NeedsHand, "change the key at the provider's console from "+d.Old.ID+" to the one that was entered, and confirm it; it takes effect at once, and nothing proves that programs have the new key: make sure of it first")
	case m.single():
		return d.trouble(NeedsHand, "change the key at the provider's console from "+d.Old.ID+" to the one that was entered, and confirm it; it takes effect at once")
	case !d.Terms.Uses:
		return d.trouble(NeedsHand, "disable "+d.Old.ID+" at the provider's console, and confirm it; nothing proves that programs use the new key: make sure of it first, for those that do not will fail")
	}
	return d.trouble(NeedsHand, "disable "+d.Old.ID+" at the provider's console, and confirm it")
}

// observing waits for trouble with the old key off. No trouble is not enough: the new key
// must be seen in use.
func (d *decision) observing() Act {
	if act, bad := d.gates(); bad {
		return act
	}
	if end := d.Since.Add(d.Terms.Observe); d.now.Before(end) {
		return d.until(end)
	}
	if d.Terms.Uses && !d.Waived && d.s.All.Members > 0 && !d.s.All.UsedAt.After(d.DisabledAt) {
		return d.trouble(NewKeyUnused, "since the old key was disabled not every node has told of a use of the new one; approve to go on all the same")
	}
	if !d.s.OpensAt.IsZero() {
		return d.waitForWindow()
	}
	return d.drop()
}

func (d *decision) dropping() Act {
	if c := d.s.All; c.There < c.Members {
		if d.now.After(d.Since.Add(d.Terms.Confirm)) {
			return d.trouble(NodesBehind, behind(c))
		}
		return d.poll()
	}
	switch d.Terms.Means.Archetype {
	case Counterparty:
		return d.to(Done)
	case FixedOverlap, Pending, Roll:
		from := d.MintedAt
		if d.Terms.Means.Archetype == Pending { // the overlap began with the first use, before now
			from = d.Since
		}
		if end := from.Add(d.Terms.Means.Overlap); d.now.Before(end) {
			return d.wait(end)
		}
		return d.to(Done)
	}
	return d.to(Deleting)
}

// deleting ends the old key. Nothing can be undone from here on.
func (d *decision) deleting() Act {
	if d.s.All.There < d.s.All.Members {
		return d.trouble(NodesBehind, behind(d.s.All))
	}
	m := d.Terms.Means
	if m.ends() || m.single() { // it is not there any more
		return d.to(Done)
	}
	if m.Archetype == Manual {
		return d.trouble(NeedsHand, "delete "+d.Old.ID+" at the provider's console, and confirm it")
	}
	if !m.Listed {
		if d.Doubt && m.Archetype == Promote { // what is first and what is second may have changed
			return d.halt(AnswerLost, "the new key may be the first one already, and the provider cannot be asked: look there, promote it if it is not, and confirm it")
		}
		return d.end(Delete)
	}
	o, act := d.seen(Look)
	if o == nil {
		return act
	}
	if _, there := find(o.Keys, d.Old.ID); !there {
		return d.to(Done)
	}
	if _, there := find(o.Keys, d.New.ID); !there {
		return d.halt(NotAccepted, "the new key "+d.New.ID+" is not at the provider any more")
	}
	return d.end(Delete)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
