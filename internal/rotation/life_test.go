package rotation_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
)

// The nodes of the simulation.

func (w *world) read(n *simNode) {
	d := w.some(10 * time.Second)
	if w.chance(slowNodes, 0.1) {
		d = w.some(3 * time.Hour)
	}
	w.in(d, func() {
		if w.now.Before(n.away) {
			w.in(n.away.Sub(w.now), func() { w.read(n) })
			return
		}
		g := w.waves[n.wave]
		d := w.some(5 * time.Second)
		if w.chance(slowNodes, 0.1) {
			d = w.some(time.Hour) // the answer is slow, and others pass it
		}
		w.in(d, func() { w.take(n, g) })
	})
}

func (w *world) take(n *simNode, g rollout.Generation) {
	if n.liar && w.chance(liars, 0.9) {
		w.in(w.some(5*24*time.Hour), func() { w.take(n, g) })
		return
	}
	if !rollout.Newer(n.has.Number, g.Number) {
		return
	}
	if k := w.versionKey(n.has.Primary); k != nil {
		k.used = w.now
	}
	n.has = g
	w.check()
	w.in(w.some(5*time.Second), func() { w.acknowledge(n, g) })
}

func (w *world) acknowledge(n *simNode, g rollout.Generation) {
	if w.now.Before(n.away) {
		w.in(n.away.Sub(w.now), func() { w.acknowledge(n, g) })
		return
	}
	if n.has != g || g.Number == 0 {
		return
	}
	n.ack = rollout.Ack{Generation: g.Number, Level: rollout.Used, At: w.now, UsedAt: w.now}
	if k := w.versionKey(g.Primary); n.rejected && g.Fallback != "" && !k.made.Equal(time.Time{}) {
		n.ack = rollout.Ack{Generation: g.Number, Level: rollout.Applied, At: w.now, Refused: 3, Fallbacks: 3, FallbackAt: w.now}
	} else {
		w.used(k)
	}
	w.stir()
}

// The people of the simulation.

// attend has somebody come who is asked.
func (w *world) attend() {
	if w.r.Over() || w.r.Halt == "" && w.r.Paused == "" && w.r.Trouble == "" {
		return
	}
	d := w.some(10 * time.Minute)
	if w.chance(people, 0.3) {
		d = w.some(24 * time.Hour)
	}
	id, rev := w.r.ID, w.r.Rev
	w.in(d, func() {
		if w.r.ID == id && w.r.Rev == rev {
			w.answer()
		}
	})
}

func (w *world) answer() {
	r := w.r
	switch {
	case r.Halt == rotation.AnswerLost && r.Step == rotation.Deleting:
		w.key(r.Old.ID).status = accesskey.Gone
		w.order(r.Confirm("p", w.now))
	case r.Paused != "":
		w.clean() // it may be halted, too
		w.order(r.Resume("p", w.now))
	case r.Halt != "":
		w.clean()
		for _, n := range w.nodes { // what it was refused for is put right
			if n.rejected = n.rejected && w.now.Before(w.calm); !n.rejected {
				n := n
				w.in(0, func() { w.acknowledge(n, n.has) })
			}
		}
		w.order(r.Resume("p", w.now))
	case r.Trouble == rotation.NeedsApproval && !w.never, r.Trouble == rotation.NewKeyUnused:
		w.order(r.Approve("p", w.now))
	case r.Trouble == rotation.NeedsKey:
		w.minted++
		k := &simKey{id: fmt.Sprint("k", w.minted), version: fmt.Sprint("v", w.minted), status: accesskey.Active, made: w.now, sealed: true}
		w.keys = append(w.keys, k)
		w.order(r.Entered(rotation.Key{ID: k.id, Version: k.version}, "p", w.now))
	case r.Trouble == rotation.NeedsHand:
		kind, k := rotation.Delete, w.key(r.Old.ID)
		switch r.Step {
		case rotation.Disabling:
			kind = rotation.Disable
		case rotation.Enabling:
			kind = rotation.Enable
		case rotation.Withdrawing:
			k = w.key(r.New.ID)
		}
		w.carryOut(r, rotation.Act{Kind: kind, Key: rotation.Key{ID: k.id}})
		w.order(r.Confirm("p", w.now))
	}
}

// clean is what a person does where a provider cannot be asked whether a key was made.
func (w *world) clean() {
	for _, k := range w.keys {
		if w.r.Halt == rotation.AnswerLost && k.tag != "" && k.id != w.r.New.ID && k.id != w.r.Old.ID {
			k.status = accesskey.Gone
		}
	}
}

