package database_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/storetest"
)

// The schemas of the two databases are the same but for the names of the types.
func TestDatabasesHaveTheSameTables(t *testing.T) {
	columns := func(t *testing.T, url, query string) string {
		db, err := database.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows, err := storetest.Raw(t, url).QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var out strings.Builder
		for rows.Next() {
			var table, column string
			if err := rows.Scan(&table, &column); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(table, "nonce") { // kept in another way on each
				fmt.Fprintln(&out, table, column)
			}
		}
		return out.String()
	}
	lite := columns(t, storetest.SQLite(t),
		`SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY 1, 2`)
	pg := columns(t, storetest.Postgres(t),
		`SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name COLLATE "C", column_name COLLATE "C"`)
	if lite != pg || lite == "" {
		t.Errorf("SQLite has\n%s\nPostgreSQL has\n%s", lite, pg)
	}
}

func TestDatabaseOfANewerReleaseIsRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, err := database.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := storetest.Raw(t, url).ExecContext(t.Context(), `INSERT INTO schema_migration (number, name) VALUES ($1, 'future')`, 1000+rand.IntN(10)); err != nil {
			t.Fatal(err)
		}
		if _, err := database.Open(t.Context(), url); err == nil || !strings.Contains(err.Error(), "newer release") {
			t.Errorf("have %v", err)
		}
	})
}

// A node that was killed and starts again waits until the database has noticed that the
// first process is gone; beside a process that lives it does not start.
func TestNodeIsLocked(t *testing.T) {
	url := storetest.Postgres(t)
	var nodes [2]*database.DB
	for i := range nodes {
		var err error
		if nodes[i], err = database.Open(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		defer nodes[i].Close()
	}
	unlock, err := nodes[0].LockNode(t.Context(), "node-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[1].LockNode(t.Context(), "node-1"); !fault.Is(err, fault.ResourceInUse) {
		t.Errorf("a second process: %v", err)
	}
	locked := make(chan error)
	go func() {
		mine, err := nodes[1].LockNode(t.Context(), "node-1")
		if err == nil {
			mine()
		}
		locked <- err
	}()
	select {
	case err := <-locked:
		t.Errorf("it did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
		unlock()
		if err := <-locked; err != nil {
			t.Errorf("after the first process is gone: %v", err)
		}
	}
}

// A page of audit records is found by an index, however long the log is.
func TestSearchNeedsNoSorting(t *testing.T) {
	url := storetest.SQLite(t)
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	raw, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for _, backwards := range []bool{true, false} {
		rows, err := raw.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+database.SearchQuery(backwards), 0, "", 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		plan := ""
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan += detail + "\n"
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, "audit_batch_by_time") || strings.Contains(plan, "ORDER BY") {
			t.Errorf("backwards %v:\n%s", backwards, plan)
		}
	}
}
