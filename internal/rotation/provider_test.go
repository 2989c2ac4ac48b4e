package rotation_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/rotation"
)

// The provider, and the people.

// free answers a place for another key; 0 for none.
func (s *state) free() int {
	for i := 1; i < slots; i++ {
		if s.keys[i] == (slot{}) && s.row.newKey != uint8(i+1) && s.hand != uint8(i+1) {
			return i
		}
	}
	return 0
}

func (s *state) alive() (n int) {
	for _, k := range s.keys {
		if k.status != absent {
			n++
		}
	}
	return n
}

// use has somebody use a key; false if it is refused.
func (s *state) use(key uint8) bool {
	if key == 0 {
		return false
	}
	k := &s.keys[key-1]
	if k.status == dormant {
		k.status = active
		s.keys[0].die()
	}
	return k.status == active
}

// single tells whether the console has one key, which a person changes.
func (m *model) single() bool { return m.means.Archetype == rotation.Manual && m.means.MaxKeys == 1 }

// ends tells whether a person's change starts the old key's last days.
func (m *model) ends() bool { return m.means.Archetype == rotation.Manual && m.means.Overlap > 0 }

// die starts the last minutes of a key.
func (k *slot) die() {
	if k.status != absent && k.left == 0 {
		k.left = uint8(overlap/unit) + 1
	}
}

// carry has the provider carry out a call.
func (m *model) carry(s *state, c call) (rotation.Result, rotation.Key) {
	if kinds[c.kind] == rotation.Create {
		return m.mint(s, c)
	}
	if kinds[c.kind] == rotation.Settle {
		s.current = c.key
		return rotation.Did, rotation.Key{}
	}
	k := &s.keys[c.key-1]
	switch {
	case k.foreign:
		m.broken = fmt.Sprintf("%s is done to somebody else's key", kinds[c.kind])
	case k.status == absent && kinds[c.kind] == rotation.Enable:
		return rotation.Denied, rotation.Key{}
	case k.status == absent:
		return rotation.Did, rotation.Key{}
	}
	switch kinds[c.kind] {
	case rotation.Disable:
		if i := slices.IndexFunc(s.nodes[:], func(n node) bool { return n.joined && n.has.primary == c.key }); i >= 0 {
			m.broken = fmt.Sprintf("%s is disabled and node %d uses it", keyIDs[c.key], i)
		}
		k.status = inactive
	case rotation.Enable:
		k.status = active
	case rotation.Delete:
		for i, n := range s.nodes {
			if n.joined && (n.has.primary == c.key || n.has.fallback == c.key) {
				m.broken = fmt.Sprintf("%s is deleted and node %d holds it", keyIDs[c.key], i)
			}
		}
		*k = slot{}
	}
	return rotation.Did, rotation.Key{}
}

// mint makes a key.
func (m *model) mint(s *state, c call) (rotation.Result, rotation.Key) {
	if i := slices.IndexFunc(s.keys[:], func(k slot) bool { return k.attempt == c.attempt }); i >= 0 && m.means.Repeats {
		return rotation.Did, keyOf(uint8(i + 1))
	}
	if m.means.MaxKeys > 0 && s.alive() >= m.means.MaxKeys {
		if !m.foreign && !m.alien && !m.uses {
			m.broken = "a key is asked for and there is no room"
		}
		return rotation.Full, rotation.Key{}
	}
	i := s.free()
	if i == 0 {
		panic("too many keys")
	}
	status := active
	switch m.means.Archetype {
	case rotation.Pending:
		status = dormant
	case rotation.FixedOverlap, rotation.Roll: // the newest but one lives on for a while, others die
		for j := range s.keys {
			if k := &s.keys[j]; k.left > 0 || m.means.Archetype == rotation.Roll {
				*k = slot{}
			}
			s.keys[j].die()
		}
	}
	s.keys[i] = slot{status: status, attempt: c.attempt}
	return rotation.Did, keyOf(uint8(i + 1))
}

// What somebody orders.
type what uint8

const (
	toGoBack what = iota
	toPause
	toResume
	toApprove
	toEnter
	toConfirm
)

func (w what) String() string {
	return [...]string{"orders to go back", "pauses", "lets it go on", "approves", "enters the new key", "confirms"}[w]
}

// ordersOf answers all that can be ordered of a row, and what becomes of it.
func (m *model) ordersOf(x row, made uint8) (out []order) {
	r := x.rotation(m.agreed)
	if m.endless {
		r.FinishBy = time.Time{}
	}
	add := func(who actor, w what) func(rotation.Rotation, error) {
		return func(next rotation.Rotation, err error) {
			if next.FinishBy = ends(x.finish); err == nil {
				out = append(out, order{who, w, stored(next)})
			}
		}
	}
	add(chance, toGoBack)(r.Rollback("p", "", epoch))
	add(chance, toPause)(r.Pause("p", epoch))
	add(person, toResume)(r.Resume("p", epoch))
	add(person, toApprove)(r.Approve("p", epoch))
	add(person, toConfirm)(r.Confirm("p", epoch))
	if made > 0 {
		add(person, toEnter)(r.Entered(keyOf(made), "p", epoch))
	}
	return out
}