func (w *world) order(r rotation.Rotation, err error) {
	if err != nil {
		w.fail("an order is refused: %v", err)
		return
	}
	w.tell("ordered: %s", r.History[len(r.History)-1].Text)
	w.store(r)
	w.stir()
}

// What must hold.

func (w *world) fades() bool {
	a := w.r.Terms.Means.Archetype
	return a == rotation.FixedOverlap || a == rotation.Pending
}

// passed: a key has died at the time that the provider chose. Whether people were told in
// time is what is asked for then.
func (w *world) passed() {
	w.excused = w.r.Halt != "" || w.r.Paused != "" || w.r.Trouble != "" || w.r.Late
	w.check()
}

// check: what every node uses is accepted. Where a provider ends the old key at a time of
// its own, a node that was told of the new one in time and is behind, or a person who was
// asked, may be to blame.
func (w *world) check() {
	for _, n := range w.nodes {
		if !n.joined || n.liar || n.has.Number == 0 || w.accepted(w.versionKey(n.has.Primary)) {
			continue
		}
		if w.fades() && (w.excused || n.has.Number < w.waves[n.wave].Number) {
			continue
		}
		w.fail("node %s uses %s, which the provider refuses (%s %q %q %v)", n.name, n.has.Primary, w.r.Step, w.r.Trouble, w.r.Halt, w.r.Late)
	}
	if !w.fades() && !w.accepted(w.versionKey(w.current)) {
		w.fail("the secret's current version is %s, which the provider refuses", w.current)
	}
}

// checkEnding: nobody holds a key that is ended.
func (w *world) checkEnding(r rotation.Rotation, k *simKey, kind rotation.ActKind) {
	for _, n := range w.nodes {
		if n.joined && !n.liar && (n.has.Primary == k.version || kind == rotation.Delete && n.has.Fallback == k.version) {
			w.fail("%s %s while node %s holds it", kind, k.id, n.name)
		}
	}
	t := r.Terms
	if kind == rotation.Disable && w.now.Sub(r.Since) < time.Minute && t.Profile == rotation.Planned && t.Means.Listed && t.Means.UseLag > 0 {
		c := w.census(-1)
		if at := w.lastUse(k); at.After(c.LastAck.Add(time.Hour)) && w.now.Sub(at) < t.Quiet+t.Means.UseLag-2*time.Minute {
			w.fail("%s is disabled and the provider told of a use at %s", k.id, at)
		}
	}
}

// ended: exactly one key is left, and everybody has it.
func (w *world) ended() {
	stays, goes := w.r.Old, w.r.New
	if w.r.Step == rotation.Done {
		stays, goes = goes, stays
	}
	if k := w.key(stays.ID); !w.accepted(k) && !w.fades() {
		w.fail("at the end %s does not work", stays.ID)
	}
	if w.current != stays.Version {
		w.fail("at the end the current version is %s", w.current)
	}
	for _, k := range w.keys {
		if k.id != stays.ID && w.accepted(k) && !k.dormant && w.r.Terms.Means.Archetype != rotation.Counterparty {
			w.fail("at the end %s is left (%s goes)", k.id, goes.ID)
		}
	}
	for i, g := range w.waves {
		if g.Primary != stays.Version || g.Fallback != "" {
			w.fail("at the end wave %d is to have %v", i, g)
		}
	}
}

// One life.

func pick[T any](w *world, from ...T) T { return from[w.rng.IntN(len(from))] }

func (w *world) yes() bool { return w.rng.IntN(2) == 0 }

