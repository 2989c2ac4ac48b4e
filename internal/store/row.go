package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
)

// A row is the binding between a domain value and a table: the list of its columns,
// the first keys of which are the primary key. The same list drives SELECT, INSERT,
// UPDATE and the MAC, so no column can be stored without being bound.
//
// Beside its columns each row has rev, which grows by one with each write, and mac
// with its key epoch: HMAC-SHA256 over the table's name, every column's name and
// value, and rev.
type row struct {
	table   string
	keys    int
	columns []column
	rev     *int64
}

// A column is one column of a row and the field it is kept in.
type column struct {
	name  string
	dest  any        // for Scan
	value func() any // int64, string or []byte
}

func text[T ~string](name string, p *T) column {
	return column{name, p, func() any { return string(*p) }}
}

func number[T ~int | ~int64 | ~uint32](name string, p *T) column {
	return column{name, p, func() any { return int64(*p) }}
}

func blob(name string, p *[]byte) column {
	return column{name, p, func() any {
		if *p == nil {
			return []byte{}
		}
		return *p
	}}
}

func flag(name string, p *bool) column {
	return column{name, (*flagField)(p), func() any {
		if *p {
			return int64(1)
		}
		return int64(0)
	}}
}

func instant(name string, p *time.Time) column {
	return column{name, (*instantField)(p), func() any { return micros(*p) }}
}

func seconds(name string, p *time.Duration) column {
	return column{name, (*secondsField)(p), func() any { return int64(*p / time.Second) }}
}

// document keeps a list as JSON text.
func document[T any](name string, p *[]T) column {
	return column{name, &documentField[T]{p}, func() any {
		b, err := json.Marshal(*p)
		if err != nil { // only lists of strings and of structs of strings are kept so
			panic(err)
		}
		if len(*p) == 0 {
			return "[]"
		}
		return string(b)
	}}
}

type (
	flagField            bool
	instantField         time.Time
	secondsField         time.Duration
	documentField[T any] struct{ list *[]T }
)

func (f *flagField) Scan(v any) error {
	n, err := scanInt(v)
	*f = n != 0
	return err
}

func (f *instantField) Scan(v any) error {
	n, err := scanInt(v)
	*f = instantField(fromMicros(n))
	return err
}

func (f *secondsField) Scan(v any) error {
	n, err := scanInt(v)
	*f = secondsField(time.Duration(n) * time.Second)
	return err
}

func (f *documentField[T]) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("reading a list: have %T", v)
	}
	*f.list = nil
	if s == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(s), f.list)
}

func scanInt(v any) (int64, error) {
	n, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("reading a number: have %T", v)
	}
	return n, nil
}

// micros is how instants are stored: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// id names the row in audit records: its key columns joined by slashes.
func (r row) id() string {
	parts := make([]string, r.keys)
	for i, c := range r.columns[:r.keys] {
		parts[i] = fmt.Sprint(c.value())
	}
	return strings.Join(parts, "/")
}

