// Package prefilter finds many short strings in a text at once, at about the speed of
// memory: it tells where something may be, and everything slower looks only there.
//
// It is an Aho-Corasick automaton, with three decisions that make it fast without
// assembly. The bytes are reduced to classes (all that no pattern mentions are one), so
// that the rows which a text visits stay in the first-level cache. A state's number is the
// offset of its row, so that a step is one addition and one load, and its highest bit says
// that a pattern ends there, so that one test asks for all cursors. And because each step
// waits for the load before it, four cursors run over the quarters of the text in turn,
// each hiding the others' waiting; a cursor begins early enough to know what a hit in its
// quarter needs. The tables have a fixed size, whatever they hold, and lie together: that
// saves registers and tests of bounds.
//
// Letters are compared without their case, because half of the patterns are names whose
// case nobody knows. Who needs the case looks at the text, at the few places that are hit.
//
// An [Automaton] is immutable and for any number of goroutines; a [Hits] is for one.
package prefilter

import (
	"errors"
	"fmt"
)

// MaxPattern is the largest length of a pattern, in bytes.
const MaxPattern = 128

// An Automaton finds the patterns it was made of.
type Automaton struct {
	*tables
	width   int       // entries of a row: the classes, of which 0 is every byte that no pattern has
	ends    [][]int32 // patterns that end in a state, by offset/width
	longest int
}

// maxEntries is how many entries all rows have together: enough for some thousand
// words. What is not used takes no memory.
const maxEntries = 1 << 19

// tables are what the cursors read.
type tables struct {
	class [256]uint8         // of a byte
	next  [maxEntries]uint32 // by row and class: the offset of the next row, and loud
}

// loud is the bit of an entry whose row ends a pattern.
const loud = 1 << 31

// A Hit is a place where a pattern ends.
type Hit struct {
	Pattern int32 // index in what the automaton was made of
	End     int32 // offset behind its last byte
}

// Hits collects hits. Its memory is used again by the next call.
type Hits struct {
	All   []Hit // in the order of their ends
	lanes [3][]Hit
}

// New answers the automaton of the patterns, which are neither empty nor longer than
// [MaxPattern], and not more than some thousand. The same pattern may stand there several times.
func New(patterns []string) (*Automaton, error) {
	b := builder{Automaton: &Automaton{tables: &tables{}, width: 1}}
	total := 0
	for _, p := range patterns {
		if p == "" || len(p) > MaxPattern {
			return nil, fmt.Errorf("a pattern has %d bytes, not 1 to %d", len(p), MaxPattern)
		}
		if err := b.classify(p); err != nil {
			return nil, err
		}
		b.longest = max(b.longest, len(p))
		total += len(p)
	}
	b.ends, b.fail = make([][]int32, 0, total+1), make([]uint32, 0, total+1)
	b.row()
	for i, p := range patterns {
		if err := b.add(p, i); err != nil {
			return nil, err
		}
	}
	b.complete()
	return b.Automaton, nil
}

// Find collects the hits in a text of less than 2 GiB, in the order of their ends.
func (a *Automaton) Find(text []byte, into *Hits) {
	into.All = into.All[:0]
	const small = 256 // below it, beginning four times costs more than it saves
	if len(text) < small || len(text) < 8*a.longest {
		into.All = a.run(0, text, 0, into.All)
		return
	}
	quarter := len(text) / 4
	var state [4]uint32
	for i := 1; i < 4; i++ { // what a cursor must have seen of the quarter before its own
		state[i] = a.warm(text[i*quarter-(a.longest-1) : i*quarter])
	}
	lanes := [4][]Hit{into.All, into.lanes[0][:0], into.lanes[1][:0], into.lanes[2][:0]}
	a.interleave(text, quarter, &state, &lanes)
	lanes[3] = a.run(state[3], text, 4*quarter, lanes[3]) // up to three bytes remain
	into.All = lanes[0]
	for i, lane := range lanes[1:] {
		into.All = append(into.All, lane...)
		into.lanes[i] = lane
	}
}

// interleave moves four cursors over their quarters, a byte each in turn.
func (a *Automaton) interleave(text []byte, quarter int, state *[4]uint32, lanes *[4][]Hit) {
	for at := 0; at < quarter; {
		at += a.advance(text[at:], quarter, quarter-at, state)
		for q := range state {
			state[q] = a.emit(state[q], q*quarter+at, &lanes[q])
		}
	}
}

