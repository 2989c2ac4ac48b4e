package inventory

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// How many rows of a snapshot one transaction writes, and how many it marks as gone, which
// moves them in every index: nobody waits for more.
const (
	perWrite  = 1000
	perRecord = 100 // together with the record, which others wait for, too
	perForget = 250
)

// SaveSnapshot implements accesskey.KeyStore. Only what differs is written.
func (s Store) SaveSnapshot(ctx context.Context, rec *audit.Record, save accesskey.Save) error {
	src := save.Source
	keys := slices.SortedFunc(slices.Values(save.Snapshot.Keys), func(a, b accesskey.Observed) int { return strings.Compare(a.ID, b.ID) })
	principals := slices.SortedFunc(slices.Values(save.Snapshot.Principals), func(a, b accesskey.Principal) int { return strings.Compare(a.ID, b.ID) })
	for ; len(principals) > perWrite; principals = principals[perWrite:] {
		if err := s.apart(ctx, src, func(t *bound.Tx) error { return savePrincipals(ctx, t, src, principals[:perWrite]) }); err != nil {
			return err
		}
	}
	for len(keys) > perRecord {
		some := keys[:min(perWrite, len(keys))]
		if err := s.apart(ctx, src, func(t *bound.Tx) error { return s.saveKeys(ctx, t, part(save, some)) }); err != nil {
			return err
		}
		keys = keys[len(some):]
	}
	if err := s.forgetMost(ctx, save); err != nil {
		return err
	}
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := hold(ctx, t, src); err != nil {
			return err
		}
		state, err := json.Marshal(save.State)
		if err != nil {
			return err
		}
		if _, err := t.Run(ctx, upsertState, src.Account, src.Name, string(state)); err != nil {
			return err
		}
		if err := savePrincipals(ctx, t, src, principals); err != nil {
			return err
		}
		if err := s.saveKeys(ctx, t, part(save, keys)); err != nil {
			return err
		}
		if save.Said != nil {
			if err := t.Save(ctx, remarkRow(save.Said)); err != nil {
				return err
			}
		}
		if err := forget(ctx, t, save); err != nil {
			return err
		}
		if err := markGone(ctx, t, save, save.Gone); err != nil {
			return err
		}
		return t.Schedule(ctx, save.Jobs)
	})
}

