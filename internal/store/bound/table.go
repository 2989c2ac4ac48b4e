package bound

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/store/database"
)

// A Damage is how a row is not what keyward wrote. It is an error, wrapped by whatever
// is answered for such a row.
type Damage string

// The damages. Each has its own advice, which docs/operations.md gives.
const (
	Forged     Damage = "its MAC is not the one that belongs to it"
	Unreadable Damage = "its columns cannot be read"
	Stale      Damage = "it is not the revision that the audit log knows as the newest"
	Missing    Damage = "the audit log says that it is there, and it is not"
	Misplaced  Damage = "it was found in the place of another row"
)

func (d Damage) Error() string { return string(d) }

// A Found is a bound row as [Store.Walk] found it.
type Found struct {
	Table string
	ID    string // the key columns joined by slashes, as in audit records
	Value any    // of its domain's type, such as key.Key
	Err   error  // why it is not to be believed; it wraps a Damage
}

// A Table is a table that a package owns.
type Table struct {
	Name    string
	Columns []string // that the MAC covers, the key first; none if the rows are not bound
	Why     string   // why the rows are not bound, or by their MAC only; "" if they are bound

	walk func(ctx context.Context, s *Store, visit func(Found) error) error
	load func(ctx context.Context, s *Store, id string) error
	same func(ctx context.Context, s *Store, found Found) (bool, error)
}

// TableOf answers the table of rows that are bound, be it by their MAC only.
func TableOf[T any](bind func(*T) Row) Table {
	if empty := bind(new(T)); empty.Counted != "" {
		return Table{Name: empty.Table, Columns: empty.columns(), Why: empty.Counted}
	}
	return Table{
		Name:    bind(new(T)).Table,
		Columns: bind(new(T)).columns(),
		walk:    func(ctx context.Context, s *Store, visit func(Found) error) error { return walk(ctx, s, bind, visit) },
		load: func(ctx context.Context, s *Store, id string) error {
			r := bind(new(T))
			r.name(strings.SplitN(id, "/", r.Keys))
			return s.Load(ctx, r)
		},
		same: func(ctx context.Context, s *Store, found Found) (bool, error) {
			was := found.Value.(T)
			old, r := bind(&was), bind(new(T))
			r.name(strings.SplitN(found.ID, "/", r.Keys))
			err := s.Load(ctx, r)
			if errors.Is(err, ErrNoRow) {
				return false, nil
			}
			return err == nil && *r.Rev == *old.Rev, err
		},
	}
}

// OpenTable answers a table of rows that are not bound, for a reason.
func OpenTable(name, why string) Table { return Table{Name: name, Why: why} }

// Tables answers the tables of this package.
func Tables() []Table {
	return []Table{
		OpenTable("job", "says only when to look; the scrub plans again what is missing"),
		OpenTable("row_floor", "who lowers it makes new rows unusable"),
	}
}

// columns answers the names of the columns.
func (r Row) columns() []string {
	names := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		names[i] = c.name
	}
	return names
}

// name sets the key columns, which are all texts.
func (r Row) name(keys []string) {
	for i, k := range keys {
		_ = r.Columns[i].dest.Scan(k) // a text is what it takes
	}
}

// walked is how many rows are read at once.
const walked = 500

// Walk calls visit for every row of every bound table, in the order of their keys, until
// it fails. Rows that are changed meanwhile are visited as they are then, or not at all
// if they are new. A table that cannot be read to its end is visited as a Found without id.
func (s *Store) Walk(ctx context.Context, visit func(Found) error) error {
	for _, t := range s.tables {
		if t.walk == nil { // not bound
			continue
		}
		stopped := false
		err := t.walk(ctx, s, func(r Found) error {
			err := visit(r)
			stopped = err != nil
			return err
		})
		if stopped || ctx.Err() != nil {
			return err
		}
		if err != nil {
			if err := visit(Found{Table: t.Name, Err: fmt.Errorf("%w: %w", Unreadable, err)}); err != nil {
				return err
			}
		}
	}
	return s.walkRoot(ctx, visit)
}

