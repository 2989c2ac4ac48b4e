package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/target"
)

func targetRow(t *target.Target) row {
	return row{table: "target", keys: 2, rev: &t.Rev, columns: []column{
		text("account", &t.Account),
		text("name", &t.Name),
		text("kind", &t.Kind),
		document("settings", &t.Settings),
		blob("sealed", &t.Sealed),
		flag("overwrite", &t.Overwrite),
		instant("created_at", &t.CreatedAt),
	}}
}

// CreateTarget implements target.Store.
func (s Fleet) CreateTarget(ctx context.Context, rec *audit.Record, of *target.Target, n *rollout.Node, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		err := t.insert(ctx, s.keys, nodeRow(n))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("there is a node %s already; choose another name", n.Name)
		}
		if err != nil {
			return err
		}
		if err := t.insert(ctx, s.keys, targetRow(of)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// UpdateTarget implements target.Store.
func (s Fleet) UpdateTarget(ctx context.Context, rec *audit.Record, of *target.Target, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, targetRow(of)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// DeleteTarget implements target.Store.
func (s Fleet) DeleteTarget(ctx context.Context, rec *audit.Record, of *target.Target) error {
	n, err := s.Node(ctx, of.Account, of.Name)
	if err != nil {
		return err
	}
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.remove(ctx, targetRow(of)); err != nil {
			return err
		}
		if err := t.remove(ctx, nodeRow(&n)); err != nil {
			return err
		}
		return t.forgetWords(ctx, of.Account, of.Name)
	})
}

// Target implements target.Store.
func (s Fleet) Target(ctx context.Context, account, name string) (target.Target, error) {
	t := target.Target{Account: account, Name: name}
	err := s.load(ctx, targetRow(&t))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no such target")
	}
	return t, err
}

// Targets implements target.Store.
func (s Fleet) Targets(ctx context.Context, account string) ([]target.Target, error) {
	return list(ctx, s.Store, s.db.read, targetRow, `WHERE account = $1 ORDER BY name`, account)
}

// Said implements target.Store.
func (s Fleet) Said(ctx context.Context, account, node string) (rollout.Presence, map[string]rollout.Ack, error) {
	p := rollout.Presence{Account: account, Node: node}
	var skew int64
	err := s.db.read.QueryRowContext(ctx, `SELECT seen_at, said_at, version, skew, trouble FROM node_presence WHERE account = $1 AND node = $2`, account, node).
		Scan((*instantField)(&p.SeenAt), (*instantField)(&p.SaidAt), &p.Version, &skew, &p.Trouble)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, nil, unavailable(err, "reading a presence")
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
func (s Fleet) SaveLook(ctx context.Context, said rollout.Report, fell []string) error {
	return unavailable(s.db.apart(ctx, func(t *tx) error {
		for _, name := range fell {
			if _, err := t.exec(ctx, `DELETE FROM node_ack WHERE account = $1 AND rollout = $2 AND node = $3`, said.Presence.Account, name, said.Presence.Node); err != nil {
				return err
			}
		}
		return t.saveReports(ctx, []rollout.Report{said})
	}), "storing a look")
}
