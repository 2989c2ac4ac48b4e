package bound

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/store/database"
)

// A Row is the binding between a domain value and a table: the list of its columns,
// the first keys of which are the primary key. The same list drives SELECT, INSERT,
// UPDATE and the MAC, so no column can be stored without being bound.
//
// Beside its columns each row has rev, which grows by one with each write, and mac
// with its key epoch: HMAC-SHA256 over the table's name, every column's name and
// value, and rev.
type Row struct {
	Table   string
	Keys    int // how many of the columns are the primary key; these hold texts
	Columns []Column
	Rev     *int64 // 0 until the row is stored
	Counted string // why it is bound by its MAC only: no audit record names it, so the anchor does not know it
	Reused  bool   // its key may be used again after it was removed: revisions go on where they ended
}

// id names the row in audit records: its key columns joined by slashes.
func (r Row) id() string {
	parts := make([]string, r.Keys)
	for i, c := range r.Columns[:r.Keys] {
		parts[i] = fmt.Sprint(c.value())
	}
	return strings.Join(parts, "/")
}

// canonical is the unambiguous encoding of the row that its MAC and its digest cover.
func (r Row) canonical() []byte {
	b := append([]byte("keyward-row/v1"), 0)
	field := func(kind byte, v []byte) {
		b = append(b, kind)
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	field('t', []byte(r.Table))
	for _, c := range r.Columns {
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
	field('r', binary.BigEndian.AppendUint64(nil, uint64(*r.Rev)))
	return b
}

// names answers the column names, comma separated, without the trailing three.
func (r Row) names() string { return strings.Join(r.columns(), ", ") }

// A Keyring computes the MACs of rows; seal.Keyring is one.
type Keyring interface {
	Epoch() uint32
	RowMAC(epoch uint32, data []byte) ([]byte, error)
}

// A Tx is a transaction that rows are changed in. Others write in it what is not bound.
type Tx struct {
	*database.Tx
	store *Store
}

// Floor answers the number under a name, or least if that is higher, which it is from then
// on, and keeps other transactions that need it waiting. It is how revisions of a row whose
// key is used again go on where those of the former one ended, or beyond, so that they say
// which row is newer. The floor is no secret and not bound: who lowers it makes new rows
// unusable, and gains nothing. A migration makes its name known.
func (t *Tx) Floor(ctx context.Context, name string, least int64) (int64, error) {
	var have int64
	err := t.QueryRowContext(ctx,
		`UPDATE row_floor SET rev = CASE WHEN rev < $1 THEN $1 ELSE rev END WHERE name = $2 RETURNING rev`, least, name).Scan(&have)
	if err != nil {
		return 0, fmt.Errorf("reading the floor of %s: %w", name, err)
	}
	return have, nil
}

// Hold keeps other transactions waiting that need one of these floors, which it takes in their
// order: who else needs several of them takes them in the same. Removing a row whose key is used
// again needs that of its table. So whoever stores what names such rows holds the floors and then
// sees whether they are there; and whoever removes one sees what names it.
func (t *Tx) Hold(ctx context.Context, floors ...string) error {
	for _, floor := range floors {
		if _, err := t.Floor(ctx, floor, 0); err != nil {
			return err
		}
	}
	return nil
}

// floor is Floor of the revisions of a row; 0 if its key is never used again.
func (t *Tx) floor(ctx context.Context, r Row, least int64) (int64, error) {
	if !r.Reused {
		return 0, nil
	}
	return t.Floor(ctx, r.Table, least)
}

// Insert writes a new row at its first revision. A row with the same key is
// [fault.ResourceExists].
func (t *Tx) Insert(ctx context.Context, r Row) error {
	floor, err := t.floor(ctx, r, 0)
	if err != nil {
		return err
	}
	*r.Rev = floor + 1
	epoch := t.store.keys.Epoch()
	canonical := r.canonical()
	mac, err := t.store.keys.RowMAC(epoch, canonical)
	if err != nil {
		return err
	}
	args := make([]any, 0, len(r.Columns)+3)
	for _, c := range r.Columns {
		args = append(args, c.value())
	}
	args = append(args, *r.Rev, int64(epoch), mac)
	q := fmt.Sprintf(`INSERT INTO %s (%s, rev, mac_epoch, mac) VALUES (%s) ON CONFLICT DO NOTHING`, r.Table, r.names(), database.Places(1, len(args)))
	n, err := t.Run(ctx, q, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.ResourceExists.New("%s %q exists already", r.Table, r.id())
	}
	if err := t.vacant(ctx, r); err != nil {
		return err
	}
	t.note(r, canonical)
	return nil
}

// vacant refuses a row that was free to be written and, by the audit log, is there.
func (t *Tx) vacant(ctx context.Context, r Row) error {
	if r.Counted != "" {
		return nil
	}
	k := anchor.KeyOf(r.Table, r.id())
	if t.store.anchor.Agrees(k, 0, nil) {
		return nil
	}
	if err := t.store.catchUp(ctx, r); err != nil {
		return err
	}
	if t.store.anchor.Agrees(k, 0, nil) {
		return nil
	}
	return t.store.tampered(r, Missing)
}

// Save inserts a row that is new, which its revision tells, and updates another one.
func (t *Tx) Save(ctx context.Context, r Row) error {
	if *r.Rev == 0 {
		return t.Insert(ctx, r)
	}
	return t.Update(ctx, r)
}

// Update writes the row's columns if its revision is still the one that was read;
// otherwise it answers [fault.Changed].
func (t *Tx) Update(ctx context.Context, r Row) error {
	old := *r.Rev
	*r.Rev++
	epoch := t.store.keys.Epoch()
	canonical := r.canonical()
	mac, err := t.store.keys.RowMAC(epoch, canonical)
	if err != nil {
		return err
	}
	var set []string
	var args []any
	for _, c := range r.Columns[r.Keys:] {
		args = append(args, c.value())
		set = append(set, fmt.Sprintf("%s = $%d", c.name, len(args)))
	}
	args = append(args, *r.Rev, int64(epoch), mac)
	n := len(args)
	where, keys := r.where(n + 1)
	args = append(append(args, keys...), old)
	q := fmt.Sprintf(`UPDATE %s SET %s, rev = $%d, mac_epoch = $%d, mac = $%d WHERE %s AND rev = $%d`,
		r.Table, strings.Join(set, ", "), n-2, n-1, n, where, len(args))
	if err := t.expectOne(ctx, r, q, args); err != nil {
		return err
	}
	t.note(r, canonical)
	return nil
}

// Remove deletes the row if its revision is still the one that was read.
func (t *Tx) Remove(ctx context.Context, r Row) error {
	if _, err := t.floor(ctx, r, *r.Rev+1); err != nil {
		return err
	}
	where, args := r.where(1)
	args = append(args, *r.Rev)
	q := fmt.Sprintf(`DELETE FROM %s WHERE %s AND rev = $%d`, r.Table, where, len(args))
	if err := t.expectOne(ctx, r, q, args); err != nil {
		return err
	}
	*r.Rev++
	t.note(r, nil)
	return nil
}

func (t *Tx) expectOne(ctx context.Context, r Row, query string, args []any) error {
	n, err := t.Run(ctx, query, args...)
	if err != nil {
		return err
	}
	if n != 1 {
		return fault.Changed.New("%s %q was changed by somebody else meanwhile; read it again and retry", r.Table, r.id())
	}
	return nil
}

// note adds the row to what the audit record tells of this transaction.
func (t *Tx) note(r Row, canonical []byte) {
	if r.Counted != "" {
		return
	}
	e := audit.Effect{Table: r.Table, ID: r.id(), Rev: *r.Rev}
	if canonical != nil {
		sum := sha256.Sum256(canonical)
		e.Digest = sum[:]
	}
	t.Note(e)
}

// where answers the condition on the primary key, its places counted from first.
func (r Row) where(first int) (string, []any) {
	var conditions []string
	var args []any
	for i, c := range r.Columns[:r.Keys] {
		conditions = append(conditions, fmt.Sprintf("%s = $%d", c.name, first+i))
		args = append(args, c.value())
	}
	return strings.Join(conditions, " AND "), args
}
