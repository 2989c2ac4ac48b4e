package store

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

// A tx is one transaction of the audit log's writer. It is the audit.Tx that the log
// writes its batch with, and what mutations of this package write their rows with.
type tx struct {
	sql     *sql.Tx
	db      *DB
	effects []audit.Effect
	undo    func()  // gives back the nonces that it claimed; nil for none
	taken   portion // of the tail
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
	sqlTx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	x := &tx{sql: sqlTx, db: db}
	if err := fn(x); err != nil {
		if x.undo != nil {
			x.undo()
		}
		return errors.Join(err, rollback(sqlTx))
	}
	if err := db.commit(x); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	if db.tail != nil {
		db.tail.drop(x.taken)
	}
	return nil
}

// commit commits and has the anchor, if there is one, know what rows are now.
func (db *DB) commit(x *tx) error {
	if db.anchor == nil { // nothing that a database without a Store commits is bound
		return x.sql.Commit()
	}
	db.anchor.Begin(x.effects)
	if err := x.sql.Commit(); err != nil {
		db.anchor.Doubted()
		return err
	}
	db.anchor.Committed()
	return nil
}

func rollback(t *sql.Tx) error {
	if err := t.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("rolling back: %w", err)
	}
	return nil
}

// The statements that every batch of the audit log runs.
const (
	moveHead    = `UPDATE audit_log SET size = $1, at = $2, checkpoint = $3 WHERE origin = $4 AND size = $5`
	insertBatch = `INSERT INTO audit_batch (log, first, count, at, leaves, hashes) VALUES ($1, $2, $3, $4, $5, $6)`
)

// prepare prepares the hot statements, once for the life of the database.
func (db *DB) prepare(ctx context.Context) error {
	db.hot = map[string]*sql.Stmt{}
	for _, query := range []string{moveHead, insertBatch} {
		stmt, err := db.write.PrepareContext(ctx, query)
		if err != nil {
			return fmt.Errorf("preparing statements: %w", err)
		}
		db.hot[query] = stmt
	}
	return nil
}

// exec runs a statement and answers how many rows it touched.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	var res sql.Result
	var err error
	if stmt, ok := t.db.hot[query]; ok {
		res, err = t.sql.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	} else {
		res, err = t.sql.ExecContext(ctx, query, args...)
	}
	if err != nil {
		verb, _, _ := strings.Cut(query, "(")
		return 0, fmt.Errorf("executing %.40q: %w", verb, err)
	}
	return res.RowsAffected()
}

// Claim implements audit.Tx.
func (t *tx) Claim(ctx context.Context, nonces [][]byte) ([]bool, error) {
	if len(nonces) == 0 {
		return nil, nil
	}
	if t.db.tail != nil {
		known, undo := t.db.tail.claim(nonces)
		t.undo = undo
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
func (t *tx) claimRows(ctx context.Context, nonces [][]byte) (map[string]bool, error) {
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
func (t *tx) Append(ctx context.Context, b audit.Batch) error {
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
func (t *tx) moveHead(ctx context.Context, last audit.Batch, size int64) error {
	n, err := t.exec(ctx, moveHead, last.First+last.Count, micros(last.At), last.Checkpoint, last.Log, size)
	if err == nil && n != 1 {
		err = audit.ErrConflict
	}
	return err
}

func (t *tx) addBatch(ctx context.Context, b audit.Batch) error {
	_, err := t.exec(ctx, insertBatch, b.Log, b.First, b.Count, micros(b.At), b.Leaves, b.Hashes)
	return err
}
