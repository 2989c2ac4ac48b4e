package root

import (
	"context"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/clock"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// Marks implements clock.Store.
func (s Store) Marks(ctx context.Context) ([]clock.Mark, error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT node, boot, anchor, seen, served FROM clock`)
	if err != nil {
		return nil, database.Unavailable(err, "reading clock marks")
	}
	defer rows.Close()
	var out []clock.Mark
	for rows.Next() {
		var m clock.Mark
		var served int64
		if err := rows.Scan(&m.Node, &m.Boot, (*database.Moment)(&m.Anchor), (*database.Moment)(&m.Seen), &served); err != nil {
			return nil, database.Unavailable(err, "reading clock marks")
		}
		m.Served = time.Duration(served) * time.Microsecond
		out = append(out, m)
	}
	return out, database.Unavailable(rows.Err(), "reading clock marks")
}

const keepMark = `INSERT INTO clock (node, boot, anchor, seen, served) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (node) DO UPDATE SET boot = $2, anchor = $3, seen = $4, served = $5`

func markValues(m clock.Mark) []any {
	return []any{m.Node, m.Boot, database.Micros(m.Anchor), database.Micros(m.Seen), m.Served.Microseconds()}
}

// KeepMark implements clock.Store.
func (s Store) KeepMark(ctx context.Context, m clock.Mark) error {
	_, err := s.DB.Exec(ctx, keepMark, markValues(m)...)
	return database.Unavailable(err, "keeping clock mark")
}

// AcceptMark implements clock.Store.
func (s Store) AcceptMark(ctx context.Context, rec *audit.Record, m clock.Mark) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if _, err := t.Exec(ctx, `UPDATE clock SET seen = $1 WHERE seen > $1`, database.Micros(m.Seen)); err != nil {
			return fmt.Errorf("forgetting later times: %w", err)
		}
		_, err := t.Exec(ctx, keepMark, markValues(m)...)
		return err
	})
}
