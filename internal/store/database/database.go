// Package database is the database of keyward, SQLite or PostgreSQL: one SQL text serves
// both. It opens and migrates the database, runs transactions, and keeps what a sealed
// server needs before any row can be believed: the root envelopes and epochs (seal.Store)
// and the audit log (audit.Store) with its journal, the tail that is not in the tables yet.
//
// It owns the tables audit_log, audit_batch, nonce, nonce_block, seal_envelope, seal_epoch
// and schema_migration: no other package writes them. Every other table belongs to one of
// the packages beside this one.
//
// Who may call: package bound, which binds rows to the keyring and the log, and through it
// the stores; and whoever verifies the log or unseals. Stores read by [DB.QueryContext] and
// [DB.Ready], and write, where no audit record tells of it, by [DB.Exec] and [DB.Apart];
// whatever a record tells of goes through the log, which runs [DB.Transact]. All methods may
// be called concurrently, those of a [Tx] by one at a time.
//
// What is trusted: nothing that is read. The log authenticates itself by its signed head,
// envelopes and epochs by their encryption, rows by what package bound checks.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	_ "modernc.org/sqlite" // the "sqlite" driver

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/journal"
)

// A DB is an open database with the newest schema.
type DB struct {
	dialect dialect
	url     string
	write   *sql.DB // SQLite: its one writer connection; PostgreSQL: the pool
	read    *sql.DB
	ready   sync.Map       // of statement to *sql.Stmt
	anchor  *anchor.Anchor // what rows must be, while there is one
	tail    *tail          // SQLite only
	unlock  func()         // gives up an embedded database; nil if it was not taken
	closed  atomic.Bool
}

// A dialect is what differs between the two databases beside the DDL.
type dialect string

const (
	sqlite   dialect = "sqlite"
	postgres dialect = "postgres"
)

// Open opens the database at url, creates its schema or brings it up to date, and
// answers it. url is "sqlite:PATH" (the file is created with mode 0600 if missing)
// or "postgres://…" as pgx understands it.
func Open(ctx context.Context, url string) (*DB, error) {
	return open(ctx, url, func(string) {})
}

// open is Open that tells a test where a migration stands.
func open(ctx context.Context, url string, before func(statement string)) (*DB, error) {
	var db *DB
	var err error
	switch path, isFile := strings.CutPrefix(url, "sqlite:"); {
	case isFile:
		db, err = openSQLite(path)
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		db, err = openPostgres(url)
	default:
		return nil, errors.New(`opening store: the database must be "sqlite:PATH" or "postgres://…"`)
	}
	if err != nil {
		return nil, err
	}
	db.url = url
	err = db.migrate(ctx, before)
	if path, embedded := strings.CutPrefix(url, "sqlite:"); embedded && err == nil {
		err = db.openTail(ctx, journalPath(path))
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// journalPath names the journal beside an embedded database.
func journalPath(path string) string { return path + "-audit" }

// OpenReadOnly opens a database to read it, as it is: nothing is created, migrated or
// written. It serves verification, of a live database or of a copy.
func OpenReadOnly(ctx context.Context, url string) (*DB, error) {
	path, isFile := strings.CutPrefix(url, "sqlite:")
	if !isFile {
		db, err := openPostgres(url)
		if err != nil {
			return nil, err
		}
		if err := db.Ping(ctx); err != nil {
			return nil, errors.Join(err, db.Close())
		}
		return db, nil
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	pool, err := sql.Open("sqlite", fileURI(path)+"?mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(ON)")
	if err != nil {
		return nil, fmt.Errorf("opening store %q: %w", path, err)
	}
	db := &DB{dialect: sqlite, url: url, write: pool, read: pool, tail: &tail{}}
	found, err := journal.Read(journalPath(path))
	if err == nil {
		err = db.tail.load(ctx, db, found)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the audit journal: %w", err), db.Close())
	}
	return db, nil
}

// Close moves the tail of the audit log into the tables, if it can, and closes all
// connections.
func (db *DB) Close() error {
	if !db.closed.CompareAndSwap(false, true) {
		return nil
	}
	var errs []error
	if db.tail != nil && db.tail.journal != nil {
		ctx, cancel := context.WithTimeout(context.Background(), unlockPatience)
		defer cancel()
		if db.moveTail(ctx) == nil { // otherwise it is durable where it is
			_ = db.tail.journal.Reset() // what was moved is passed over at the next start
		}
		errs = append(errs, db.tail.journal.Close())
	}
	errs = append(errs, db.write.Close())
	if db.read != db.write {
		errs = append(errs, db.read.Close())
	}
	if db.unlock != nil {
		db.unlock()
	}
	return errors.Join(errs...)
}

// Attach has every commit from now on tell the anchor what it wrote; nil ends that. The
// audit log's writer must not run meanwhile.
func (db *DB) Attach(a *anchor.Anchor) { db.anchor = a }

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.read.PingContext(ctx) }

// Shared tells whether other processes may use the same database.
func (db *DB) Shared() bool { return db.dialect == postgres }

// readers is how many connections may read an SQLite database beside its writer.
const readers = 4

// openSQLite opens a database file for this process alone: what another one changed would
// not reach its caches, nor the tail of its audit log.
func openSQLite(path string) (*DB, error) {
	if err := checkFile(path); err != nil {
		return nil, err
	}
	unlock, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	dsn := func(more string) string {
		return fileURI(path) +
			"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
			"&_pragma=foreign_keys(ON)&_pragma=case_sensitive_like(ON)" + more
	}
	write, err := sql.Open("sqlite", dsn("&_txlock=immediate"))
	if err != nil {
		unlock()
		return nil, fmt.Errorf("opening store %q: %w", path, err)
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", dsn("&_pragma=query_only(ON)"))
	if err != nil {
		unlock()
		return nil, errors.Join(fmt.Errorf("opening store %q: %w", path, err), write.Close())
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &DB{dialect: sqlite, write: write, read: read, unlock: unlock}, nil
}

// fileURI names a file as SQLite's URIs do.
func fileURI(path string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

// checkFile creates the database file privately, or refuses one that others can reach, or
// whose log, index or lock they can.
func checkFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("opening store: %s is not a regular file", path)
	}
	if err := durable.RequirePrivate(path, path+"-wal", path+"-shm", path+lockSuffix, filepath.Dir(path)); err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	return nil
}

// lockSuffix makes a database file's name that of its lock.
const lockSuffix = ".lock"

// lockFile makes this process the only one that uses a database file.
func lockFile(path string) (unlock func(), err error) {
	unlock, err = durable.Lock(path + lockSuffix)
	if errors.Is(err, durable.ErrLocked) {
		return nil, fault.ResourceInUse.New("another server uses this database file; an embedded database serves one")
	}
	if err != nil {
		return nil, fmt.Errorf("locking the database: %w", err)
	}
	return unlock, nil
}
