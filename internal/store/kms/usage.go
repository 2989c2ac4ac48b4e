package kms

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/usage"
)

// Usage is the store of package usage.
type Usage struct{ *bound.Store }

// A useRecord is a use as it is stored.
type useRecord struct {
	usage.Count
	id  string // of the use, within its key
	rev int64
}

func useRow(u *useRecord) bound.Row {
	return bound.Row{Table: "key_use", Keys: 3, Rev: &u.rev, Counted: "not bound to the log, where every use is: who puts one back tells of fewer uses; docs/design/usage.md", Columns: []bound.Column{
		bound.Text("account", &u.Account),
		bound.Text("key_id", &u.Key),
		bound.Text("id", &u.id),
		bound.Text("principal", &u.Principal),
		bound.Text("product", &u.Product),
		bound.Text("source", &u.Source),
		bound.Text("action", &u.Action),
		bound.Number("n", &u.N),
		bound.Instant("first_at", &u.First),
		bound.Instant("last_at", &u.Last),
	}}
}

// A versionUseRecord is what is counted of a version as it is stored.
type versionUseRecord struct {
	usage.VersionCount
	rev int64
}

func versionUseRow(v *versionUseRecord) bound.Row {
	return bound.Row{Table: "key_version_use", Keys: 3, Rev: &v.rev, Counted: "as key_use", Columns: []bound.Column{
		bound.Text("account", &v.Account),
		bound.Text("key_id", &v.Key),
		bound.Text("version_id", &v.Version),
		bound.Number("used", &v.Used),
		bound.Instant("used_at", &v.UsedAt),
		bound.Number("made", &v.Made),
		bound.Instant("made_at", &v.MadeAt),
	}}
}

func resourceRow(r *usage.Resource) bound.Row {
	return bound.Row{Table: "key_resource", Keys: 4, Rev: &r.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &r.Account),
		bound.Text("key_id", &r.Key),
		bound.Text("product", &r.Product),
		bound.Text("name", &r.Name),
		bound.Text("note", &r.Note),
		bound.Text("creator", &r.Creator),
		bound.Instant("created_at", &r.CreatedAt),
	}}
}

