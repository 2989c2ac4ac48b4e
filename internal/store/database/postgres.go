package database

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// databaseMicros is the database's own time, as [Micros] writes times.
const databaseMicros = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

// Away tells whether an error says that the database was not there, as opposed to that it holds
// what cannot be read: no connection, a broken one, or one that the server ended because it
// stops or starts (the class 57P of PostgreSQL's error codes, and 08). An embedded database is
// never away.
func Away(err error) bool {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return strings.HasPrefix(said.Code, "57P") || strings.HasPrefix(said.Code, "08")
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connecting) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)
}
