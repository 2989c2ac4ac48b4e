package store

import (
	"context"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/clock"
)

// Marks implements clock.Store.
func (s *Store) Marks(ctx context.Context) ([]clock.Mark, error) {
	rows, err := s.db.read.QueryContext(ctx, `SELECT node, boot, anchor, seen, served FROM clock`)
	if err != nil {
		return nil, unavailable(err, "reading clock marks")
	}
	defer rows.Close()
	var out []clock.Mark
	for rows.Next() {
		var m clock.Mark
		var served int64
		if err := rows.Scan(&m.Node, &m.Boot, (*instantField)(&m.Anchor), (*instantField)(&m.Seen), &served); err != nil {
			return nil, unavailable(err, "reading clock marks")
		}
		m.Served = time.Duration(served) * time.Microsecond
		out = append(out, m)
	}
	return out, unavailable(rows.Err(), "reading clock marks")
}

const keepMark = `INSERT INTO clock (node, boot, anchor, seen, served) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (node) DO UPDATE SET boot = $2, anchor = $3, seen = $4, served = $5`

func markValues(m clock.Mark) []any {
	return []any{m.Node, m.Boot, micros(m.Anchor), micros(m.Seen), m.Served.Microseconds()}
}

// KeepMark implements clock.Store.
func (s *Store) KeepMark(ctx context.Context, m clock.Mark) error {
	_, err := s.db.write.ExecContext(ctx, keepMark, markValues(m)...)
	return unavailable(err, "keeping clock mark")
}

// AcceptMark implements clock.Store.
func (s *Store) AcceptMark(ctx context.Context, rec *audit.Record, m clock.Mark) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `UPDATE clock SET seen = $1 WHERE seen > $1`, micros(m.Seen)); err != nil {
			return fmt.Errorf("forgetting later times: %w", err)
		}
		_, err := t.exec(ctx, keepMark, markValues(m)...)
		return err
	})
}
