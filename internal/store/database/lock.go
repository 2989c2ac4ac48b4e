package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// The advisory locks of PostgreSQL that keyward takes: numbers that nobody else uses there.
const (
	schemaLock = `7220742` // migrating
	nodeLock   = `7220743` // serving as a node, whose name is the second key
	epochLock  = `7220744` // beginning an epoch; shared, taking a node's lock
)

// A node's lock may stay for a while with a process that was killed: its connection ends with
// it, but its session only when the database notices.
const (
	lockPatience = 3 * time.Second
	lockPause    = 20 * time.Millisecond
)

// unlockPatience is how long giving up a node's lock may take, and moving the tail when a
// database is closed. A database that does not answer by then ends the session by itself, and
// the tail is durable where it is.
const unlockPatience = 2 * time.Second

// LockNode makes this process the only one that serves as the named node, until unlock
// is called or its connection to the database breaks. An embedded database is this
// process's alone since it was opened.
func (db *DB) LockNode(ctx context.Context, name string) (unlock func(), err error) {
	if !db.Shared() {
		return func() {}, nil
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("locking node %q: %w", name, err)
	}
	locked, err := lockNameSoon(ctx, conn, name)
	if err == nil && locked {
		return func() {
			ctx, cancel := context.WithTimeout(context.Background(), unlockPatience)
			defer cancel()
			_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock(`+nodeLock+`, hashtext($1))`, name)
			if err != nil { // end the session, and the lock with it
				err = conn.Raw(func(any) error { return driver.ErrBadConn })
			}
			_ = errors.Join(err, conn.Close()) // a broken connection holds no lock
		}, nil
	}
	_ = conn.Close() // nothing was locked
	if err != nil {
		return nil, fmt.Errorf("locking node %q: %w", name, err)
	}
	return nil, fault.ResourceInUse.New("another server runs as node %q on this database; give each node a name of its own (setting node)", name)
}

// lockNameSoon takes the node's lock, also from a process that was killed just now.
func lockNameSoon(ctx context.Context, conn *sql.Conn, name string) (locked bool, err error) {
	for start := time.Now(); ; {
		if locked, err = lockName(ctx, conn, name); locked || err != nil || time.Since(start) > lockPatience {
			return locked, err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// lockName takes the node's lock, but not while another node begins an epoch: whoever
// has the lock afterwards sees the epoch, and whoever had it before is seen.
func lockName(ctx context.Context, conn *sql.Conn, name string) (locked bool, err error) {
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock_shared(`+epochLock+`)`); err != nil {
		return false, err
	}
	err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock(`+nodeLock+`, hashtext($1))`, name).Scan(&locked)
	_, unlockErr := conn.ExecContext(ctx, `SELECT pg_advisory_unlock_shared(`+epochLock+`)`)
	return locked, errors.Join(err, unlockErr)
}

// requireOnlyNode holds until the transaction ends that no other node is unsealed.
func (t *Tx) requireOnlyNode(ctx context.Context) error {
	if !t.db.Shared() {
		return nil // an embedded database serves one process
	}
	if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock(`+epochLock+`)`); err != nil {
		return err
	}
	var nodes int
	err := t.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = `+nodeLock+` AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&nodes)
	if err != nil {
		return fmt.Errorf("counting nodes: %w", err)
	}
	if nodes > 1 {
		return fault.ResourceInUse.New("other nodes are unsealed, which would not know the new epoch; seal them, begin the epoch, then unseal them again")
	}
	return nil
}
