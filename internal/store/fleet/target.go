package fleet

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/target"
)

func targetRow(t *target.Target) bound.Row {
	return bound.Row{Table: "target", Keys: 2, Rev: &t.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &t.Account),
		bound.Text("name", &t.Name),
		bound.Text("kind", &t.Kind),
		bound.Document("settings", &t.Settings),
		bound.Blob("sealed", &t.Sealed),
		bound.Flag("overwrite", &t.Overwrite),
		bound.Instant("created_at", &t.CreatedAt),
	}}
}

// CreateTarget implements target.Store.
func (s Store) CreateTarget(ctx context.Context, rec *audit.Record, of *target.Target, n *rollout.Node, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		err := t.Insert(ctx, nodeRow(n))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("there is a node %s already; choose another name", n.Name)
		}
		if err != nil {
			return err
		}
		if err := t.Insert(ctx, targetRow(of)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// UpdateTarget implements target.Store.
func (s Store) UpdateTarget(ctx context.Context, rec *audit.Record, of *target.Target, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, targetRow(of)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// DeleteTarget implements target.Store. It takes the floors of nodes and targets in the order in
// which CreateTarget does: neither waits for the other for ever.
func (s Store) DeleteTarget(ctx context.Context, rec *audit.Record, of *target.Target) error {
	n, err := s.Node(ctx, of.Account, of.Name)
	if err != nil {
		return err
	}
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, nodeRow(&n)); err != nil {
			return err
		}
		if err := t.Remove(ctx, targetRow(of)); err != nil {
			return err
		}
		return forgetWords(ctx, t, of.Account, of.Name)
	})
}

// Target implements target.Store.
func (s Store) Target(ctx context.Context, account, name string) (target.Target, error) {
	t := target.Target{Account: account, Name: name}
	err := s.Load(ctx, targetRow(&t))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no such target")
	}
	return t, err
}

// Targets implements target.Store.
func (s Store) Targets(ctx context.Context, account string) ([]target.Target, error) {
	return bound.List(ctx, s.Store, s.DB, targetRow, `WHERE account = $1 ORDER BY name`, account)
}

// Said implements target.Store.
func (s Store) Said(ctx context.Context, account, node string) (rollout.Presence, map[string]rollout.Ack, error) {
	p := rollout.Presence{Account: account, Node: node}
	var skew int64
	err := s.DB.QueryRowContext(ctx, `SELECT seen_at, said_at, version, skew, trouble FROM node_presence WHERE account = $1 AND node = $2`, account, node).
		Scan((*database.Moment)(&p.SeenAt), (*database.Moment)(&p.SaidAt), &p.Version, &skew, &p.Trouble)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, nil, database.Unavailable(err, "reading a presence")
	}
	p.Skew = time.Duration(skew) * time.Millisecond
	acks, err := s.acks(ctx, `account = $1 AND node = $2`, account, node)
	if err != nil {
		return p, nil, err
	}
	out := make(map[string]rollout.Ack, len(acks))
	for _, a := range acks {
		out[a.Rollout] = a
	}
	return p, out, nil
}

// SaveLook implements target.Store.
func (s Store) SaveLook(ctx context.Context, said rollout.Report, fell []string) error {
	return database.Unavailable(s.Apart(ctx, func(t *bound.Tx) error {
		for _, name := range fell {
			if _, err := t.Exec(ctx, `DELETE FROM node_ack WHERE account = $1 AND rollout = $2 AND node = $3`, said.Presence.Account, name, said.Presence.Node); err != nil {
				return err
			}
		}
		return saveReports(ctx, t, []rollout.Report{said})
	}), "storing a look")
}
