package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/job"
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

// A Row is a bound row as [Store.Walk] found it.
type Row struct {
	Table string
	ID    string // the key columns joined by slashes, as in audit records
	Value any    // of its domain's type, such as key.Key
	Err   error  // why it is not to be believed; it wraps a Damage
}

// A table is a kind of bound rows.
type table struct {
	row  // of an empty value
	name string
	walk func(ctx context.Context, s *Store, visit func(Row) error) error
	load func(ctx context.Context, s *Store, id string) error
	same func(ctx context.Context, s *Store, r Row) (bool, error)
}

// tables answers all of them, those first that others refer to.
func tables() []table {
	return []table{
		tableOf(accountRow), tableOf(policyRow), tableOf(userRow), tableOf(accessKeyRow), tableOf(roleRow),
		tableOf(keyRow), tableOf(keyVersionRow), tableOf(aliasRow), tableOf(sourceRow), tableOf(remarkRow),
		tableOf(channelRow), tableOf(planRow), tableOf(personRow), tableOf(rotaRow), tableOf(incidentRow),
		tableOf(secretRow), tableOf(secretVersionRow), tableOf(sinkRow), tableOf(copyRow), tableOf(testRow),
		tableOf(suppressionRow), tableOf(nodeTokenRow), tableOf(nodeRow), tableOf(targetRow), tableOf(rolloutRow), tableOf(rotationPlanRow), tableOf(rotationRow),
		tableOf(offerRow), tableOf(instanceRow), tableOf(resourceRow), tableOf(secretPolicyRow), tableOf(leakKeyRow), tableOf(loginRow), tableOf(repositoryRow),
		tableOf(approvalRuleRow), tableOf(approvalRow), tableOf(identityProviderRow), tableOf(linkRow),
	}
}

func tableOf[T any](bind func(*T) row) table {
	return table{
		row:  bind(new(T)),
		name: bind(new(T)).table,
		walk: func(ctx context.Context, s *Store, visit func(Row) error) error { return walk(ctx, s, bind, visit) },
		load: func(ctx context.Context, s *Store, id string) error {
			r := bind(new(T))
			r.name(strings.SplitN(id, "/", r.keys))
			return s.load(ctx, r)
		},
		same: func(ctx context.Context, s *Store, found Row) (bool, error) {
			was := found.Value.(T)
			old, r := bind(&was), bind(new(T))
			r.name(strings.SplitN(found.ID, "/", r.keys))
			err := s.load(ctx, r)
			if errors.Is(err, errNoRow) {
				return false, nil
			}
			return err == nil && *r.rev == *old.rev, err
		},
	}
}

// name sets the key columns, which are all texts.
func (r row) name(keys []string) {
	for i, k := range keys {
		_ = r.columns[i].dest.Scan(k) // a text is what it takes
	}
}

// walked is how many rows are read at once.
const walked = 500

// Walk calls visit for every row of every bound table, in the order of their keys, until
// it fails. Rows that are changed meanwhile are visited as they are then, or not at all
// if they are new. A table that cannot be read to its end is visited as a Row without id.
func (s *Store) Walk(ctx context.Context, visit func(Row) error) error {
	for _, t := range tables() {
		stopped := false
		err := t.walk(ctx, s, func(r Row) error {
			err := visit(r)
			stopped = err != nil
			return err
		})
		if stopped || ctx.Err() != nil {
			return err
		}
		if err != nil {
			if err := visit(Row{Table: t.name, Err: fmt.Errorf("%w: %w", Unreadable, err)}); err != nil {
				return err
			}
		}
	}
	return s.walkRoot(ctx, visit)
}