// Renew implements accesskey.KeyStore.
func (s Store) Renew(ctx context.Context, src accesskey.Source) error {
	for after, more := "", true; more; {
		err := s.apart(ctx, src, func(t *bound.Tx) error {
			have, err := texts(ctx, t, `SELECT id, body FROM accesskey WHERE account = $1 AND source = $2 AND gone_at = 0 AND id > $3 ORDER BY id LIMIT $4`,
				src.Account, src.Name, after, perWrite)
			if err != nil {
				return err
			}
			keys := make([]accesskey.Observed, 0, len(have))
			for _, id := range slices.Sorted(maps.Keys(have)) {
				var o accesskey.Observed
				if err := json.Unmarshal([]byte(have[id]), &o); err != nil {
					return fmt.Errorf("reading the inventory: %w", err)
				}
				keys, after = append(keys, o), id
			}
			more = len(keys) == perWrite
			return s.saveKeys(ctx, t, part(accesskey.Save{Source: src}, keys))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// apart writes a part of what is observed of a source in a transaction without a record.
func (s Store) apart(ctx context.Context, src accesskey.Source, fn func(*bound.Tx) error) error {
	return database.Unavailable(s.Apart(ctx, func(t *bound.Tx) error {
		if err := hold(ctx, t, src); err != nil {
			return err
		}
		return fn(t)
	}), "saving the inventory")
}

// hold sees to it that a source is the one that was read, and that nobody changes it, or
// what is said of its keys, before the transaction ends.
func hold(ctx context.Context, t *bound.Tx, src accesskey.Source) error {
	n, err := t.Run(ctx, `UPDATE accesskey_source SET rev = rev WHERE account = $1 AND name = $2 AND rev = $3`, src.Account, src.Name, src.Rev)
	if err == nil && n == 0 {
		err = fault.Changed.New("the provider %s was changed by somebody else meanwhile; read it again and retry", src.Name)
	}
	return err
}

func savePrincipals(ctx context.Context, t *bound.Tx, src accesskey.Source, principals []accesskey.Principal) error {
	if len(principals) == 0 {
		return nil
	}
	have, err := texts(ctx, t, `SELECT id, body FROM accesskey_principal WHERE account = $1 AND source = $2 AND id >= $3 AND id <= $4`,
		src.Account, src.Name, principals[0].ID, principals[len(principals)-1].ID)
	if err != nil {
		return err
	}
	for _, p := range principals {
		body, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if before, known := have[p.ID]; known && before == string(body) {
			continue
		}
		if _, err := t.Run(ctx, `INSERT INTO accesskey_principal (account, source, id, body) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account, source, id) DO UPDATE SET body = excluded.body`, src.Account, src.Name, p.ID, string(body)); err != nil {
			return err
		}
	}
	return nil
}

// part answers a save of some of its keys.
func part(save accesskey.Save, keys []accesskey.Observed) accesskey.Save {
	save.Snapshot.Keys = keys
	return save
}

// saveKeys writes keys, in the order of their ids, with what people say of them.
func (s Store) saveKeys(ctx context.Context, t *bound.Tx, save accesskey.Save) error {
	src, keys := save.Source, save.Snapshot.Keys
	if len(keys) == 0 {
		return nil
	}
	span := []any{src.Account, src.Name, keys[0].ID, keys[len(keys)-1].ID}
	some, err := bound.List(ctx, s.Store, t, remarkRow, `WHERE account = $1 AND source = $2 AND key_id >= $3 AND key_id <= $4`, span...)
	if err != nil {
		return err
	}
	said := make(map[string]accesskey.Remark, len(some))
	for _, r := range some {
		said[r.Key] = r
	}
	if save.Said != nil {
		said[save.Said.Key] = *save.Said
	}
	have, err := texts(ctx, t, `SELECT id, owner || '/' || CAST(due_at AS TEXT) || '/' || due_basis || '/' || body FROM accesskey
		WHERE account = $1 AND source = $2 AND id >= $3 AND id <= $4 AND gone_at = 0`, span...)
	if err != nil {
		return err
	}
	for _, o := range keys {
		due, owner := accesskey.Due(o, said[o.ID], src.MaxAge), cmp.Or(said[o.ID].Owner, src.Owner)
		body, err := json.Marshal(o)
		if err != nil {
			return err
		}
		if before, known := have[o.ID]; known && before == fmt.Sprintf("%s/%d/%s/%s", owner, dueMicros(due), due.Basis, body) {
			continue
		}
		if _, err := t.Run(ctx, `INSERT INTO accesskey (account, source, id, principal, name, status, owner, created_at, used_at, due_at, due_basis, body, seen_at, gone_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0)
			ON CONFLICT (account, source, id) DO UPDATE SET principal = $4, name = $5, status = $6, owner = $7, created_at = $8, used_at = $9,
				due_at = $10, due_basis = $11, body = $12, gone_at = 0`,
			src.Account, src.Name, o.ID, o.Principal, o.Name, string(o.Status), owner, database.Micros(o.CreatedAt), database.Micros(o.Use.At),
			dueMicros(due), string(due.Basis), string(body), database.Micros(save.At)); err != nil {
			return err
		}
	}
	return nil
}

// forgetMost removes the keys that have been gone for long, and marks as gone those that a
// whole snapshot lacks, but for a few that are left to the record's transaction. Where there
// is nothing to do nothing is written.
func (s Store) forgetMost(ctx context.Context, save accesskey.Save) error {
	src := save.Source
	const gone = `SELECT id, '' FROM accesskey WHERE account = $1 AND source = $2 AND gone_at > 0 AND gone_at < $3 LIMIT $4`
	old := []any{src.Account, src.Name, database.Micros(save.At.Add(-accesskey.Kept)), perForget}
	for {
		ids, err := texts(ctx, s.DB.Ready(), gone, old...)
		if err != nil {
			return database.Unavailable(err, "reading the inventory")
		}
		if len(ids) == 0 {
			break
		}
		if err := s.apart(ctx, src, func(t *bound.Tx) error {
			_, err := t.Run(ctx, `DELETE FROM accesskey WHERE account = $1 AND source = $2 AND id IN (SELECT id FROM (`+gone+`) AS gone)`, old...)
			return err
		}); err != nil {
			return err
		}
	}
	for save.Whole {
		ids, err := missing(ctx, s.DB.Ready(), save)
		if err != nil {
			return database.Unavailable(err, "reading the inventory")
		}
		if len(ids) <= perForget {
			break
		}
		if err := s.apart(ctx, src, func(t *bound.Tx) error { return markGone(ctx, t, save, ids[:perForget]) }); err != nil {
			return err
		}
	}
	return nil
}

// forget marks keys that a whole snapshot lacks as gone, and removes principals that it
// lacks.
func forget(ctx context.Context, t *bound.Tx, save accesskey.Save) error {
	src := save.Source
	if !save.Whole {
		return nil
	}
	principals, err := texts(ctx, t, `SELECT id, '' FROM accesskey_principal WHERE account = $1 AND source = $2`, src.Account, src.Name)
	if err != nil {
		return err
	}
	for _, p := range save.Snapshot.Principals {
		delete(principals, p.ID)
	}
	for id := range principals {
		if _, err := t.Exec(ctx, `DELETE FROM accesskey_principal WHERE account = $1 AND source = $2 AND id = $3`, src.Account, src.Name, id); err != nil {
			return err
		}
	}
	ids, err := missing(ctx, t, save)
	if err != nil {
		return err
	}
	return markGone(ctx, t, save, ids)
}

// missing answers the ids of the keys that a whole snapshot lacks and that are not gone yet.
func missing(ctx context.Context, from database.Queryer, save accesskey.Save) ([]string, error) {
	keys, err := texts(ctx, from, `SELECT id, principal FROM accesskey WHERE account = $1 AND source = $2 AND gone_at = 0`, save.Source.Account, save.Source.Name)
	if err != nil {
		return nil, err
	}
	for _, o := range save.Snapshot.Keys {
		delete(keys, o.ID)
	}
	maps.DeleteFunc(keys, func(_, principal string) bool { return save.Unread[principal] })
	return slices.Sorted(maps.Keys(keys)), nil
}

func markGone(ctx context.Context, t *bound.Tx, save accesskey.Save, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	args := []any{string(accesskey.Gone), int64(math.MaxInt64), database.Micros(save.At), save.Source.Account, save.Source.Name}
	for _, id := range ids {
		args = append(args, id)
	}
	_, err := t.Exec(ctx, `UPDATE accesskey SET status = $1, due_at = $2, due_basis = '', gone_at = $3
		WHERE account = $4 AND source = $5 AND id IN (`+database.Places(6, len(ids))+`)`, args...)
	return err
}

// texts reads pairs of texts.
func texts(ctx context.Context, from database.Queryer, query string, args ...any) (map[string]string, error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, value string
		if err := rows.Scan(&id, &value); err != nil {
			return nil, err
		}
		out[id] = value
	}
	return out, rows.Err()
}
