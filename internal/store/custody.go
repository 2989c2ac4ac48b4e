package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/seal"
)

func testRow(t *custody.TestRow) row {
	return row{table: "seal_test", keys: 1, rev: &t.Rev, columns: []column{
		text("envelope", &t.Envelope),
		instant("tested_at", &t.At),
	}}
}

// ChangeEnvelopes implements custody.Store. Envelopes are not bound as rows are: they
// must be believed before there is a keyring, and authenticate themselves.
func (s *Store) ChangeEnvelopes(ctx context.Context, rec *audit.Record, decide custody.Decision) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if t.db.Shared() { // two nodes that each remove another envelope must not remove the last two
			if _, err := t.exec(ctx, `LOCK TABLE seal_envelope IN EXCLUSIVE MODE`); err != nil {
				return err
			}
		}
		have, err := envelopes(ctx, t.sql)
		if err != nil {
			return err
		}
		tests, err := list(ctx, s, t.sql, testRow, "ORDER BY envelope")
		if err != nil {
			return err
		}
		add, remove, err := decide(have, tests)
		if err != nil {
			return err
		}
		if add != nil {
			if _, err := t.exec(ctx, insertEnvelope, envelopeValues(*add)...); err != nil {
				return err
			}
			t.effects = append(t.effects, audit.Effect{Table: "seal_envelope", ID: add.ID, Rev: 1, Digest: add.Digest()})
		}
		if remove == "" {
			return nil
		}
		if _, err := t.exec(ctx, `DELETE FROM seal_envelope WHERE id = $1`, remove); err != nil {
			return err
		}
		t.effects = append(t.effects, audit.Effect{Table: "seal_envelope", ID: remove, Rev: 2})
		for i := range tests {
			if tests[i].Envelope == remove {
				return t.remove(ctx, testRow(&tests[i]))
			}
		}
		return nil
	})
}

// AddEpoch implements custody.Store.
func (s *Store) AddEpoch(ctx context.Context, rec *audit.Record, e seal.Epoch, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.requireOnlyNode(ctx); err != nil {
			return err
		}
		n, err := t.exec(ctx, `INSERT INTO seal_epoch (number, wrapped, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			int64(e.Number), e.Wrapped, micros(e.CreatedAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Changed.New("somebody else has begun epoch %d", e.Number)
		}
		t.effects = append(t.effects, audit.Effect{Table: "seal_epoch", ID: fmt.Sprint(e.Number), Rev: 1, Digest: epochDigest(e)})
		return t.schedule(ctx, jobs)
	})
}

// epochDigest is what the log tells of an epoch.
func epochDigest(e seal.Epoch) []byte {
	sum := sha256.Sum256(e.Wrapped)
	return sum[:]
}

// SaveTest implements custody.Store.
func (s *Store) SaveTest(ctx context.Context, rec *audit.Record, envelope string, at time.Time) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		found, err := list(ctx, s, t.sql, testRow, "WHERE envelope = $1", envelope)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return t.insert(ctx, s.keys, testRow(&custody.TestRow{Envelope: envelope, At: at}))
		}
		found[0].At = at
		return t.update(ctx, s.keys, testRow(&found[0]))
	})
}

// Tests implements custody.Store.
func (s *Store) Tests(ctx context.Context) ([]custody.TestRow, error) {
	return list(ctx, s, s.db.read, testRow, "ORDER BY envelope")
}

// ReplaceLogKey implements custody.Store.
func (s *Store) ReplaceLogKey(ctx context.Context, rec *audit.Record, origin string, old, renewed []byte) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `UPDATE audit_log SET sealed_key = $1 WHERE origin = $2 AND sealed_key = $3`, renewed, origin, old)
		if err == nil && n != 1 {
			err = fault.Changed.New("somebody else has sealed the key of log %q anew", origin)
		}
		return err
	})
}

// Scheduled implements custody.Store.
func (s *Store) Scheduled(ctx context.Context, kind string) (bool, error) {
	var n int
	err := s.db.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM job WHERE kind = $1`, kind).Scan(&n)
	return n > 0, unavailable(err, "reading jobs")
}
