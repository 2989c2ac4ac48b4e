package inventory

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
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// Exposures is the store of package exposure, but for the marks of secrets.
type Exposures struct{ *bound.Store }

func leakKeyRow(k *exposure.Key) bound.Row {
	return bound.Row{Table: "leak_key", Keys: 1, Rev: &k.Rev, Columns: []bound.Column{bound.Text("account", &k.Account), bound.Blob("sealed", &k.Sealed)}}
}

// CreateLeakKey implements exposure.Store.
func (s Exposures) CreateLeakKey(ctx context.Context, rec *audit.Record, k *exposure.Key) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Insert(ctx, leakKeyRow(k)) })
}

// LeakKey implements exposure.Store.
func (s Exposures) LeakKey(ctx context.Context, account string) (exposure.Key, error) {
	k := exposure.Key{Account: account}
	err := s.Load(ctx, leakKeyRow(&k))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("the account has no key of marks")
	}
	return k, err
}

// SaveSightings implements exposure.Store.
func (s Exposures) SaveSightings(ctx context.Context, rec *audit.Record, seen []exposure.Sighting, forget time.Time, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		for _, one := range seen {
			if err := saveSighting(ctx, t, one); err != nil {
				return err
			}
		}
		if len(seen) > 0 {
			account := seen[0].Account
			if _, err := t.Run(ctx, `DELETE FROM leak_sighting WHERE account = $1 AND seen_at < $2`, account, database.Micros(forget)); err != nil {
				return err
			}
			n, err := t.Count(ctx, `SELECT COUNT(*) FROM leak_sighting WHERE account = $1`, account)
			if err != nil {
				return err
			}
			if n > exposure.MaxSightings {
				return fault.LimitExceeded.New("the account would have more than %d credentials in places; fix those that were found, or report fewer", exposure.MaxSightings)
			}
		}
		return t.Schedule(ctx, jobs)
	})
}

func saveSighting(ctx context.Context, t *bound.Tx, one exposure.Sighting) error {
	known, err := sightings(ctx, t, `SELECT body FROM leak_sighting WHERE account = $1 AND id = $2`, one.Account, one.ID)
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
	_, err = t.Run(ctx, `INSERT INTO leak_sighting (account, id, seen_at, body) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account, id) DO UPDATE SET seen_at = excluded.seen_at, body = excluded.body`, one.Account, one.ID, database.Micros(one.Last), string(body))
	return err
}

func sightings(ctx context.Context, t *bound.Tx, query string, args ...any) (out []exposure.Sighting, err error) {
	rows, err := t.QueryContext(ctx, query, args...)
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
func (s Exposures) Sightings(ctx context.Context, account string) ([]exposure.Sighting, error) {
	return bound.Documents[exposure.Sighting](ctx, s.Store, `SELECT body FROM leak_sighting WHERE account = $1 ORDER BY id`, account)
}

// asked is how many values one query asks for.
const asked = 500

// AccessKeys implements exposure.Store.
func (s Exposures) AccessKeys(ctx context.Context, account string, ids []string) (out []accesskey.AccessKey, err error) {
	for some := range slices.Chunk(ids, asked) {
		found, err := s.holders(ctx, account, some)
		if err != nil {
			return nil, err
		}
		for _, at := range found {
			k, err := Store(s).Key(ctx, account, at[0], at[1])
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
func (s Exposures) holders(ctx context.Context, account string, ids []string) (out [][2]string, err error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT source, id FROM accesskey WHERE account = $1 AND id IN (`+database.Places(2, len(ids))+`) ORDER BY source, id`, named(account, ids)...)
	if err != nil {
		return nil, database.Unavailable(err, "reading the inventory")
	}
	defer rows.Close()
	for rows.Next() {
		var at [2]string
		if err := rows.Scan(&at[0], &at[1]); err != nil {
			return nil, database.Unavailable(err, "reading the inventory")
		}
		out = append(out, at)
	}
	return out, database.Unavailable(rows.Err(), "reading the inventory")
}

// named answers arguments: an account and texts.
func named(account string, texts []string) []any {
	args := []any{account}
	for _, text := range texts {
		args = append(args, text)
	}
	return args
}
