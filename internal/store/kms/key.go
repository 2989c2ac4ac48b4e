package kms

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// A Store is the store of this package, but for what [Usage] is of.
type Store struct{ *bound.Store }

func keyRow(k *key.Key) bound.Row {
	return bound.Row{Table: "kms_key", Keys: 2, Rev: &k.Rev, Columns: []bound.Column{
		bound.Text("account", &k.Account),
		bound.Text("id", &k.ID),
		bound.Text("spec", &k.Spec),
		bound.Text("usage", &k.Usage),
		bound.Text("origin", &k.Origin),
		bound.Text("protection_level", &k.ProtectionLevel),
		bound.Text("state", &k.State),
		bound.Text("description", &k.Description),
		bound.Text("creator", &k.Creator),
		bound.Instant("created_at", &k.CreatedAt),
		bound.Text("primary_version", &k.Primary),
		bound.Number("versions", &k.Versions),
		bound.Flag("rotation_enabled", &k.Rotation.Enabled),
		bound.Seconds("rotation_interval", &k.Rotation.Interval),
		bound.Instant("rotated_at", &k.Rotation.Last),
		bound.Instant("delete_at", &k.DeleteAt),
		bound.Flag("deletion_protected", &k.Protected),
		bound.Text("protection_note", &k.ProtectionNote),
		bound.Document("tags", &k.Tags),
		bound.Added(bound.Text("policy", &k.Policy)),
		bound.Added(bound.Flag("empty", &k.Empty)),
		bound.Added(bound.Instant("expire_at", &k.ExpireAt)),
		bound.Added(bound.Text("instance", &k.Instance)),
		bound.Added(bound.Text("external", &k.External)),
		bound.Added(bound.Text("lender", &k.Lender)),
		bound.Added(bound.Document("access", &k.Access)),
		bound.Added(bound.Document("more_usages", &k.More)),
	}}
}

func keyVersionRow(v *key.Version) bound.Row {
	return bound.Row{Table: "kms_key_version", Keys: 3, Rev: &v.Rev, Columns: []bound.Column{
		bound.Text("account", &v.Account),
		bound.Text("key_id", &v.Key),
		bound.Text("id", &v.ID),
		bound.Number("number", &v.Number),
		bound.Blob("wrapped", &v.Wrapped),
		bound.Blob("public_key", &v.Public),
		bound.Instant("created_at", &v.CreatedAt),
		bound.Added(bound.Blob("imported", &v.Imported)),
	}}
}

func aliasRow(a *key.Alias) bound.Row {
	return bound.Row{Table: "kms_alias", Keys: 2, Rev: &a.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &a.Account),
		bound.Text("name", &a.Name),
		bound.Text("key_id", &a.Key),
		bound.Instant("created_at", &a.CreatedAt),
	}}
}

// CreateKey implements key.Store.
func (s Store) CreateKey(ctx context.Context, rec *audit.Record, k *key.Key, v *key.Version, a *key.Alias, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := s.holdInstance(ctx, t, k.Instance); err != nil {
			return err
		}
		if err := t.Insert(ctx, keyRow(k)); err != nil {
			return err
		}
		if err := t.Insert(ctx, keyVersionRow(v)); err != nil {
			return err
		}
		if a != nil {
			if err := s.insertAlias(ctx, t, a); err != nil {
				return err
			}
		}
		return t.Schedule(ctx, jobs)
	})
}

// UpdateKeys implements key.Store.
func (s Store) UpdateKeys(ctx context.Context, rec *audit.Record, jobs []job.Job, keys ...*key.Key) error {
	slices.SortFunc(keys, func(a, b *key.Key) int { return strings.Compare(string(a.ID), string(b.ID)) }) // no deadlocks between nodes
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		for _, k := range keys {
			if err := t.Update(ctx, keyRow(k)); err != nil {
				return err
			}
		}
		return t.Schedule(ctx, jobs)
	})
}

