package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
)

// SaveSnapshot implements accesskey.KeyStore. Only what differs is written, and most of it
// before the transaction of the record: that one holds up everything that is recorded.
func (s Inventory) SaveSnapshot(ctx context.Context, rec *audit.Record, save accesskey.Save) error {
	src := save.Source
	state, err := json.Marshal(save.State)
	if err != nil {
		return fmt.Errorf("encoding state: %w", err)
	}
	changes, err := s.principalChanges(ctx, save)
	if err != nil {
		return err
	}
	more, err := s.keyChanges(ctx, save)
	if err != nil {
		return err
	}
	changes = append(changes, more...)
	for len(changes) > atOnceRows {
		there, err := s.writeAhead(ctx, src, changes[:atOnceRows])
		if err != nil || !there {
			return err
		}
		changes = changes[atOnceRows:]
	}
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, holdSource, src.Account, src.Name)
		if err != nil || n == 0 { // it was removed
			return err
		}
		if _, err := t.exec(ctx, upsertState, src.Account, src.Name, string(state)); err != nil {
			return err
		}
		if err := t.run(ctx, changes); err != nil {
			return err
		}
		return t.schedule(ctx, save.Jobs)
	})
}

const (
	// atOnceRows is how many rows of a snapshot one transaction writes: milliseconds' worth.
	atOnceRows = 200
	// atOnceInserts is how many of them one statement writes.
	atOnceInserts = 8
	// holdSource sees to it that nobody removes a source meanwhile.
	holdSource = `UPDATE accesskey_source SET rev = rev WHERE account = $1 AND name = $2`
)

// A change writes one row of what was observed. Inserts that begin and end alike go into
// one statement.
type change struct {
	query string // of an insert what stands before its values
	after string // of an insert what stands behind them; "" for what is none
	args  []any
}

// run runs changes, none of which write the same row.
func (t *tx) run(ctx context.Context, changes []change) error {
	for len(changes) > 0 {
		first, n := changes[0], 1
		query, args := first.query, first.args
		if first.after != "" {
			for n < min(len(changes), atOnceInserts) && changes[n].query == first.query && changes[n].after == first.after {
				n++
			}
			values := make([]string, n)
			args = make([]any, 0, n*len(first.args))
			for i, c := range changes[:n] {
				values[i] = "(" + places(len(args)+1, len(c.args)) + ")"
				args = append(args, c.args...)
			}
			query += " VALUES " + strings.Join(values, ", ") + " " + first.after
		}
		if _, err := t.exec(ctx, query, args...); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

// writeAhead commits a part of a snapshot, and answers whether the source is still there.
// Each row is true by itself; if the rest is never written, the next synchronisation sees
// what is missing.
func (s Inventory) writeAhead(ctx context.Context, src accesskey.Source, changes []change) (there bool, err error) {
	t, err := s.db.write.BeginTx(ctx, nil)
	if err != nil {
		return false, unavailable(err, "saving what was observed")
	}
	defer t.Rollback() //nolint:errcheck // after a commit it answers ErrTxDone
	x := &tx{sql: t, db: s.db}
	n, err := x.exec(ctx, holdSource, src.Account, src.Name)
	if err != nil || n == 0 {
		return false, unavailable(err, "saving what was observed")
	}
	if err := x.run(ctx, changes); err != nil {
		return false, unavailable(err, "saving what was observed")
	}
	return true, unavailable(t.Commit(), "saving what was observed")
}

// principalChanges compares the principals of a snapshot with what is stored.
func (s Inventory) principalChanges(ctx context.Context, save accesskey.Save) ([]change, error) {
	src := save.Source
	have, err := s.texts(ctx, `SELECT id, body FROM accesskey_principal WHERE account = $1 AND source = $2`, src)
	if err != nil {
		return nil, err
	}
	var out []change
	for _, p := range save.Snapshot.Principals {
		body, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("encoding principal: %w", err)
		}
		before, known := have[p.ID]
		delete(have, p.ID)
		if known && before == string(body) {
			continue
		}
		out = append(out, change{`INSERT INTO accesskey_principal (account, source, id, body)`,
			`ON CONFLICT (account, source, id) DO UPDATE SET body = excluded.body`, []any{src.Account, src.Name, p.ID, string(body)}})
	}
	if !save.Whole {
		return out, nil
	}
	for id := range have {
		out = append(out, change{`DELETE FROM accesskey_principal WHERE account = $1 AND source = $2 AND id = $3`, "", []any{src.Account, src.Name, id}})
	}
	return out, nil
}

// keyChanges does so for the keys.
func (s Inventory) keyChanges(ctx context.Context, save accesskey.Save) ([]change, error) {
	src := save.Source
	principals, err := s.texts(ctx, `SELECT id, principal FROM accesskey WHERE account = $1 AND source = $2 AND gone_at = 0`, src)
	if err != nil {
		return nil, err
	}
	have, err := s.texts(ctx, `SELECT id, owner || '/' || CAST(due_at AS TEXT) || '/' || due_basis || '/' || body FROM accesskey WHERE account = $1 AND source = $2 AND gone_at = 0`, src)
	if err != nil {
		return nil, err
	}
	var out []change
	for _, o := range save.Snapshot.Keys {
		k := accesskey.AccessKey{Observed: o, Remark: save.Remarks[o.ID], Owner: src.Owner}
		k.Due = accesskey.Due(o, k.Remark, src.MaxAge)
		if k.Remark.Owner != "" {
			k.Owner = k.Remark.Owner
		}
		body, err := json.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("encoding key: %w", err)
		}
		before, known := have[o.ID]
		delete(have, o.ID)
		if known && before == fmt.Sprintf("%s/%d/%s/%s", k.Owner, dueMicros(k.Due), k.Due.Basis, body) {
			continue
		}
		out = append(out, change{`INSERT INTO accesskey (account, source, id, principal, name, status, owner, created_at, used_at, due_at, due_basis, body, seen_at, gone_at)`,
			`ON CONFLICT (account, source, id) DO UPDATE SET principal = excluded.principal, name = excluded.name, status = excluded.status, owner = excluded.owner,
				created_at = excluded.created_at, used_at = excluded.used_at, due_at = excluded.due_at, due_basis = excluded.due_basis, body = excluded.body, gone_at = 0`, []any{
				src.Account, src.Name, o.ID, o.Principal, o.Name, string(o.Status), k.Owner, micros(o.CreatedAt), micros(o.Use.At),
				dueMicros(k.Due), string(k.Due.Basis), string(body), micros(save.At), 0}})
	}
	if !save.Whole {
		return out, nil
	}
	for id := range have {
		if save.Unread[principals[id]] {
			continue
		}
		out = append(out, change{`UPDATE accesskey SET status = $1, due_at = $2, due_basis = '', gone_at = $3 WHERE account = $4 AND source = $5 AND id = $6`, "", []any{
			string(accesskey.Gone), int64(math.MaxInt64), micros(save.At), src.Account, src.Name, id}})
	}
	return out, nil
}

// texts reads pairs of texts of a source.
func (s Inventory) texts(ctx context.Context, query string, src accesskey.Source) (map[string]string, error) {
	rows, err := s.db.read.QueryContext(ctx, query, src.Account, src.Name)
	if err != nil {
		return nil, unavailable(err, "reading the inventory")
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, value string
		if err := rows.Scan(&id, &value); err != nil {
			return nil, unavailable(err, "reading the inventory")
		}
		out[id] = value
	}
	return out, unavailable(rows.Err(), "reading the inventory")
}
