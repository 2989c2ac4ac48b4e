package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/usage"
)

// Usage implements usage.Store.
type Usage struct{ *Store }

// A useRecord is a use as it is stored.
type useRecord struct {
	usage.Count
	id  string // of the use, within its key
	rev int64
}

func useRow(u *useRecord) row {
	return row{table: "key_use", keys: 3, rev: &u.rev, counted: true, columns: []column{
		text("account", &u.Account),
		text("key_id", &u.Key),
		text("id", &u.id),
		text("principal", &u.Principal),
		text("product", &u.Product),
		text("source", &u.Source),
		text("action", &u.Action),
		number("n", &u.N),
		instant("first_at", &u.First),
		instant("last_at", &u.Last),
	}}
}

// A versionUseRecord is what is counted of a version as it is stored.
type versionUseRecord struct {
	usage.VersionCount
	rev int64
}

func versionUseRow(v *versionUseRecord) row {
	return row{table: "key_version_use", keys: 3, rev: &v.rev, counted: true, columns: []column{
		text("account", &v.Account),
		text("key_id", &v.Key),
		text("version_id", &v.Version),
		number("used", &v.Used),
		instant("used_at", &v.UsedAt),
		number("made", &v.Made),
		instant("made_at", &v.MadeAt),
	}}
}

func resourceRow(r *usage.Resource) row {
	return row{table: "key_resource", keys: 4, rev: &r.Rev, columns: []column{
		text("account", &r.Account),
		text("key_id", &r.Key),
		text("product", &r.Product),
		text("name", &r.Name),
		text("note", &r.Note),
		text("creator", &r.Creator),
		instant("created_at", &r.CreatedAt),
	}}
}

