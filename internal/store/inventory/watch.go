package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/watch"
)

// Repositories is the store of package watch.
type Repositories struct{ *bound.Store }

func repositoryRow(r *watch.Repository) bound.Row {
	return bound.Row{Table: "watch_repository", Keys: 2, Rev: &r.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &r.Account),
		bound.Text("name", &r.Name),
		bound.Text("id", &r.ID),
		bound.Text("url", &r.URL),
		bound.Text("ca", &r.CA),
		bound.Document("refs", &r.Refs),
		bound.Blob("sealed", &r.Sealed),
		bound.Seconds("pace", &r.Pace),
		bound.Number("severity", &r.Severity),
		bound.Text("owner", &r.Owner),
		bound.Instant("created_at", &r.CreatedAt),
		bound.Added(bound.Document("issuers", &r.Issuers)),
	}}
}

// CreateRepository implements watch.Store.
func (s Repositories) CreateRepository(ctx context.Context, rec *audit.Record, r *watch.Repository, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		err := t.Insert(ctx, repositoryRow(r))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("a repository %s is watched already; choose another name, or change it with: keyward repository update", r.Name)
		}
		if err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// UpdateRepository implements watch.Store.
func (s Repositories) UpdateRepository(ctx context.Context, rec *audit.Record, r *watch.Repository, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, repositoryRow(r)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// DeleteRepository implements watch.Store.
func (s Repositories) DeleteRepository(ctx context.Context, rec *audit.Record, r *watch.Repository) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if _, err := t.Exec(ctx, `DELETE FROM watch_state WHERE account = $1 AND name = $2`, r.Account, r.Name); err != nil {
			return err
		}
		return t.Remove(ctx, repositoryRow(r))
	})
}

// Repository implements watch.Store.
func (s Repositories) Repository(ctx context.Context, account, name string) (watch.Repository, error) {
	r := watch.Repository{Account: account, Name: name}
	err := s.Load(ctx, repositoryRow(&r))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("no repository of this name is watched; list them with: keyward repository list")
	}
	return r, err
}

// Repositories implements watch.Store.
func (s Repositories) Repositories(ctx context.Context, account string) ([]watch.Repository, error) {
	return bound.List(ctx, s.Store, s.DB, repositoryRow, `WHERE account = $1 ORDER BY name`, account)
}

// States implements watch.Store.
func (s Repositories) States(ctx context.Context, account string) (map[string]watch.State, error) {
	states, err := bound.Documents[watch.State](ctx, s.Store, `SELECT body FROM watch_state WHERE account = $1`, account)
	out := make(map[string]watch.State, len(states))
	for _, st := range states {
		out[st.Repository] = st
	}
	return out, err
}

// SaveState implements watch.Store.
func (s Repositories) SaveState(ctx context.Context, st watch.State) error {
	body, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encoding state: %w", err)
	}
	_, err = s.DB.Exec(ctx, `INSERT INTO watch_state (account, name, body)
		SELECT account, name, CAST($3 AS TEXT) FROM watch_repository WHERE account = $1 AND name = $2
		ON CONFLICT (account, name) DO UPDATE SET body = excluded.body`, st.Account, st.Repository, string(body))
	return database.Unavailable(err, "saving state")
}

// RepositoryIDs implements watch.Store.
func (s Repositories) RepositoryIDs(ctx context.Context) (map[string]bool, error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT id FROM watch_repository`)
	if err != nil {
		return nil, database.Unavailable(err, "reading repositories")
	}
	defer rows.Close()
	ids := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, database.Unavailable(err, "reading repositories")
		}
		ids[id] = true
	}
	return ids, database.Unavailable(rows.Err(), "reading repositories")
}
