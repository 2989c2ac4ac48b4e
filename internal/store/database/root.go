package database

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/seal"
)

// The tables of the root, as audit records name them.
const (
	EnvelopeTable = "seal_envelope"
	EpochTable    = "seal_epoch"
)

const (
	envelopeColumns = `id, provider, params, wrapped, root_epoch, fingerprint, created_at, name, recovery`
	insertEnvelope  = `INSERT INTO seal_envelope (` + envelopeColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
)

func envelopeValues(e seal.Envelope) []any {
	return []any{e.ID, e.Provider, e.Params, e.Wrapped, int64(e.RootEpoch), e.Fingerprint, Micros(e.CreatedAt), e.Name, Bit(e.Recovery)}
}

// Envelopes implements seal.Store.
func (db *DB) Envelopes(ctx context.Context) ([]seal.Envelope, error) {
	return envelopes(ctx, db.read)
}

func envelopes(ctx context.Context, from Queryer) ([]seal.Envelope, error) {
	rows, err := from.QueryContext(ctx, `SELECT `+envelopeColumns+` FROM seal_envelope ORDER BY created_at, id`)
	if err != nil {
		return nil, Unavailable(err, "reading root envelopes")
	}
	defer rows.Close()
	var out []seal.Envelope
	for rows.Next() {
		var e seal.Envelope
		if err := rows.Scan(&e.ID, &e.Provider, &e.Params, &e.Wrapped, &e.RootEpoch, &e.Fingerprint, (*Moment)(&e.CreatedAt),
			&e.Name, (*Flag)(&e.Recovery)); err != nil {
			return nil, Unavailable(err, "reading root envelopes")
		}
		out = append(out, e)
	}
	return out, Unavailable(rows.Err(), "reading root envelopes")
}

// Epochs implements seal.Store.
func (db *DB) Epochs(ctx context.Context) ([]seal.Epoch, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT number, wrapped, created_at FROM seal_epoch ORDER BY number`)
	if err != nil {
		return nil, Unavailable(err, "reading epochs")
	}
	defer rows.Close()
	var out []seal.Epoch
	for rows.Next() {
		var e seal.Epoch
		if err := rows.Scan(&e.Number, &e.Wrapped, (*Moment)(&e.CreatedAt)); err != nil {
			return nil, Unavailable(err, "reading epochs")
		}
		out = append(out, e)
	}
	return out, Unavailable(rows.Err(), "reading epochs")
}

// Initialize implements seal.Store. Of two nodes that initialise at once one wins:
// both would insert the same epoch number.
func (db *DB) Initialize(ctx context.Context, env seal.Envelope, epoch seal.Epoch) error {
	t, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return Unavailable(err, "initialising")
	}
	defer t.Rollback() //nolint:errcheck // after a commit it answers ErrTxDone
	res, err := t.ExecContext(ctx, `INSERT INTO seal_epoch (number, wrapped, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		int64(epoch.Number), epoch.Wrapped, Micros(epoch.CreatedAt))
	if err != nil {
		return Unavailable(err, "initialising")
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fault.ResourceExists.Wrap(err, "this database is initialised already; run: keyward operator unseal")
	}
	if _, err = t.ExecContext(ctx, insertEnvelope, envelopeValues(env)...); err != nil {
		return Unavailable(err, "initialising")
	}
	if err := t.Commit(); err != nil {
		return Unavailable(fmt.Errorf("committing: %w", err), "initialising")
	}
	return nil
}

// HoldEnvelopes answers the root envelopes and keeps others from changing them until the
// transaction ends: two nodes that each remove another one must not remove the last two.
func (t *Tx) HoldEnvelopes(ctx context.Context) ([]seal.Envelope, error) {
	if t.db.Shared() {
		if _, err := t.Exec(ctx, `LOCK TABLE seal_envelope IN EXCLUSIVE MODE`); err != nil {
			return nil, err
		}
	}
	return envelopes(ctx, t)
}

// AddEnvelope adds a root envelope and notes it.
func (t *Tx) AddEnvelope(ctx context.Context, e seal.Envelope) error {
	if _, err := t.Exec(ctx, insertEnvelope, envelopeValues(e)...); err != nil {
		return err
	}
	t.Note(audit.Effect{Table: EnvelopeTable, ID: e.ID, Rev: 1, Digest: e.Digest()})
	return nil
}

// RemoveEnvelope removes a root envelope and notes it.
func (t *Tx) RemoveEnvelope(ctx context.Context, id string) error {
	if _, err := t.Exec(ctx, `DELETE FROM seal_envelope WHERE id = $1`, id); err != nil {
		return err
	}
	t.Note(audit.Effect{Table: EnvelopeTable, ID: id, Rev: 2})
	return nil
}

// AddEpoch adds an epoch and notes it. No other node may be unsealed, which would not know
// it; if one is, or if somebody else has begun the epoch, it answers a fault.
func (t *Tx) AddEpoch(ctx context.Context, e seal.Epoch) error {
	if err := t.requireOnlyNode(ctx); err != nil {
		return err
	}
	n, err := t.Exec(ctx, `INSERT INTO seal_epoch (number, wrapped, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		int64(e.Number), e.Wrapped, Micros(e.CreatedAt))
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.Changed.New("somebody else has begun epoch %d", e.Number)
	}
	t.Note(audit.Effect{Table: EpochTable, ID: fmt.Sprint(e.Number), Rev: 1, Digest: EpochDigest(e)})
	return nil
}

// ReplaceLogKey seals the key of an audit log anew, or answers [fault.Changed].
func (t *Tx) ReplaceLogKey(ctx context.Context, origin string, old, renewed []byte) error {
	n, err := t.Exec(ctx, `UPDATE audit_log SET sealed_key = $1 WHERE origin = $2 AND sealed_key = $3`, renewed, origin, old)
	if err == nil && n != 1 {
		err = fault.Changed.New("somebody else has sealed the key of log %q anew", origin)
	}
	return err
}

// EpochDigest is what the log tells of an epoch.
func EpochDigest(e seal.Epoch) []byte {
	sum := sha256.Sum256(e.Wrapped)
	return sum[:]
}
