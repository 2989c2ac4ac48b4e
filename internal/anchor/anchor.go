// Package anchor knows what every bound row of the database must be.
//
// A row's MAC proves that keyward wrote the row, not that it is the newest one, and
// says nothing about a row that is gone. The audit log does: each change's record names
// the rows that it wrote, with revision and digest ([audit.Effect]), and the log cannot
// be shortened or edited unnoticed. An [Anchor] is those effects, the newest for each
// row, in memory: about 60 bytes a row. The store asks it about every row that it read
// and every row that it did not find, before anything is done with the answer.
//
// It is made when the server is unsealed, from the logs. To be quick it begins from what
// it saved last ([Options.Load]), which is authenticated by the keyring and names the
// heads of the logs up to which it holds; only what was written since is replayed, and
// verified. An older save, or none, makes the start longer and nothing else.
//
// It is kept current by the store's commits: [Anchor.Begin] before the commit, and one
// of Committed, RolledBack and Doubted after it. What other nodes write comes from
// their logs, when a row does not agree: [Anchor.CatchUp]. Revisions of one row only
// grow, so it does not matter in which order logs are read.
//
// A row is known by a hash of its table and id, and by 64 bits of its digest: only the
// keyring can make a row that is believed at all, so there is nothing to search for.
package anchor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
)

// A Key names a row: a hash of its table and id.
type Key [16]byte

// KeyOf answers the name of a row.
func KeyOf(table, id string) Key {
	sum := sha256.Sum256([]byte(table + "\x00" + id))
	return Key(sum[:16])
}

// A state is what a row was made to be: its revision, negative if it was removed, and
// the beginning of its digest.
type state struct {
	rev    int64
	digest [8]byte
}

func newState(rev int64, digest []byte) state {
	if digest == nil {
		return state{rev: -rev}
	}
	return state{rev, [8]byte(digest)}
}

func (s state) live() bool { return s.rev > 0 }

// newer tells whether n came after s.
func (s state) newer(n state) bool { return max(n.rev, -n.rev) >= max(s.rev, -s.rev) }

// A change made a row what state says. again is set if the row was removed before, by the
// same log: before revisions outlived their rows, a name that was used again began at 1.
// Of two logs nobody knows which was first; but since then, what begins at 1 never was
// there before.
type change struct {
	key   Key
	state state
	again bool
}

// Keys authenticates what is saved; the keyring is one.
type Keys interface {
	Epoch() uint32
	RowMAC(epoch uint32, data []byte) ([]byte, error)
}

// Options says what an Anchor is made of.
type Options struct {
	Reader audit.Reader
	Own    string // name of this node's log, which Committed speaks for
	Keys   Keys
	// Trust tells whether a log is one of this server's: its key was sealed by the keyring.
	Trust func(audit.Identity) error
	// Load answers what Save was last given, or nothing; both may be nil.
	Load func() ([]byte, error)
	Save func([]byte) error
}

// An Anchor knows the newest state of each row. Its methods may be called concurrently,
// but for Begin and what follows it, which the one writer calls.
type Anchor struct {
	o Options

	reading sync.Mutex                  // held while logs are read
	seen    map[string]audit.Checkpoint // guarded by reading; how far each log is in rows
	saved   int64                       // guarded by reading; records of the own log when it was saved

	mu      sync.RWMutex // guards the fields below
	rows    map[Key]state
	begun   []change // the commit that is under way
	doubted []change // commits of unknown outcome, oldest first
	settled bool     // a later commit than these succeeded, so the log tells their outcome
}

// Open makes the anchor from what was saved and from the logs, which it verifies as far
// as they were not verified before.
func Open(ctx context.Context, o Options) (*Anchor, error) {
	a := &Anchor{o: o, rows: map[Key]state{}, seen: map[string]audit.Checkpoint{}}
	if err := a.load(); err != nil {
		return nil, err
	}
	a.reading.Lock()
	defer a.reading.Unlock()
	if err := a.readLogs(ctx, true); err != nil {
		return nil, fmt.Errorf("reading the changes of the audit logs: %w", err)
	}
	return a, nil
}

// Begin notes what is about to be committed: until the outcome is known both the old
// and the new state are right. It may be called several times before that.
func (a *Anchor) Begin(effects []audit.Effect) {
	if len(effects) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range effects {
		a.begun = append(a.begun, change{key: KeyOf(e.Table, e.ID), state: newState(e.Rev, e.Digest)})
	}
}

// Committed ends what Begin began: it is durable.
func (a *Anchor) Committed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.apply(a.begun)
	a.begun = nil
	a.settled = true
}

// RolledBack ends what Begin began: nothing of it happened.
func (a *Anchor) RolledBack() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = nil
}

// Doubted ends what Begin began: nobody knows. The own log will tell, once a later
// commit has succeeded.
func (a *Anchor) Doubted() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doubted = append(a.doubted, a.begun...)
	a.begun = nil
	a.settled = false
}

// apply makes changes the newest state, where they are. The caller holds mu.
func (a *Anchor) apply(changes []change) {
	for _, c := range changes {
		if old, ok := a.rows[c.key]; !ok || old.newer(c.state) || c.again && !old.live() {
			a.rows[c.key] = c.state
		}
	}
}

