package rotation_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/span"
)

// The model is the world around the protocol: a provider, servers that crash, nodes, people.
// It decides nothing itself: what happens to a rotation is what Decide and the orders answer.
// A state is a value without pointers, so that states can be compared and counted. Times are
// kept relative to now, in units, and only as far as Decide can tell them apart.

const (
	slots    = 6               // keys that a provider ever has
	unit     = 5 * time.Second // of time
	drained  = uint8((rotation.CallTime + rotation.DrainTime) / unit)
	draining = uint8(rotation.DrainTime / unit) // what is left when the call is given up
	patience = uint8(time.Minute / unit)        // with a key that is refused although it should work
	overlap  = 15 * time.Minute                 // of providers that choose one
	week     = 7 * 24 * time.Hour               // that a key lives on which a person has changed
)

// How far away what happens days from now is, where Decide tells no more apart: the time of a
// row's minted and finish, and of a slot's left. Such a time passes only when there is nothing
// to wait for that happens within minutes.
const (
	ended  uint8 = 253 + iota // it has happened
	near                      // so near that nobody goes back to a key that a person has changed
	remote                    // there is time for everything
)

// ends answers a time that is so far away.
func ends(distance uint8) time.Time {
	switch distance {
	case remote:
		return epoch.Add(100 * time.Hour)
	case near:
		return epoch.Add(6 * time.Hour)
	case ended:
		return epoch.Add(-6 * time.Hour)
	}
	return time.Time{}
}

// distance answers how far away a time is that [ends] has answered, or a later one.
func distance(t time.Time) uint8 {
	switch {
	case t.IsZero():
		return 0
	case !t.After(epoch):
		return ended
	case t.Before(ends(remote)):
		return near
	}
	return remote
}

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// steps are all steps; their places stand for them in a row.
var steps = []rotation.Step{
	rotation.Waiting, rotation.Rehearsing, rotation.Creating, rotation.Verifying, rotation.Rolling, rotation.Settling, rotation.Grace,
	rotation.Disabling, rotation.Observing, rotation.Dropping, rotation.Deleting, rotation.Done,
	rotation.Enabling, rotation.Returning, rotation.Unsettling, rotation.Withdrawing, rotation.Aborted,
}

var kinds = []rotation.ActKind{
	"", rotation.Wait, rotation.Proceed, rotation.Look, rotation.Rehearse, rotation.Recover, rotation.Verify,
	rotation.Create, rotation.Disable, rotation.Enable, rotation.Delete, rotation.Settle,
}

var reasons = []rotation.Reason{
	"", rotation.RehearsalFailed, rotation.NoRoom, rotation.OldKeyGone, rotation.Ambiguous, rotation.AnswerLost, rotation.CallRefused,
	rotation.TriesUsedUp, rotation.NotAccepted, rotation.NeedsApproval, rotation.NeedsKey, rotation.NeedsHand, rotation.NodesBehind,
	rotation.OldKeyUsed, rotation.NewKeyUnused, rotation.SecretChanged,
}

func place[T comparable](in []T, what T) uint8 {
	i := slices.Index(in, what)
	if i < 0 {
		panic(fmt.Sprintf("the model does not know %v", what))
	}
	return uint8(i)
}

// A row is a rotation as it is stored.
type row struct {
	step, intent, intentKey, until            uint8 // until the act is drained
	tries, notBefore, since                   uint8
	newKey, before, attempt, minted           uint8 // minted: 0 for never, 1 for longer ago than the overlap
	finish                                    uint8 // distance; 0 for never
	generation, wave, approved                uint8
	halt, trouble                             uint8
	doubt, published, confirmed, settled, off bool
	waived, paused, back, late                bool
}

var (
	keyIDs   = [...]string{"", "k0", "k1", "k2", "k3", "k4", "k5"}
	versions = [...]string{"", "v0", "v1", "v2", "v3", "v4", "v5"}
)

func keyOf(n uint8) rotation.Key { return rotation.Key{ID: keyIDs[n], Version: versions[n]} }

func numberOf(id string) uint8 { return place(keyIDs[:], id) }

// past is a time that is long over.
var past = epoch.Add(-24 * time.Hour)