// StoreVersion implements key.Store.
func (s Store) StoreVersion(ctx context.Context, rec *audit.Record, k *key.Key, v *key.Version, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, keyRow(k)); err != nil {
			return err
		}
		if err := t.Save(ctx, keyVersionRow(v)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// removals is how many rows one step of DeleteKey removes: each is named in the record,
// which is bounded.
const removals = 100

// DeleteKey implements key.Store.
func (s Store) DeleteKey(ctx context.Context, rec *audit.Record, k *key.Key) (gone bool, err error) {
	err = s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, keyRow(k)); err != nil { // nobody else changes it meanwhile
			return err
		}
		aliases, err := removeSome(ctx, s.Store, t, aliasRow, k)
		if err != nil || aliases == removals {
			return err
		}
		resources, err := removeSome(ctx, s.Store, t, resourceRow, k)
		if err != nil || resources == removals {
			return err
		}
		versions, err := removeSome(ctx, s.Store, t, keyVersionRow, k)
		if err != nil || versions == removals {
			return err
		}
		if err := forgetUses(ctx, t, k); err != nil {
			return err
		}
		gone = true
		return t.Remove(ctx, keyRow(k))
	})
	return gone && err == nil, err
}

// removeSome removes some of the rows that belong to a key, and answers how many.
func removeSome[T any](ctx context.Context, s *bound.Store, t *bound.Tx, bind func(*T) bound.Row, k *key.Key) (int, error) {
	some, err := bound.List(ctx, s, t, bind, `WHERE account = $1 AND key_id = $2 LIMIT $3`, k.Account, string(k.ID), removals)
	if err != nil {
		return 0, err
	}
	for i := range some {
		if err := t.Remove(ctx, bind(&some[i])); err != nil {
			return 0, err
		}
	}
	return len(some), nil
}

// Key implements key.Store.
func (s Store) Key(ctx context.Context, account string, id key.ID) (key.Key, error) {
	k := key.Key{Account: account, ID: id}
	err := s.Load(ctx, keyRow(&k))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.KeyNotFound.New("The specified Key is not found.")
	}
	return k, err
}

// Version implements key.Store.
func (s Store) Version(ctx context.Context, account string, keyID key.ID, id key.VersionID) (key.Version, error) {
	v := key.Version{Account: account, Key: keyID, ID: id}
	err := s.Load(ctx, keyVersionRow(&v))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.KeyVersionNotFound.New("The specified key version is not found.")
	}
	return v, err
}

// Versions implements key.Store.
func (s Store) Versions(ctx context.Context, account string, keyID key.ID, p key.Page) ([]key.Version, int, error) {
	return page(ctx, s.Store, keyVersionRow, p, "number DESC", `account = $1 AND key_id = $2`, account, string(keyID))
}

// KeyOwner answers the account that has a key, or [fault.KeyNotFound]. That it has the key
// is certain only once the key was read: the answer is not bound.
func (s Store) KeyOwner(ctx context.Context, id key.ID) (account string, err error) {
	err = s.DB.QueryRowContext(ctx, `SELECT account FROM kms_key WHERE id = $1`, string(id)).Scan(&account)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fault.KeyNotFound.New("The specified Key is not found.")
	}
	return account, database.Unavailable(err, "finding the owner of a key")
}

// Keys implements key.Store.
func (s Store) Keys(ctx context.Context, account string, f key.Filter, p key.Page) ([]key.Key, int, error) {
	own := `account = $1`
	if len(f.Instances) > 0 { // what others made in an instance of the account
		own = `(account = $1 OR lender = $1)`
	}
	w := newCondition(own, account)
	in(w, "id", f.IDs)
	in(w, "state", f.States)
	in(w, "spec", f.Specs)
	in(w, "usage", f.Usages)
	in(w, "protection_level", f.ProtectionLevels)
	in(w, "creator", f.Creators)
	in(w, "instance", f.Instances)
	if f.Default {
		w.and(`instance = ''`)
	}
	in(w, `CASE WHEN creator = account THEN 'User' ELSE 'Service' END`, f.CreatorTypes)
	if len(f.Aliases) > 0 {
		w.and(`id IN (SELECT key_id FROM kms_alias WHERE account = $1 AND name IN (` + w.places(f.Aliases) + `))`)
	}
	w.tagged(f.TagKeys, f.TagValues, f.Tags)
	return page(ctx, s.Store, keyRow, p, "created_at, id", w.String(), w.args...)
}

// CreateAlias implements key.AliasStore.
func (s Store) CreateAlias(ctx context.Context, rec *audit.Record, a *key.Alias) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return s.insertAlias(ctx, t, a) })
}

