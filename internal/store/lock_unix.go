//go:build unix

package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// unlockPatience is how long giving up the lock may take; a database that does not
// answer by then ends the session by itself.
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
	var locked bool
	err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock(7220743, hashtext($1))`, name).Scan(&locked)
	if err == nil && locked {
		return func() {
			ctx, cancel := context.WithTimeout(context.Background(), unlockPatience)
			defer cancel()
			_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock(7220743, hashtext($1))`, name)
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

func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the database: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return nil, fault.ResourceInUse.New("another server uses this database file; an embedded database serves one")
	}
	return func() { _ = f.Close() }, nil // closing releases the lock
}
