package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/anchor"
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
	counted bool // bound by its MAC only: no audit record names it, so the anchor does not know it
}

// A column is one column of a row and the field it is kept in.
type column struct {
	name  string
	dest  sql.Scanner
	value func() any // int64, string or []byte
	added bool       // by a migration: rows from before have the zero value, and a MAC without the column
}

// added makes a column one that a migration added to a bound table. While it holds the
// zero value it is left out of the canonical encoding: a row is bound as it was before,
// and what is left out can mean only one thing.
func added(c column) column {
	c.added = true
	return c
}

// zero tells whether the column holds the zero value.
func (c column) zero() bool {
	switch v := c.value().(type) {
	case int64:
		return v == 0
	case string:
		return v == "" || v == "[]" // of a document
	case []byte:
		return len(v) == 0
	}
	return false
}

func text[T ~string](name string, p *T) column {
	return column{name: name, dest: scanner(func(v any) error {
		s, ok := v.(string)
		*p = T(s)
		return held(ok, v)
	}), value: func() any { return string(*p) }}
}

func number[T ~int | ~int64 | ~uint32](name string, p *T) column {
	return column{name: name, dest: scanner(func(v any) error {
		n, ok := v.(int64)
		*p = T(n)
		return held(ok && int64(*p) == n, v)
	}), value: func() any { return int64(*p) }}
}

func blob(name string, p *[]byte) column {
	return column{name: name, dest: scanner(func(v any) error {
		b, ok := v.([]byte)
		*p = bytes.Clone(b)
		return held(ok, v)
	}), value: func() any {
		if *p == nil {
			return []byte{}
		}
		return *p
	}}
}

func flag(name string, p *bool) column {
	return column{name: name, dest: scanner(func(v any) error {
		n, ok := v.(int64)
		*p = n == 1
		return held(ok && (n == 0 || n == 1), v)
	}), value: func() any {
		if *p {
			return int64(1)
		}
		return int64(0)
	}}
}

func instant(name string, p *time.Time) column {
	return column{name: name, dest: (*instantField)(p), value: func() any { return micros(*p) }}
}

func seconds(name string, p *time.Duration) column {
	return column{name: name, dest: scanner(func(v any) error {
		n, ok := v.(int64)
		*p = time.Duration(n) * time.Second
		return held(ok && int64(*p/time.Second) == n, v)
	}), value: func() any { return int64(*p / time.Second) }}
}

// document keeps a list as JSON text.
func document[T any](name string, p *[]T) column {
	spell := func() string {
		b, err := json.Marshal(*p)
		if err != nil { // only lists of strings and of structs of strings are kept so
			panic(err)
		}
		if len(*p) == 0 {
			return "[]"
		}
		return string(b)
	}
	return column{name: name, dest: scanner(func(v any) error {
		s, ok := v.(string)
		*p = nil
		if s != "[]" {
			ok = ok && json.Unmarshal([]byte(s), p) == nil
		}
		return held(ok && spell() == s, v) // queries look for parts of the text
	}), value: func() any { return spell() }}
}

// A scanner reads a column. What a column may hold has one spelling, which is the one
// that the MAC covers: another one that means the same is refused.
type scanner func(v any) error

// Scan implements sql.Scanner.
func (s scanner) Scan(v any) error { return s(v) }

// held answers whether a column held what it may hold.
func held(ok bool, v any) error {
	if !ok {
		return fmt.Errorf("a %T that the column does not hold", v)
	}
	return nil
}

type instantField time.Time

// Scan implements sql.Scanner.
func (f *instantField) Scan(v any) error {
	n, ok := v.(int64)
	*f = instantField(fromMicros(n))
	return held(ok, v)
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
		if c.added && c.zero() {
			continue
		}
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

// reused are the tables whose ids may be used again after their row was removed. The
// revisions of the next row go on where those of the former one ended, or beyond, so
// that revisions say which row is newer. The floor that sees to it is no secret and not
// bound: who lowers it makes new rows unusable, and gains nothing.
var reused = map[string]bool{"iam_user": true, "iam_role": true, "iam_policy": true, "kms_alias": true, "accesskey_source": true,
	"notify_channel": true, "notify_person": true, "notify_rota": true, "secret": true, "sink": true, "sink_copy": true,
	"node": true, "target": true, "rollout": true, generations: true, "key_resource": true, "xks_offer": true, "iam_person": true, "approval_rule": true,
	"iam_identity_provider": true, "iam_link": true, "watch_repository": true}

// floor answers the highest revision that a removed row of the table had, or rev if
// that is higher, and keeps other transactions that need it waiting.
func (t *tx) floor(ctx context.Context, table string, rev int64) (int64, error) {
	if !reused[table] {
		return 0, nil
	}
	var have int64
	err := t.sql.QueryRowContext(ctx,
		`UPDATE row_floor SET rev = CASE WHEN rev < $1 THEN $1 ELSE rev END WHERE name = $2 RETURNING rev`, rev, table).Scan(&have)
	if err != nil {
		return 0, fmt.Errorf("reading the floor of %s: %w", table, err)
	}
	return have, nil
}

// insert writes a new row at its first revision. A row with the same key is
// [fault.ResourceExists].
func (t *tx) insert(ctx context.Context, b binder, r row) error {
	floor, err := t.floor(ctx, r.table, 0)
	if err != nil {
		return err
	}
	*r.rev = floor + 1
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
	n, err := t.run(ctx, q, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.ResourceExists.New("%s %q exists already", r.table, r.id())
	}
	if err := t.vacant(ctx, r); err != nil {
		return err
	}
	t.note(r, canonical)
	return nil
}

// vacant tells whether a row that was free to be written is so by the audit log, too.
func (t *tx) vacant(ctx context.Context, r row) error {
	if r.counted {
		return nil
	}
	k := anchor.KeyOf(r.table, r.id())
	if t.db.anchor.Agrees(k, 0, nil) {
		return nil
	}
	if err := t.db.anchor.CatchUp(ctx); err != nil {
		return err
	}
	if t.db.anchor.Agrees(k, 0, nil) {
		return nil
	}
	return fmt.Errorf("writing row %s %q: %w: %w", r.table, r.id(), errTampered, Missing)
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
	if _, err := t.floor(ctx, r.table, *r.rev+1); err != nil {
		return err
	}
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
	n, err := t.run(ctx, query, args...)
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
	if r.counted {
		return
	}
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

// places answers "$first, …" for n placeholders.
func places(first, n int) string {
	p := make([]string, n)
	for i := range p {
		p[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(p, ", ")
}
