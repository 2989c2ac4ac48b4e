package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
)

// errNoRow is answered by load for a key that is not there.
var errNoRow = errors.New("no such row")

// looks is how often a row is read that does not agree with the anchor and stays the same.
// One that differs each time is being changed, perhaps by another node; after patience
// looks it is not believed either.
const (
	looks    = 3
	patience = 1000
)

// load reads the row whose key columns are set, checks its MAC and that it is the one
// that the audit log knows as the newest. So must be a row that is not there.
func (s *Store) load(ctx context.Context, r row) error {
	asked, same := r.id(), 0
	var before []byte
	for look := 1; ; look++ {
		digest, err := s.read(ctx, r)
		if err != nil && !errors.Is(err, errNoRow) {
			return err
		}
		if err == nil && r.id() != asked {
			return s.tampered(r, Misplaced)
		}
		if s.anchor.Agrees(anchor.KeyOf(r.table, asked), *r.rev, digest) {
			return err
		}
		if same++; !bytes.Equal(digest, before) {
			same = 1 // what was read before was true then
		}
		before = digest
		if same == looks || look == patience {
			if err != nil {
				return s.tampered(r, Missing)
			}
			return s.tampered(r, Stale)
		}
		if err := s.anchor.CatchUp(ctx); errors.As(err, new(*audit.TamperError)) {
			return s.tampered(r, err)
		} else if err != nil {
			return unavailable(err, "comparing with the audit log")
		}
	}
}

// read reads a row as load does, and answers its digest, without asking the anchor.
func (s *Store) read(ctx context.Context, r row) ([]byte, error) {
	where, args := r.where(1)
	q := fmt.Sprintf(`SELECT %s, rev, mac_epoch, mac FROM %s WHERE %s`, r.names(), r.table, where)
	stmt, err := s.db.prepared(ctx, s.db.read, q)
	if err != nil {
		return nil, unavailable(err, "reading "+r.table)
	}
	digest, err := s.scan(stmt.QueryRowContext(ctx, args...), r)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoRow
	}
	return digest, unavailable(err, "reading "+r.table)
}

// A queryer is a connection pool or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// fixed reads by statements whose text is always the same.
type fixed struct{ db *DB }

// QueryContext implements queryer.
func (f fixed) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := f.db.prepared(ctx, f.db.read, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// list reads the rows that the rest of the query (WHERE, ORDER BY, LIMIT) chooses from
// the table that bind names, and checks them as load does. That a row is missing from a
// list is found when it is asked for by its key, and by the scrub.
func list[T any](ctx context.Context, s *Store, from queryer, bind func(*T) row, rest string, args ...any) ([]T, error) {
	out, doubtful, err := query(ctx, s, from, bind, rest, args...)
	if err != nil {
		return nil, err
	}
	for _, i := range doubtful { // changed since, perhaps by another node
		if err := s.load(ctx, bind(&out[i])); err != nil && !errors.Is(err, errNoRow) {
			return nil, err
		} else if err != nil {
			out[i] = *new(T)
		}
	}
	if len(doubtful) > 0 {
		out = slices.DeleteFunc(out, func(v T) bool { return *bind(&v).rev == 0 }) // removed since
	}
	return out, nil
}

// query reads rows, checks their MACs, and answers the places of those that the anchor
// does not agree with.
func query[T any](ctx context.Context, s *Store, from queryer, bind func(*T) row, rest string, args ...any) (out []T, doubtful []int, err error) {
	sample := bind(new(T))
	q := fmt.Sprintf(`SELECT %s, rev, mac_epoch, mac FROM %s %s`, sample.names(), sample.table, rest)
	rows, err := from.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, nil, unavailable(err, "reading "+sample.table)
	}
	defer rows.Close()
	for rows.Next() {
		var v T
		r := bind(&v)
		digest, err := s.scan(rows, r)
		if err != nil {
			return nil, nil, unavailable(err, "reading "+sample.table)
		}
		if !r.counted && !s.anchor.Agrees(anchor.KeyOf(r.table, r.id()), *r.rev, digest) {
			doubtful = append(doubtful, len(out))
		}
		out = append(out, v)
	}
	return out, doubtful, unavailable(rows.Err(), "reading "+sample.table)
}

// scan reads one row, checks its MAC and answers its digest.
func (s *Store) scan(from interface{ Scan(...any) error }, r row) ([]byte, error) {
	var epoch uint32
	var mac []byte
	dest := make([]any, 0, len(r.columns)+3)
	for _, c := range r.columns {
		dest = append(dest, c.dest)
	}
	err := from.Scan(append(dest, r.rev, &epoch, &mac)...)
	if err != nil && strings.HasPrefix(err.Error(), "sql: Scan error") { // database/sql has no type for it
		return nil, s.tampered(r, fmt.Errorf("%w: %w", Unreadable, err))
	}
	if err != nil {
		return nil, err
	}
	canonical := r.canonical()
	want, err := s.keys.RowMAC(epoch, canonical)
	switch {
	case fault.Is(err, fault.Sealed):
		return nil, err
	case err != nil: // no such epoch
		return nil, s.tampered(r, fmt.Errorf("%w: %w", Forged, err))
	case subtle.ConstantTimeCompare(want, mac) != 1:
		return nil, s.tampered(r, Forged)
	}
	digest := sha256.Sum256(canonical)
	return digest[:], nil
}

// errTampered marks a row that was changed behind keyward's back. It has no kind, so
// that callers are told of an internal error: trying again is of no use.
var errTampered = errors.New("the database was changed behind keyward's back")

// tampered counts and logs a row that is not believed.
func (s *Store) tampered(r row, why error) error {
	s.tamper.Add(1)
	s.logger.Error("SECURITY: a database row is not what keyward wrote", "table", r.table, "row", r.id(), "error", why)
	return fmt.Errorf("reading row %s %q: %w: %w", r.table, r.id(), errTampered, why)
}
