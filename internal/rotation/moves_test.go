package rotation_test

import (
	"cmp"
	"slices"

	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
)

// A question is what a decision without an outcome follows from.
type question struct {
	row     row
	other   bool
	closed  bool
	current uint8
	there   [3]bool
	joined  [3]bool
}

// An answer is what was decided.
type answer struct {
	row row
	act rotation.Act
}

// An order is what somebody may order of a row.
type order struct {
	who  actor
	what what
	row  row
}

// A model makes moves: from a state every state that may follow.
type model struct {
	*setting
	agreed rotation.Terms
	target map[row][]rollout.Generation
	moot   map[question]answer // decisions with nothing but a census to go by
	orders register
	tells  bool // what it emits is read by people
	emit   func(who actor, next state, format string, args ...any)
	broken string // what a move broke
	seen   map[[2]rotation.Step]bool
	halted map[rotation.Reason]bool
}

// An actor is on whose account a move happens.
type actor uint8

const (
	system actor = iota // goes on by itself
	person              // does what is asked of it
	chance              // a fault, an order, a node that joins: it need not happen
)

func (m *model) targets(x row) []rollout.Generation {
	if g, ok := m.target[x]; ok {
		return g
	}
	g := x.rotation(m.agreed).Generations(base(m.waves))
	m.target[x] = g
	return g
}

func (m *model) moves(s state) {
	for w := range s.workers {
		m.work(s, w)
	}
	for i := range s.flying {
		if s.flying[i].kind == 0 {
			continue
		}
		n := s
		c := n.flying[i]
		n.flying[i] = call{}
		m.carry(&n, c)
		m.send(system, n, "the provider carries out late: %s", c)
	}
	for i := range s.nodes {
		m.nodeMoves(s, i)
	}
	m.people(s)
	m.tick(s)
	if m.means.Archetype == rotation.Counterparty && !s.other && s.row.newKey != 0 && !slices.ContainsFunc(s.nodes[:], func(n node) bool { return n.joined && n.has.primary != s.row.newKey }) {
		n := s
		n.other = true
		m.send(system, n, "the other side changes its key")
	}
	if m.windows {
		n := s
		n.closed = !s.closed
		who := system
		if n.closed {
			who = chance
		}
		m.send(who, n, "the window opens or closes")
	}
	if m.alien && !s.alien {
		if i := s.free(); i > 0 {
			n := s
			n.keys[i], n.alien = slot{status: active, foreign: true}, true
			m.send(chance, n, "somebody else makes the key %s", keyIDs[i+1])
		}
	}
}

// send answers a state that follows, in its one form.
func (m *model) send(who actor, n state, format string, args ...any) {
	for i := range n.workers {
		w := &n.workers[i]
		if w.stale && (w.phase == decided || w.phase == stored_ && !mutates(w.call.kind)) {
			*w = worker{} // it will store nothing, and so does nothing
		}
		if w.phase == idle {
			*w = worker{}
		}
	}
	if compareWorkers(n.workers[0], n.workers[1]) > 0 {
		n.workers[0], n.workers[1] = n.workers[1], n.workers[0]
	}
	if compareCalls(n.flying[0], n.flying[1]) > 0 {
		n.flying[0], n.flying[1] = n.flying[1], n.flying[0]
	}
	if !m.plain {
		m.arrange(&n)
	}
	m.emit(who, n, format, args...)
}

// arrange takes nodes in their one order, for those of a wave are alike: whatever one does the
// other could do in its place, and nothing is promised to one of them. A slow answer that its
// node will not take is forgotten: that it arrives is possible at any time and changes nothing,
// and what a node has grows only.
func (m *model) arrange(s *state) {
	for i := range m.nodes {
		n := &s.nodes[i]
		if !m.unordered && n.late != (held{}) && !m.takes(n.has, n.late) {
			n.late = held{}
		}
		for j := range i {
			if m.wave(i) == m.wave(j) && compareNodes(s.nodes[j], *n) > 0 {
				s.nodes[j], *n = *n, s.nodes[j]
			}
		}
	}
}

func compareNodes(a, b node) int {
	return cmp.Or(compareBool(b.joined, a.joined), compareHelds(a.has, b.has), compareHelds(a.late, b.late), compareHelds(a.acked, b.acked))
}

func compareHelds(a, b held) int {
	return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.primary, b.primary), cmp.Compare(a.fallback, b.fallback))
}

