package rotation_test

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
)

// The simulation lives through rotations second by second, over days and years: where the
// exploration takes every way through a small world without durations, it takes one way
// through a large world with all of them. Everything follows from the seed.

// A trait is a kind of trouble that a simulated world may have; without one it has less.
type trait uint

const (
	crashes   trait = 1 << iota // servers die and come back, and two work at once
	lostCalls                   // answers of the provider are lost, or late
	outages                     // the provider is away for hours
	slowNodes                   // nodes are away for hours, and join late
	liars                       // nodes say that they use what they do not use
	strays                      // the old key is used by somebody who is no node
	rejected                    // the new key is refused to one node
	people                      // are slow, order to go back, pause
	allTraits = 1<<iota - 1
)

var traitNames = []string{"crashes", "lost calls", "outages", "slow nodes", "liars", "strays", "rejected", "people"}

func (x trait) String() string {
	var out []string
	for i, name := range traitNames {
		if x&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// An event happens at a time.
type event struct {
	at  time.Time
	seq int
	do  func()
}

type agenda []event

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a agenda) Less(i, j int) bool {
	return cmp.Or(a[i].at.Compare(a[j].at), cmp.Compare(a[i].seq, a[j].seq)) < 0
}
func (a *agenda) Push(e any) { *a = append(*a, e.(event)) }
func (a *agenda) Pop() any {
	e := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return e
}

// A simKey is a key at the provider.
type simKey struct {
	id, version, tag string
	attempt          int
	status           accesskey.Status
	works            time.Time // from when on it is accepted
	dies             time.Time // zero for never
	used             time.Time // last by anybody; nodes' uses are told by them
	told             time.Time // last use that the provider tells of
	made             time.Time
	dormant, sealed  bool
}

// A simNode uses the key all the time while it is there.
type simNode struct {
	name     string
	wave     int
	joined   bool
	away     time.Time // until then
	has      rollout.Generation
	ack      rollout.Ack
	liar     bool
	rejected bool // the provider refuses new keys from it
}

// A simWorker is a server.
type simWorker struct {
	life int // a crash begins another one, which knows nothing of what was before
	busy bool
	nap  time.Duration
	wake int // of the wake-ups that were planned only the last counts
}

// A world is one plan and its rotations, one after the other.
type world struct {
	rng     *rand.Rand
	traits  trait
	now     time.Time
	calm    time.Time // nothing goes wrong any more
	agenda  agenda
	seq     int
	r       rotation.Rotation
	waves   []rollout.Generation
	keys    []*simKey
	nodes   []*simNode
	workers [2]simWorker
	current string
	down    [2]time.Time // of the provider
	night   bool         // windows are from two to five
	never   bool         // nobody approves
	excused bool         // the old key died while somebody was asked for something
	minted  int
	begun   time.Time
	log     []string
	members []rollout.Member // room for a census
	tells   bool             // for people who look for what went wrong
	wrong   string
	steps   int
}

func (w *world) chance(of trait, p float64) bool {
	hit := w.rng.Float64() < p // drawn in any case, so that traits do not shift what follows
	return hit && w.traits&of != 0 && w.now.Before(w.calm)
}

// some answers a duration up to a bound, short ones more often.
func (w *world) some(d time.Duration) time.Duration {
	f := w.rng.Float64()
	return time.Duration(f * f * f * float64(d))
}

func (w *world) in(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.agenda, event{w.now.Add(d), w.seq, do})
}

