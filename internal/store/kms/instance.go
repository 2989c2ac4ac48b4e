package kms

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

func instanceRow(i *instance.Instance) bound.Row {
	return bound.Row{Table: "kms_instance", Keys: 2, Rev: &i.Rev, Columns: []bound.Column{
		bound.Text("account", &i.Account),
		bound.Text("id", &i.ID),
		bound.Text("name", &i.Name),
		bound.Text("class", &i.Class),
		bound.Document("settings", &i.Settings),
		bound.Blob("sealed", &i.Sealed),
		bound.Document("shares", &i.Shares),
		bound.Instant("created_at", &i.CreatedAt),
	}}
}

func errNoInstance() error {
	return fault.ResourceNotFound.New("The specified DKMS Instance is not found.")
}

// CreateInstance implements instance.Store.
func (s Store) CreateInstance(ctx context.Context, rec *audit.Record, i *instance.Instance) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		err := t.Insert(ctx, instanceRow(i))
		if fault.Is(err, fault.ResourceExists) {
			err = fault.ResourceExists.New("there is an instance %s already; choose another name", i.Name)
		}
		return err
	})
}

// UpdateInstance implements instance.Store.
func (s Store) UpdateInstance(ctx context.Context, rec *audit.Record, i *instance.Instance) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Update(ctx, instanceRow(i)) })
}

// DeleteInstance implements instance.Store. Keys are counted once the row is gone: whoever
// makes one waits for it, or is waited for (holdInstance).
func (s Store) DeleteInstance(ctx context.Context, rec *audit.Record, i *instance.Instance) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, instanceRow(i)); err != nil {
			return err
		}
		keys, err := t.Count(ctx, countKeysIn, i.ID)
		if err == nil && keys > 0 {
			err = fault.ResourceInUse.New("the instance %s has %d keys; delete them first, and wait until they are gone", i.Name, keys)
		}
		return err
	})
}

// holdInstance holds until the transaction ends that there is an instance; "" is always there.
func (s Store) holdInstance(ctx context.Context, t *bound.Tx, id string) error {
	if id == "" {
		return nil
	}
	lock := ""
	if s.DB.Shared() { // an embedded database has one writer
		lock = ` FOR SHARE`
	}
	var found string
	err := t.QueryRowContext(ctx, `SELECT id FROM kms_instance WHERE id = $1`+lock, id).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoInstance()
	}
	if err != nil {
		return fmt.Errorf("holding instance %s: %w", id, err)
	}
	return nil
}

// Instance implements instance.Store.
func (s Store) Instance(ctx context.Context, id string) (instance.Instance, error) {
	found, err := bound.List(ctx, s.Store, s.DB, instanceRow, `WHERE id = $1`, id)
	if err == nil && len(found) == 0 {
		err = errNoInstance()
	}
	if err != nil {
		return instance.Instance{}, err
	}
	return found[0], nil
}

// Instances implements instance.Store.
func (s Store) Instances(ctx context.Context, account string) ([]instance.Instance, error) {
	return bound.List(ctx, s.Store, s.DB, instanceRow, `WHERE account = $1 ORDER BY name`, account)
}

// InstancesLent implements instance.Store.
func (s Store) InstancesLent(ctx context.Context, account string) ([]instance.Instance, error) {
	w := newCondition(`account <> $1`, account)
	w.like("shares", []string{account}, func(account string) string { return `{"Account":` + quoted(account) + `,"Until":0}` })
	return bound.List(ctx, s.Store, s.DB, instanceRow, `WHERE `+w.String()+` ORDER BY id`, w.args...)
}

const countKeysIn = `SELECT COUNT(*) FROM kms_key WHERE instance = $1`

// KeysIn implements instance.Store.
func (s Store) KeysIn(ctx context.Context, id, account string) (n int, err error) {
	q, args := countKeysIn, []any{id}
	if account != "" {
		q, args = q+` AND account = $2`, append(args, account)
	}
	if err = s.DB.QueryRowContext(ctx, q, args...).Scan(&n); err != nil {
		err = database.Unavailable(err, "counting")
	}
	return n, err
}

// KeysLetting implements instance.Store.
func (s Store) KeysLetting(ctx context.Context, id string) ([]key.Key, error) {
	return bound.List(ctx, s.Store, s.DB, keyRow, `WHERE instance = $1 AND access <> '[]'`, id)
}
