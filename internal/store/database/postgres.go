package database

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
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

// redactURL drops the text of a URL parse error, which may quote the password.
func redactURL(err error) error {
	return fmt.Errorf("it is malformed (%T); the form is postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full", err)
}

// databaseMicros is the database's own time, as micros writes times.
const databaseMicros = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`
