package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/journal"
	"github.com/keyward/keyward/internal/replay"
	"github.com/keyward/keyward/internal/store/batch"
)

// The tail of an embedded database's audit logs is what is durable in a journal beside
// the database and not yet in its tables. A transaction of SQLite costs many times what
// the record of one encryption does; so the records that change nothing go to the
// journal, one write and one sync for as many as wait, and are moved into the tables
// many at a time. A change takes the tail along in its own transaction: the tables
// always hold a prefix of each log, and whoever reads sees the tables and the tail.
type tail struct {
	journal *journal.Journal
	nonces  *replay.Set
	moving  chan struct{} // has an element while a transaction may take the tail

	mu      sync.Mutex // guards everything, also the journal
	batches []audit.Batch
	record  []byte               // the last record of the journal, for its memory
	size    int                  // bytes of leaves in batches
	unsaved []replay.Fingerprint // claimed, not yet in the tables
	blocks  []nonceBlock         // what of the nonces is in the tables, oldest first
	forked  error                // why the tail can never be moved: the tables hold another log
	full    chan struct{}        // has an element while the tail should be moved
}

// A nonceBlock is one row of nonce_block.
type nonceBlock struct {
	id    int64
	saved time.Time // with its monotonic reading: the wall clock may be set
}

const (
	tailSoft = 2 << 20  // bytes of leaves from which the tail is moved
	tailHard = 32 << 20 // bytes of leaves beyond which appending waits for that
	tailIdle = time.Second
)

// openTail opens the journal beside an embedded database, moves into the tables what the
// last process left in it, and loads the nonces. If that fails the journal stays as it is.
func (db *DB) openTail(ctx context.Context, path string) error {
	j, found, err := journal.Open(path)
	if err != nil {
		return err
	}
	db.tail = &tail{journal: j, nonces: replay.New(audit.NonceLife), moving: make(chan struct{}, 1), full: make(chan struct{}, 1)}
	if err := db.takeOver(ctx, found); err != nil {
		db.tail = nil
		return errors.Join(fmt.Errorf("taking over the audit journal: %w", err), j.Close())
	}
	return j.Reset()
}

func (db *DB) takeOver(ctx context.Context, found [][]byte) error {
	if err := db.tail.load(ctx, db, found); err != nil {
		return err
	}
	if err := db.tail.loadNonces(ctx, db); err != nil {
		return fmt.Errorf("reading nonces: %w", err)
	}
	return db.moveTail(ctx)
}

// load takes over the batches of a journal that continue the logs in the tables.
func (t *tail) load(ctx context.Context, r audit.Reader, found [][]byte) error {
	sizes := map[string]int64{}
	for _, record := range found {
		if len(record) == 0 {
			continue // a probe
		}
		b, nonces, err := batch.Decode(record)
		if err != nil {
			return err
		}
		size, known := sizes[b.Log]
		if !known {
			head, err := r.Head(ctx, b.Log)
			if err != nil {
				return err
			}
			size, sizes[b.Log] = head.Size, head.Size
		}
		switch {
		case b.First < size, b.Count == 0:
			continue // it was moved before, or has nothing: a writer could once be too late for those it was to serve
		case b.First > size:
			return fmt.Errorf("records %d to %d of log %q are missing between the database and its journal: rollback suspected, or the journal is damaged; restore both from one copy", size, b.First-1, b.Log)
		}
		t.batches = append(t.batches, b)
		t.size += len(b.Leaves)
		t.unsaved = append(t.unsaved, nonces...)
		sizes[b.Log] = b.First + b.Count
	}
	return nil
}

