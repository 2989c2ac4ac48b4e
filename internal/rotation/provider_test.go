package rotation_test

import (
	"fmt"
	"slices"

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
		if !m.foreign && !m.alien {
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

// people order, approve, and do at the console what they are asked to.
func (m *model) people(s state) {
	r := s.row.rotation(m.agreed)
	order := func(who actor, n state, r rotation.Rotation, err error, what string) {
		if err != nil {
			return
		}
		next := stored(r)
		m.seen[[2]rotation.Step{steps[s.row.step], r.Step}] = true
		n.row = next
		n.change(-1)
		m.checkPublished(&n)
		m.send(who, n, "somebody %s: %s", what, n.row)
	}
	if !s.ordered {
		n := s
		n.ordered = true
		back, err := r.Rollback("p", "", epoch)
		order(chance, n, back, err, "orders to go back")
	}
	if !s.paused {
		n := s
		n.paused = true
		paused, err := r.Pause("p", epoch)
		order(chance, n, paused, err, "pauses")
	}
	n := s
	if r.Halt == rotation.Ambiguous || r.Halt == rotation.AnswerLost { // who has looked, has put it right
		for i := range n.keys {
			if k := n.keys[i]; k.attempt > 0 && uint8(i+1) != n.row.newKey {
				n.keys[i] = slot{}
			}
		}
	}
	if r.Halt == rotation.NoRoom {
		for i := range n.keys {
			if n.keys[i].foreign {
				n.keys[i] = slot{}
			}
		}
	}
	resumed, err := r.Resume("p", epoch)
	order(person, n, resumed, err, "lets it go on")
	approved, err := r.Approve("p", epoch)
	order(person, s, approved, err, "approves")
	m.byHand(s, r, order)
}

// byHand: a person is asked for a key, or to end one, does so at the console and tells later.
func (m *model) byHand(s state, r rotation.Rotation, order func(actor, state, rotation.Rotation, error, string)) {
	if r.Halt == rotation.AnswerLost && r.Step == rotation.Deleting {
		n := s
		n.keys[0] = slot{}
		confirmed, err := r.Confirm("p", epoch)
		order(person, n, confirmed, err, "has ended the old key and confirms")
	}
	switch {
	case r.Trouble == rotation.NeedsKey && s.hand == 0:
		if i := s.free(); i > 0 {
			n := s
			n.keys[i], n.hand = slot{status: active}, uint8(i+1)
			m.send(person, n, "somebody makes the key %s", keyIDs[i+1])
		}
		return
	case r.Trouble == rotation.NeedsKey:
		n := s
		n.keys[s.hand-1].sealed, n.hand = true, 0
		entered, err := r.Entered(keyOf(s.hand), "p", epoch)
		order(person, n, entered, err, "enters the new key")
		return
	case r.Trouble != rotation.NeedsHand:
		return
	}
	c, done := call{key: 1}, false
	switch r.Step {
	case rotation.Disabling:
		c.kind, done = place(kinds, rotation.Disable), s.keys[0].status == inactive
	case rotation.Enabling:
		c.kind, done = place(kinds, rotation.Enable), s.keys[0].status == active
	case rotation.Deleting:
		c.kind, done = place(kinds, rotation.Delete), s.keys[0].status == absent
	case rotation.Withdrawing:
		c.kind, c.key, done = place(kinds, rotation.Delete), s.row.newKey, s.keys[s.row.newKey-1].status == absent
	}
	if !done {
		n := s
		m.carry(&n, c)
		m.send(person, n, "somebody does at the console: %s", c)
		return
	}
	confirmed, err := r.Confirm("p", epoch)
	order(person, s, confirmed, err, "confirms")
}
