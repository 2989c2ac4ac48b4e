package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/audit"
)

// CreateLog implements audit.Store. The column created_at is of the first schema;
// nothing proved it, so nothing reads it: the first record tells when a log began.
func (db *DB) CreateLog(ctx context.Context, id audit.Identity) error {
	_, err := db.write.ExecContext(ctx,
		`INSERT INTO audit_log (origin, public_key, sealed_key, created_at, size, at, checkpoint) VALUES ($1, $2, $3, 0, 0, 0, $4)`,
		id.Origin, id.PublicKey, id.SealedKey, []byte{})
	if err != nil {
		return fmt.Errorf("creating audit log %q: %w", id.Origin, err)
	}
	return nil
}

// Logs implements audit.Reader.
func (db *DB) Logs(ctx context.Context) ([]audit.Identity, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT origin, public_key, sealed_key FROM audit_log ORDER BY origin`)
	if err != nil {
		return nil, Unavailable(err, "reading audit logs")
	}
	defer rows.Close()
	var out []audit.Identity
	for rows.Next() {
		var id audit.Identity
		if err := rows.Scan(&id.Origin, &id.PublicKey, &id.SealedKey); err != nil {
			return nil, Unavailable(err, "reading audit logs")
		}
		out = append(out, id)
	}
	return out, Unavailable(rows.Err(), "reading audit logs")
}

// Head implements audit.Reader.
func (db *DB) Head(ctx context.Context, log string) (audit.Head, error) {
	tail := db.tail.of(log) // before the tables: what leaves it meanwhile is found there
	h, err := db.tableHead(ctx, log)
	if n := len(tail); n > 0 && err == nil {
		if last := tail[n-1]; last.First+last.Count > h.Size {
			h = audit.Head{Size: last.First + last.Count, At: last.At, Checkpoint: last.Checkpoint}
		}
	}
	return h, err
}

func (db *DB) tableHead(ctx context.Context, log string) (audit.Head, error) {
	var h audit.Head
	var at int64
	err := db.read.QueryRowContext(ctx, `SELECT size, at, checkpoint FROM audit_log WHERE origin = $1`, log).Scan(&h.Size, &at, &h.Checkpoint)
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Head{}, nil
	}
	if err != nil {
		return audit.Head{}, Unavailable(err, fmt.Sprintf("reading the head of audit log %q", log))
	}
	h.At = FromMicros(at)
	return h, nil
}

const batchColumns = `SELECT log, first, count, at, leaves, hashes FROM audit_batch `

func scanBatch(rows *sql.Rows) (audit.Batch, error) {
	var b audit.Batch
	var at int64
	if err := rows.Scan(&b.Log, &b.First, &b.Count, &at, &b.Leaves, &b.Hashes); err != nil {
		return audit.Batch{}, Unavailable(err, "reading audit records")
	}
	b.At = FromMicros(at)
	return b, nil
}

// Batches implements audit.Reader.
func (db *DB) Batches(ctx context.Context, log string, first int64, yield func(audit.Batch) error) error {
	tail := db.tail.of(log)
	next := first
	err := db.tableBatches(ctx, log, first, func(b audit.Batch) error {
		if b.First+b.Count <= first {
			return nil // the record is in the tail
		}
		next = b.First + b.Count
		return yield(b)
	})
	for _, b := range tail {
		if err == nil && b.First+b.Count > next {
			err = yield(b)
		}
	}
	return err
}

func (db *DB) tableBatches(ctx context.Context, log string, first int64, yield func(audit.Batch) error) error {
	rows, err := db.read.QueryContext(ctx, batchColumns+
		`WHERE log = $1 AND first >= COALESCE((SELECT MAX(first) FROM audit_batch WHERE log = $1 AND first <= $2), 0) ORDER BY first`, log, first)
	if err != nil {
		return Unavailable(err, "reading audit records")
	}
	defer rows.Close()
	for rows.Next() {
		b, err := scanBatch(rows)
		if err != nil {
			return err
		}
		if err := yield(b); err != nil {
			return err
		}
	}
	return Unavailable(rows.Err(), "reading audit records")
}

// Hashes implements audit.Reader. The record that created a stored hash is the last
// leaf under it, and a batch keeps the hashes that its records created, in order.
func (db *DB) Hashes(ctx context.Context, log string, indexes []int64) ([]tlog.Hash, error) {
	tail := db.tail.of(log)
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		record := (n+1)<<level - 1
		first, hashes, err := db.batchHashes(ctx, log, record, tail)
		if err != nil {
			return nil, fmt.Errorf("reading hash %d of audit log %q: %w", index, log, err)
		}
		at := (index - tlog.StoredHashCount(first)) * tlog.HashSize
		if at < 0 || at+tlog.HashSize > int64(len(hashes)) {
			return nil, fmt.Errorf("reading hash %d of audit log %q: it is missing; run `keyward audit verify`", index, log)
		}
		copy(out[i][:], hashes[at:])
	}
	return out, nil
}

// batchHashes answers the hashes of the batch that holds a record, and its first record.
func (db *DB) batchHashes(ctx context.Context, log string, record int64, tail []audit.Batch) (first int64, hashes []byte, err error) {
	for _, b := range tail {
		if b.First <= record && record < b.First+b.Count {
			return b.First, b.Hashes, nil
		}
	}
	err = db.read.QueryRowContext(ctx,
		`SELECT first, hashes FROM audit_batch WHERE log = $1 AND first <= $2 ORDER BY first DESC LIMIT 1`, log, record).Scan(&first, &hashes)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, err // it is missing, which is no failure of the database
	}
	return first, hashes, Unavailable(err, "reading hashes")
}

// Strays answers the names of logs that have records and no identity: nobody signed
// them, so somebody put them there.
func (db *DB) Strays(ctx context.Context) ([]string, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT DISTINCT log FROM audit_batch WHERE log NOT IN (SELECT origin FROM audit_log) ORDER BY log`)
	if err != nil {
		return nil, Unavailable(err, "looking for audit records of no log")
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var log string
		if err := rows.Scan(&log); err != nil {
			return nil, Unavailable(err, "looking for audit records of no log")
		}
		out = append(out, log)
	}
	return out, Unavailable(rows.Err(), "looking for audit records of no log")
}

