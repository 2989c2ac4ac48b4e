package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/secret"
)

// An Exposure is the store of package exposure.
type Exposure struct{ *Store }

func leakKeyRow(k *exposure.Key) row {
	return row{table: "leak_key", keys: 1, rev: &k.Rev, columns: []column{text("account", &k.Account), blob("sealed", &k.Sealed)}}
}

func secretMarkRow(m *secret.Mark) row {
	return row{table: "secret_mark", keys: 4, rev: &m.Rev, counted: true, columns: []column{
		text("account", &m.Account),
		text("mark", &m.Mark),
		text("secret_id", &m.Secret),
		text("version", &m.Version),
		text("name", &m.Name),
		text("key_id", &m.KeyID),
		flag("strong", &m.Strong),
	}}
}

// mark stores marks; those that are there already stay.
func (s *Store) mark(ctx context.Context, t *tx, marks []secret.Mark) error {
	for i := range marks {
		if err := t.insert(ctx, s.keys, secretMarkRow(&marks[i])); err != nil && !fault.Is(err, fault.ResourceExists) {
			return err
		}
	}
	return nil
}

// unmark removes the marks of a version.
func (t *tx) unmark(ctx context.Context, v *secret.Version) error {
	_, err := t.run(ctx, `DELETE FROM secret_mark WHERE account = $1 AND secret_id = $2 AND version = $3`, v.Account, v.Secret, v.ID)
	return err
}

// CreateLeakKey implements exposure.Store.
func (s Exposure) CreateLeakKey(ctx context.Context, rec *audit.Record, k *exposure.Key) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.insert(ctx, s.keys, leakKeyRow(k)) })
}

// LeakKey implements exposure.Store.
func (s Exposure) LeakKey(ctx context.Context, account string) (exposure.Key, error) {
	k := exposure.Key{Account: account}
	err := s.load(ctx, leakKeyRow(&k))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("the account has no key of marks")
	}
	return k, err
}

// SaveSightings implements exposure.Store.
func (s Exposure) SaveSightings(ctx context.Context, rec *audit.Record, seen []exposure.Sighting, forget time.Time, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		for _, one := range seen {
			if err := t.saveSighting(ctx, one); err != nil {
				return err
			}
		}
		if len(seen) > 0 {
			account := seen[0].Account
			if _, err := t.run(ctx, `DELETE FROM leak_sighting WHERE account = $1 AND seen_at < $2`, account, micros(forget)); err != nil {
				return err
			}
			n, err := t.count(ctx, `SELECT COUNT(*) FROM leak_sighting WHERE account = $1`, account)
			if err != nil {
				return err
			}
			if n > exposure.MaxSightings {
				return fault.LimitExceeded.New("the account would have more than %d credentials in places; fix those that were found, or report fewer", exposure.MaxSightings)
			}
		}
		return t.schedule(ctx, jobs)
	})
}

func (t *tx) saveSighting(ctx context.Context, one exposure.Sighting) error {
	known, err := t.sightings(ctx, `SELECT body FROM leak_sighting WHERE account = $1 AND id = $2`, one.Account, one.ID)
	if err != nil {
		return err
	}
	if len(known) > 0 {
		one = known[0].Merge(one)
	}
	body, err := json.Marshal(one)
	if err != nil {
		return fmt.Errorf("encoding a sighting: %w", err)
	}
	_, err = t.run(ctx, `INSERT INTO leak_sighting (account, id, seen_at, body) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account, id) DO UPDATE SET seen_at = excluded.seen_at, body = excluded.body`, one.Account, one.ID, micros(one.Last), string(body))
	return err
}

func (t *tx) sightings(ctx context.Context, query string, args ...any) (out []exposure.Sighting, err error) {
	rows, err := t.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var body string
		var one exposure.Sighting
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(body), &one); err != nil {
			return nil, fmt.Errorf("decoding a sighting: %w", err)
		}
		out = append(out, one)
	}
	return out, rows.Err()
}

