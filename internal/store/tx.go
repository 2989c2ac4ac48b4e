package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
)

// A tx is one transaction of the audit log's writer. It is the audit.Tx that the log
// writes its batch with, and what mutations of this package write their rows with.
type tx struct {
	sql     *sql.Tx
	db      *DB
	effects []audit.Effect
}

// Transact implements audit.Store.
func (db *DB) Transact(ctx context.Context, fn func(audit.Tx) error) error {
	sqlTx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	if err := fn(&tx{sql: sqlTx, db: db}); err != nil {
		return errors.Join(err, rollback(sqlTx))
	}
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
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
	appendBatch = `INSERT INTO audit_batch (log, first, count, at, leaves, hashes) VALUES ($1, $2, $3, $4, $5, $6)`
)

// claimNonces answers the statement that inserts n nonces and answers those that are new.
func claimNonces(n int) string {
	var values strings.Builder
	for i := range n {
		if i > 0 {
			values.WriteByte(',')
		}
		fmt.Fprintf(&values, "($%d,$%d)", 2*i+1, 2*i+2)
	}
	return `INSERT INTO nonce (digest, expires) VALUES ` + values.String() + ` ON CONFLICT DO NOTHING RETURNING digest`
}

// prepare prepares the hot statements, once for the life of the database.
func (db *DB) prepare(ctx context.Context) error {
	db.hot, db.claims = map[string]*sql.Stmt{}, map[int]*sql.Stmt{}
	var errs []error
	prepare := func(query string) *sql.Stmt {
		stmt, err := db.write.PrepareContext(ctx, query)
		errs = append(errs, err)
		return stmt
	}
	for _, query := range []string{moveHead, appendBatch} {
		db.hot[query] = prepare(query)
	}
	for _, n := range claimSizes {
		db.claims[n] = prepare(claimNonces(n))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("preparing statements: %w", err)
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

// claimSizes are the row counts of the prepared nonce insertions, so that any number
// of nonces needs few distinct statements.
var claimSizes = [...]int{64, 16, 4, 1}

// Claim implements audit.Tx.
func (t *tx) Claim(ctx context.Context, nonces [][]byte, expires time.Time) ([]bool, error) {
	fresh := make(map[string]bool, len(nonces))
	sorted := slices.SortedFunc(slices.Values(nonces), bytes.Compare) // one order on all nodes: no deadlocks
	for rest := sorted; len(rest) > 0; {
		n := 1
		for _, size := range claimSizes {
			if size <= len(rest) {
				n = size
				break
			}
		}
		if err := t.claim(ctx, rest[:n], micros(expires), fresh); err != nil {
			return nil, fmt.Errorf("claiming nonces: %w", err)
		}
		rest = rest[n:]
	}
	known := make([]bool, len(nonces))
	for i, nonce := range nonces {
		known[i] = !fresh[string(nonce)]
		delete(fresh, string(nonce)) // a second one in the same batch is a replay
	}
	return known, nil
}

func (t *tx) claim(ctx context.Context, nonces [][]byte, expires int64, fresh map[string]bool) error {
	args := make([]any, 0, 2*len(nonces))
	for _, nonce := range nonces {
		args = append(args, nonce, expires)
	}
	rows, err := t.sql.StmtContext(ctx, t.db.claims[len(nonces)]).QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var digest []byte
		if err := rows.Scan(&digest); err != nil {
			return err
		}
		fresh[string(digest)] = true
	}
	return rows.Err()
}

// Append implements audit.Tx. The guarded update of the log's head makes a second
// writer of the same log fail instead of forking it.
func (t *tx) Append(ctx context.Context, b audit.Batch) error {
	n, err := t.exec(ctx, moveHead,
		b.First+b.Count, micros(b.At), b.Checkpoint, b.Log, b.First)
	if err != nil {
		return err
	}
	if n != 1 {
		return audit.ErrConflict
	}
	_, err = t.exec(ctx, appendBatch,
		b.Log, b.First, b.Count, micros(b.At), b.Leaves, b.Hashes)
	if err != nil {
		return err
	}
	return t.announce(ctx)
}