// AddUses implements usage.Store.
func (s Usage) AddUses(ctx context.Context, counts []usage.Count) error {
	return s.count(ctx, func(t *tx) error {
		uses, versions := usage.Changes(counts)
		for _, c := range uses {
			if err := s.addUse(ctx, t, c); err != nil {
				return err
			}
		}
		for _, v := range versions {
			if err := s.addVersion(ctx, t, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// count runs a transaction that no audit record tells of: what it writes is counted from
// operations that have records of their own.
func (s Usage) count(ctx context.Context, fn func(*tx) error) error {
	began, err := s.db.write.BeginTx(ctx, nil)
	if err != nil {
		return unavailable(err, "storing key uses")
	}
	defer began.Rollback() //nolint:errcheck // after a commit it answers ErrTxDone
	err = fn(&tx{sql: began, db: s.db})
	if fault.Is(err, fault.ResourceExists) { // another server counted the same for the first time
		return fault.Changed.Wrap(err, "another server counted meanwhile")
	}
	if err != nil {
		return unavailable(err, "storing key uses")
	}
	return unavailable(began.Commit(), "storing key uses")
}

// addUse adds a use to the stored one, or to the others of a key that has many.
func (s Usage) addUse(ctx context.Context, t *tx, c usage.Count) error {
	u := useRecord{Count: c, id: c.ID()}
	stored := u
	found, err := s.counted(ctx, t, useRow(&stored))
	if err != nil {
		return err
	}
	if found {
		stored.Count = stored.Plus(c)
		return t.update(ctx, s.keys, useRow(&stored))
	}
	keys, err := t.count(ctx, `SELECT COUNT(*) FROM kms_key WHERE account = $1 AND id = $2`, c.Account, string(c.Key))
	if err != nil || keys == 0 {
		return err
	}
	uses, err := t.count(ctx, `SELECT COUNT(*) FROM key_use WHERE account = $1 AND key_id = $2`, c.Account, string(c.Key))
	if err != nil {
		return err
	}
	if uses >= usage.MaxUses && c.Action != usage.Others {
		return s.addUse(ctx, t, c.Rest())
	}
	return t.insert(ctx, s.keys, useRow(&u))
}

func (s Usage) addVersion(ctx context.Context, t *tx, c usage.VersionCount) error {
	v := versionUseRecord{VersionCount: c}
	stored := v
	found, err := s.counted(ctx, t, versionUseRow(&stored))
	if err != nil {
		return err
	}
	if found {
		stored.VersionCount = stored.Join(c)
		return t.update(ctx, s.keys, versionUseRow(&stored))
	}
	there, err := t.count(ctx, `SELECT COUNT(*) FROM kms_key_version WHERE account = $1 AND key_id = $2 AND id = $3`, c.Account, string(c.Key), string(c.Version))
	if err != nil || there == 0 {
		return err
	}
	return t.insert(ctx, s.keys, versionUseRow(&v))
}

// counted reads the row of counts whose key columns are set, and tells whether it is there.
// One that was changed behind keyward's back is removed: counting begins anew.
func (s Usage) counted(ctx context.Context, t *tx, r row) (bool, error) {
	where, args := r.where(1)
	_, err := s.scan(t.sql.QueryRowContext(ctx, fmt.Sprintf(`SELECT %s, rev, mac_epoch, mac FROM %s WHERE %s`, r.names(), r.table, where), args...), r)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case errors.Is(err, errTampered):
		_, err = t.exec(ctx, fmt.Sprintf(`DELETE FROM %s WHERE %s`, r.table, where), args...)
		return false, err
	}
	return err == nil, err
}

// Uses implements usage.Store.
func (s Usage) Uses(ctx context.Context, account string, k key.ID) ([]usage.Count, []usage.VersionCount, error) {
	uses, err := list(ctx, s.Store, s.db.read, useRow, `WHERE account = $1 AND key_id = $2 ORDER BY last_at DESC, id`, account, string(k))
	if err != nil {
		return nil, nil, err
	}
	versions, err := list(ctx, s.Store, s.db.read, versionUseRow, `WHERE account = $1 AND key_id = $2 ORDER BY used_at DESC, version_id`, account, string(k))
	if err != nil {
		return nil, nil, err
	}
	var out []usage.Count
	for _, u := range uses {
		out = append(out, u.Count)
	}
	var counts []usage.VersionCount
	for _, v := range versions {
		counts = append(counts, v.VersionCount)
	}
	return out, counts, nil
}

// forgotten is how many uses one step forgets.
const forgotten = 500

// ForgetUses implements usage.Store.
func (s Usage) ForgetUses(ctx context.Context, before time.Time) (n int, err error) {
	err = s.count(ctx, func(t *tx) error {
		some, err := t.exec(ctx, `DELETE FROM key_use WHERE (account, key_id, id) IN (SELECT account, key_id, id FROM key_use WHERE last_at < $1 LIMIT $2)`, micros(before), forgotten)
		n = int(some)
		return err
	})
	return n, err
}

// CountingSince implements usage.Store.
func (s Usage) CountingSince(ctx context.Context, now time.Time) (time.Time, error) {
	var at int64
	const read = `SELECT at FROM key_use_since WHERE id = 1`
	err := s.db.read.QueryRowContext(ctx, read).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		at = micros(now)
		_, err = s.db.write.ExecContext(ctx, `INSERT INTO key_use_since (id, at) VALUES (1, $1) ON CONFLICT DO NOTHING`, at)
	}
	return fromMicros(at), unavailable(err, "reading since when key uses are counted")
}

// SaveResource implements usage.Store.
func (s Usage) SaveResource(ctx context.Context, rec *audit.Record, r *usage.Resource) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if r.Rev != 0 {
			return t.update(ctx, s.keys, resourceRow(r))
		}
		have, err := t.count(ctx, `SELECT COUNT(*) FROM key_resource WHERE account = $1 AND key_id = $2`, r.Account, string(r.Key))
		if err != nil {
			return err
		}
		if have >= usage.MaxResources {
			return fault.LimitExceeded.New("key %s has %d registered resources, which is the limit; deregister those that are gone", r.Key, have)
		}
		return t.insert(ctx, s.keys, resourceRow(r))
	})
}

// RemoveResource implements usage.Store.
func (s Usage) RemoveResource(ctx context.Context, rec *audit.Record, r usage.Resource) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.remove(ctx, resourceRow(&r)) })
}

// Resources implements usage.Store.
func (s Usage) Resources(ctx context.Context, account string, k key.ID) ([]usage.Resource, error) {
	return list(ctx, s.Store, s.db.read, resourceRow, `WHERE account = $1 AND key_id = $2 ORDER BY product, name`, account, string(k))
}

// forgetUses removes what was counted of a key that is deleted.
func (t *tx) forgetUses(ctx context.Context, k *key.Key) error {
	for _, table := range []string{"key_use", "key_version_use"} {
		if _, err := t.exec(ctx, `DELETE FROM `+table+` WHERE account = $1 AND key_id = $2`, k.Account, string(k.ID)); err != nil {
			return err
		}
	}
	return nil
}
