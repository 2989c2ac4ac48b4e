package database

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The change feed of a shared database: each mutation notifies the channel with the
// rows that it wrote, in its own transaction; each node listens. A node that has not
// heard from the database for a second uses nothing that it cached.
const (
	feedChannel = "keyward_changes"
	feedBeat    = 250 * time.Millisecond // between two probes of the link
	feedLease   = time.Second            // how long what was cached stays usable after a sign of life
	feedPayload = 7000                   // bytes; PostgreSQL allows 8,000
)

// announce tells other nodes what this transaction changed.
func (t *Tx) announce(ctx context.Context) error {
	if !t.db.Shared() || len(t.effects) == 0 {
		return nil
	}
	var b strings.Builder
	for _, e := range t.effects {
		fmt.Fprintf(&b, "%s %s\n", e.Table, e.ID)
	}
	payload := b.String()
	if len(payload) > feedPayload {
		payload = " \n" // everything
	}
	_, err := t.Exec(ctx, `SELECT pg_notify($1, $2)`, feedChannel, payload)
	return err
}

// A Feed is told what happens on a shared database.
type Feed struct {
	Changed func(table, id string) // a row was changed; table "" means that any may have been
	Heard   func(until time.Time)  // the database answers, and what was cached is usable until then
	Cut     func(err error)        // the connection broke: nothing that was cached is usable
}

// Follow listens to what others change until ctx ends, connecting again whenever it must.
func (db *DB) Follow(ctx context.Context, f Feed) {
	for ctx.Err() == nil {
		f.Cut(db.listen(ctx, f))
		select {
		case <-ctx.Done():
		case <-time.After(feedBeat):
		}
	}
}

func (db *DB) listen(ctx context.Context, f Feed) error {
	dial, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(dial, db.url)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(dial, "LISTEN "+feedChannel); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	f.Changed("", "") // whatever happened while nobody listened
	for {
		asked := time.Now()
		probe, cancel := context.WithTimeout(ctx, feedLease)
		_, err := conn.Exec(probe, "SELECT 1") // delivers what is pending, too
		cancel()
		if err != nil {
			return fmt.Errorf("probing: %w", err)
		}
		if err := f.deliver(ctx, conn); err != nil {
			return err
		}
		f.Heard(asked.Add(feedLease))
	}
}

// deliver passes on notifications for the length of a beat.
func (f Feed) deliver(ctx context.Context, conn *pgx.Conn) error {
	wait, cancel := context.WithTimeout(ctx, feedBeat)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(wait)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case wait.Err() != nil && err != nil:
			return nil
		case err != nil:
			return fmt.Errorf("waiting for changes: %w", err)
		}
		for line := range strings.Lines(n.Payload) {
			table, id, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			f.Changed(table, id)
		}
	}
}
