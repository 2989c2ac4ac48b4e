package database_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/store/database"
)

// A database that stops is no damage, and damage is no database that stops.
func TestAway(t *testing.T) {
	_, connecting := pgconn.Connect(t.Context(), "postgres://127.0.0.1:1/none?sslmode=disable")
	for _, c := range []struct {
		err  error
		away bool
	}{
		{connecting, true},
		{&pgconn.PgError{Code: "57P01"}, true},
		{&pgconn.PgError{Code: "57P03"}, true},
		{&pgconn.PgError{Code: "08006"}, true},
		{driver.ErrBadConn, true},
		{io.ErrUnexpectedEOF, true},
		{&pgconn.PgError{Code: "XX001"}, false}, // data_corrupted
		{&pgconn.PgError{Code: "58030"}, false}, // io_error
		{&pgconn.PgError{Code: "57014"}, false}, // query_canceled
		{errors.New("database disk image is malformed (11)"), false},
		{sql.ErrNoRows, false},
		{context.Canceled, false},
	} {
		if got := database.Away(fault.Unavailable.Wrap(fmt.Errorf("reading: %w", c.err), "try again")); got != c.away {
			t.Errorf("%v: %v, want %v", c.err, got, c.away)
		}
	}
}