// walkRoot visits the root envelopes and epochs. They have no MAC, because they are what
// the keyring is opened with; those that were made or removed since the log began stand
// in it.
func (s *Store) walkRoot(ctx context.Context, visit func(Row) error) error {
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

func (s *Store) rootRows(ctx context.Context) ([]Row, error) {
	envelopes, err := s.db.Envelopes(ctx)
	if err != nil {
		return nil, err
	}
	epochs, err := s.db.Epochs(ctx)
	if err != nil {
		return nil, err
	}
	var out []Row
	add := func(table, id string, digest []byte) {
		r := Row{Table: table, ID: id}
		if k := anchor.KeyOf(table, id); s.anchor.Known(k) && !s.anchor.Agrees(k, 1, digest) {
			r.Err = fmt.Errorf("%s %s: %w", table, id, Stale)
		}
		out = append(out, r)
	}
	for _, e := range envelopes {
		add("seal_envelope", e.ID, e.Digest())
	}
	for _, e := range epochs {
		add("seal_epoch", fmt.Sprint(e.Number), epochDigest(e))
	}
	return out, nil
}

func walk[T any](ctx context.Context, s *Store, bind func(*T) row, visit func(Row) error) error {
	var last T
	for more := true; more; {
		page, err := s.page(ctx, bind(&last), func() (row, any) {
			v := new(T)
			return bind(v), v
		})
		if err != nil {
			return err
		}
		for i := range page {
			page[i].Value = *page[i].Value.(*T)
			if errors.Is(page[i].Err, errNoRow) {
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
			bind(&last).name(strings.SplitN(next, "/", bind(&last).keys))
		}
	}
	return nil
}

// page reads the rows that follow one, and checks them as load does.
func (s *Store) page(ctx context.Context, after row, fresh func() (row, any)) ([]Row, error) {
	keys := make([]string, after.keys)
	args := make([]any, after.keys)
	for i, c := range after.columns[:after.keys] {
		keys[i], args[i] = c.name, c.value()
	}
	names := strings.Join(keys, ", ")
	rows, err := s.db.read.QueryContext(ctx, fmt.Sprintf(`SELECT %s, rev, mac_epoch, mac FROM %s WHERE (%s) > (%s) ORDER BY %s LIMIT %d`,
		after.names(), after.table, names, places(1, after.keys), names, walked), args...)
	if err != nil {
		return nil, unavailable(err, "reading "+after.table)
	}
	defer rows.Close()
	var out []Row
	var doubtful []int
	var bound []row
	for rows.Next() {
		r, v := fresh()
		digest, err := s.scan(rows, r)
		if err != nil && !errors.Is(err, errTampered) {
			return nil, unavailable(err, "reading "+after.table)
		}
		if err == nil && !s.anchor.Agrees(anchor.KeyOf(r.table, r.id()), *r.rev, digest) {
			doubtful = append(doubtful, len(out))
		}
		out, bound = append(out, Row{r.table, r.id(), v, err}), append(bound, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, unavailable(err, "reading "+after.table)
	}
	for _, i := range doubtful { // changed since, perhaps by another node
		out[i].Err = s.load(ctx, bound[i])
	}
	return out, nil
}

// Missing answers why a row that must be there is not, or is not to be believed; nil if
// it is as it must be, or was removed by keyward.
func (s *Store) Missing(ctx context.Context, name, id string) error {
	for _, t := range tables() {
		if t.name == name {
			if err := t.load(ctx, s, id); !errors.Is(err, errNoRow) {
				return err
			}
			return nil
		}
	}
	rows, err := s.rootRows(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(rows, func(r Row) bool { return r.Table == name && r.ID == id }) {
		return fmt.Errorf("%s %s: %w", name, id, Missing)
	}
	return nil
}

// Unchanged tells whether a row that Walk found is still the same.
func (s *Store) Unchanged(ctx context.Context, r Row) (bool, error) {
	for _, t := range tables() {
		if t.name == r.Table {
			return t.same(ctx, s, r)
		}
	}
	return false, nil
}

// EnsureJob puts back a job that is not there or is put off beyond latest, and tells
// whether it did. A job only says when to look, so it is always right to have one.
func (s *Store) EnsureJob(ctx context.Context, j job.Job, latest time.Time) (restored bool, err error) {
	res, err := s.db.write.ExecContext(ctx, `INSERT INTO job (kind, account, subject, due_at, served, lease_until, owner, attempts, last_error)
		VALUES ($1, $2, $3, $4, $5, 0, '', 0, '')
		ON CONFLICT (kind, account, subject) DO UPDATE SET due_at = $4, lease_until = 0, owner = '' WHERE job.due_at > $6 OR job.lease_until > $6`,
		j.Kind, j.Account, j.Subject, micros(j.Due), j.Served.Microseconds(), micros(latest))
	if err != nil {
		return false, unavailable(err, "planning job")
	}
	n, err := res.RowsAffected()
	return n > 0, unavailable(err, "planning job")
}

// CheckFile answers what is wrong with the database's file, by its own means; nothing
// for PostgreSQL, which has other tools for it.
func (db *DB) CheckFile(ctx context.Context) ([]string, error) {
	if db.dialect != sqlite {
		return nil, nil
	}
	rows, err := db.read.QueryContext(ctx, `PRAGMA integrity_check(20)`)
	if err != nil {
		return nil, unavailable(err, "checking the database file")
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, unavailable(err, "checking the database file")
		}
		if line != "ok" {
			out = append(out, line)
		}
	}
	if err := rows.Err(); err != nil {
		out = append(out, err.Error()) // it is damaged so much that it cannot be checked
	}
	return out, nil
}
