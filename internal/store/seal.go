package store

import (
	"context"
	"fmt"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/seal"
)

const (
	envelopeColumns = `id, provider, params, wrapped, root_epoch, fingerprint, created_at, name, recovery`
	insertEnvelope  = `INSERT INTO seal_envelope (` + envelopeColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
)

func envelopeValues(e seal.Envelope) []any {
	return []any{e.ID, e.Provider, e.Params, e.Wrapped, int64(e.RootEpoch), e.Fingerprint, micros(e.CreatedAt), e.Name, flag("", &e.Recovery).value()}
}

// Envelopes implements seal.Store.
func (db *DB) Envelopes(ctx context.Context) ([]seal.Envelope, error) {
	return envelopes(ctx, db.read)
}

func envelopes(ctx context.Context, from queryer) ([]seal.Envelope, error) {
	rows, err := from.QueryContext(ctx, `SELECT `+envelopeColumns+` FROM seal_envelope ORDER BY created_at, id`)
	if err != nil {
		return nil, unavailable(err, "reading root envelopes")
	}
	defer rows.Close()
	var out []seal.Envelope
	for rows.Next() {
		var e seal.Envelope
		if err := rows.Scan(&e.ID, &e.Provider, &e.Params, &e.Wrapped, &e.RootEpoch, &e.Fingerprint, (*instantField)(&e.CreatedAt),
			&e.Name, flag("recovery", &e.Recovery).dest); err != nil {
			return nil, unavailable(err, "reading root envelopes")
		}
		out = append(out, e)
	}
	return out, unavailable(rows.Err(), "reading root envelopes")
}

// Epochs implements seal.Store.
func (db *DB) Epochs(ctx context.Context) ([]seal.Epoch, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT number, wrapped, created_at FROM seal_epoch ORDER BY number`)
	if err != nil {
		return nil, unavailable(err, "reading epochs")
	}
	defer rows.Close()
	var out []seal.Epoch
	for rows.Next() {
		var e seal.Epoch
		if err := rows.Scan(&e.Number, &e.Wrapped, (*instantField)(&e.CreatedAt)); err != nil {
			return nil, unavailable(err, "reading epochs")
		}
		out = append(out, e)
	}
	return out, unavailable(rows.Err(), "reading epochs")
}

// Initialize implements seal.Store. Of two nodes that initialise at once one wins:
// both would insert the same epoch number.
func (db *DB) Initialize(ctx context.Context, env seal.Envelope, epoch seal.Epoch) error {
	t, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return unavailable(err, "initialising")
	}
	defer t.Rollback() //nolint:errcheck // after a commit it answers ErrTxDone
	res, err := t.ExecContext(ctx, `INSERT INTO seal_epoch (number, wrapped, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		int64(epoch.Number), epoch.Wrapped, micros(epoch.CreatedAt))
	if err != nil {
		return unavailable(err, "initialising")
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fault.ResourceExists.Wrap(err, "this database is initialised already; run: keyward operator unseal")
	}
	if _, err = t.ExecContext(ctx, insertEnvelope, envelopeValues(env)...); err != nil {
		return unavailable(err, "initialising")
	}
	if err := t.Commit(); err != nil {
		return unavailable(fmt.Errorf("committing: %w", err), "initialising")
	}
	return nil
}
