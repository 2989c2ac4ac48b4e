package store

import (
	"context"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/sink"
)

func sinkRow(s *sink.Sink) row {
	return row{table: "sink", keys: 2, rev: &s.Rev, columns: []column{
		text("account", &s.Account),
		text("name", &s.Name),
		text("id", &s.ID),
		text("kind", &s.Kind),
		document("settings", &s.Settings),
		blob("sealed", &s.Sealed),
		document("secrets", &s.Secrets),
		document("tags", &s.Tags),
		instant("overwrite", &s.Overwrite),
		instant("created_at", &s.CreatedAt),
	}}
}

func copyRow(c *sink.Copy) row {
	return row{table: "sink_copy", keys: 3, rev: &c.Rev, columns: []column{
		text("account", &c.Account),
		text("sink_id", &c.Sink),
		text("secret", &c.Secret),
		text("status", &c.Status),
		text("version", &c.Version),
		text("written", &c.Written),
		number("remote", &c.Remote),
		instant("at", &c.At),
		instant("synced_at", &c.SyncedAt),
		number("failures", &c.Failures),
		text("error", &c.Error),
	}}
}

// CreateSink implements sink.Store.
func (s *Store) CreateSink(ctx context.Context, rec *audit.Record, k *sink.Sink, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		err := t.insert(ctx, s.keys, sinkRow(k))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("there is a sink %s already; remove it first, or choose another name", k.Name)
		}
		if err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// UpdateSink implements sink.Store.
func (s *Store) UpdateSink(ctx context.Context, rec *audit.Record, k *sink.Sink, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, sinkRow(k)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// DeleteSink implements sink.Store.
func (s *Store) DeleteSink(ctx context.Context, rec *audit.Record, k *sink.Sink, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.remove(ctx, sinkRow(k)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// Sink implements sink.Store.
func (s *Store) Sink(ctx context.Context, account, name string) (sink.Sink, error) {
	k := sink.Sink{Account: account, Name: name}
	err := s.load(ctx, sinkRow(&k))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no such sink")
	}
	return k, err
}

// Sinks implements sink.Store.
func (s *Store) Sinks(ctx context.Context, account string) ([]sink.Sink, error) {
	return list(ctx, s, s.db.read, sinkRow, `WHERE account = $1 ORDER BY name`, account)
}

// SaveCopy implements sink.Store.
func (s *Store) SaveCopy(ctx context.Context, rec *audit.Record, c *sink.Copy) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if c.Rev == 0 {
			return t.insert(ctx, s.keys, copyRow(c))
		}
		return t.update(ctx, s.keys, copyRow(c))
	})
}

// DeleteCopies implements sink.Store.
func (s *Store) DeleteCopies(ctx context.Context, rec *audit.Record, copies []sink.Copy) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		for i := range copies {
			if err := t.remove(ctx, copyRow(&copies[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

// Copies implements sink.Store.
func (s *Store) Copies(ctx context.Context, account, id string, p key.Page) ([]sink.Copy, int, error) {
	return page(ctx, s, copyRow, p, "secret", `account = $1 AND sink_id = $2`, account, id)
}