func flag(b bool) time.Time {
	if b {
		return past
	}
	return time.Time{}
}

// rotation answers the rotation that a row is, with epoch for now.
func (x row) rotation(t rotation.Terms) rotation.Rotation {
	r := rotation.Rotation{
		Account: "a", ID: "r", Plan: "p", Machine: 1, Terms: t, Step: steps[x.step], Doubt: x.doubt, Tries: int(x.tries),
		Since: epoch.Add(time.Duration(x.since)*unit - watched(steps[x.step])),
		Old:   keyOf(1), New: keyOf(x.newKey), Attempt: int(x.attempt), Base: 1, Generation: int64(x.generation), Wave: int(x.wave), TriedAt: epoch,
		Published: flag(x.published), Confirmed: flag(x.confirmed), Settled: x.settled, DisabledAt: flag(x.off),
		Approved: int(x.approved), Waived: x.waived, Halt: reasons[x.halt], Trouble: reasons[x.trouble],
	}
	if x.intent != 0 {
		r.Intent = &rotation.Intent{Kind: kinds[x.intent], Key: keyIDs[x.intentKey], Until: epoch.Add(time.Duration(x.until)*unit - rotation.DrainTime)}
	}
	if x.notBefore > 0 {
		r.NotBefore = epoch.Add(time.Duration(x.notBefore) * unit)
	}
	for i := range slots {
		if x.before&(1<<i) != 0 {
			r.Before = append(r.Before, keyIDs[i+1])
		}
	}
	switch {
	case x.minted >= ended:
		r.MintedAt = ends(x.minted).Add(-t.Means.Overlap)
	case x.minted > 0:
		r.MintedAt = epoch.Add(time.Duration(x.minted-1)*unit - overlap)
	}
	r.FinishBy, r.Late = ends(x.finish), x.late
	if x.paused {
		r.Paused = "somebody"
	}
	if x.back {
		r.Back = "ordered"
	}
	return r
}

// watched is how long it matters since when a rotation stands at a step.
func watched(s rotation.Step) time.Duration {
	if s == rotation.Dropping {
		return overlap
	}
	return time.Minute
}

// until answers how many units a time is away; none if it is over.
func until(t time.Time) uint8 {
	d := t.Sub(epoch)
	if d <= 0 {
		return 0
	}
	return uint8(min(int64((d+unit-1)/unit), 250))
}

// stored answers the row that a rotation is.
func stored(r rotation.Rotation) row {
	x := row{
		step: place(steps, r.Step), doubt: r.Doubt, tries: uint8(r.Tries), notBefore: until(r.NotBefore), newKey: numberOf(r.New.ID), attempt: uint8(r.Attempt),
		generation: uint8(r.Generation), wave: uint8(r.Wave), published: !r.Published.IsZero(), confirmed: !r.Confirmed.IsZero(), settled: r.Settled,
		off: !r.DisabledAt.IsZero(), approved: uint8(r.Approved), waived: r.Waived, halt: place(reasons, r.Halt), paused: r.Paused != "", back: r.Back != "",
	}
	if r.Intent != nil {
		x.intent, x.intentKey, x.until = place(kinds, r.Intent.Kind), numberOf(r.Intent.Key), until(r.Intent.Until.Add(rotation.DrainTime))
	}
	switch r.Trouble {
	case rotation.NeedsApproval, rotation.NeedsKey, rotation.NeedsHand, rotation.NewKeyUnused: // orders ask for these
		x.trouble = place(reasons, r.Trouble)
	}
	switch {
	case r.Step == rotation.Verifying, r.Step == rotation.Enabling, r.Step == rotation.Dropping && r.Terms.Means.Archetype == rotation.Pending:
		x.since = until(r.Since.Add(watched(r.Step)))
	}
	for _, id := range r.Before {
		x.before |= 1 << (numberOf(id) - 1)
	}
	switch m := r.Terms.Means; {
	case r.MintedAt.IsZero() || m.Overlap == 0:
	case m.Archetype == rotation.Manual:
		x.minted = distance(r.MintedAt.Add(m.Overlap))
	default:
		x.minted = until(r.MintedAt.Add(overlap)) + 1
	}
	if r.Terms.Means.Overlap == 0 { // else it follows from when the new key was made
		x.finish, x.late = distance(r.FinishBy), r.Late
	}
	if r.Over() { // what nobody asks for any more
		x.before, x.tries, x.doubt = 0, 0, false
	}
	return x
}