// canonical is the unambiguous encoding of the row that its MAC and its digest cover.
func (r row) canonical() []byte {
	b := append([]byte("keyward-row/v1"), 0)
	field := func(kind byte, v []byte) {
		b = append(b, kind)
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	field('t', []byte(r.table))
	for _, c := range r.columns {
		field('c', []byte(c.name))
		switch v := c.value().(type) {
		case int64:
			field('i', binary.BigEndian.AppendUint64(nil, uint64(v)))
		case string:
			field('s', []byte(v))
		case []byte:
			field('b', v)
		}
	}
	field('r', binary.BigEndian.AppendUint64(nil, uint64(*r.rev)))
	return b
}

// names answers the column names, comma separated, without the trailing three.
func (r row) names() string {
	names := make([]string, len(r.columns))
	for i, c := range r.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// A binder computes and checks row MACs; the keyring is one.
type binder interface {
	Epoch() uint32
	RowMAC(epoch uint32, data []byte) ([]byte, error)
}

// insert writes a new row at revision 1. A row with the same key is [fault.ResourceExists].
func (t *tx) insert(ctx context.Context, b binder, r row) error {
	*r.rev = 1
	epoch := b.Epoch()
	canonical := r.canonical()
	mac, err := b.RowMAC(epoch, canonical)
	if err != nil {
		return err
	}
	args := make([]any, 0, len(r.columns)+3)
	for _, c := range r.columns {
		args = append(args, c.value())
	}
	args = append(args, *r.rev, int64(epoch), mac)
	q := fmt.Sprintf(`INSERT INTO %s (%s, rev, mac_epoch, mac) VALUES (%s) ON CONFLICT DO NOTHING`, r.table, r.names(), places(1, len(args)))
	n, err := t.exec(ctx, q, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.ResourceExists.New("%s %q exists already", r.table, r.id())
	}
	t.note(r, canonical)
	return nil
}

// update writes the row's columns if its revision is still the one that was read;
// otherwise it answers [fault.Changed].
func (t *tx) update(ctx context.Context, b binder, r row) error {
	old := *r.rev
	*r.rev++
	epoch := b.Epoch()
	canonical := r.canonical()
	mac, err := b.RowMAC(epoch, canonical)
	if err != nil {
		return err
	}
	var set []string
	var args []any
	for _, c := range r.columns[r.keys:] {
		args = append(args, c.value())
		set = append(set, fmt.Sprintf("%s = $%d", c.name, len(args)))
	}
	args = append(args, *r.rev, int64(epoch), mac)
	n := len(args)
	where, keys := r.where(n + 1)
	args = append(append(args, keys...), old)
	q := fmt.Sprintf(`UPDATE %s SET %s, rev = $%d, mac_epoch = $%d, mac = $%d WHERE %s AND rev = $%d`,
		r.table, strings.Join(set, ", "), n-2, n-1, n, where, len(args))
	if err := t.expectOne(ctx, r, q, args); err != nil {
		return err
	}
	t.note(r, canonical)
	return nil
}

// remove deletes the row if its revision is still the one that was read.
func (t *tx) remove(ctx context.Context, r row) error {
	where, args := r.where(1)
	args = append(args, *r.rev)
	q := fmt.Sprintf(`DELETE FROM %s WHERE %s AND rev = $%d`, r.table, where, len(args))
	if err := t.expectOne(ctx, r, q, args); err != nil {
		return err
	}
	*r.rev++
	t.note(r, nil)
	return nil
}

func (t *tx) expectOne(ctx context.Context, r row, query string, args []any) error {
	n, err := t.exec(ctx, query, args...)
	if err != nil {
		return err
	}
	if n != 1 {
		return fault.Changed.New("%s %q was changed by somebody else meanwhile; read it again and retry", r.table, r.id())
	}
	return nil
}

// note adds the row to what the audit record tells of this transaction.
func (t *tx) note(r row, canonical []byte) {
	e := audit.Effect{Table: r.table, ID: r.id(), Rev: *r.rev}
	if canonical != nil {
		sum := sha256.Sum256(canonical)
		e.Digest = sum[:]
	}
	t.effects = append(t.effects, e)
}

// where answers the condition on the primary key, its places counted from first.
func (r row) where(first int) (string, []any) {
	var conditions []string
	var args []any
	for i, c := range r.columns[:r.keys] {
		conditions = append(conditions, fmt.Sprintf("%s = $%d", c.name, first+i))
		args = append(args, c.value())
	}
	return strings.Join(conditions, " AND "), args
}

// errNoRow is answered by load for a key that is not there.
var errNoRow = errors.New("no such row")

// load reads the row whose key columns are set, and checks its MAC.
func (s *Store) load(ctx context.Context, r row) error {
	where, args := r.where(1)
	q := fmt.Sprintf(`SELECT %s, rev, mac_epoch, mac FROM %s WHERE %s`, r.names(), r.table, where)
	err := s.scan(s.db.read.QueryRowContext(ctx, q, args...), r)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoRow
	}
	return unavailable(err, "reading "+r.table)
}

// A queryer is a connection pool or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// list reads the rows that the rest of the query (WHERE, ORDER BY, LIMIT) chooses from
// the table that bind names, and checks their MACs.
func list[T any](ctx context.Context, s *Store, from queryer, bind func(*T) row, rest string, args ...any) ([]T, error) {
	sample := bind(new(T))
	q := fmt.Sprintf(`SELECT %s, rev, mac_epoch, mac FROM %s %s`, sample.names(), sample.table, rest)
	rows, err := from.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, unavailable(err, "reading "+sample.table)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := s.scan(rows, bind(&v)); err != nil {
			return nil, unavailable(err, "reading "+sample.table)
		}
		out = append(out, v)
	}
	return out, unavailable(rows.Err(), "reading "+sample.table)
}

// scan reads one row and checks its MAC.
func (s *Store) scan(from interface{ Scan(...any) error }, r row) error {
	var epoch uint32
	var mac []byte
	dest := make([]any, 0, len(r.columns)+3)
	for _, c := range r.columns {
		dest = append(dest, c.dest)
	}
	err := from.Scan(append(dest, r.rev, &epoch, &mac)...)
	if err != nil && strings.HasPrefix(err.Error(), "sql: Scan error") { // database/sql has no type for it
		return s.tampered(r, err)
	}
	if err != nil {
		return err
	}
	want, err := s.keys.RowMAC(epoch, r.canonical())
	switch {
	case fault.Is(err, fault.Sealed):
		return err
	case err != nil: // no such epoch
		return s.tampered(r, err)
	case subtle.ConstantTimeCompare(want, mac) != 1:
		return s.tampered(r, errors.New("its MAC is not the one that belongs to it"))
	}
	return nil
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

// places answers "$first, …" for n placeholders.
func places(first, n int) string {
	p := make([]string, n)
	for i := range p {
		p[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(p, ", ")
}