// Agrees tells whether a row may be as it was read: rev and digest of what was found,
// no digest if nothing was. A row that does not agree may have been changed since it
// was read, or by a node whose log was not read yet: CatchUp, read it again, ask again.
func (a *Anchor) Agrees(k Key, rev int64, digest []byte) bool {
	found := newState(rev, digest)
	same := func(s state) bool { return s == found || digest == nil && !s.live() }
	a.mu.RLock()
	defer a.mu.RUnlock()
	if same(a.rows[k]) {
		return true
	}
	for _, open := range [...][]change{a.begun, a.doubted} {
		for _, c := range open {
			if c.key == k && same(c.state) {
				return true
			}
		}
	}
	return false
}

// Known tells whether the logs tell of the row at all.
func (a *Anchor) Known(k Key) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	_, known := a.rows[k]
	return known
}

// Live calls yield for each row that must be there, while it answers true. Nothing can
// be committed meanwhile.
func (a *Anchor) Live() func(yield func(Key) bool) {
	return func(yield func(Key) bool) {
		a.mu.RLock()
		defer a.mu.RUnlock()
		for k, s := range a.rows {
			if s.live() && !yield(k) {
				return
			}
		}
	}
}

// Contains tells whether the anchor knows of everything that other, which was made
// earlier or at the same time, knows of. What is being committed other may have read already.
func (a *Anchor) Contains(other *Anchor) bool {
	other.mu.RLock()
	defer other.mu.RUnlock()
	a.mu.RLock()
	defer a.mu.RUnlock()
	open := slices.Concat(a.begun, a.doubted)
	for k, s := range other.rows {
		reaches := func(have state) bool { return have == s || s.newer(have) }
		if have, ok := a.rows[k]; ok && reaches(have) {
			continue
		}
		if !slices.ContainsFunc(open, func(c change) bool { return c.key == k && reaches(c.state) }) {
			return false
		}
	}
	return true
}

// CatchUp reads what was written to the logs of other nodes, and to the own one if the
// outcome of a commit was in doubt.
func (a *Anchor) CatchUp(ctx context.Context) error {
	a.reading.Lock()
	defer a.reading.Unlock()
	told := 0 // of the doubted commits, those that the own log tells the outcome of
	a.mu.RLock()
	if a.settled {
		told = len(a.doubted)
	}
	a.mu.RUnlock()
	if err := a.readLogs(ctx, told > 0); err != nil {
		return fmt.Errorf("reading the changes of the audit logs: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doubted = a.doubted[told:] // there may be more by now, which the log did not tell of yet
	return nil
}

// readLogs applies what the logs hold beyond what was seen of them. The caller holds reading.
func (a *Anchor) readLogs(ctx context.Context, own bool) error {
	logs, err := a.o.Reader.Logs(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, id := range logs {
		there[id.Origin] = true
		if id.Origin == a.o.Own && !own {
			continue
		}
		if err := a.readLog(ctx, id); err != nil {
			return err
		}
	}
	for log, c := range a.seen {
		if c.Size > 0 && !there[log] {
			return &audit.TamperError{Log: log, Where: fault.Say("the log is gone")}
		}
	}
	return nil
}

// Records answers how many records of all logs the anchor covers.
func (a *Anchor) Records() int64 {
	a.reading.Lock()
	defer a.reading.Unlock()
	var n int64
	for _, c := range a.seen {
		n += c.Size
	}
	return n
}

// Names reads the logs from their beginning for the tables and ids of the rows that are
// wanted, and takes each out of wanted before it calls yield.
func (a *Anchor) Names(ctx context.Context, wanted map[Key]struct{}, yield func(table, id string) error) error {
	logs, err := a.o.Reader.Logs(ctx)
	if err != nil {
		return err
	}
	for _, id := range logs {
		_, err := audit.Replay(ctx, a.o.Reader, audit.Checkpoint{Origin: id.Origin}, id.PublicKey, func(e audit.Entry) error {
			for _, effect := range e.Effects {
				k := KeyOf(effect.Table, effect.ID)
				if _, ok := wanted[k]; !ok {
					continue
				}
				delete(wanted, k)
				if err := yield(effect.Table, effect.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Anchor) readLog(ctx context.Context, id audit.Identity) error {
	if err := a.o.Trust(id); err != nil {
		return err
	}
	from := a.seen[id.Origin]
	from.Origin = id.Origin
	var changes []change
	removed := map[Key]bool{}
	to, err := audit.Replay(ctx, a.o.Reader, from, id.PublicKey, func(e audit.Entry) error {
		for _, effect := range e.Effects {
			c, err := read(effect)
			if err != nil {
				return fmt.Errorf("reading record %d of audit log %q: %w", e.Seq, id.Origin, err)
			}
			c.again = c.state.rev == 1 && removed[c.key]
			removed[c.key] = !c.state.live()
			changes = append(changes, c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.apply(changes)
	a.seen[id.Origin] = to
	return nil
}

func read(e audit.EntryEffect) (change, error) {
	var digest []byte
	if e.Digest != "" {
		var err error
		if digest, err = hex.DecodeString(e.Digest); err != nil || len(digest) != sha256.Size {
			return change{}, fmt.Errorf("the digest of %s %q is malformed", e.Table, e.ID)
		}
	}
	return change{key: KeyOf(e.Table, e.ID), state: newState(e.Rev, digest)}, nil
}
