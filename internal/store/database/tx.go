package database

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/audit"
)

// A Tx is one transaction. Of the audit log's writer it is the audit.Tx that the log writes
// its batch with, and what mutations write their rows with.
type Tx struct {
	sql     *sql.Tx
	db      *DB
	effects []audit.Effect // what the record tells of this transaction
	begun   int            // how many of them the anchor knows
	undo    []func()       // each gives back nonces that were claimed
	taken   portion        // of the tail
	wanted  []string       // statements that are to be made ready
}

// Append implements audit.Store.
func (db *DB) Append(ctx context.Context, nonces [][]byte, build func(used []bool) (audit.Batch, error)) error {
	if db.tail != nil {
		return db.appendToTail(ctx, nonces, build)
	}
	return db.Transact(ctx, func(tx audit.Tx) error {
		used, err := tx.Claim(ctx, nonces)
		if err != nil {
			return err
		}
		b, err := build(used)
		if err != nil {
			return err
		}
		return tx.Append(ctx, b)
	})
}

// Probe implements audit.Store.
func (db *DB) Probe(ctx context.Context) error {
	if db.tail != nil {
		return db.probeTail(ctx)
	}
	_, err := db.write.ExecContext(ctx, `UPDATE schema_migration SET name = name WHERE number = 1`)
	return err
}

// Transact implements audit.Store.
func (db *DB) Transact(ctx context.Context, fn func(audit.Tx) error) error {
	if db.tail != nil {
		leave, err := db.tail.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	return db.within(ctx, fn)
}

// within is Transact for who has the turn.
func (db *DB) within(ctx context.Context, fn func(audit.Tx) error) error {
	return db.transact(ctx, db.commit, func(x *Tx) error {
		err := fn(x)
		if err != nil {
			x.rolledBack()
		}
		return err
	})
}

// transact runs fn in one transaction.
func (db *DB) transact(ctx context.Context, commit func(*Tx) error, fn func(*Tx) error) error {
	sqlTx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	x := &Tx{sql: sqlTx, db: db}
	if err := fn(x); err != nil {
		return errors.Join(err, rollback(sqlTx))
	}
	if err := commit(x); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	for _, text := range x.wanted {
		_, _ = db.prepared(ctx, db.write, text) // it was run without
	}
	return nil
}

// Apart runs fn in a transaction without a record, which writes nothing that is noted, and
// which is rolled back if fn fails.
func (db *DB) Apart(ctx context.Context, fn func(*Tx) error) error {
	return db.transact(ctx, func(x *Tx) error { return x.sql.Commit() }, fn)
}

// commit commits what the audit log's writer wrote and has the anchor, if there is one, know
// what rows are now.
func (db *DB) commit(x *Tx) error {
	x.begin()
	err := x.sql.Commit()
	switch {
	case err != nil && db.anchor != nil:
		db.anchor.Doubted()
	case err == nil && db.anchor != nil:
		db.anchor.Committed()
	}
	if err == nil && db.tail != nil {
		db.tail.drop(x.taken)
	}
	return err
}

// begin has the anchor know what was written.
func (t *Tx) begin() {
	if t.db.anchor != nil { // nothing that a database without one commits is bound
		t.db.anchor.Begin(t.effects[t.begun:])
		t.begun = len(t.effects)
	}
}

// rolledBack gives back what will not be committed.
func (t *Tx) rolledBack() {
	t.release(0)
	if t.db.anchor != nil {
		t.db.anchor.RolledBack()
	}
}

// Try implements audit.Tx. What was written so far the anchor must know before more is read.
func (t *Tx) Try(ctx context.Context, fn func() error) error {
	written, claimed := len(t.effects), len(t.undo)
	t.begin()
	if _, err := t.Run(ctx, `SAVEPOINT change`); err != nil {
		return err
	}
	failed := fn()
	if failed == nil {
		_, err := t.Run(ctx, `RELEASE change`)
		return err
	}
	t.release(claimed)
	t.effects = t.effects[:written]
	_, err := t.Run(ctx, `ROLLBACK TO change`)
	if err == nil {
		_, err = t.Run(ctx, `RELEASE change`)
	}
	if err != nil {
		return fmt.Errorf("undoing a change: %w", err) // without what failed: nothing goes on
	}
	return failed
}

// release gives back the nonces that were claimed since so many claims.
func (t *Tx) release(claims int) {
	for _, undo := range t.undo[claims:] {
		undo()
	}
	t.undo = t.undo[:claims]
}

func rollback(t *sql.Tx) error {
	if err := t.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("rolling back: %w", err)
	}
	return nil
}

// Effects answers what was noted so far; it is not to be changed.
func (t *Tx) Effects() []audit.Effect { return t.effects }

// Note adds a row to what the audit record tells of this transaction.
func (t *Tx) Note(e audit.Effect) { t.effects = append(t.effects, e) }