func (w *world) tell(format string, args ...any) {
	if !w.tells {
		return
	}
	if len(w.log) > 400 {
		w.log = w.log[200:]
	}
	w.log = append(w.log, w.now.Format("2006-01-02 15:04:05 ")+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	if w.wrong == "" {
		w.wrong = fmt.Sprintf(format, args...)
		w.tell("WRONG: %s", w.wrong)
	}
}

func (w *world) key(id string) *simKey {
	for _, k := range w.keys {
		if k.id == id {
			return k
		}
	}
	return nil
}

func (w *world) versionKey(version string) *simKey {
	for _, k := range w.keys {
		if k.version == version {
			return k
		}
	}
	return nil
}

func (w *world) accepted(k *simKey) bool {
	return k != nil && k.status == accesskey.Active && !w.now.Before(k.works) && (k.dies.IsZero() || w.now.Before(k.dies))
}

func (w *world) away() bool {
	return w.traits&outages != 0 && !w.now.Before(w.down[0]) && w.now.Before(w.down[1])
}

// The server: it decides, stores if nobody else has, acts, and hands on what came of it.

func (w *world) opens() time.Time {
	if !w.night || w.r.Terms.Profile == rotation.Emergency || w.now.Hour() >= 2 && w.now.Hour() < 5 {
		return time.Time{}
	}
	at := time.Date(w.now.Year(), w.now.Month(), w.now.Day(), 2, 0, 0, 0, time.UTC)
	if !at.After(w.now) {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

func (w *world) census(wave int) rollout.Census {
	members := w.members[:0]
	for _, n := range w.nodes {
		if n.joined && (wave < 0 || n.wave == wave) {
			w.report(n)
			members = append(members, rollout.Member{Node: rollout.Node{Name: n.name}, Wave: n.wave, Target: w.waves[n.wave], Ack: n.ack, Presence: rollout.Presence{SeenAt: w.now}})
		}
	}
	w.members = members
	return rollout.Count(members, rollout.Used, w.now)
}

// report brings what a node says up to date.
func (w *world) report(n *simNode) {
	if w.now.Before(n.away) {
		return
	}
	if n.liar {
		n.ack = rollout.Ack{Generation: w.waves[n.wave].Number, Level: rollout.Used, At: n.ack.At, UsedAt: w.now}
	} else if n.ack.Generation == n.has.Number && n.ack.Level == rollout.Used {
		n.ack.UsedAt = w.now
	}
}

func same(a, b rotation.Rotation) bool {
	if len(a.History) != len(b.History) || a.Step != b.Step || a.Intent != b.Intent || a.Trouble != b.Trouble || a.Halt != b.Halt {
		return false
	}
	a.History, b.History, a.Terms, b.Terms = nil, nil, rotation.Terms{}, rotation.Terms{}
	return reflect.DeepEqual(a, b)
}

func (w *world) look(worker, life int, o *rotation.Outcome, of *rotation.Intent) {
	me := &w.workers[worker]
	if me.life != life || w.r.ID == "" {
		return
	}
	if o != nil && of != nil && (w.r.Intent == nil || *w.r.Intent != *of) {
		o = nil // nobody waits for it any more
	}
	me.busy = true
	w.steps++
	next, act := rotation.Decide(w.r, rotation.Sight{Outcome: o, Wave: w.census(w.r.Wave), All: w.census(-1), OpensAt: w.opens(), Reads: &rotation.Reading{Version: w.current}}, w.now)
	if same(next, w.r) && act.Kind == rotation.Wait {
		me.busy = false
		w.rest(worker, act.At)
		return
	}
	rev := w.r.Rev
	w.in(w.some(200*time.Millisecond), func() {
		if me.life != life {
			return
		}
		if w.r.Rev != rev || w.r.ID != next.ID {
			w.look(worker, life, o, of)
			return
		}
		if w.chance(crashes, 0.004) {
			w.crash(worker)
			return
		}
		w.store(next)
		me.nap = 0
		if w.chance(crashes, 0.004) {
			w.crash(worker)
			return
		}
		w.perform(worker, life, act)
	})
}

// rest waits for what was said, and longer and longer if nothing comes of it.
func (w *world) rest(worker int, at time.Time) {
	me := &w.workers[worker]
	if w.r.Over() {
		return
	}
	me.nap = min(max(4*me.nap, time.Second), time.Hour)
	d := max(at.Sub(w.now), 0)
	if at.IsZero() || d < me.nap && w.r.Intent == nil {
		d = me.nap
	}
	w.wakeIn(worker, d)
}

func (w *world) wakeIn(worker int, d time.Duration) {
	me := &w.workers[worker]
	me.wake++
	wake, life := me.wake, me.life
	w.in(d, func() {
		if me.wake == wake && me.life == life && !me.busy {
			w.look(worker, life, nil, nil)
		}
	})
}

// stir has the first server look soon, for something has changed.
func (w *world) stir() {
	if !w.workers[0].busy {
		w.workers[0].nap = 0
		w.wakeIn(0, w.some(2*time.Second))
	}
}

func (w *world) crash(worker int) {
	w.tell("server %d crashes", worker)
	w.workers[worker] = simWorker{life: w.workers[worker].life + 1, wake: w.workers[worker].wake}
	w.wakeIn(worker, time.Second+w.some(30*time.Minute))
}

func (w *world) store(next rotation.Rotation) {
	before := w.waves
	if next.Step != w.r.Step || next.Halt != w.r.Halt {
		w.tell("%s → %s %s %s %s", w.r.Step, next.Step, next.Halt, next.Detail, next.Back)
	}
	next.Rev = w.r.Rev + 1
	w.r = next
	w.waves = next.Generations(before)
	for i, g := range w.waves {
		if g == before[i] {
			continue
		}
		if g.Number <= before[i].Number {
			w.fail("generation %d is published after %d", g.Number, before[i].Number)
		}
		if k := w.versionKey(g.Primary); k == nil || !k.sealed {
			w.fail("version %s is published and is not sealed", g.Primary)
		}
		w.tell("wave %d is to have %v", i, g)
		for _, n := range w.nodes {
			if n.joined && n.wave == i {
				w.read(n)
			}
		}
	}
	w.check()
	w.attend()
	if w.r.Over() {
		w.ended()
	}
}

func (w *world) perform(worker, life int, act rotation.Act) {
	switch act.Kind {
	case rotation.Wait:
		w.workers[worker].busy = false
		w.rest(worker, act.At)
		return
	case rotation.Proceed:
		w.look(worker, life, nil, nil)
		return
	}
	if w.chance(crashes, 0.01) { // the other server takes it for dead
		other := 1 - worker
		w.in(w.some(2*time.Minute), func() {
			if !w.workers[other].busy {
				w.look(other, w.workers[other].life, nil, nil)
			}
		})
	}
	if w.r.Intent != nil {
		w.call(worker, life, act, *w.r.Intent)
		return
	}
	rev := w.r.Rev
	w.in(w.some(3*time.Second), func() {
		if w.workers[worker].life == life {
			o := w.instant(act)
			if w.r.Rev != rev {
				o = nil
			}
			w.look(worker, life, o, nil)
		}
	})
}

// instant does an act that changes nothing.
func (w *world) instant(act rotation.Act) *rotation.Outcome {
	o := &rotation.Outcome{Act: act.Kind, Result: rotation.Did}
	if act.Kind == rotation.Look || act.Kind == rotation.Verify {
		if w.away() || w.chance(lostCalls, 0.02) {
			o.Result, o.Why = rotation.NoEffect, "away"
			return o
		}
	}
	switch act.Kind {
	case rotation.Look:
		o.Keys = w.list()
	case rotation.Verify:
		k := w.key(act.Key.ID)
		o.Verdict = rotation.Refused
		if w.accepted(k) {
			o.Verdict = rotation.Accepted
			w.used(k)
		}
	case rotation.Recover:
		o.Result = rotation.NoEffect
		for _, k := range w.keys {
			if k.sealed && k.tag == w.r.Tag(act.Attempt) {
				o.Result, o.Key = rotation.Did, rotation.Key{ID: k.id, Version: k.version}
			}
		}
	}
	return o
}

// used is a use of a key, which may be the one that brings it to life.
func (w *world) used(k *simKey) {
	k.used = w.now
	if k.dormant {
		k.dormant = false
		if old := w.key(w.r.Old.ID); old != nil && old.dies.IsZero() {
			old.dies = w.now.Add(w.r.Terms.Means.Overlap)
			w.in(w.r.Terms.Means.Overlap, w.passed)
		}
	}
}

func (w *world) list() (out []rotation.Held) {
	for _, k := range w.keys {
		if k.status == accesskey.Gone || !k.dies.IsZero() && !w.now.Before(k.dies) {
			continue
		}
		h := rotation.Held{ID: k.id, Status: k.status, CreatedAt: k.made, Use: accesskey.Use{Known: accesskey.No}}
		if w.r.Terms.Means.Tagged {
			h.Tag = k.tag
		}
		if at := w.lastUse(k); w.r.Terms.Means.UseLag > 0 && !at.IsZero() {
			h.Use = accesskey.Use{Known: accesskey.Yes, At: at}
		}
		out = append(out, h)
	}
	return out
}

// lastUse is the last use that the provider tells of by now: one that was so long ago, or of a
// node that uses the key all the time.
func (w *world) lastUse(k *simKey) time.Time {
	told := w.now.Add(-w.r.Terms.Means.UseLag)
	if k.used.After(k.made) && !k.used.After(told) {
		k.told = k.used
	}
	for _, n := range w.nodes {
		if n.joined && n.has.Primary == k.version && !w.now.Before(n.away) && told.After(k.made) {
			k.told = told
		}
	}
	return k.told
}

// call has the provider do something that may be lost, late, refused, or done.
func (w *world) call(worker, life int, act rotation.Act, intent rotation.Intent) {
	if !w.now.Before(intent.Until) {
		w.look(worker, life, nil, nil)
		return
	}
	answer := func(o rotation.Outcome) {
		o.Act = act.Kind
		d := w.some(2 * time.Second)
		if w.chance(lostCalls, 0.05) || w.now.Add(d).After(intent.Until) {
			o, d = rotation.Outcome{Act: act.Kind, Result: rotation.Unclear}, max(intent.Until.Sub(w.now), 0)
		}
		w.in(d, func() {
			if w.workers[worker].life != life {
				return
			}
			if o.Key.ID != "" {
				w.key(o.Key.ID).sealed = true
			}
			if w.chance(crashes, 0.01) {
				w.crash(worker)
				return
			}
			w.look(worker, life, &o, &intent)
		})
	}
	arrives := w.some(10 * time.Second)
	if w.chance(lostCalls, 0.05) { // whoever waits gives up before
		arrives = time.Duration(w.rng.Int64N(int64(intent.Until.Add(rotation.DrainTime).Sub(w.now))))
	}
	arrives = min(arrives, intent.Until.Add(rotation.DrainTime-time.Millisecond).Sub(w.now))
	if w.away() || w.chance(lostCalls, 0.03) {
		w.in(arrives, func() { answer(rotation.Outcome{Result: rotation.NoEffect, Why: "away"}) })
		return
	}
	r := w.r // as it was when the call was sent
	w.in(arrives, func() { answer(w.carryOut(r, act)) })
}

func (w *world) carryOut(r rotation.Rotation, act rotation.Act) rotation.Outcome {
	w.tell("the provider does %s %s", act.Kind, act.Key.ID)
	switch act.Kind {
	case rotation.Create:
		return w.create(r, act)
	case rotation.Settle:
		w.current = act.Key.Version
		w.used(w.versionKey(w.current)) // by who reads it without being a node
		return rotation.Outcome{Result: rotation.Did}
	}
	k := w.key(act.Key.ID)
	if strings.HasPrefix(k.id, "foreign") {
		w.fail("%s is done to somebody else's key", act.Kind)
	}
	if k.status == accesskey.Gone {
		if act.Kind == rotation.Enable {
			return rotation.Outcome{Result: rotation.Denied, Why: "no such key"}
		}
		return rotation.Outcome{Result: rotation.Did}
	}
	if act.Kind != rotation.Enable {
		w.checkEnding(r, k, act.Kind)
	}
	k.status = map[rotation.ActKind]accesskey.Status{rotation.Disable: accesskey.Inactive, rotation.Enable: accesskey.Active, rotation.Delete: accesskey.Gone}[act.Kind]
	w.check()
	return rotation.Outcome{Result: rotation.Did}
}

func (w *world) create(r rotation.Rotation, act rotation.Act) rotation.Outcome {
	m := r.Terms.Means
	tag := r.Tag(act.Attempt)
	i := slices.IndexFunc(w.keys, func(k *simKey) bool { return k.tag == tag && k.status == accesskey.Active })
	if i < 0 || !m.Repeats {
		live := 0
		for _, k := range w.keys {
			if k.status != accesskey.Gone {
				live++
			}
		}
		if m.MaxKeys > 0 && live >= m.MaxKeys {
			w.fail("a key is asked for and there is no room")
			return rotation.Outcome{Result: rotation.Full}
		}
		w.minted++
		k := &simKey{id: fmt.Sprint("k", w.minted), version: fmt.Sprint("v", w.minted), tag: tag, attempt: act.Attempt, status: accesskey.Active, made: w.now, works: w.now.Add(w.some(m.Activates)), dormant: m.Archetype == rotation.Pending}
		if m.Archetype == rotation.FixedOverlap {
			for _, old := range w.keys {
				if old.status == accesskey.Active && old.dies.IsZero() {
					old.dies = w.now.Add(m.Overlap)
					w.in(m.Overlap, w.passed)
				}
			}
		}
		w.keys = append(w.keys, k)
		i = len(w.keys) - 1
	}
	return rotation.Outcome{Result: rotation.Did, Key: rotation.Key{ID: w.keys[i].id, Version: w.keys[i].version}}
}
