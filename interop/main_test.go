package interop_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// world is what every test finds; TestMain makes it.
var world struct {
	program string    // the released binary
	sqlite  *server   // shared by the tests
	pg      *server   // nil without a PostgreSQL
	servers []*server // the shared ones
}

func TestMain(m *testing.M) {
	if os.Getenv(sealVariable) != "" {
		os.Exit(sealMain())
	}
	dir, err := os.MkdirTemp("", "keyward-interop-")
	if err != nil {
		fail(err)
	}
	world.program = filepath.Join(dir, "keyward")
	err = build(world.program)
	if err == nil {
		err = startShared()
	}
	code := 1
	if err == nil {
		code = m.Run()
	}
	for _, s := range world.servers {
		if e := s.end(); err == nil {
			err = e
		}
	}
	_ = os.RemoveAll(dir) // a temporary directory
	if err != nil {
		fail(err)
	}
	os.Exit(code)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "interop:", err)
	os.Exit(1)
}

// build makes the program as a release does.
func build(out string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", out}, flags...)
	cmd := exec.Command("go", append(args, "./cmd/keyward")...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOEXPERIMENT=runtimesecret")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building keyward: %w\n%s", err, text)
	}
	return nil
}

func startShared() (err error) {
	if world.sqlite, err = startServer(options{}); err != nil {
		return err
	}
	world.servers = append(world.servers, world.sqlite)
	if os.Getenv(postgresVariable) == "" {
		return nil
	}
	database, drop, err := createDatabase()
	if err != nil {
		return err
	}
	if world.pg, err = startServer(options{database: database, cleanup: drop}); err != nil {
		return err
	}
	world.servers = append(world.servers, world.pg)
	return nil
}

// each runs a test, beside others, at the shared server of each database.
func each(t *testing.T, test func(t *testing.T, s *server)) {
	t.Parallel()
	onShared(t, test)
}

func onShared(t *testing.T, test func(t *testing.T, s *server)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, world.sqlite)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		needPostgres(t)
		test(t, world.pg)
	})
}

// eachOwn runs a test, beside others, with the options of a server of its own on each
// database.
func eachOwn(t *testing.T, test func(t *testing.T, o options)) {
	t.Parallel()
	onOwn(t, test)
}

func onOwn(t *testing.T, test func(t *testing.T, o options)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, options{})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		needPostgres(t)
		database, drop, err := createDatabase()
		if err != nil {
			t.Fatal(err)
		}
		test(t, options{database: database, cleanup: drop})
	})
}

// postgresVariable names a PostgreSQL server on which tests may create databases.
const postgresVariable = "KEYWARD_TEST_POSTGRES"

func needPostgres(t *testing.T) {
	t.Helper()
	if os.Getenv(postgresVariable) == "" {
		missing(t, postgresVariable+" is not set: run the tests with `make interop`, which starts PostgreSQL")
	}
}

// missing skips a test on a developer's machine that lacks something, and fails it in CI.
func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// createDatabase makes a new database; drop removes it.
func createDatabase() (address string, drop func() error, err error) {
	u, err := url.Parse(os.Getenv(postgresVariable))
	if err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", postgresVariable, err)
	}
	name := "interop_" + strings.ToLower(rand.Text())
	if err := administer("CREATE DATABASE " + name); err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	return u.String(), func() error { return administer("DROP DATABASE " + name + " WITH (FORCE)") }, nil
}

func administer(statement string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Getenv(postgresVariable))
	if err != nil {
		return fmt.Errorf("connecting to the PostgreSQL of the tests: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("administering the PostgreSQL of the tests: %w", err)
	}
	return nil
}
