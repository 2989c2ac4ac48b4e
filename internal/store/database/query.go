package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// A Queryer is what reads: a [DB], what [DB.Ready] answers, or a [Tx].
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// QueryContext reads on a connection that cannot write, outside any transaction.
func (db *DB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return db.read.QueryContext(ctx, query, args...)
}

// QueryRowContext is QueryContext for at most one row.
func (db *DB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return db.read.QueryRowContext(ctx, query, args...)
}

// Exec runs one statement in a transaction of its own, which no audit record tells of, and
// answers how many rows it touched.
func (db *DB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return touched(query)(db.write.ExecContext(ctx, query, args...))
}

// Returning is Exec for a statement that answers rows and whose text is always the same.
func (db *DB) Returning(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := db.prepared(ctx, db.write, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// Ready answers what reads as the DB does, by statements whose text is always the same: each
// is made ready once, and stays so.
func (db *DB) Ready() Ready { return Ready{db} }

// A Ready reads by statements that are made ready once.
type Ready struct{ db *DB }

// QueryContext implements Queryer.
func (r Ready) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := r.db.prepared(ctx, r.db.read, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRowContext is QueryContext for at most one row.
func (r Ready) QueryRowContext(ctx context.Context, query string, args ...any) (*sql.Row, error) {
	stmt, err := r.db.prepared(ctx, r.db.read, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryRowContext(ctx, args...), nil
}

// A statement is one of a connection pool. What is made ready is never given up, so its text
// must not depend on what it is asked for.
type statement struct {
	pool *sql.DB
	text string
}

// prepared answers a statement that is made ready once: to read one often takes longer than
// to do it.
func (db *DB) prepared(ctx context.Context, pool *sql.DB, text string) (*sql.Stmt, error) {
	key := statement{pool, text}
	if known, ok := db.ready.Load(key); ok {
		return known.(*sql.Stmt), nil
	}
	made, err := pool.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	known, loaded := db.ready.LoadOrStore(key, made)
	if loaded { // somebody else was faster
		err = made.Close()
	}
	return known.(*sql.Stmt), err
}

// ErrTampered marks content that was changed behind keyward's back. It has no kind, so that
// callers are told of an internal error: trying again is of no use.
var ErrTampered = errors.New("the database was changed behind keyward's back")

// Unavailable reports an error of the database to a caller, without its text: as
// [fault.Unavailable], which says to try again. Faults and [ErrTampered] stay what they are.
func Unavailable(err error, doing string) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) || errors.Is(err, ErrTampered) {
		return err
	}
	return fault.Unavailable.Wrap(fmt.Errorf("%s: %w", doing, err), "the database cannot be read now; try again")
}

// Micros is how instants are stored: microseconds since 1970 UTC, 0 for the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros answers the instant that is stored so, in UTC.
func FromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// A Moment reads an instant.
type Moment time.Time

// Scan implements sql.Scanner.
func (m *Moment) Scan(v any) error {
	n, ok := v.(int64)
	*m = Moment(FromMicros(n))
	return Held(ok, v)
}

// Bit is how flags are stored: 0 or 1.
func Bit(set bool) int64 {
	if set {
		return 1
	}
	return 0
}

// A Flag reads a flag. Whatever is not 0 or 1 is refused.
type Flag bool

// Scan implements sql.Scanner.
func (f *Flag) Scan(v any) error {
	n, ok := v.(int64)
	*f = n == 1
	return Held(ok && (n == 0 || n == 1), v)
}

// Held answers an error unless a column held what it may hold: each value has one spelling.
func Held(ok bool, v any) error {
	if !ok {
		return fmt.Errorf("a %T that the column does not hold", v)
	}
	return nil
}

// Places answers "$first, …" for n placeholders.
func Places(first, n int) string {
	p := make([]string, n)
	for i := range p {
		p[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(p, ", ")
}
