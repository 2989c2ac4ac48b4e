package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/watch"
)

// A Watch is the store of package watch.
type Watch struct{ *Store }

func repositoryRow(r *watch.Repository) row {
	return row{table: "watch_repository", keys: 2, rev: &r.Rev, columns: []column{
		text("account", &r.Account),
		text("name", &r.Name),
		text("id", &r.ID),
		text("url", &r.URL),
		text("ca", &r.CA),
		document("refs", &r.Refs),
		blob("sealed", &r.Sealed),
		seconds("pace", &r.Pace),
		number("severity", &r.Severity),
		text("owner", &r.Owner),
		instant("created_at", &r.CreatedAt),
	}}
}

// CreateRepository implements watch.Store.
func (s Watch) CreateRepository(ctx context.Context, rec *audit.Record, r *watch.Repository, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		err := t.insert(ctx, s.keys, repositoryRow(r))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("a repository %s is watched already; choose another name, or change it with: keyward repository update", r.Name)
		}
		if err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// UpdateRepository implements watch.Store.
func (s Watch) UpdateRepository(ctx context.Context, rec *audit.Record, r *watch.Repository, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, repositoryRow(r)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// DeleteRepository implements watch.Store.
func (s Watch) DeleteRepository(ctx context.Context, rec *audit.Record, r *watch.Repository) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `DELETE FROM watch_state WHERE account = $1 AND name = $2`, r.Account, r.Name); err != nil {
			return err
		}
		return t.remove(ctx, repositoryRow(r))
	})
}

// Repository implements watch.Store.
func (s Watch) Repository(ctx context.Context, account, name string) (watch.Repository, error) {
	r := watch.Repository{Account: account, Name: name}
	err := s.load(ctx, repositoryRow(&r))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("no repository of this name is watched; list them with: keyward repository list")
	}
	return r, err
}

// Repositories implements watch.Store.
func (s Watch) Repositories(ctx context.Context, account string) ([]watch.Repository, error) {
	return list(ctx, s.Store, s.db.read, repositoryRow, `WHERE account = $1 ORDER BY name`, account)
}

// States implements watch.Store.
func (s Watch) States(ctx context.Context, account string) (map[string]watch.State, error) {
	states, err := bodies[watch.State](ctx, s.Store, `SELECT body FROM watch_state WHERE account = $1`, account)
	out := make(map[string]watch.State, len(states))
	for _, st := range states {
		out[st.Repository] = st
	}
	return out, err
}

// SaveState implements watch.Store.
func (s Watch) SaveState(ctx context.Context, st watch.State) error {
	body, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encoding state: %w", err)
	}
	_, err = s.db.write.ExecContext(ctx, `INSERT INTO watch_state (account, name, body)
		SELECT account, name, CAST($3 AS TEXT) FROM watch_repository WHERE account = $1 AND name = $2
		ON CONFLICT (account, name) DO UPDATE SET body = excluded.body`, st.Account, st.Repository, string(body))
	return unavailable(err, "saving state")
}

// RepositoryIDs implements watch.Store.
func (s Watch) RepositoryIDs(ctx context.Context) (map[string]bool, error) {
	rows, err := s.db.read.QueryContext(ctx, `SELECT id FROM watch_repository`)
	if err != nil {
		return nil, unavailable(err, "reading repositories")
	}
	defer rows.Close()
	ids := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, unavailable(err, "reading repositories")
		}
		ids[id] = true
	}
	return ids, unavailable(rows.Err(), "reading repositories")
}