func mutates(kind uint8) bool { return kind >= place(kinds, rotation.Create) }

func compareCalls(a, b call) int {
	return cmp.Or(cmp.Compare(b.kind, a.kind), cmp.Compare(a.key, b.key), cmp.Compare(a.attempt, b.attempt), cmp.Compare(a.until, b.until), cmp.Compare(a.heir, b.heir))
}

func compareWorkers(a, b worker) int {
	return cmp.Or(cmp.Compare(b.phase, a.phase), compareCalls(a.call, b.call), compareBool(a.stale, b.stale))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (m *model) work(s state, w int) {
	me, other := s.workers[w], s.workers[1-w]
	switch me.phase {
	case idle:
		if w == 1 && other.phase == idle {
			return // the same as the first
		}
		n, who := s, system
		if other.phase != idle && !other.stale { // a takeover while the other still lives
			if s.faults == 0 {
				return
			}
			n.faults--
			who = chance
		}
		if m.resolve(&n, w, nil) {
			m.send(who, n, "a server decides: %s", m.plan(&n, w))
		}
		return
	case decided:
		n := s
		m.store(&n, w)
		m.send(system, n, "it stores: %s", n.row)
	case stored_:
		m.perform(s, w)
	case calling:
		m.answer(s, w)
	}
	if s.faults > 0 {
		n := s
		n.faults--
		n.workers[w] = worker{}
		if me.phase == calling {
			n.fly(me.call)
		}
		m.send(chance, n, "the server crashes")
	}
}

func (s *state) fly(c call) {
	i := slices.IndexFunc(s.flying[:], func(c call) bool { return c.kind == 0 })
	if i >= 0 { // else it is lost; only without drain can there be so many
		s.flying[i] = c
	}
}

// resolve has a worker decide; false if nothing comes of it.
func (m *model) resolve(s *state, w int, o *rotation.Outcome) bool {
	next, act := m.decide(s, o)
	if next == s.row && act.Kind == rotation.Wait {
		if s.workers[w].phase == idle {
			return false
		}
		s.workers[w] = worker{}
		return true
	}
	if next == s.row && act.Kind == rotation.Proceed {
		m.broken = "it decides to go on, and nothing changes"
	}
	if m.felt(s.row, next, act) && !s.opens(s.row.rotation(m.agreed)).IsZero() {
		m.broken = "what can be felt begins while the window is closed"
	}
	c := call{kind: place(kinds, act.Kind), key: numberOf(act.Key.ID), heir: numberOf(act.Heir), attempt: uint8(act.Attempt), until: next.until}
	if act.Kind == rotation.Settle {
		c.key = number(act.Key.Version)
	}
	s.workers[w] = worker{phase: decided, next: next, call: c}
	return true
}

// plan tells what a worker has decided, for a trace.
func (m *model) plan(s *state, w int) string {
	if !m.tells || s.workers[w].phase == idle {
		return "nothing"
	}
	return s.workers[w].next.String() + " " + s.workers[w].call.String()
}

// store stores what a worker has decided. Whoever decided on what was stored before is late.
func (m *model) store(s *state, w int) {
	me := &s.workers[w]
	m.seen[[2]rotation.Step{steps[s.row.step], steps[me.next.step]}] = true
	m.halted[reasons[me.next.halt]] = true
	before := s.row
	s.row = me.next
	s.change(w)
	switch {
	case kinds[me.call.kind] == rotation.Wait, kinds[me.call.kind] == rotation.Proceed:
		*me = worker{}
	case mutates(me.call.kind) && me.call.until <= draining: // nothing is sent after its deadline
		*me = worker{}
	default:
		*me = worker{phase: stored_, call: me.call}
	}
	m.checkPublished(s, before)
}

// change makes all but one worker late; -1 for all.
func (s *state) change(but int) {
	for i := range s.workers {
		if i != but && s.workers[i].phase != idle {
			s.workers[i].stale = true
		}
	}
}

// perform does what was stored.
func (m *model) perform(s state, w int) {
	c := s.workers[w].call
	if mutates(c.kind) {
		n := s
		n.workers[w].phase = calling
		m.send(system, n, "it calls: %s", c)
		return
	}
	n := s
	o := &rotation.Outcome{Act: kinds[c.kind], Result: rotation.Did}
	switch o.Act {
	case rotation.Look:
		o.Keys = m.list(&s)
	case rotation.Recover:
		o.Result = rotation.NoEffect
		for i, k := range s.keys {
			if k.sealed && k.attempt == c.attempt && c.attempt > 0 {
				o.Result, o.Key = rotation.Did, keyOf(uint8(i+1))
			}
		}
	case rotation.Verify:
		o.Verdict = rotation.Refused
		if n.use(c.key) {
			o.Verdict = rotation.Accepted
		}
	}
	m.conclude(n, w, system, o, "it does: %s; %s", c)
	if s.faults == 0 {
		return
	}
	n = s
	n.faults--
	if o.Act == rotation.Verify {
		refused := *o
		refused.Verdict = rotation.Refused
		m.conclude(n, w, chance, &refused, "it does: %s, and the key is refused as yet; %s", c)
	}
	result := rotation.NoEffect
	if o.Act == rotation.Recover { // of which that would say that there is nothing
		result = rotation.Unclear
	}
	m.conclude(n, w, chance, &rotation.Outcome{Act: o.Act, Result: result}, "it cannot do: %s; %s", c)
}

// conclude hands an outcome to the next decision.
func (m *model) conclude(n state, w int, who actor, o *rotation.Outcome, format string, c call) {
	m.resolve(&n, w, o)
	m.send(who, n, format, c, m.plan(&n, w))
}

// answer has the provider answer a call.
func (m *model) answer(s state, w int) {
	me := s.workers[w]
	n := s
	result, key := m.carry(&n, me.call)
	m.told(n, w, system, &rotation.Outcome{Act: kinds[me.call.kind], Result: result, Key: key}, "the provider answers: %s is done; %s")
	if s.faults == 0 {
		return
	}
	n = s
	n.faults--
	m.told(n, w, chance, &rotation.Outcome{Act: kinds[me.call.kind], Result: rotation.NoEffect}, "the provider does not do: %s; %s")
	if m.denied {
		m.told(n, w, chance, &rotation.Outcome{Act: kinds[me.call.kind], Result: rotation.Denied}, "the provider refuses: %s; %s")
	}
	n.fly(me.call)
	m.told(n, w, chance, &rotation.Outcome{Act: kinds[me.call.kind], Result: rotation.Unclear}, "the connection is lost, and on its way stays: %s; %s")
}

// told hands an answer to the next decision, if what is stored still waits for it: of the
// intent that it is of, and of no other.
func (m *model) told(n state, w int, who actor, o *rotation.Outcome, format string) {
	c := n.workers[w].call
	if o.Act == rotation.Create && o.Result == rotation.Did {
		n.keys[numberOf(o.Key.ID)-1].sealed = true
	}
	if n.row.intent != c.kind || n.row.until != c.until {
		n.workers[w] = worker{}
		m.send(who, n, format, c, "nobody waits for it any more")
		return
	}
	m.conclude(n, w, who, o, format, c)
}

// nodeMoves: a node reads what it is to have at any time, and takes it now or later.
func (m *model) nodeMoves(s state, i int) {
	me := s.nodes[i]
	if !me.joined {
		if i < m.nodes {
			n := s
			n.nodes[i].joined = true
			m.send(chance, n, "node %d joins", i)
		}
		return
	}
	if target := heldOf(m.targets(s.row)[m.wave(i)]); target.number > 0 && m.takes(me.has, target) {
		n := s
		n.nodes[i].has = target
		m.send(system, n, "node %d reads and takes %s", i, target)
		if me.late == (held{}) {
			n = s
			n.nodes[i].late = target
			m.send(system, n, "node %d reads %s, and the answer is slow", i, target)
		}
	}
	if me.late != (held{}) {
		n := s
		n.nodes[i].late = held{}
		if m.takes(me.has, me.late) {
			n.nodes[i].has = me.late
		}
		m.send(system, n, "the slow answer %s reaches node %d", me.late, i)
	}
	if me.acked != me.has {
		n := s
		n.nodes[i].acked = me.has
		n.use(me.has.primary)
		m.send(system, n, "node %d acknowledges %s", i, me.has)
	}
}

func (m *model) takes(have, got held) bool {
	if m.unordered {
		return got != have
	}
	return rollout.Newer(int64(have.number), int64(got.number))
}

// busy tells whether a server has something to do.
func (m *model) busy(s *state) bool {
	for _, w := range s.workers {
		if w.phase != idle && !w.stale {
			return true
		}
	}
	next, act := m.decide(s, nil)
	return next != s.row || act.Kind != rotation.Wait
}

// awaited tells whether a node or a person has been asked to get a node off the old key.
func (m *model) awaited(s *state) bool {
	told := s.asks()
	for i := range s.nodes {
		told = told || s.nodes[i].joined && !m.there(s, i)
	}
	return told && slices.ContainsFunc(s.nodes[:], func(n node) bool { return n.joined && n.has.primary == 1 })
}

// felt tells whether a decision begins what windows are for.
func (m *model) felt(x, next row, act rotation.Act) bool {
	begins := steps[x.step] == rotation.Waiting && steps[next.step] == rotation.Rehearsing
	ends := (act.Kind == rotation.Disable || act.Kind == rotation.Delete) && act.Key.ID == keyIDs[1]
	return begins || ends || next.published && !x.published
}

// days lets days pass, when nothing else goes on.
func (m *model) days(s state) {
	old := &s.keys[0]
	switch {
	case old.left < ended && s.row.minted < near, steps[s.row.step] == rotation.Done, steps[s.row.step] == rotation.Aborted:
		return
	case m.expires:
		s.row.finish--
		if old.left = s.row.finish; old.left == ended {
			m.expire(&s)
		}
	case s.row.minted == remote || s.row.minted == near && old.left == 0:
		s.row.minted--
	case s.row.minted == near:
		for i := range s.nodes {
			if m.awaited(&s) || s.nodes[i].joined && !m.there(&s, i) {
				return // nobody is away for that long
			}
		}
		s.excused = s.asks()
		*old = slot{}
	default: // a person is about to enter what was changed, and does so within a day
		return
	}
	m.send(system, s, "days pass")
}

// expire has the old key end by itself: whoever uses it still was told of.
func (m *model) expire(s *state) {
	s.excused = s.row.back
	s.keys[0] = slot{}
	r, _ := rotation.Decide(s.row.rotation(m.agreed), rotation.Sight{Wave: m.census(s, int(s.row.wave)), All: m.census(s, -1)}, epoch)
	told := s.asks() || r.Trouble != "" || s.row.late || s.excused
	if !told && slices.ContainsFunc(s.nodes[:], func(n node) bool { return n.joined && n.has.primary == 1 }) {
		m.broken = "the old key expires, nodes use it, and nobody was told"
	}
}

// tick lets time pass until something may be different.
func (m *model) tick(s state) {
	by := uint8(255)
	soon := func(x uint8) {
		if x > 0 {
			by = min(by, x)
		}
	}
	soonCall := func(c call) {
		if c.kind != 0 && mutates(c.kind) {
			soon(less(c.until, draining))
			soon(c.until)
		}
	}
	soon(less(s.row.until, draining))
	soon(s.row.until)
	soon(s.row.notBefore)
	soon(s.row.since)
	if s.row.minted > 0 && s.row.minted < ended {
		soon(s.row.minted - 1)
	}
	n, who := s, system
	if m.busy(&s) {
		who = chance
	}
	for _, w := range s.workers {
		soonCall(w.call)
	}
	for _, c := range s.flying {
		soonCall(c)
	}
	for _, k := range s.keys {
		if k.left > 1 && k.left < ended {
			soon(k.left - 1)
		}
	}
	if by == 255 {
		if who == system {
			m.days(s)
		}
		return
	}
	if who == chance { // there was something to do, and nobody did it in that time
		if s.faults == 0 {
			return
		}
		n.faults--
	}
	n.row.shift(by)
	for i := range n.workers {
		w := &n.workers[i]
		w.next.shift(by)
		w.call.until = less(w.call.until, by)
		if mutates(w.call.kind) && w.phase != decided && w.call.until <= draining { // it gives up
			if w.phase == calling {
				n.fly(w.call)
			}
			*w = worker{}
		}
	}
	for i := range n.flying {
		c := &n.flying[i]
		if c.until = less(c.until, by); c.until == 0 {
			*c = call{}
		}
	}
	for i := range n.keys {
		if k := &n.keys[i]; k.left > 0 && k.left < ended {
			if k.left = less(k.left-1, by) + 1; k.left == 1 {
				*k = slot{}
				if who == chance || m.awaited(&s) {
					return // no server, node or person is away for that long
				}
			}
		}
	}
	if s.keys[0].left > 0 && s.keys[0].left < ended && by > patience && (who == chance || m.awaited(&s)) {
		n.excused = true // of the little time that is left, somebody let most pass
	}
	m.send(who, n, "%d seconds pass", int(by)*5)
}
