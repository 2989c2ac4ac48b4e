package store

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/keyward/keyward/internal/fault"
)

// poolSize is how many connections one node may hold to PostgreSQL.
const poolSize = 16

func openPostgres(url string) (*DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("opening store: reading the database URL: %w", redactURL(err))
	}
	// What is answered as committed must survive a crash of the server, whatever its default.
	cfg.RuntimeParams["synchronous_commit"] = "on"
	cfg.RuntimeParams["application_name"] = "keyward"
	pool := stdlib.OpenDB(*cfg)
	pool.SetMaxOpenConns(poolSize)
	pool.SetMaxIdleConns(poolSize)
	return &DB{dialect: postgres, write: pool, read: pool}, nil
}

// LockNode makes this process the only one that serves as the named node, until unlock
// is called or its connection to the database breaks. An embedded database has one
// process anyway.
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
		return func() { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }, nil // ends the session, and the lock with it
	}
	_ = conn.Close() // nothing was locked
	if err != nil {
		return nil, fmt.Errorf("locking node %q: %w", name, err)
	}
	return nil, fault.ResourceInUse.New("another server runs as node %q on this database; give each node a name of its own (setting node)", name)
}

// redactURL drops the text of a URL parse error, which may quote the password.
func redactURL(err error) error {
	return fmt.Errorf("it is malformed (%T); the form is postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full", err)
}
