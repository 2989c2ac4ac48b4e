package root

import (
	"context"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/store/bound"
)

// A Store is the store of packages custody and clock.
type Store struct{ *bound.Store }

func testRow(t *custody.TestRow) bound.Row {
	return bound.Row{Table: "seal_test", Keys: 1, Rev: &t.Rev, Columns: []bound.Column{
		bound.Text("envelope", &t.Envelope),
		bound.Instant("tested_at", &t.At),
	}}
}

// ChangeEnvelopes implements custody.Store. Envelopes are not bound as rows are: they
// must be believed before there is a keyring, and authenticate themselves.
func (s Store) ChangeEnvelopes(ctx context.Context, rec *audit.Record, decide custody.Decision) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		have, err := t.HoldEnvelopes(ctx)
		if err != nil {
			return err
		}
		tests, err := bound.List(ctx, s.Store, t, testRow, "ORDER BY envelope")
		if err != nil {
			return err
		}
		add, remove, err := decide(have, tests)
		if err != nil {
			return err
		}
		if add != nil {
			if err := t.AddEnvelope(ctx, *add); err != nil {
				return err
			}
		}
		if remove == "" {
			return nil
		}
		if err := t.RemoveEnvelope(ctx, remove); err != nil {
			return err
		}
		for i := range tests {
			if tests[i].Envelope == remove {
				return t.Remove(ctx, testRow(&tests[i]))
			}
		}
		return nil
	})
}

// AddEpoch implements custody.Store.
func (s Store) AddEpoch(ctx context.Context, rec *audit.Record, e seal.Epoch, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.AddEpoch(ctx, e); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// SaveTest implements custody.Store.
func (s Store) SaveTest(ctx context.Context, rec *audit.Record, envelope string, at time.Time) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		found, err := bound.List(ctx, s.Store, t, testRow, "WHERE envelope = $1", envelope)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			have, err := t.HoldEnvelopes(ctx)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(have, func(e seal.Envelope) bool { return e.ID == envelope }) {
				return fault.StateConflict.New("the passphrase or the shares that opened the root key were removed meanwhile; use others")
			}
			return t.Insert(ctx, testRow(&custody.TestRow{Envelope: envelope, At: at}))
		}
		found[0].At = at
		return t.Update(ctx, testRow(&found[0]))
	})
}

// Tests implements custody.Store.
func (s Store) Tests(ctx context.Context) ([]custody.TestRow, error) {
	return bound.List(ctx, s.Store, s.DB, testRow, "ORDER BY envelope")
}

// ReplaceLogKey implements custody.Store.
func (s Store) ReplaceLogKey(ctx context.Context, rec *audit.Record, origin string, old, renewed []byte) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.ReplaceLogKey(ctx, origin, old, renewed) })
}
