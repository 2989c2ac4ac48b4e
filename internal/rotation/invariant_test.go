package rotation_test

import (
	"fmt"
	"strings"

	"github.com/keyward/keyward/internal/rotation"
)

// checkPublished: what nodes are to have is sealed; its number only grows, and never stands
// for anything else.
func (m *model) checkPublished(s *state, before row) {
	old := m.targets(before)
	for i, g := range m.targets(s.row) {
		h := heldOf(g)
		if g.Number < old[i].Number || g.Number == old[i].Number && g != old[i] {
			m.broken = fmt.Sprintf("%s is published after %s", h, heldOf(old[i]))
		}
		if h.primary == 0 {
			m.broken = "what is published names no key"
		} else if k := s.keys[h.primary-1]; k.status != absent && !k.sealed {
			m.broken = fmt.Sprintf("%s is published and its secret is not kept", keyIDs[h.primary])
		}
	}
}

// fades tells whether the old key dies at a time that the provider chose.
func (m *model) fades() bool {
	switch m.means.Archetype {
	case rotation.FixedOverlap, rotation.Pending, rotation.Roll:
		return true
	}
	return false
}

// accepted tells whether the provider takes a key from who uses it.
func (s *state) accepted(key uint8) bool {
	st := s.keys[key-1].status
	return st == active || st == dormant
}

// expired tells whether the old key has ended by itself.
func (s *state) expired() bool { return s.row.finish == ended }

// check answers what is wrong with a state; "" for nothing.
func (m *model) check(s *state) string {
	step := steps[s.row.step]
	moved := !s.expired() || s.row.generation > 0 && s.row.step > place(steps, rotation.Settling) // by us
	if !s.accepted(s.current) && moved && !m.fades() && !m.single() && !m.uses && !s.excused {
		return fmt.Sprintf("the secret's current version is %s, which the provider refuses", keyIDs[s.current])
	}
	for i, n := range s.nodes {
		if !n.joined || n.has.number == 0 {
			continue
		}
		if m.means.Archetype == rotation.Counterparty && !s.ordered {
			if k := s.theirs(); n.has.primary != k && n.has.fallback != k {
				return fmt.Sprintf("node %d does not know %s, which the other side uses", i, keyIDs[k])
			}
		}
		known := s.accepted(n.has.primary) || m.single() && n.has.fallback != 0 && s.accepted(n.has.fallback)
		if left := !s.expired() || n.has.number > 1; !known && left && !s.excused && m.means.Archetype != rotation.Roll {
			return fmt.Sprintf("node %d uses %s, which the provider refuses", i, keyIDs[n.has.primary])
		}
		switch step {
		case rotation.Rolling, rotation.Settling, rotation.Grace:
			if f := n.has.fallback; f != 0 && !m.fades() && !m.ends() && !s.expired() && !s.accepted(f) {
				return fmt.Sprintf("node %d falls back to %s, which the provider refuses", i, keyIDs[f])
			}
		}
	}
	if (step == rotation.Done || step == rotation.Aborted) && !m.uses {
		return m.checkEnd(s, step)
	}
	return ""
}

// theirs is the key that the other side uses.
func (s *state) theirs() uint8 {
	if s.other {
		return s.row.newKey
	}
	return 1
}

// checkEnd: at rest exactly one key of the rotation is left, and all nodes have it.
func (m *model) checkEnd(s *state, step rotation.Step) string {
	stays := uint8(1)
	if step == rotation.Done {
		stays = s.row.newKey
	}
	for i, k := range s.keys {
		n := uint8(i + 1)
		switch {
		case n == 1 && (s.excused || s.expired() && s.row.generation == 0): // it dies, and nothing can stop it
		case n == 1 && m.ends() && step == rotation.Done: // it dies by itself, and a person has waited for nodes
		case k.foreign || n == s.hand || m.means.Archetype == rotation.Counterparty:
		case n == stays && k.status != active:
			return fmt.Sprintf("at the end %s does not work", keyIDs[n])
		case n != stays && k.status == active:
			return fmt.Sprintf("at the end %s is left", keyIDs[n])
		case n == stays && k.left > 0 && !m.expires:
			return fmt.Sprintf("at the end %s is dying", keyIDs[n])
		}
	}
	if s.current != stays {
		return "at the end the secret's current version is the other key"
	}
	for i, n := range s.nodes {
		if g := heldOf(m.targets(s.row)[m.wave(i)]); n.joined && (g.primary != stays || g.fallback != 0) {
			return fmt.Sprintf("at the end node %d is to have %s", i, g)
		} else if n.joined && n.has.number > 0 && n.has.primary != stays {
			return fmt.Sprintf("at the end node %d has %s", i, n.has)
		}
	}
	return ""
}

// asks tells whether somebody is asked to do something.
func (s *state) asks() bool { return s.row.halt != 0 || s.row.paused || s.row.trouble != 0 }

// For people who read a trace.

func (x row) String() string {
	var b strings.Builder
	b.WriteString(string(steps[x.step]))
	for _, f := range []struct {
		on   bool
		word string
	}{{x.doubt, "in doubt"}, {x.paused, "paused"}, {x.back, "to go back"}, {x.halt != 0, "halted: " + string(reasons[x.halt])}, {x.trouble != 0, "waits: " + string(reasons[x.trouble])}} {
		if f.on {
			b.WriteString(", " + f.word)
		}
	}
	if x.intent != 0 {
		b.WriteString(", intent " + string(kinds[x.intent]) + " " + keyIDs[x.intentKey])
	}
	return "[" + strings.TrimSpace(b.String()) + "]"
}

func (c call) String() string {
	return strings.TrimSpace(string(kinds[c.kind]) + " " + keyIDs[c.key])
}

func (h held) String() string {
	if h.fallback == 0 {
		return fmt.Sprintf("generation %d (%s)", h.number, keyIDs[h.primary])
	}
	return fmt.Sprintf("generation %d (%s, else %s)", h.number, keyIDs[h.primary], keyIDs[h.fallback])
}

func (s *state) String() string {
	var b strings.Builder
	for i, k := range s.keys {
		if k.status == absent {
			continue
		}
		fmt.Fprintf(&b, " %s:%s", keyIDs[i+1], []string{"", "active", "inactive", "dormant"}[k.status])
		if k.foreign {
			b.WriteString(" foreign")
		}
		if !k.sealed && !k.foreign {
			b.WriteString(" unsealed")
		}
		if k.left > 0 {
			b.WriteString(" dying")
		}
	}
	for i, n := range s.nodes {
		if n.joined {
			fmt.Fprintf(&b, "; node %d: %s", i, n.has)
		}
	}
	return strings.TrimSpace(b.String())
}