// searchPage is how many batches one query of Search reads.
const searchPage = 64

// Search implements audit.Reader. It reads page by page, so that a slow reader keeps
// no database snapshot open.
func (db *DB) Search(ctx context.Context, from audit.Position, backwards bool, yield func(audit.Batch) (bool, error)) error {
	tail := db.tail.of("")
	later := func(a, b audit.Batch) int { return compare(position(a), position(b)) }
	if backwards {
		later = func(a, b audit.Batch) int { return compare(position(b), position(a)) }
	}
	slices.SortFunc(tail, later)
	at := audit.Batch{At: from.At, Log: from.Log, First: from.First}
	tail = slices.DeleteFunc(tail, func(b audit.Batch) bool { return later(b, at) < 0 })
	for {
		page, err := db.searchPage(ctx, from, backwards)
		if err != nil {
			return err
		}
		last := len(page) < searchPage
		// What of the tail belongs to this page, and is not in the tables since.
		n := len(tail)
		if !last {
			end := page[len(page)-1]
			if n = slices.IndexFunc(tail, func(b audit.Batch) bool { return later(b, end) > 0 }); n < 0 {
				n = len(tail)
			}
			from = beyond(end, backwards)
		}
		page = append(page, tail[:n]...)
		tail = tail[n:]
		slices.SortStableFunc(page, later)
		page = slices.CompactFunc(page, func(a, b audit.Batch) bool { return later(a, b) == 0 })
		for _, b := range page {
			if more, err := yield(b); err != nil || !more {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

func position(b audit.Batch) audit.Position {
	return audit.Position{At: b.At, Log: b.Log, First: b.First}
}

// compare orders positions as the database does.
func compare(a, b audit.Position) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Log, b.Log), cmp.Compare(a.First, b.First))
}

// beyond answers the position next to a batch.
func beyond(b audit.Batch, backwards bool) audit.Position {
	p := position(b)
	if backwards {
		p.First--
	} else {
		p.First++
	}
	return p
}

// searchQuery reads a page. log || ” is the log, but not to SQLite's planner, which would
// take the index of the logs and sort all batches of them for each page.
func searchQuery(backwards bool) string {
	if backwards {
		return batchColumns + `WHERE (at, log, first) <= ($1, $2, $3) AND log || '' IN (SELECT origin FROM audit_log) ORDER BY at DESC, log DESC, first DESC LIMIT $4`
	}
	return batchColumns + `WHERE (at, log, first) >= ($1, $2, $3) AND log || '' IN (SELECT origin FROM audit_log) ORDER BY at, log, first LIMIT $4`
}

func (db *DB) searchPage(ctx context.Context, from audit.Position, backwards bool) ([]audit.Batch, error) {
	rows, err := db.read.QueryContext(ctx, searchQuery(backwards), Micros(from.At), from.Log, from.First, searchPage)
	if err != nil {
		return nil, Unavailable(err, "reading audit records")
	}
	defer rows.Close()
	var page []audit.Batch
	for rows.Next() {
		b, err := scanBatch(rows)
		if err != nil {
			return nil, err
		}
		page = append(page, b)
	}
	return page, Unavailable(rows.Err(), "reading audit records")
}