func (s Store) insertAlias(ctx context.Context, t *bound.Tx, a *key.Alias) error {
	err := t.Insert(ctx, aliasRow(a))
	if fault.Is(err, fault.ResourceExists) {
		return fault.AliasExists.New("The alias %s exists already; choose another name, or point it at another key.", a.Name)
	}
	return err
}

// UpdateAlias implements key.AliasStore.
func (s Store) UpdateAlias(ctx context.Context, rec *audit.Record, a *key.Alias) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Update(ctx, aliasRow(a)) })
}

// DeleteAlias implements key.AliasStore.
func (s Store) DeleteAlias(ctx context.Context, rec *audit.Record, a *key.Alias) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Remove(ctx, aliasRow(a)) })
}

// Alias implements key.AliasStore.
func (s Store) Alias(ctx context.Context, account, name string) (key.Alias, error) {
	a := key.Alias{Account: account, Name: name}
	err := s.Load(ctx, aliasRow(&a))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.AliasNotFound.New("The specified Alias is not found.")
	}
	return a, err
}

// Aliases implements key.AliasStore.
func (s Store) Aliases(ctx context.Context, account string, keyID key.ID, p key.Page) ([]key.Alias, int, error) {
	w := newCondition(`account = $1`, account)
	if keyID != "" {
		in(w, "key_id", []key.ID{keyID})
	}
	return page(ctx, s.Store, aliasRow, p, "name", w.String(), w.args...)
}

// page reads one page of the rows that match, and counts them all.
func page[T any](ctx context.Context, s *bound.Store, bind func(*T) bound.Row, p key.Page, order, where string, args ...any) ([]T, int, error) {
	var total int
	q := fmt.Sprintf(`SELECT COUNT(*) FROM %s WHERE %s`, bind(new(T)).Table, where)
	if err := s.DB.QueryRowContext(ctx, q, args...).Scan(&total); err != nil {
		return nil, 0, database.Unavailable(err, "counting")
	}
	rest := fmt.Sprintf(`WHERE %s ORDER BY %s LIMIT $%d OFFSET $%d`, where, order, len(args)+1, len(args)+2)
	out, err := bound.List(ctx, s, s.DB, bind, rest, append(args, p.Size, (p.Number-1)*p.Size)...)
	return out, total, err
}

// A condition is a growing WHERE clause with its arguments.
type condition struct {
	parts []string
	args  []any
}

func newCondition(part string, args ...any) *condition {
	return &condition{parts: []string{part}, args: args}
}

func (w *condition) String() string { return strings.Join(w.parts, " AND ") }

func (w *condition) and(part string) { w.parts = append(w.parts, part) }

// places adds arguments and answers their placeholders.
func (w *condition) places(values []string) string {
	first := len(w.args) + 1
	for _, v := range values {
		w.args = append(w.args, v)
	}
	return database.Places(first, len(values))
}

// in demands that the column has one of the values; no values demand nothing.
func in[T ~string](w *condition, column string, values []T) {
	if len(values) == 0 {
		return
	}
	plain := make([]string, len(values))
	for i, v := range values {
		plain[i] = string(v)
	}
	w.and(column + ` IN (` + w.places(plain) + `)`)
}

// like demands that the column contains what spell makes of one of the values.
func (w *condition) like(column string, values []string, spell func(string) string) {
	if len(values) == 0 {
		return
	}
	var any []string
	for _, v := range values {
		pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(spell(v)) + "%"
		any = append(any, column+` LIKE `+w.places([]string{pattern})+` ESCAPE '\'`)
	}
	w.and("(" + strings.Join(any, " OR ") + ")")
}

// tagged demands a tag with one of the keys, one with one of the values, and all of the
// tags, of which an empty value stands for any.
func (w *condition) tagged(keys, values []string, tags []key.Tag) {
	// Tags are kept as JSON pairs, so a pair, a key and a value each have one spelling.
	w.like("tags", keys, func(key string) string { return "[" + quoted(key) + "," })
	w.like("tags", values, func(value string) string { return "," + quoted(value) + "]" })
	for _, t := range tags {
		pair := "[" + quoted(t.Key) + ","
		if t.Value != "" {
			pair += quoted(t.Value) + "]"
		}
		w.like("tags", []string{pair}, func(pair string) string { return pair })
	}
}

// quoted spells s as the tags column does.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // cannot happen: a string always encodes
		panic(err)
	}
	return string(b)
}
