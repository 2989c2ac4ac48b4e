package kms

import (
	"context"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/sink"
	"github.com/keyward/keyward/internal/store/bound"
)

func sinkRow(s *sink.Sink) bound.Row {
	return bound.Row{Table: "sink", Keys: 2, Rev: &s.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &s.Account),
		bound.Text("name", &s.Name),
		bound.Text("id", &s.ID),
		bound.Text("kind", &s.Kind),
		bound.Document("settings", &s.Settings),
		bound.Blob("sealed", &s.Sealed),
		bound.Document("secrets", &s.Secrets),
		bound.Document("tags", &s.Tags),
		bound.Instant("overwrite", &s.Overwrite),
		bound.Instant("created_at", &s.CreatedAt),
	}}
}

func copyRow(c *sink.Copy) bound.Row {
	return bound.Row{Table: "sink_copy", Keys: 3, Rev: &c.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &c.Account),
		bound.Text("sink_id", &c.Sink),
		bound.Text("secret", &c.Secret),
		bound.Text("status", &c.Status),
		bound.Text("version", &c.Version),
		bound.Text("written", &c.Written),
		bound.Number("remote", &c.Remote),
		bound.Instant("at", &c.At),
		bound.Instant("synced_at", &c.SyncedAt),
		bound.Number("failures", &c.Failures),
		bound.Text("error", &c.Error),
		bound.Added(bound.Text("chinese", &c.Chinese)),
	}}
}

// CreateSink implements sink.Store.
func (s Store) CreateSink(ctx context.Context, rec *audit.Record, k *sink.Sink, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		err := t.Insert(ctx, sinkRow(k))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("there is a sink %s already; remove it first, or choose another name", k.Name)
		}
		if err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// UpdateSink implements sink.Store.
func (s Store) UpdateSink(ctx context.Context, rec *audit.Record, k *sink.Sink, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, sinkRow(k)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// DeleteSink implements sink.Store.
func (s Store) DeleteSink(ctx context.Context, rec *audit.Record, k *sink.Sink, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, sinkRow(k)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// Sink implements sink.Store.
func (s Store) Sink(ctx context.Context, account, name string) (sink.Sink, error) {
	k := sink.Sink{Account: account, Name: name}
	err := s.Load(ctx, sinkRow(&k))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no such sink")
	}
	return k, err
}

// Sinks implements sink.Store.
func (s Store) Sinks(ctx context.Context, account string) ([]sink.Sink, error) {
	return bound.List(ctx, s.Store, s.DB, sinkRow, `WHERE account = $1 ORDER BY name`, account)
}

// SaveCopy implements sink.Store.
func (s Store) SaveCopy(ctx context.Context, rec *audit.Record, c *sink.Copy) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Save(ctx, copyRow(c)) })
}

// DeleteCopies implements sink.Store.
func (s Store) DeleteCopies(ctx context.Context, rec *audit.Record, copies []sink.Copy) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		for i := range copies {
			if err := t.Remove(ctx, copyRow(&copies[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

// Copies implements sink.Store.
func (s Store) Copies(ctx context.Context, account, id string, p key.Page) ([]sink.Copy, int, error) {
	return page(ctx, s.Store, copyRow, p, "secret", `account = $1 AND sink_id = $2`, account, id)
}
