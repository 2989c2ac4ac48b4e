package bound

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/store/database"
)

// ErrNoRow is answered by [Store.Load] for a key that is not there.
var ErrNoRow = errors.New("no such row")

// looks is how often a row is read that does not agree with the anchor and stays the same.
// One that differs each time is being changed, perhaps by another node; after patience
// looks it is not believed either.
const (
	looks    = 3
	patience = 1000
)

// Load reads the row whose key columns are set, checks its MAC and that it is the one
// that the audit log knows as the newest. So must be a row that is not there.
func (s *Store) Load(ctx context.Context, r Row) error {
	asked, same := r.id(), 0
	var before []byte
	for look := 1; ; look++ {
		digest, err := s.read(ctx, r)
		if err != nil && !errors.Is(err, ErrNoRow) {
			return err
		}
		if err == nil && r.id() != asked {
			return s.tampered(r, Misplaced)
		}
		if s.anchor.Agrees(anchor.KeyOf(r.Table, asked), *r.Rev, digest) {
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
		if err := s.catchUp(ctx, r); err != nil {
			return err
		}
	}
}

// catchUp has the anchor read what other nodes wrote, because it does not agree with a row.
func (s *Store) catchUp(ctx context.Context, r Row) error {
	err := s.anchor.CatchUp(ctx)
	if errors.As(err, new(*audit.TamperError)) {
		return s.tampered(r, err)
	}
	return database.Unavailable(err, "comparing with the audit log")
}

// LoadCounted is Load for a row that is bound by its MAC only.
func (s *Store) LoadCounted(ctx context.Context, r Row) error {
	_, err := s.read(ctx, r)
	return err
}

// read reads a row as Load does, and answers its digest, without asking the anchor.
func (s *Store) read(ctx context.Context, r Row) ([]byte, error) {
	q, args := r.selects()
	stmt, err := s.DB.Ready().QueryRowContext(ctx, q, args...)
	if err != nil {
		return nil, database.Unavailable(err, "reading "+r.Table)
	}
	digest, err := s.scan(stmt, r)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoRow
	}
	return digest, database.Unavailable(err, "reading "+r.Table)
}

// selects answers the query for a row by its key, and its arguments.
func (r Row) selects() (string, []any) {
	where, args := r.where(1)
	return fmt.Sprintf(`SELECT %s, rev, mac_epoch, mac FROM %s WHERE %s`, r.names(), r.Table, where), args
}

// Recount reads the row of counts whose key columns are set, in the transaction that changes
// it, and tells whether it is there. One that was changed behind keyward's back is removed:
// counting begins anew.
func (t *Tx) Recount(ctx context.Context, r Row) (bool, error) {
	q, args := r.selects()
	_, err := t.store.scan(t.QueryRowContext(ctx, q, args...), r)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case errors.Is(err, database.ErrTampered):
		where, args := r.where(1)
		_, err = t.Exec(ctx, fmt.Sprintf(`DELETE FROM %s WHERE %s`, r.Table, where), args...)
		return false, err
	}
	return err == nil, err
}

// List reads the rows that the rest of the query (WHERE, ORDER BY, LIMIT) chooses from
// the table that bind names, and checks them as [Store.Load] does. That a row is missing from a
// list is found when it is asked for by its key, and by the scrub.
func List[T any](ctx context.Context, s *Store, from database.Queryer, bind func(*T) Row, rest string, args ...any) ([]T, error) {
	out, doubtful, err := query(ctx, s, from, bind, rest, args...)
	if err != nil {
		return nil, err
	}
	for _, i := range doubtful { // changed since, perhaps by another node
		if err := s.Load(ctx, bind(&out[i])); err != nil && !errors.Is(err, ErrNoRow) {
			return nil, err
		} else if err != nil {
			out[i] = *new(T)
		}
	}
	if len(doubtful) > 0 {
		out = slices.DeleteFunc(out, func(v T) bool { return *bind(&v).Rev == 0 }) // removed since
	}
	return out, nil
}

// Documents reads a column of JSON documents that are not bound, by a query whose text is
// always the same.
func Documents[T any](ctx context.Context, s *Store, query string, args ...any) ([]T, error) {
	rows, err := s.DB.Ready().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, database.Unavailable(err, "reading documents")
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var body string
		var v T
		if err := rows.Scan(&body); err != nil {
			return nil, database.Unavailable(err, "reading documents")
		}
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			return nil, fmt.Errorf("reading documents: %w", err)
		}
		out = append(out, v)
	}
	return out, database.Unavailable(rows.Err(), "reading documents")
}

// query reads rows, checks their MACs, and answers the places of those that the anchor
// does not agree with.
func query[T any](ctx context.Context, s *Store, from database.Queryer, bind func(*T) Row, rest string, args ...any) (out []T, doubtful []int, err error) {
	sample := bind(new(T))
	q := fmt.Sprintf(`SELECT %s, rev, mac_epoch, mac FROM %s %s`, sample.names(), sample.Table, rest)
	rows, err := from.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, nil, database.Unavailable(err, "reading "+sample.Table)
	}
	defer rows.Close()
	for rows.Next() {
		var v T
		r := bind(&v)
		digest, err := s.scan(rows, r)
		if err != nil {
			return nil, nil, database.Unavailable(err, "reading "+sample.Table)
		}
		if r.Counted == "" && !s.anchor.Agrees(anchor.KeyOf(r.Table, r.id()), *r.Rev, digest) {
			doubtful = append(doubtful, len(out))
		}
		out = append(out, v)
	}
	return out, doubtful, database.Unavailable(rows.Err(), "reading "+sample.Table)
}

// scan reads one row, checks its MAC and answers its digest.
func (s *Store) scan(from interface{ Scan(...any) error }, r Row) ([]byte, error) {
	var epoch uint32
	var mac []byte
	dest := make([]any, 0, len(r.Columns)+3)
	for _, c := range r.Columns {
		dest = append(dest, c.dest)
	}
	err := from.Scan(append(dest, r.Rev, &epoch, &mac)...)
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

// tampered counts and logs a row that is not believed.
func (s *Store) tampered(r Row, why error) error {
	s.tamper.Add(1)
	s.logger.Error("SECURITY: a database row is not what keyward wrote", "table", r.Table, "row", r.id(), "error", why)
	return fmt.Errorf("row %s %q: %w: %w", r.Table, r.id(), database.ErrTampered, why)
}