// plan makes a plan up, and the nodes of its rollout.
func (w *world) plan() rotation.Terms {
	m := rotation.Means{
		Archetype: pick(w, rotation.Pair, rotation.Pair, rotation.Multi, rotation.FixedOverlap, rotation.Pending, rotation.Promote, rotation.Counterparty, rotation.Manual),
		Listed:    true, Tagged: true, Repeats: w.yes(), Verifies: w.yes(),
	}
	switch m.Archetype {
	case rotation.Pair, rotation.Multi, rotation.Promote:
		m.MaxKeys = pick(w, 0, 2, 3)
		m.Listed = m.Archetype == rotation.Pair || w.yes()
		m.Tagged = m.Listed && w.yes()
	case rotation.FixedOverlap, rotation.Pending:
		m.Overlap = time.Duration(24+w.rng.IntN(48)) * time.Hour
	default:
		m.Listed, m.Tagged, m.Repeats = false, false, false
	}
	if m.Verifies {
		m.Activates = w.some(2 * time.Minute)
	}
	if m.Listed && w.yes() {
		m.UseLag = w.some(4 * time.Hour)
	}
	t := rotation.Terms{
		Means: m, Profile: rotation.Planned, Confirm: 5*time.Minute + w.some(2*time.Hour), Grace: w.some(48 * time.Hour), Quiet: w.some(6 * time.Hour),
		Observe: w.some(48 * time.Hour), Gates: rotation.Gates{Refused: 2, Fallbacks: 2}, Approve: w.rng.IntN(4) == 0, Uses: w.yes(),
	}
	if w.rng.IntN(3) == 0 {
		t.Profile, t.Approve, t.Grace, t.Observe, t.Quiet = rotation.Emergency, false, w.some(15*time.Minute), w.some(15*time.Minute), w.some(time.Minute)
	}
	if m.Archetype == rotation.Counterparty {
		t.Gates = rotation.Gates{Refused: 1 << 30, Fallbacks: 1 << 30}
	}
	for i := range 1 + w.rng.IntN(3) {
		t.Waves = append(t.Waves, rotation.WaveTerms{Name: fmt.Sprint("w", i), Bake: w.some(2 * time.Hour), Approve: t.Profile == rotation.Planned && w.rng.IntN(6) == 0})
	}
	w.waves = base(len(t.Waves))
	for i := range w.rng.IntN(7) {
		n := &simNode{name: fmt.Sprint("n", i), wave: w.rng.IntN(len(t.Waves)), joined: true, has: w.waves[0]}
		n.ack = rollout.Ack{Generation: 1, Level: rollout.Used, At: w.now, UsedAt: w.now}
		w.nodes = append(w.nodes, n)
	}
	w.night = w.yes()
	return t
}

// trouble plans what befalls one rotation.
func (w *world) trouble(length time.Duration) {
	w.down[0] = w.now.Add(w.some(length))
	w.down[1] = w.down[0].Add(w.some(6 * time.Hour))
	for _, n := range w.nodes {
		n.liar, n.rejected = w.chance(liars, 0.1), w.chance(rejected, 0.1)
		for range 3 {
			if d := w.some(length); w.chance(slowNodes, 0.3) && !n.liar { // who lies uses the old key all the time
				long := w.some(12 * time.Hour)
				w.in(d, func() { n.away = w.now.Add(long) })
			}
		}
	}
	if w.chance(slowNodes, 0.4) {
		n := &simNode{name: fmt.Sprint("late", w.r.ID), wave: w.rng.IntN(len(w.waves))}
		w.nodes = append(w.nodes, n)
		w.in(w.some(length), func() { n.joined = true; w.tell("node %s joins", n.name); w.read(n) })
	}
	for range 10 {
		if d := w.some(length); w.chance(strays, 0.5) {
			w.in(d, func() {
				if k := w.key(w.r.Old.ID); w.accepted(k) {
					k.used = w.now
				}
			})
		}
	}
	if d := w.some(length); w.chance(people, 0.3) {
		w.in(d, func() {
			if r, err := w.r.Rollback("p", "", w.now); err == nil {
				w.clean()
				w.order(r, nil)
			}
		})
	}
	if d := w.some(length); w.chance(people, 0.3) {
		w.in(d, func() {
			if r, err := w.r.Pause("p", w.now); err == nil {
				w.order(r, nil)
			}
		})
	}
}

// live lives through a seed.
func live(seed uint64, traits trait, tells bool) *world {
	w := &world{tells: tells, rng: rand.New(rand.NewPCG(seed, 1)), traits: traits, now: epoch.Add(time.Duration(seed%1000) * 13 * time.Hour)}
	w.calm = w.now.AddDate(100, 0, 0)
	w.keys, w.current = []*simKey{{id: "k0", version: versions[1], status: accesskey.Active, sealed: true, made: w.now.AddDate(-1, 0, 0)}}, versions[1]
	w.minted = 1
	t := w.plan()
	for i := range 1 + w.rng.IntN(2) {
		length := time.Duration(1+w.rng.IntN(6)) * 24 * time.Hour
		old := w.key(w.versionKey(w.current).id)
		w.r = rotation.Rotation{
			Account: "a", ID: fmt.Sprintf("%016x", i), Plan: "p", Machine: 1, Terms: t, Step: rotation.Waiting, Since: w.now, StartAt: w.now.Add(w.some(48 * time.Hour)),
			Old: rotation.Key{ID: old.id, Version: old.version}, Base: w.waves[0].Number, CreatedAt: w.now,
		}
		w.excused = false
		w.never = w.rng.IntN(20) == 0
		w.begun, w.calm = w.now, w.now.Add(length)
		w.trouble(length)
		w.in(length, w.recover)
		w.wakeIn(0, 0)
		if !w.run() {
			break
		}
		w.now = w.now.Add(time.Duration(20+w.rng.IntN(300)) * 24 * time.Hour)
	}
	return w
}

