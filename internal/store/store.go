package store

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
)

// A Store is a DB that can be read and changed: it has the keyring that binds rows
// and the audit log through which every change goes.
type Store struct {
	db      *DB
	log     *audit.Log
	keys    binder
	anchor  *anchor.Anchor
	logger  *slog.Logger
	changed func(table, id string) // tells the caches; table "" means everything

	freshUntil atomic.Int64  // Unix nanoseconds; PostgreSQL only
	tamper     atomic.Uint64 // rows that were not what keyward wrote
}

// Options says what a Store is made of.
type Options struct {
	DB      *DB
	Log     *audit.Log
	Keys    binder
	Anchor  *anchor.Anchor
	Logger  *slog.Logger
	Changed func(table, id string) // called after each committed change, before its caller hears of it; table "" means everything
}

// New makes a Store, before the log's writer runs. On a shared database its caches are
// cold until Run listens.
func New(o Options) *Store {
	o.DB.anchor = o.Anchor // commits tell it what they write
	return &Store{db: o.DB, log: o.Log, keys: o.Keys, anchor: o.Anchor, logger: o.Logger, changed: o.Changed}
}

// Close takes the anchor, and all that it holds on to, from the database. The log's
// writer must have ended.
func (s *Store) Close() { s.db.anchor = nil }

// Run follows the changes that other nodes make, moves the audit log's tail into the
// tables and drops replay nonces that have expired, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	var full chan struct{}
	if s.db.Shared() {
		go s.follow(ctx) // ends with ctx; it holds no state that must be waited for
	} else {
		full = s.db.tail.full
	}
	warn := func(doing string, err error) {
		if err != nil && ctx.Err() == nil {
			s.logger.Warn(doing, "error", err)
		}
	}
	idle, sweep := time.NewTicker(tailIdle), time.NewTicker(time.Minute)
	defer idle.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-full:
			warn("moving the audit journal into the database", s.db.moveTail(ctx))
		case <-idle.C:
			if !s.db.Shared() && len(s.db.tail.of("")) > 0 {
				warn("moving the audit journal into the database", s.db.moveTail(ctx))
			}
		case <-sweep.C:
			warn("dropping expired nonces", s.db.dropNonces(ctx))
		}
	}
}

// dropNonces drops what has expired, a little at a time: the writer of the audit log
// waits for its turn in between.
func (db *DB) dropNonces(ctx context.Context) error {
	if db.tail != nil {
		return db.dropNonceBlocks(ctx)
	}
	const atOnce = 1000
	for {
		res, err := db.write.ExecContext(ctx,
			`DELETE FROM nonce WHERE digest IN (SELECT digest FROM nonce WHERE expires < `+databaseMicros+` LIMIT $1)`, atOnce)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n < atOnce {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Fresh tells whether what was cached is still true: always with SQLite, which has
// one process; with PostgreSQL while the change feed was heard within a second.
func (s *Store) Fresh() bool {
	return !s.db.Shared() || time.Now().UnixNano() < s.freshUntil.Load()
}

// Tampered answers how often a row was not what keyward wrote, or not there, since the start.
func (s *Store) Tampered() uint64 { return s.tamper.Load() }

// mutate runs one change of rows and its record in one transaction and tells the
// caches before it returns.
func (s *Store) mutate(ctx context.Context, rec *audit.Record, fn func(context.Context, *tx) error) error {
	err := s.log.Commit(ctx, rec, func(ctx context.Context, at audit.Tx) ([]audit.Effect, error) {
		t := at.(*tx) // the log's store is s.db, whose transactions are these
		before := len(t.effects)
		if err := fn(ctx, t); err != nil {
			return nil, unavailable(err, "changing "+rec.Action)
		}
		return slices.Clone(t.effects[before:]), nil
	})
	if fault.Is(err, fault.AuditUnavailable) {
		s.changed("", "") // it may have taken effect
	}
	if err != nil {
		return err
	}
	for _, e := range rec.Effects {
		s.changed(e.Table, e.ID)
	}
	return nil
}