// loadNonces remembers what was claimed before the start for a whole life from now on:
// how long the process was down, only a clock could tell.
func (t *tail) loadNonces(ctx context.Context, db *DB) error {
	rows, err := db.read.QueryContext(ctx, `SELECT id, fingerprints FROM nonce_block ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	now := time.Now()
	for rows.Next() {
		var id int64
		var block []byte
		if err := rows.Scan(&id, &block); err != nil {
			return err
		}
		t.blocks = append(t.blocks, nonceBlock{id, now})
		for _, f := range replay.Parse(block) {
			t.nonces.Claim(f, now)
		}
	}
	for _, f := range t.unsaved {
		t.nonces.Claim(f, now)
	}
	return rows.Err()
}

// claim claims nonces and tells which are known already. The answer undoes it, for a
// request that was not served; that the next start may take it for served does no harm.
func (t *tail) claim(nonces [][]byte) (known []bool, undo func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	known = make([]bool, len(nonces))
	for i, nonce := range nonces {
		f := replay.FingerprintOf(nonce)
		if known[i] = !t.nonces.Claim(f, now); !known[i] {
			t.unsaved = append(t.unsaved, f)
		}
	}
	return known, func() {
		for i, nonce := range nonces {
			if !known[i] {
				t.nonces.Release(replay.FingerprintOf(nonce))
			}
		}
	}
}

// appendToTail implements Append for an embedded database. Only the writer of the audit
// log calls it, one batch at a time.
func (db *DB) appendToTail(ctx context.Context, nonces [][]byte, build func(used []bool) (audit.Batch, error)) error {
	t := db.tail
	if err := db.repairTail(ctx); err != nil {
		return err
	}
	known, undo := t.claim(nonces)
	b, err := build(known)
	if err != nil {
		undo()
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record = batch.Encode(t.record[:0], b, nonces, known)
	if err := t.journal.Append(t.record); err != nil {
		undo()
		return err
	}
	t.batches = append(t.batches, b)
	if t.size += len(b.Leaves); t.size > tailSoft {
		select {
		case t.full <- struct{}{}:
		default: // it is known
		}
	}
	return nil
}

// enter makes transactions take turns until the tail is without what they took.
func (t *tail) enter(ctx context.Context) (leave func(), err error) {
	select {
	case t.moving <- struct{}{}:
		return func() { <-t.moving }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("beginning transaction: %w", ctx.Err())
	}
}

// repairTail makes the journal usable again after a failure, and makes room in it.
func (db *DB) repairTail(ctx context.Context) error {
	t := db.tail
	t.mu.Lock()
	failed, full, forked := t.journal.Failed() != nil, t.size > tailHard, t.forked
	t.mu.Unlock()
	if !failed && !full || forked != nil {
		return forked
	}
	if !failed {
		return db.makeRoom(ctx)
	}
	if err := db.moveTail(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.journal.Reset()
}

// makeRoom moves the tail, unless a transaction is under way: that takes it along, and may
// wait for the batch in hand.
func (db *DB) makeRoom(ctx context.Context) error {
	select {
	case db.tail.moving <- struct{}{}:
		defer func() { <-db.tail.moving }()
		return db.within(ctx, takeTail(ctx))
	default:
		return nil
	}
}

// moveTail moves the tail into the tables.
func (db *DB) moveTail(ctx context.Context) error { return db.Transact(ctx, takeTail(ctx)) }

func takeTail(ctx context.Context) func(audit.Tx) error {
	return func(x audit.Tx) error { return x.(*Tx).takeTail(ctx) }
}

// probeTail writes something that means nothing to both the journal and the database.
func (db *DB) probeTail(ctx context.Context) error {
	if err := db.repairTail(ctx); err != nil {
		return err
	}
	// SQLite does not write a row that stays as it is.
	err := db.Transact(ctx, func(t audit.Tx) error {
		x := t.(*Tx)
		_, err := x.Exec(ctx, `INSERT INTO nonce_block (fingerprints) VALUES (x'')`)
		if err == nil {
			_, err = x.Exec(ctx, `DELETE FROM nonce_block WHERE fingerprints = x''`)
		}
		return err
	})
	if err != nil {
		return err
	}
	db.tail.mu.Lock()
	defer db.tail.mu.Unlock()
	return db.tail.journal.Append(nil)
}

// A portion is the part of a tail that a transaction takes into the tables.
type portion struct {
	batches int
	unsaved int
	size    int
	block   int64 // the row of the nonces, 0 for none
}

// takeTail writes the tail into the tables; Transact drops it when that has committed.
// What is appended meanwhile goes to the journal's other file.
func (x *Tx) takeTail(ctx context.Context) error {
	t := x.db.tail
	t.mu.Lock()
	p := portion{batches: len(t.batches), unsaved: len(t.unsaved), size: t.size}
	batches, unsaved := t.batches[:p.batches], t.unsaved[:p.unsaved]
	if p.batches > 0 {
		t.journal.Turn()
	}
	t.mu.Unlock()
	for len(batches) > 0 {
		n := slices.IndexFunc(batches, func(b audit.Batch) bool { return b.Log != batches[0].Log })
		if n < 0 {
			n = len(batches)
		}
		if err := x.take(ctx, batches[:n]); err != nil {
			if errors.Is(err, audit.ErrConflict) {
				t.mu.Lock()
				t.forked = err
				t.mu.Unlock()
			}
			return err
		}
		batches = batches[n:]
	}
	if p.unsaved > 0 {
		block := make([]byte, 0, replay.Size*p.unsaved)
		for _, f := range unsaved {
			block = f.Append(block)
		}
		row := x.sql.QueryRowContext(ctx, `INSERT INTO nonce_block (fingerprints) VALUES ($1) RETURNING id`, block)
		if err := row.Scan(&p.block); err != nil {
			return fmt.Errorf("saving nonces: %w", err)
		}
	}
	x.taken = p
	return nil
}

// take writes consecutive batches of one log into the tables, but for those that a
// commit, whose answer was lost, has written already.
func (x *Tx) take(ctx context.Context, batches []audit.Batch) error {
	var size int64
	log := batches[0].Log
	if err := x.sql.QueryRowContext(ctx, `SELECT size FROM audit_log WHERE origin = $1`, log).Scan(&size); err != nil {
		return fmt.Errorf("reading the head of audit log %q: %w", log, err)
	}
	n := slices.IndexFunc(batches, func(b audit.Batch) bool { return b.First >= size })
	if n < 0 {
		return nil
	}
	if batches[n].First != size {
		return audit.ErrConflict
	}
	for _, b := range batches[n:] {
		if err := x.addBatch(ctx, b); err != nil {
			return err
		}
	}
	return x.moveHead(ctx, batches[len(batches)-1], size)
}

// drop drops what a committed transaction has taken.
func (t *tail) drop(p portion) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.batches, t.unsaved, t.size = slices.Delete(t.batches, 0, p.batches), slices.Delete(t.unsaved, 0, p.unsaved), t.size-p.size
	if p.block != 0 {
		t.blocks = append(t.blocks, nonceBlock{p.block, time.Now()})
	}
	if p.batches > 0 {
		t.journal.Clear()
	}
}

// dropNonceBlocks drops the rows whose nonces have lived.
func (db *DB) dropNonceBlocks(ctx context.Context) error {
	t := db.tail
	t.mu.Lock()
	n := 0
	for n < len(t.blocks) && time.Since(t.blocks[n].saved) > audit.NonceLife {
		n++
	}
	dead := slices.Clone(t.blocks[:n])
	t.mu.Unlock()
	if n == 0 {
		return nil
	}
	if _, err := db.write.ExecContext(ctx, `DELETE FROM nonce_block WHERE id <= $1`, dead[n-1].id); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blocks = slices.Delete(t.blocks, 0, n)
	return nil
}

// of answers a copy of the list of the log's batches; of all logs if log is empty.
func (t *tail) of(log string) []audit.Batch {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(t.batches), func(b audit.Batch) bool { return log != "" && b.Log != log })
}
