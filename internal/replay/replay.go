// Package replay remembers, in memory, which signed requests were already served, so that
// none is served twice.
//
// A [Set] holds short fingerprints, eight bytes of a digest: among ten million of them a
// new request is taken for an old one once in two thousand billion times, and is then
// refused, which is safe. Time is taken from the monotonic clock, so that nobody makes the
// set forget early by setting the machine's clock.
//
// Package store calls it, for SQLite only, and makes the set durable; nodes that share a
// PostgreSQL share their nonces there. A Set does no I/O.
package replay

import (
	"encoding/binary"
	"sync"
	"time"
)

// Size is the length of a fingerprint in bytes.
const Size = 8

// A Fingerprint stands for one request.
type Fingerprint uint64

// FingerprintOf answers the fingerprint of a request from a digest of at least [Size]
// bytes that no two requests share.
func FingerprintOf(digest []byte) Fingerprint {
	return Fingerprint(binary.BigEndian.Uint64(digest))
}

// Append appends the fingerprint to b as [Parse] reads it.
func (f Fingerprint) Append(b []byte) []byte { return binary.BigEndian.AppendUint64(b, uint64(f)) }

// Parse reads the fingerprints in b. Bytes that make no whole one are left out.
func Parse(b []byte) []Fingerprint {
	out := make([]Fingerprint, 0, len(b)/Size)
	for ; len(b) >= Size; b = b[Size:] {
		out = append(out, FingerprintOf(b))
	}
	return out
}

// A Set remembers fingerprints for at least its life. It is safe for concurrent use.
type Set struct {
	life time.Duration

	mu          sync.Mutex   // guards generations
	generations []generation // newest first
}

// A generation takes fingerprints for half a life, and is dropped as a whole when the
// last one that it may have taken has lived.
type generation struct {
	until time.Time // takes new fingerprints until then
	known map[Fingerprint]struct{}
}

// New makes an empty set.
func New(life time.Duration) *Set { return &Set{life: life} }

// Claim remembers f and answers true if it is new. now must have a monotonic reading.
func (s *Set) Claim(f Fingerprint, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.generations) == 0 || !now.Before(s.generations[0].until) {
		s.turn(now)
	}
	for _, g := range s.generations {
		if _, known := g.known[f]; known {
			return false
		}
	}
	s.generations[0].known[f] = struct{}{}
	return true
}

// turn begins a generation and drops those that have lived.
func (s *Set) turn(now time.Time) {
	kept := []generation{{now.Add(s.life / 2), map[Fingerprint]struct{}{}}}
	for _, g := range s.generations {
		if now.Before(g.until.Add(s.life)) {
			kept = append(kept, g)
		}
	}
	s.generations = kept
}

// Release forgets f, whose request was not served after all.
func (s *Set) Release(f Fingerprint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.generations {
		delete(g.known, f)
	}
}

// Len answers how many fingerprints are remembered.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, g := range s.generations {
		n += len(g.known)
	}
	return n
}