// people order what can be ordered, each chance once; who is asked for something does that
// before.
func (m *model) people(s state) {
	for _, o := range m.orders.of(s.row, s.hand, m.ordersOf) {
		n := s
		switch o.what {
		case toGoBack:
			n.ordered = true
			if m.fades() && reasons[s.row.halt] == rotation.AnswerLost {
				n.excused = true
				if !m.means.Listed {
					n.putRight()
				}
			}
		case toPause:
			n.paused = true
		case toResume:
			n.putRight()
			n.excused = n.excused || m.fades() && reasons[s.row.halt] == rotation.AnswerLost
		case toEnter:
			n.keys[s.hand-1].sealed, n.hand = true, 0
		case toConfirm:
			if !m.doneByHand(&s) {
				continue
			}
		}
		if o.what == toGoBack && s.ordered || o.what == toPause && s.paused {
			continue
		}
		m.seen[[2]rotation.Step{steps[s.row.step], steps[o.row.step]}] = true
		n.row = o.row
		n.change(-1)
		m.checkPublished(&n, s.row)
		m.send(o.who, n, "somebody %s: %s", o.what, n.row)
	}
	m.byHand(s)
}

// A register keeps what can be ordered.
type register map[struct {
	row  row
	made uint8
}][]order

func (g register) of(x row, made uint8, ask func(row, uint8) []order) []order {
	k := struct {
		row  row
		made uint8
	}{x, made}
	o, ok := g[k]
	if !ok {
		o = ask(x, made)
		g[k] = o
	}
	return o
}

// putRight is what a person does before a halted rotation is let go on.
func (s *state) putRight() {
	for i := range s.keys {
		switch reasons[s.row.halt] {
		case rotation.Ambiguous, rotation.AnswerLost:
			if k := s.keys[i]; k.attempt > 0 && uint8(i+1) != s.row.newKey {
				s.keys[i] = slot{}
			}
		case rotation.NoRoom:
			if s.keys[i].foreign {
				s.keys[i] = slot{}
			}
		}
	}
}

// task answers what a person is to do at the console.
func (s *state) task() call {
	c := call{key: 1}
	switch steps[s.row.step] {
	case rotation.Disabling:
		c.kind = place(kinds, rotation.Disable)
	case rotation.Enabling:
		c.kind = place(kinds, rotation.Enable)
	case rotation.Deleting:
		c.kind = place(kinds, rotation.Delete)
	case rotation.Withdrawing:
		c.kind, c.key = place(kinds, rotation.Delete), s.row.newKey
	}
	return c
}

// doneByHand tells whether what a person is to do at the console is done.
func (m *model) doneByHand(s *state) bool {
	if m.ends() { // by itself, or the change is undone
		return steps[s.row.step] == rotation.Disabling || s.keys[0].left == 0
	}
	c := s.task()
	want := map[rotation.ActKind]uint8{rotation.Disable: inactive, rotation.Enable: active, rotation.Delete: absent}
	is := s.keys[c.key-1].status
	return is == want[kinds[c.kind]] || is == absent && kinds[c.kind] == rotation.Disable // it expired
}

// doByHand has a person do at the console what is to be done.
func (m *model) doByHand(s *state) {
	old, made := &s.keys[0], max(s.row.newKey, s.hand)
	switch {
	case m.single(): // one takes the place of the other
		other := &s.keys[made-1]
		old.status, other.status = other.status, old.status
	case m.ends():
		old.left, s.hand = 0, 0
		s.keys[made-1] = slot{}
	default:
		m.carry(s, s.task())
	}
}

// made is a key that a person has just made at the console.
func (m *model) made(s *state) slot {
	k := slot{status: active}
	switch {
	case m.single(): // made up, and not put there yet
		k.status = inactive
	case m.ends():
		s.keys[0].left = remote
	}
	return k
}

// byHand: a person is asked for a key, or to end one, does so at the console and tells later.
func (m *model) byHand(s state) {
	switch why, halt := reasons[s.row.trouble], reasons[s.row.halt]; {
	case why == rotation.NeedsKey && s.hand == 0:
		if i := s.free(); i > 0 {
			s.keys[i], s.hand = m.made(&s), uint8(i+1)
			m.send(person, s, "somebody makes the key %s", keyIDs[i+1])
		}
	case why == rotation.NeedsHand && !s.row.paused || halt == rotation.AnswerLost && steps[s.row.step] == rotation.Deleting:
		if !m.doneByHand(&s) {
			c := s.task()
			m.doByHand(&s)
			m.send(person, s, "somebody does at the console: %s", c)
		}
	}
}