// recover: from now on nothing goes wrong.
func (w *world) recover() {
	for _, n := range w.nodes {
		n.away = time.Time{}
		if n.liar && n.joined {
			n.has = w.waves[n.wave]
		}
		if n.liar, n.rejected = false, false; n.joined {
			n.ack = rollout.Ack{Generation: n.has.Number, Level: rollout.Used, At: w.now, UsedAt: w.now}
			w.read(n)
		}
	}
	w.attend()
	w.stir()
}

// run has a rotation end, in time; false if there is to be no other after it.
func (w *world) run() bool {
	t := w.r.Terms
	limit := 2*(t.Grace+t.Quiet+t.Means.UseLag+t.Observe+t.Means.Overlap) + 10*24*time.Hour
	for _, wave := range t.Waves {
		limit += 2 * (wave.Bake + t.Confirm)
	}
	for w.wrong == "" && !w.r.Over() {
		if len(w.agenda) == 0 {
			w.fail("nothing happens any more, at %s", w.r.Step)
			break
		}
		e := heap.Pop(&w.agenda).(event)
		w.now = e.at
		e.do()
		if w.now.After(w.calm.Add(limit)) {
			if w.never && w.r.Trouble == rotation.NeedsApproval {
				return false
			}
			w.fail("it has not ended %s after the last trouble: %s %s %s %s", limit, w.r.Step, w.r.Halt, w.r.Trouble, w.r.Detail)
		}
	}
	w.agenda = nil
	w.workers = [2]simWorker{}
	for _, n := range w.nodes { // in the months before the next rotation
		n.liar, n.rejected, n.away = false, false, time.Time{}
		if n.joined && w.versionKey(w.current) != nil {
			n.has = w.waves[n.wave]
			n.ack = rollout.Ack{Generation: n.has.Number, Level: rollout.Used, At: w.now, UsedAt: w.now}
		}
	}
	return w.wrong == "" && w.accepted(w.versionKey(w.current)) && w.versionKey(w.current).dies.IsZero()
}

// TestSimulation: nothing that is promised is broken in lives that chance makes up, and each
// ends in time. KEYWARD_SEED repeats one, KEYWARD_LIVES says how many there are.
func TestSimulation(t *testing.T) {
	lives, first := uint64(10_000), uint64(1)
	if raced {
		lives = 300
		t.Log("under the race detector 300 lives; `make unit` has 10,000 without it")
	}
	if text := os.Getenv("KEYWARD_LIVES"); text != "" {
		lives = number64(t, text)
	}
	if text := os.Getenv("KEYWARD_SEED"); text != "" {
		first, lives = number64(t, text), 1
	}
	var done, aborted, steps, failed atomic.Uint64
	var group sync.WaitGroup
	for shard := range uint64(runtime.NumCPU()) {
		group.Go(func() {
			for seed := first + shard; seed < first+lives && failed.Load() == 0; seed += uint64(runtime.NumCPU()) {
				w := live(seed, allTraits, false)
				steps.Add(uint64(w.steps))
				switch {
				case w.wrong != "":
					failed.Store(seed)
				case w.r.Step == rotation.Done:
					done.Add(1)
				case w.r.Step == rotation.Aborted:
					aborted.Add(1)
				}
			}
		})
	}
	group.Wait()
	if seed := failed.Load(); seed > 0 {
		least := shrink(seed)
		w := live(seed, least, true)
		t.Fatalf("KEYWARD_SEED=%d: %s\nwith nothing but: %s\n%+v\n%s", seed, w.wrong, least, w.r.Terms, strings.Join(w.log[max(0, len(w.log)-80):], "\n"))
	}
	t.Logf("%d lives from seed %d on, %d decisions; of the last rotations %d were done and %d undone", lives, first, steps.Load(), done.Load(), aborted.Load())
}

func number64(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// shrink takes away what the failure does not need.
func shrink(seed uint64) trait {
	least := trait(allTraits)
	for i := range traitNames {
		if less := least &^ (1 << i); live(seed, less, false).wrong != "" {
			least = less
		}
	}
	return least
}