// QueryContext implements Queryer: it sees what the transaction has written.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.sql.QueryContext(ctx, query, args...)
}

// QueryRowContext is QueryContext for at most one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.sql.QueryRowContext(ctx, query, args...)
}

// PrepareContext makes a statement ready that the transaction runs many times, and that its
// caller closes.
func (t *Tx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return t.sql.PrepareContext(ctx, query)
}

// Count runs a query that answers one number.
func (t *Tx) Count(ctx context.Context, query string, args ...any) (int, error) {
	var n int
	if err := t.sql.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting: %w", err)
	}
	return n, nil
}

// Text runs a query that answers one text.
func (t *Tx) Text(ctx context.Context, query string, args ...any) (out string, err error) {
	if err := t.sql.QueryRowContext(ctx, query, args...).Scan(&out); err != nil {
		return "", fmt.Errorf("reading a text: %w", err)
	}
	return out, nil
}

// Exec runs a statement and answers how many rows it touched.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return touched(query)(t.sql.ExecContext(ctx, query, args...))
}

// Run is Exec for a statement whose text is always the same. One that is not ready yet is made
// so behind the transaction, which has the only connection of an embedded database.
func (t *Tx) Run(ctx context.Context, query string, args ...any) (int64, error) {
	stmt, ready := t.db.ready.Load(statement{t.db.write, query})
	if !ready {
		t.wanted = append(t.wanted, query)
		return t.Exec(ctx, query, args...)
	}
	return touched(query)(t.sql.StmtContext(ctx, stmt.(*sql.Stmt)).ExecContext(ctx, args...))
}

// touched answers what a statement came to.
func touched(query string) func(sql.Result, error) (int64, error) {
	return func(res sql.Result, err error) (int64, error) {
		if err != nil {
			verb, _, _ := strings.Cut(query, "(")
			return 0, fmt.Errorf("executing %.40q: %w", verb, err)
		}
		return res.RowsAffected()
	}
}

// Claim implements audit.Tx.
func (t *Tx) Claim(ctx context.Context, nonces [][]byte) ([]bool, error) {
	if len(nonces) == 0 {
		return nil, nil
	}
	if t.db.tail != nil {
		known, undo := t.db.tail.claim(nonces)
		t.undo = append(t.undo, undo)
		return known, nil
	}
	fresh, err := t.claimRows(ctx, nonces)
	if err != nil {
		return nil, fmt.Errorf("claiming nonces: %w", err)
	}
	known := make([]bool, len(nonces))
	for i, nonce := range nonces {
		known[i] = !fresh[string(nonce)]
		delete(fresh, string(nonce)) // a second one in the same batch is a replay
	}
	return known, nil
}

// claimRows inserts the nonces that no node has claimed and answers them. They expire by
// the database's clock, which no node can set.
func (t *Tx) claimRows(ctx context.Context, nonces [][]byte) (map[string]bool, error) {
	sorted := slices.SortedFunc(slices.Values(nonces), bytes.Compare) // one order on all nodes: no deadlocks
	rows, err := t.sql.QueryContext(ctx, `INSERT INTO nonce (digest, expires) SELECT d, `+databaseMicros+` + $2 FROM unnest($1::bytea[]) AS d
		ON CONFLICT DO NOTHING RETURNING digest`, sorted, audit.NonceLife.Microseconds())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	fresh := make(map[string]bool, len(nonces))
	for rows.Next() {
		var digest []byte
		if err := rows.Scan(&digest); err != nil {
			return nil, err
		}
		fresh[string(digest)] = true
	}
	return fresh, rows.Err()
}

// Append implements audit.Tx.
func (t *Tx) Append(ctx context.Context, b audit.Batch) error {
	if t.db.tail != nil {
		if err := t.takeTail(ctx); err != nil {
			return err
		}
	}
	if err := t.moveHead(ctx, b, b.First); err != nil {
		return err
	}
	if err := t.addBatch(ctx, b); err != nil {
		return err
	}
	return t.announce(ctx)
}

// moveHead moves a log's head behind the batch. The guard on its size makes a second
// writer of the same log fail instead of forking it.
func (t *Tx) moveHead(ctx context.Context, last audit.Batch, size int64) error {
	n, err := t.Run(ctx, `UPDATE audit_log SET size = $1, at = $2, checkpoint = $3 WHERE origin = $4 AND size = $5`, last.First+last.Count, Micros(last.At), last.Checkpoint, last.Log, size)
	if err == nil && n != 1 {
		err = audit.ErrConflict
	}
	return err
}

func (t *Tx) addBatch(ctx context.Context, b audit.Batch) error {
	_, err := t.Run(ctx, `INSERT INTO audit_batch (log, first, count, at, leaves, hashes) VALUES ($1, $2, $3, $4, $5, $6)`, b.Log, b.First, b.Count, Micros(b.At), b.Leaves, b.Hashes)
	return err
}