// shift lets time pass.
func (x *row) shift(by uint8) {
	x.until, x.notBefore, x.since = less(x.until, by), less(x.notBefore, by), less(x.since, by)
	if x.minted > 0 && x.minted < ended {
		x.minted = less(x.minted-1, by) + 1
	}
}

func less(a, by uint8) uint8 { return a - min(a, by) }

// Statuses of a key at the provider.
const (
	absent uint8 = iota
	active
	inactive
	dormant // comes alive when it is used
)

// A slot is a key at the provider; slot 0 is the old one.
type slot struct {
	status  uint8
	attempt uint8 // that made it; 0 for none
	left    uint8 // units that it lives on, and one, or a distance; 0 for for ever
	foreign bool
	sealed  bool // its secret is kept
}

// Phases of a worker.
const (
	idle    uint8 = iota
	decided       // has decided, and not stored
	stored_       // has stored, and not acted
	calling       // waits for the provider's answer
)

// A worker is a server at work on the rotation.
type worker struct {
	phase uint8
	stale bool // what it has decided upon is not what is stored any more
	next  row  // that it has decided to store
	call  call
}

// A call is an act.
type call struct{ kind, key, heir, attempt, until uint8 }

// A held is what a node has, or is about to take.
type held struct{ number, primary, fallback uint8 }

// A node is a place that uses the key.
type node struct {
	joined bool
	has    held
	late   held // an answer on its way
	acked  held // what the server last heard
}

// A state is the whole world.
type state struct {
	row     row
	keys    [slots]slot
	current uint8 // number of the key that the secret's current version holds
	workers [2]worker
	flying  [2]call // that nobody waits for any more
	nodes   [3]node
	hand    uint8 // number of the key that a person has just made, or done away with
	faults  uint8 // that may still happen
	ordered bool  // to go back
	other   bool  // the other side has changed its key
	excused bool  // people or nodes let a key die that nodes use
	paused  bool  // once
	alien   bool  // somebody else has made a key
	closed  bool  // the window
}

// A setting is a world to explore.
type setting struct {
	name   string
	means  rotation.Means
	nodes  int
	late   int // of the nodes join only later
	waves  int
	faults int

	approve  bool // people approve the start and each wave
	foreign  bool // somebody else's key is there from the start
	alien    bool // somebody else makes a key, whose time is not that of an attempt to create
	careless bool // it may be
	denied   bool // the provider may refuse a call for good
	expires  bool // the old key, by itself, whenever nothing else goes on
	windows  bool // open and close
	tells    bool // nodes tell of uses

	undrained, unordered, byKey bool // rules that are taken away
	uses                        bool // only what is used is looked at, not what is left at the end

	windowless, untold, endless bool // as well: windows, telling of what is late, minding that the old key expired

	plain bool // states that amount to the same are all visited

	halts []rotation.Reason // that may be come to
}

func (c *setting) terms() rotation.Terms {
	t := rotation.Terms{Means: c.means, Profile: rotation.Planned, Approve: c.approve, Uses: c.tells}
	if c.expires {
		t.Confirm = 12 * time.Hour // more than is left when the end is close
	}
	if c.means.Archetype == rotation.Counterparty {
		t.Quiet = unit
	}
	for i := range c.waves {
		t.Waves = append(t.Waves, rotation.WaveTerms{Name: fmt.Sprint("w", i), Approve: c.approve})
	}
	return t
}

func (c *setting) start() state {
	s := state{current: 1, faults: uint8(c.faults)}
	s.keys[0] = slot{status: active, sealed: true}
	if c.expires {
		s.row.finish, s.keys[0].left = remote, remote
	}
	if c.foreign {
		s.keys[slots-1] = slot{status: active, foreign: true}
	}
	for i := range c.nodes {
		if i < c.nodes-c.late {
			s.nodes[i] = node{joined: true, has: held{1, 1, 0}, acked: held{1, 1, 0}}
		}
	}
	return s
}