// AddUses implements usage.Store.
func (s Usage) AddUses(ctx context.Context, counts []usage.Count) error {
	return s.count(ctx, func(t *bound.Tx) error {
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
func (s Usage) count(ctx context.Context, fn func(*bound.Tx) error) error {
	err := s.Apart(ctx, fn)
	if fault.Is(err, fault.ResourceExists) { // another server counted the same for the first time
		return fault.Changed.Wrap(err, "another server counted meanwhile")
	}
	return database.Unavailable(err, "storing key uses")
}

// addUse adds a use to the stored one, or to the others of a key that has many.
func (s Usage) addUse(ctx context.Context, t *bound.Tx, c usage.Count) error {
	u := useRecord{Count: c, id: c.ID()}
	stored := u
	found, err := t.Recount(ctx, useRow(&stored))
	if err != nil {
		return err
	}
	if found {
		stored.Count = stored.Plus(c)
		return t.Update(ctx, useRow(&stored))
	}
	keys, err := t.Count(ctx, `SELECT COUNT(*) FROM kms_key WHERE account = $1 AND id = $2`, c.Account, string(c.Key))
	if err != nil || keys == 0 {
		return err
	}
	uses, err := t.Count(ctx, `SELECT COUNT(*) FROM key_use WHERE account = $1 AND key_id = $2`, c.Account, string(c.Key))
	if err != nil {
		return err
	}
	if uses >= usage.MaxUses && c.Action != usage.Others {
		return s.addUse(ctx, t, c.Rest())
	}
	return t.Insert(ctx, useRow(&u))
}

func (s Usage) addVersion(ctx context.Context, t *bound.Tx, c usage.VersionCount) error {
	v := versionUseRecord{VersionCount: c}
	stored := v
	found, err := t.Recount(ctx, versionUseRow(&stored))
	if err != nil {
		return err
	}
	if found {
		stored.VersionCount = stored.Join(c)
		return t.Update(ctx, versionUseRow(&stored))
	}
	there, err := t.Count(ctx, `SELECT COUNT(*) FROM kms_key_version WHERE account = $1 AND key_id = $2 AND id = $3`, c.Account, string(c.Key), string(c.Version))
	if err != nil || there == 0 {
		return err
	}
	return t.Insert(ctx, versionUseRow(&v))
}

// Uses implements usage.Store.
func (s Usage) Uses(ctx context.Context, account string, k key.ID) ([]usage.Count, []usage.VersionCount, error) {
	uses, err := bound.List(ctx, s.Store, s.DB, useRow, `WHERE account = $1 AND key_id = $2 ORDER BY last_at DESC, id`, account, string(k))
	if err != nil {
		return nil, nil, err
	}
	versions, err := bound.List(ctx, s.Store, s.DB, versionUseRow, `WHERE account = $1 AND key_id = $2 ORDER BY used_at DESC, version_id`, account, string(k))
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
	err = s.count(ctx, func(t *bound.Tx) error {
		some, err := t.Exec(ctx, `DELETE FROM key_use WHERE (account, key_id, id) IN (SELECT account, key_id, id FROM key_use WHERE last_at < $1 LIMIT $2)`, database.Micros(before), forgotten)
		n = int(some)
		return err
	})
	return n, err
}

// CountingSince implements usage.Store.
func (s Usage) CountingSince(ctx context.Context, now time.Time) (time.Time, error) {
	var at int64
	err := s.DB.QueryRowContext(ctx, `SELECT at FROM key_use_since WHERE id = 1`).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		at = database.Micros(now)
		_, err = s.DB.Exec(ctx, `INSERT INTO key_use_since (id, at) VALUES (1, $1) ON CONFLICT DO NOTHING`, at)
	}
	return database.FromMicros(at), database.Unavailable(err, "reading since when key uses are counted")
}

// SaveResource implements usage.Store.
func (s Usage) SaveResource(ctx context.Context, rec *audit.Record, r *usage.Resource) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if r.Rev != 0 {
			return t.Update(ctx, resourceRow(r))
		}
		// Whoever deletes the key waits and finds the resource, or was waited for.
		n, err := t.Exec(ctx, `UPDATE kms_key SET rev = rev WHERE account = $1 AND id = $2`, r.Account, string(r.Key))
		if err == nil && n == 0 {
			err = fault.KeyNotFound.New("The specified Key is not found.")
		}
		if err != nil {
			return err
		}
		have, err := t.Count(ctx, `SELECT COUNT(*) FROM key_resource WHERE account = $1 AND key_id = $2`, r.Account, string(r.Key))
		if err != nil {
			return err
		}
		if have >= usage.MaxResources {
			return fault.LimitExceeded.New("key %s has %d registered resources, which is the limit; deregister those that are gone", r.Key, have)
		}
		return t.Insert(ctx, resourceRow(r))
	})
}

// RemoveResource implements usage.Store.
func (s Usage) RemoveResource(ctx context.Context, rec *audit.Record, r usage.Resource) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Remove(ctx, resourceRow(&r)) })
}

// Resources implements usage.Store.
func (s Usage) Resources(ctx context.Context, account string, k key.ID) ([]usage.Resource, error) {
	return bound.List(ctx, s.Store, s.DB, resourceRow, `WHERE account = $1 AND key_id = $2 ORDER BY product, name`, account, string(k))
}

// forgetUses removes what was counted of a key that is deleted.
func forgetUses(ctx context.Context, t *bound.Tx, k *key.Key) error {
	for _, table := range []string{"key_use", "key_version_use"} {
		if _, err := t.Exec(ctx, `DELETE FROM `+table+` WHERE account = $1 AND key_id = $2`, k.Account, string(k.ID)); err != nil {
			return err
		}
	}
	return nil
}
