package database_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/storetest"
)

// The variables that make this test binary a process that dies while it migrates.
const (
	dieOn    = "KEYWARD_TEST_DIE_ON"    // URL of the database
	dieAfter = "KEYWARD_TEST_DIE_AFTER" // statements of the migration
)

// TestDying is the process that TestKillWhileMigrating starts; by itself it does nothing.
func TestDying(t *testing.T) {
	url := os.Getenv(dieOn)
	if url == "" {
		return
	}
	left, err := strconv.Atoi(os.Getenv(dieAfter))
	if err != nil {
		t.Fatal(err)
	}
	_, err = database.OpenWatched(t.Context(), url, func(string) {
		if left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal ends it
		}
		left--
	})
	t.Fatalf("it lives: %v", err)
}

// old makes a database of the first release.
func old(t *testing.T, url string) {
	t.Helper()
	dialect := "postgres"
	if strings.HasPrefix(url, "sqlite:") {
		dialect = "sqlite"
	}
	schema, err := os.ReadFile(filepath.Join("schema", dialect, "0001_foundation.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db := storetest.Raw(t, url)
	for _, statement := range []string{
		string(schema),
		`CREATE TABLE schema_migration (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)`,
		`INSERT INTO schema_migration VALUES (1, '0001_foundation.sql')`,
		`INSERT INTO job (kind, account, subject, due_at, lease_until, owner, attempts, last_error) VALUES ('kms.delete', '1', 'key-a', 1000, 0, '', 0, '')`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
}

// shape answers every table and column of a database, and its migrations.
func shape(t *testing.T, db *sql.DB, url string) []string {
	t.Helper()
	q := `SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '') FROM information_schema.columns WHERE table_schema = 'public'
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'`
	if strings.HasPrefix(url, "sqlite:") {
		q = `SELECT name || ' ' || COALESCE(sql, '') FROM sqlite_master`
	}
	q += ` UNION ALL SELECT 'migration ' || name FROM schema_migration`
	rows, err := db.Query(q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// A process that is killed before any statement of the migrations that follow the first
// release leaves the database as it was, and the next one migrates it as if nothing had
// happened.
func TestKillWhileMigrating(t *testing.T) {
	databases := map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres}
	for name, create := range databases {
		t.Run(name, func(t *testing.T) {
			fresh := create(t)
			steps := 0
			whole, err := database.OpenWatched(t.Context(), fresh, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			defer whole.Close()
			upgraded := create(t)
			old(t, upgraded)
			before := shape(t, storetest.Raw(t, upgraded), upgraded)
			db, err := database.OpenWatched(t.Context(), upgraded, func(string) { steps++ })
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			want := shape(t, storetest.Raw(t, upgraded), upgraded)
			if diff := cmp.Diff(shape(t, storetest.Raw(t, fresh), fresh), want); diff != "" {
				t.Fatalf("an upgraded database is not like a new one (-new +upgraded):\n%s", diff)
			}
			stride := 11 // coprime to what repeats in the schema
			if os.Getenv("KEYWARD_MIGRATIONS") == "all" {
				stride = 1
			}
			kills := 0
			for n := steps - 1; n >= 0; n -= stride { // the last one is the commit
				t.Run(fmt.Sprint(n), func(t *testing.T) { dieAt(t, create(t), n, before, want) })
				kills++
			}
			t.Logf("%d kills, each before another one of %d statements", kills, steps)
			if steps < 5 {
				t.Error("there were too few statements to prove anything")
			}
		})
	}
}

// dieAt holds what is said of processes that are killed while they migrate for one of them,
// which is killed after n statements.
func dieAt(t *testing.T, url string, n int, before, want []string) {
	old(t, url)
	die(t, url, n)
	if diff := cmp.Diff(before, shape(t, storetest.Raw(t, url), url)); diff != "" {
		t.Errorf("the database is changed (-before +after):\n%s", diff)
	}
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if diff := cmp.Diff(want, shape(t, storetest.Raw(t, url), url)); diff != "" {
		t.Errorf("the next migration differs:\n%s", diff)
	}
	var served int64
	if err := storetest.Raw(t, url).QueryRow(`SELECT served FROM job WHERE subject = 'key-a'`).Scan(&served); err != nil || served != 86_400_000_000 {
		t.Errorf("a deletion that was pending waits for %d µs of service, want a day; %v", served, err)
	}
}

// die has a process migrate the database and die after n statements.
func die(t *testing.T, url string, n int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDying$")
	cmd.Env = append(os.Environ(), dieOn+"="+url, dieAfter+"="+fmt.Sprint(n))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process did not die by itself: %v\n%s", err, out)
	}
}

// A database of a newer release is refused, and nothing is changed.
func TestNewerDatabaseIsRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, err := database.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := storetest.Raw(t, url).Exec(`INSERT INTO schema_migration VALUES (9999, 'of the future')`); err != nil {
			t.Fatal(err)
		}
		before := shape(t, storetest.Raw(t, url), url)
		if _, err := database.Open(t.Context(), url); err == nil || !strings.Contains(err.Error(), "9999") || !strings.Contains(err.Error(), "newer release") {
			t.Errorf("have %v", err)
		}
		if diff := cmp.Diff(before, shape(t, storetest.Raw(t, url), url)); diff != "" {
			t.Error(diff)
		}
	})
}