// walkRoot visits the root envelopes and epochs. They have no MAC, because they are what
// the keyring is opened with; those that were made or removed since the log began stand
// in it.
func (s *Store) walkRoot(ctx context.Context, visit func(Found) error) error {
	rows, err := s.rootRows(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := visit(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) rootRows(ctx context.Context) ([]Found, error) {
	envelopes, err := s.DB.Envelopes(ctx)
	if err != nil {
		return nil, err
	}
	epochs, err := s.DB.Epochs(ctx)
	if err != nil {
		return nil, err
	}
	var out []Found
	add := func(table, id string, digest []byte) {
		r := Found{Table: table, ID: id}
		if k := anchor.KeyOf(table, id); s.anchor.Known(k) && !s.anchor.Agrees(k, 1, digest) {
			r.Err = fmt.Errorf("%s %s: %w", table, id, Stale)
		}
		out = append(out, r)
	}
	for _, e := range envelopes {
		add(database.EnvelopeTable, e.ID, e.Digest())
	}
	for _, e := range epochs {
		add(database.EpochTable, fmt.Sprint(e.Number), database.EpochDigest(e))
	}
	return out, nil
}

func walk[T any](ctx context.Context, s *Store, bind func(*T) Row, visit func(Found) error) error {
	var last T
	for more := true; more; {
		page, err := s.page(ctx, bind(&last), func() (Row, any) {
			v := new(T)
			return bind(v), v
		})
		if err != nil {
			return err
		}
		for i := range page {
			page[i].Value = *page[i].Value.(*T)
			if errors.Is(page[i].Err, ErrNoRow) {
				continue // removed meanwhile
			}
			if err := visit(page[i]); err != nil {
				return err
			}
		}
		if more = len(page) == walked; more {
			next := page[len(page)-1].ID
			if next == bind(&last).id() {
				return errors.New("its rows are not in the order of their keys")
			}
			bind(&last).name(strings.SplitN(next, "/", bind(&last).Keys))
		}
	}
	return nil
}

// page reads the rows that follow one, and checks them as Load does.
func (s *Store) page(ctx context.Context, after Row, fresh func() (Row, any)) ([]Found, error) {
	keys := make([]string, after.Keys)
	args := make([]any, after.Keys)
	for i, c := range after.Columns[:after.Keys] {
		keys[i], args[i] = c.name, c.value()
	}
	names := strings.Join(keys, ", ")
	rows, err := s.DB.QueryContext(ctx, fmt.Sprintf(`SELECT %s, rev, mac_epoch, mac FROM %s WHERE (%s) > (%s) ORDER BY %s LIMIT %d`,
		after.names(), after.Table, names, database.Places(1, after.Keys), names, walked), args...)
	if err != nil {
		return nil, database.Unavailable(err, "reading "+after.Table)
	}
	defer rows.Close()
	var out []Found
	var doubtful []int
	var bound []Row
	for rows.Next() {
		r, v := fresh()
		digest, err := s.scan(rows, r)
		if err != nil && !errors.Is(err, database.ErrTampered) {
			return nil, database.Unavailable(err, "reading "+after.Table)
		}
		if err == nil && !s.anchor.Agrees(anchor.KeyOf(r.Table, r.id()), *r.Rev, digest) {
			doubtful = append(doubtful, len(out))
		}
		out, bound = append(out, Found{r.Table, r.id(), v, err}), append(bound, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, database.Unavailable(err, "reading "+after.Table)
	}
	for _, i := range doubtful { // changed since, perhaps by another node
		out[i].Err = s.Load(ctx, bound[i])
	}
	return out, nil
}

// Missing answers why a row that must be there is not, or is not to be believed; nil if
// it is as it must be, or was removed by keyward.
func (s *Store) Missing(ctx context.Context, name, id string) error {
	for _, t := range s.tables {
		if t.Name == name && t.load != nil {
			if err := t.load(ctx, s, id); !errors.Is(err, ErrNoRow) {
				return err
			}
			return nil
		}
	}
	rows, err := s.rootRows(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(rows, func(r Found) bool { return r.Table == name && r.ID == id }) {
		return fmt.Errorf("%s %s: %w", name, id, Missing)
	}
	return nil
}

// Unchanged tells whether a row that Walk found is still the same.
func (s *Store) Unchanged(ctx context.Context, r Found) (bool, error) {
	for _, t := range s.tables {
		if t.Name == r.Table && t.same != nil {
			return t.same(ctx, s, r)
		}
	}
	return false, nil
}