// Sightings implements exposure.Store.
func (s Exposure) Sightings(ctx context.Context, account string) ([]exposure.Sighting, error) {
	return bodies[exposure.Sighting](ctx, s.Store, `SELECT body FROM leak_sighting WHERE account = $1 ORDER BY id`, account)
}

// Unmarked implements exposure.Store.
func (s Exposure) Unmarked(ctx context.Context, account string, after secret.Version, limit int) ([]secret.Version, error) {
	return list(ctx, s.Store, s.db.read, secretVersionRow, `WHERE account = $1 AND (secret_id, id) > ($2, $3)
		AND NOT EXISTS (SELECT 1 FROM secret_mark m WHERE m.account = secret_version.account AND m.secret_id = secret_version.secret_id AND m.version = secret_version.id)
		ORDER BY secret_id, id LIMIT $4`, account, after.Secret, after.ID, limit)
}

// SaveMarks implements exposure.Store.
func (s Exposure) SaveMarks(ctx context.Context, marks []secret.Mark) error {
	if len(marks) == 0 {
		return nil
	}
	began, err := s.db.write.BeginTx(ctx, nil)
	if err != nil {
		return unavailable(err, "storing marks")
	}
	defer began.Rollback() //nolint:errcheck // after a commit it answers ErrTxDone
	t := &tx{sql: began, db: s.db}
	there := map[[2]string]int{}
	for _, m := range marks {
		v := [2]string{m.Secret, m.Version}
		if _, asked := there[v]; !asked {
			if there[v], err = t.count(ctx, `SELECT COUNT(*) FROM secret_version WHERE account = $1 AND secret_id = $2 AND id = $3`, m.Account, m.Secret, m.Version); err != nil {
				return unavailable(err, "storing marks")
			}
		}
	}
	marks = slices.DeleteFunc(marks, func(m secret.Mark) bool { return there[[2]string{m.Secret, m.Version}] == 0 })
	if err := s.mark(ctx, t, marks); err != nil {
		return unavailable(err, "storing marks")
	}
	return unavailable(began.Commit(), "storing marks")
}

// asked is how many values one query asks for.
const asked = 500

// Marks implements exposure.Store.
func (s Exposure) Marks(ctx context.Context, account string, marks []string) (out []secret.Mark, err error) {
	for some := range slices.Chunk(marks, asked) {
		found, err := list(ctx, s.Store, s.db.read, secretMarkRow, `WHERE account = $1 AND mark IN (`+places(2, len(some))+`) ORDER BY mark, secret_id, version`, named(account, some)...)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// named answers arguments: an account and texts.
func named(account string, texts []string) []any {
	args := []any{account}
	for _, text := range texts {
		args = append(args, text)
	}
	return args
}

// AccessKeys implements exposure.Store.
func (s Exposure) AccessKeys(ctx context.Context, account string, ids []string) (out []accesskey.AccessKey, err error) {
	for some := range slices.Chunk(ids, asked) {
		found, err := s.holders(ctx, account, some)
		if err != nil {
			return nil, err
		}
		for _, at := range found {
			k, err := Inventory(s).Key(ctx, account, at[0], at[1])
			if err != nil && !fault.Is(err, fault.ResourceNotFound) { // forgotten meanwhile
				return nil, err
			}
			if err == nil {
				out = append(out, k)
			}
		}
	}
	return out, nil
}

// holders answers source and id of the keys of the inventory that have one of the ids.
func (s Exposure) holders(ctx context.Context, account string, ids []string) (out [][2]string, err error) {
	rows, err := s.db.read.QueryContext(ctx, `SELECT source, id FROM accesskey WHERE account = $1 AND id IN (`+places(2, len(ids))+`) ORDER BY source, id`, named(account, ids)...)
	if err != nil {
		return nil, unavailable(err, "reading the inventory")
	}
	defer rows.Close()
	for rows.Next() {
		var at [2]string
		if err := rows.Scan(&at[0], &at[1]); err != nil {
			return nil, unavailable(err, "reading the inventory")
		}
		out = append(out, at)
	}
	return out, unavailable(rows.Err(), "reading the inventory")
}
