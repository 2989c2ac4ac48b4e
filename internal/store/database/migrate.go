package database

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// The schema is a list of numbered files per dialect, the same numbers for both. A
// released file never changes.
//
//go:embed schema
var schemas embed.FS

// Tables answers the tables of this package, each with what is trusted in it though its rows
// have no MAC.
func Tables() map[string]string {
	return map[string]string{
		"audit_log":        "the head is signed by a key that only the keyring opens, and which must fit public_key; created_at is for people",
		"audit_batch":      "the signed head",
		"nonce":            "who removes one can replay a captured request for minutes",
		"nonce_block":      "as nonce",
		EnvelopeTable:      "all columns are in the associated data of its own encryption",
		EpochTable:         "all columns are in the associated data of its own encryption",
		"schema_migration": "which migrations were applied",
	}
}

type migration struct {
	number int
	name   string
	text   string
}

func migrations(d dialect) ([]migration, error) {
	dir := "schema/" + string(d)
	names, err := fs.Glob(schemas, dir+"/*.sql")
	if err != nil {
		return nil, fmt.Errorf("reading schema: %w", err)
	}
	var out []migration
	for _, name := range names { // Glob answers them sorted
		text, err := schemas.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading schema: %w", err)
		}
		base := strings.TrimPrefix(name, dir+"/")
		prefix, _, _ := strings.Cut(base, "_")
		number, err := strconv.Atoi(prefix)
		if err != nil || number != len(out)+1 {
			return nil, fmt.Errorf("reading schema: %s is not number %d", base, len(out)+1)
		}
		out = append(out, migration{number, base, string(text)})
	}
	return out, nil
}

// migrate applies the migrations that the database has not seen, all in one
// transaction with the notes that they were applied: a crash in the middle changes
// nothing. before is told each statement and, as "COMMIT", the end of the transaction.
func (db *DB) migrate(ctx context.Context, before func(statement string)) error {
	all, err := migrations(db.dialect)
	if err != nil {
		return err
	}
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it answers ErrTxDone
	if err := db.lockSchema(ctx, tx); err != nil {
		return fmt.Errorf("migrating store: %w", err)
	}
	var have int
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(number), 0) FROM schema_migration`).Scan(&have); err != nil {
		return fmt.Errorf("migrating store: %w", err)
	}
	if have > len(all) {
		return fmt.Errorf("migrating store: the database has schema %d, this release knows %d; use the newer release, or restore the backup from before the upgrade", have, len(all))
	}
	for _, m := range all[have:] {
		for _, statement := range m.statements() {
			before(statement)
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("migrating store: applying %s: %w", m.name, err)
			}
		}
		const note = `INSERT INTO schema_migration (number, name) VALUES ($1, $2)`
		before(note)
		if _, err := tx.ExecContext(ctx, note, m.number, m.name); err != nil {
			return fmt.Errorf("migrating store: applying %s: %w", m.name, err)
		}
	}
	before("COMMIT")
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("migrating store: %w", err)
	}
	return nil
}

// statements answers what the file says, one statement after the other. Each ends with
// a semicolon at the end of a line, and nothing else does.
func (m migration) statements() []string {
	var out []string
	for s := range strings.SplitSeq(m.text, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// lockSchema makes migrating nodes take turns and makes sure the list of applied
// migrations exists. SQLite's immediate transaction is lock enough.
func (db *DB) lockSchema(ctx context.Context, tx *sql.Tx) error {
	if db.dialect == postgres {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(`+schemaLock+`)`); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_migration (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)`)
	return err
}
