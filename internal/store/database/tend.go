package database

import (
	"context"
	"time"
)

// Tend moves the audit log's tail into the tables and drops replay nonces that have expired,
// until ctx ends. What goes wrong, and is tried again, it tells warn.
func (db *DB) Tend(ctx context.Context, warn func(doing string, err error)) {
	var full chan struct{}
	if !db.Shared() {
		full = db.tail.full
	}
	idle, sweep := time.NewTicker(tailIdle), time.NewTicker(time.Minute)
	defer idle.Stop()
	defer sweep.Stop()
	for {
		var doing string
		var err error
		select {
		case <-ctx.Done():
			return
		case <-full:
			doing, err = "moving the audit journal into the database", db.moveTail(ctx)
		case <-idle.C:
			if !db.Shared() && len(db.tail.of("")) > 0 {
				doing, err = "moving the audit journal into the database", db.moveTail(ctx)
			}
		case <-sweep.C:
			doing, err = "dropping expired nonces", db.dropNonces(ctx)
		}
		if err != nil && ctx.Err() == nil {
			warn(doing, err)
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

// CheckFile answers what is wrong with the database's file, by its own means; nothing
// for PostgreSQL, which has other tools for it.
func (db *DB) CheckFile(ctx context.Context) ([]string, error) {
	if db.dialect != sqlite {
		return nil, nil
	}
	rows, err := db.read.QueryContext(ctx, `PRAGMA integrity_check(20)`)
	if err != nil {
		return nil, Unavailable(err, "checking the database file")
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, Unavailable(err, "checking the database file")
		}
		if line != "ok" {
			out = append(out, line)
		}
	}
	if err := rows.Err(); err != nil {
		out = append(out, err.Error()) // it is damaged so much that it cannot be checked
	}
	return out, nil
}