// advance moves four cursors that are a quarter apart until one of them has a hit, or for
// so many bytes. It answers how far. Nothing is called here, so that all stays in registers.
func (t *tables) advance(text []byte, quarter, most int, state *[4]uint32) int {
	t0, t1, t2, t3 := text[:most], text[quarter:][:most], text[2*quarter:][:most], text[3*quarter:][:most]
	s0, s1, s2, s3 := state[0], state[1], state[2], state[3]
	for i := range t0 {
		s0 = t.next[s0+uint32(t.class[t0[i]])]
		s1 = t.next[s1+uint32(t.class[t1[i]])]
		s2 = t.next[s2+uint32(t.class[t2[i]])]
		s3 = t.next[s3+uint32(t.class[t3[i]])]
		if (s0|s1|s2|s3)&loud != 0 {
			*state = [4]uint32{s0, s1, s2, s3}
			return i + 1
		}
	}
	*state = [4]uint32{s0, s1, s2, s3}
	return most
}

// run moves one cursor from an offset to the end of the text.
func (a *Automaton) run(s uint32, text []byte, from int, hits []Hit) []Hit {
	for i, c := range text[from:] {
		if s = a.next[s+uint32(a.class[c])]; s&loud != 0 {
			s = a.emit(s, from+i+1, &hits)
		}
	}
	return hits
}

// warm answers the state behind a text whose hits belong to somebody else.
func (a *Automaton) warm(text []byte) (s uint32) {
	for _, c := range text {
		s = a.next[s+uint32(a.class[c])] &^ loud
	}
	return s
}

// emit adds the patterns that end in a state, and answers the offset of its row.
func (a *Automaton) emit(s uint32, end int, hits *[]Hit) uint32 {
	if s&loud == 0 {
		return s
	}
	s &^= loud
	for _, p := range a.ends[s/uint32(a.width)] {
		*hits = append(*hits, Hit{Pattern: p, End: int32(end)})
	}
	return s
}

// A builder makes a tree of the patterns in the rows that the automaton will have. There 0
// stands for no successor, since nothing leads back to the first state by a byte of a pattern.
type builder struct {
	*Automaton
	fail []uint32 // by state, as ends: the row of the longest suffix that is a state
}

var errClasses = errors.New("the patterns have too many different bytes")

// classify gives the bytes of a pattern their classes, both cases of a letter the same.
func (b *builder) classify(pattern string) error {
	for _, c := range []byte(pattern) {
		c = lower(c)
		if b.class[c] != 0 {
			continue
		}
		if b.width == 256 {
			return errClasses
		}
		b.class[c] = uint8(b.width)
		if 'a' <= c && c <= 'z' {
			b.class[c-'a'+'A'] = uint8(b.width)
		}
		b.width++
	}
	return nil
}

var errSize = errors.New("the patterns are too many")

// add adds a pattern to the tree.
func (b *builder) add(pattern string, number int) error {
	s := uint32(0)
	for _, c := range []byte(pattern) {
		next := &b.next[s+uint32(b.class[c])]
		if *next == 0 {
			if (len(b.ends)+1)*b.width > maxEntries {
				return errSize
			}
			*next = b.row()
		}
		s = *next
	}
	n := s / uint32(b.width)
	b.ends[n] = append(b.ends[n], int32(number))
	return nil
}

// row adds a row without successors. It writes to it, though nothing else is there: memory that
// is read before it is written is got from the system twice.
func (b *builder) row() uint32 {
	s := len(b.ends) * b.width
	clear(b.next[s:][:b.width])
	b.ends, b.fail = append(b.ends, nil), append(b.fail, 0)
	return uint32(s)
}

// complete makes an automaton of the tree: where a state has no successor, the longest
// suffix that is a state has it. States are visited by their depth, so that the suffix,
// which is shorter, is complete already.
func (b *builder) complete() {
	queue := append(make([]uint32, 0, len(b.ends)), 0)
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		row := b.next[s:][:b.width]
		shorter := b.next[b.fail[s/uint32(b.width)]:][:b.width]
		for c, t := range row {
			inherited := uint32(0)
			if s != 0 {
				inherited = shorter[c]
			}
			if t == 0 {
				row[c] = inherited
				continue
			}
			n, suffix := t/uint32(b.width), inherited&^loud
			b.fail[n] = suffix
			if b.ends[n] = append(b.ends[n], b.ends[suffix/uint32(b.width)]...); len(b.ends[n]) > 0 {
				row[c] |= loud
			}
			queue = append(queue, t)
		}
	}
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c - 'A' + 'a'
	}
	return c
}
