// Package bound keeps rows that are not trusted: whatever a row says is believed only if it
// is what keyward wrote last. The stores of the product, in the packages beside this one,
// stand on it.
//
// A store describes each of its tables once, as a [Row]: the list of its columns, each with
// the field of a domain value that it is kept in. That list drives SELECT, INSERT, UPDATE and
// the MAC, so no column can be stored without being bound. Beside its columns a bound row has
// a revision, which grows by one with each write, and a MAC over all of it under a key of the
// keyring, which the database does not hold. A MAC does not tell an older state from the
// newest, so each read asks the anchor, too, which knows the newest revision of every row
// from the audit log.
//
//	func noteRow(n *note.Note) bound.Row {
//		return bound.Row{Table: "note", Keys: 2, Rev: &n.Rev, Columns: []bound.Column{
//			bound.Text("account", &n.Account),
//			bound.Text("name", &n.Name),
//			bound.Instant("created_at", &n.CreatedAt),
//		}}
//	}
//
//	// CreateNote implements note.Store.
//	func (s Store) CreateNote(ctx context.Context, rec *audit.Record, n *note.Note, jobs []job.Job) error {
//		return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
//			if err := t.Insert(ctx, noteRow(n)); err != nil {
//				return err
//			}
//			return t.Schedule(ctx, jobs)
//		})
//	}
//
// [Store.Mutate] runs a change in one transaction with its audit record, which names the rows
// that it wrote. A change is compare-and-swap on the revision: who loses gets fault.Changed.
// [Store.Load] reads one row, [List] those that a query chooses, [Store.Walk] all of them for
// the scrub. What no act of anybody changes (last uses, leases, what nodes say of themselves)
// is not bound, and is written by [Store.Apart] and the database's Exec.
//
// Each package says by its function Tables which tables it owns: no other one writes them.
// This one owns job, whose rows are planned in the transaction of the change that needs them,
// and row_floor ([Tx.Floor]).
//
// Methods may be called concurrently, those of a [Tx] by one at a time.
package bound

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/store/database"
)

// A Store is a database whose rows can be believed and changed: it has the keyring that binds
// them and the audit log through which every change goes.
type Store struct {
	DB *database.DB // for what is not bound

	log     *audit.Log
	keys    Keyring
	anchor  *anchor.Anchor
	tables  []Table
	logger  *slog.Logger
	changed func(table, id string)

	freshUntil atomic.Int64  // Unix nanoseconds; PostgreSQL only
	tamper     atomic.Uint64 // rows that were not what keyward wrote
}

// Options says what a Store is made of.
type Options struct {
	DB      *database.DB
	Log     *audit.Log
	Keys    Keyring
	Anchor  *anchor.Anchor
	Tables  []Table // all of the product, those first that others refer to
	Logger  *slog.Logger
	Changed func(table, id string) // called after each committed change, before its caller hears of it; table "" means everything
}

// New makes a Store, before the log's writer runs. On a shared database its caches are
// cold until Run listens.
func New(o Options) *Store {
	o.DB.Attach(o.Anchor) // commits tell it what they write
	return &Store{DB: o.DB, log: o.Log, keys: o.Keys, anchor: o.Anchor, tables: o.Tables, logger: o.Logger, changed: o.Changed}
}

// Close takes the anchor, and all that it holds on to, from the database. The log's
// writer must have ended.
func (s *Store) Close() { s.DB.Attach(nil) }

// Run follows the changes that other nodes make, and tends the database, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	if s.DB.Shared() {
		go s.DB.Follow(ctx, database.Feed{ // ends with ctx; it holds no state that must be waited for
			Changed: s.changed,
			Heard:   func(until time.Time) { s.freshUntil.Store(until.UnixNano()) },
			Cut: func(err error) {
				s.freshUntil.Store(0)
				if ctx.Err() == nil {
					s.logger.Warn("the change feed is cut off; nothing cached is used until it is back", "error", err)
				}
			},
		})
	}
	s.DB.Tend(ctx, func(doing string, err error) { s.logger.Warn(doing, "error", err) })
	return nil
}

// Fresh tells whether what was cached is still true: always with SQLite, which has
// one process; with PostgreSQL while the change feed was heard within a second.
func (s *Store) Fresh() bool {
	return !s.DB.Shared() || time.Now().UnixNano() < s.freshUntil.Load()
}

// Tampered answers how often a row was not what keyward wrote, or not there, since the start.
func (s *Store) Tampered() uint64 { return s.tamper.Load() }

// Mutate runs one change of rows and its record in one transaction and tells the
// caches before it returns. If fn fails nothing is changed; a fault is answered as it is.
func (s *Store) Mutate(ctx context.Context, rec *audit.Record, fn func(context.Context, *Tx) error) error {
	err := s.log.Commit(ctx, rec, s.Change("changing "+rec.Action, fn))
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

// Change makes a change of rows for the audit log, which runs it within the transaction of
// another one. What it is doing is told of an error of the database.
func (s *Store) Change(doing string, fn func(context.Context, *Tx) error) audit.Change {
	return func(ctx context.Context, at audit.Tx) ([]audit.Effect, error) {
		t := &Tx{at.(*database.Tx), s} // the log's store is s.DB, whose transactions are these
		before := len(t.Effects())
		if err := fn(ctx, t); err != nil {
			return nil, database.Unavailable(err, doing)
		}
		return slices.Clone(t.Effects()[before:]), nil
	}
}

// Apart runs fn in a transaction that no record tells of. What it writes is not bound, or by
// its MAC only.
func (s *Store) Apart(ctx context.Context, fn func(*Tx) error) error {
	return s.DB.Apart(ctx, func(t *database.Tx) error { return fn(&Tx{t, s}) })
}