func (c *setting) wave(node int) int { return node % c.waves }

func base(waves int) []rollout.Generation {
	return slices.Repeat([]rollout.Generation{{Number: 1, Primary: versions[1]}}, waves)
}

func number(version string) uint8 { return place(versions[:], version) }

func heldOf(g rollout.Generation) held {
	return held{uint8(g.Number), number(g.Primary), number(g.Fallback)}
}

// decide has the protocol decide on what is stored. It does so once for all states in which
// a decision depends on the same: it is pure.
func (m *model) decide(s *state, o *rotation.Outcome) (row, rotation.Act) {
	if o != nil {
		return m.ask(s, o)
	}
	q := question{row: s.row, other: s.other, closed: s.closed, current: s.current}
	for i := range s.nodes {
		q.joined[i], q.there[i] = s.nodes[i].joined, m.there(s, i)
	}
	a, ok := m.moot[q]
	if !ok {
		a.row, a.act = m.ask(s, nil)
		m.moot[q] = a
	}
	return a.row, a.act
}

// there tells what a node has acknowledged counts for.
func (m *model) there(s *state, i int) bool {
	n := &s.nodes[i]
	return n.joined && m.member(n, m.targets(s.row)[m.wave(i)]).There(rollout.Used)
}

// member answers a node as the server knows it.
func (m *model) member(n *node, target rollout.Generation) rollout.Member {
	ack := rollout.Ack{Generation: int64(n.acked.number), Level: rollout.Used, UsedAt: epoch}
	if m.byKey && n.acked.primary == number(target.Primary) {
		ack.Generation = target.Number
	}
	return rollout.Member{Target: target, Ack: ack}
}

// census counts the nodes of a wave; -1 for all.
func (m *model) census(s *state, wave int) rollout.Census {
	var members []rollout.Member
	for i := range s.nodes {
		if n := &s.nodes[i]; n.joined && (wave < 0 || m.wave(i) == wave) {
			members = append(members, m.member(n, m.targets(s.row)[m.wave(i)]))
		}
	}
	c := rollout.Count(members, rollout.Used, epoch)
	if m.means.Archetype == rotation.Counterparty && !s.other {
		c.OldUseAt = epoch // nodes tell so of every message that comes
	}
	return c
}

func (m *model) ask(s *state, o *rotation.Outcome) (row, rotation.Act) {
	decide := rotation.Decide
	if m.undrained {
		decide = rotation.DecideUndrained
	}
	r := s.row.rotation(m.agreed)
	sight := rotation.Sight{Outcome: o, Wave: m.census(s, int(s.row.wave)), All: m.census(s, -1), OpensAt: s.opens(r), Reads: &rotation.Reading{Version: versions[s.current]}}
	if m.windowless {
		sight.OpensAt = time.Time{}
	}
	if m.endless {
		r.FinishBy = time.Time{}
	}
	r, act := decide(r, sight, epoch)
	r.FinishBy, r.Late = ends(s.row.finish), r.Late && !m.untold
	return stored(r), act
}

// opens answers when the window opens for a rotation.
func (s *state) opens(r rotation.Rotation) time.Time {
	if !s.closed {
		return time.Time{}
	}
	return rotation.Care{Windows: span.Windows{Deny: []string{"00:00-00:01"}, Unless: unit}}.OpensAt(r, epoch)
}

// list is what the provider answers to who looks.
func (m *model) list(s *state) []rotation.Held {
	var out []rotation.Held
	for i, k := range s.keys {
		if k.status == absent {
			continue
		}
		h := rotation.Held{ID: keyIDs[i+1], Status: accesskey.Active, CreatedAt: epoch, Use: accesskey.Use{Known: accesskey.No}}
		if k.foreign && !m.careless {
			h.CreatedAt = past
		}
		if k.status == inactive {
			h.Status = accesskey.Inactive
		}
		if k.attempt > 0 && m.means.Tagged {
			h.Tag = s.row.rotation(m.agreed).Tag(int(k.attempt))
		}
		out = append(out, h)
	}
	return out
}
