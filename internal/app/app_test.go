package app_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/app"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

func configure(t *testing.T, url string) config.Config {
	t.Helper()
	c := config.Default()
	c.DataDir, c.Listen, c.Database = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", config.Database(url)
	c.OperatorSocket = filepath.Join(storetest.ShortDir(t), "s")
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	return c
}

// A running is an App that runs until stop.
type running struct {
	*app.App
	url  string
	stop func() error
}

func run(t *testing.T, c config.Config, changes ...func(*app.Options)) running {
	t.Helper()
	r := running{}
	ready := make(chan string, 1)
	o := app.Options{
		Config: c, Logger: slog.New(slog.DiscardHandler), Version: "test", Now: time.Now, Cost: sealtest.Cost(),
		Ready: func(_ context.Context, _ *app.App, address string) error { ready <- address; return nil },
	}
	for _, change := range changes {
		change(&o)
	}
	r.App = app.New(o)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case address := <-ready:
		r.url = "http://" + address
	case err := <-ended:
		stopped = true
		t.Fatal(err)
	}
	return r
}

func (r running) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get(r.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func passphrase(s string) material.Bytes { return material.NewBytes([]byte(s)) }

func TestSealUnseal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		c := configure(t, url)
		r := run(t, c)
		ctx := t.Context()
		sealed := func(when string) {
			t.Helper()
			if status, body := r.get(t, "/readyz"); status != 503 || body != "sealed\n" {
				t.Errorf("%s: /readyz answers %d %q", when, status, body)
			}
			if status, body := r.get(t, "/?Action=DescribeRegions"); status != 503 || !strings.Contains(body, "ServiceUnavailableTemporary") {
				t.Errorf("%s: the RPC API answers %d %s", when, status, body)
			}
			if status, body := r.get(t, "/v1/keys"); status != 503 || !strings.Contains(body, `"Sealed"`) {
				t.Errorf("%s: the REST API answers %d %s", when, status, body)
			}
			if status, _ := r.get(t, "/healthz"); status != 200 {
				t.Errorf("%s: /healthz answers %d", when, status)
			}
		}
		sealed("before initialisation")
		if err := r.Unseal(ctx, passphrase(sealtest.Passphrase)); !fault.Is(err, fault.StateConflict) {
			t.Errorf("unsealing what is not initialised: %v", err)
		}
		if _, err := r.Initialize(ctx, passphrase(sealtest.Passphrase), "first"); err != nil {
			t.Fatal(err)
		}
		if status, body := r.get(t, "/readyz"); status != 200 {
			t.Errorf("initialised: /readyz answers %d %q", status, body)
		}
		if _, err := r.Initialize(ctx, passphrase(sealtest.Passphrase), "second"); !fault.Is(err, fault.StateConflict) {
			t.Errorf("initialising again: %v", err)
		}
		if err := r.Seal(ctx); err != nil {
			t.Fatal(err)
		}
		sealed("sealed")
		before, err := r.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Unseal(ctx, passphrase("not the passphrase")); !fault.Is(err, fault.WrongPassphrase) {
			t.Errorf("a wrong passphrase: %v", err)
		}
		sealed("after a wrong passphrase")
		if after, err := r.Status(ctx); err != nil || len(after.Envelopes) != len(before.Envelopes) || !after.Initialized {
			t.Errorf("a wrong passphrase changed the status to %+v, %v", after, err)
		}
		if err := r.Unseal(ctx, passphrase(sealtest.Passphrase)); err != nil {
			t.Fatal(err)
		}
		accounts, err := r.ListAccounts(ctx, iam.Page{})
		if err != nil || len(accounts.Items) != 1 || accounts.Items[0].Name != "first" {
			t.Errorf("accounts after unsealing: %+v, %v", accounts, err)
		}
	})
}

func TestOneServerPerDataDirectory(t *testing.T) {
	c := configure(t, "")
	run(t, c)
	second := app.New(app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another keyward") {
		t.Errorf("a second server: %v", err)
	}
}

func TestL27OpenDirectoriesAreRefused(t *testing.T) {
	c := configure(t, "")
	if err := os.Mkdir(c.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(c.DataDir, 0o755); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	a := app.New(app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a data directory that others can enter: %v", err)
	}
}

// founded answers the configuration of a server that was initialized and has stopped.
func founded(t *testing.T) config.Config {
	t.Helper()
	c := configure(t, "")
	r := run(t, c)
	if _, err := r.Initialize(t.Context(), passphrase(sealtest.Passphrase), "first"); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	return c
}

// A database that is older than what the node remembers is not served.
func TestOlderDatabaseIsRefused(t *testing.T) {
	c := founded(t)
	path := strings.TrimPrefix(string(c.Database), "sqlite:")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, c)
	if err := r.Unseal(t.Context(), passphrase(sealtest.Passphrase)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateAccount(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	r = run(t, c)
	if err := r.Unseal(t.Context(), passphrase(sealtest.Passphrase)); !fault.Is(err, fault.StateConflict) || !strings.Contains(fault.Message(err), "rollback suspected") {
		t.Errorf("an older database: %v", err)
	}
}

// Who unseals a server whose audit log was changed is told where.
func TestChangedLogIsTold(t *testing.T) {
	c := founded(t)
	if err := os.Remove(filepath.Join(c.DataDir, "anchor")); err != nil { // what it covers is not read again
		t.Fatal(err)
	}
	if _, err := storetest.Raw(t, string(c.Database)).ExecContext(t.Context(), `UPDATE audit_batch SET leaves = replace(leaves, 'first', 'other')`); err != nil {
		t.Fatal(err)
	}
	r := run(t, c)
	err := r.Unseal(t.Context(), passphrase(sealtest.Passphrase))
	if text := fault.TextOf(err); !fault.Is(err, fault.StateConflict) || !strings.Contains(text.String(), "does not have the hash stored with it") || !strings.Contains(text.Chinese(), "哈希") {
		t.Errorf("told %q, %q: %v", text, text.Chinese(), err)
	}
}

func TestL27FilesAreMadePrivate(t *testing.T) {
	c := configure(t, "")
	r := run(t, c)
	if _, err := r.Initialize(t.Context(), passphrase(sealtest.Passphrase), "first"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{c.DataDir, filepath.Dir(c.OperatorSocket)} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %04o", path, info.Mode().Perm())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestL27OpenFilesAreRefused holds that the server does not start while others may read or
// write any file that it keeps, and says what to do.
func TestL27OpenFilesAreRefused(t *testing.T) {
	c := configure(t, "")
	r := run(t, c)
	if _, err := r.Initialize(t.Context(), passphrase(sealtest.Passphrase), "first"); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(c.DataDir, "*"))
	if err != nil || len(kept) < 7 {
		t.Fatalf("%v, %v", kept, err)
	}
	database := strings.TrimPrefix(string(c.Database), "sqlite:")
	kept = append(kept, database+"-wal", database+"-shm", filepath.Join(c.DataDir, "witness-01234567.checkpoint"))
	chmod := func(path string, mode os.FileMode) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600) // a crash would have left it
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Close(), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range kept {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o602} {
			chmod(path, mode)
			started := func(context.Context, *app.App, string) error { return errors.New("it started") }
			a := app.New(app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Ready: started})
			if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
				t.Errorf("%s with mode %04o: %v", path, mode, err)
			}
		}
		chmod(path, 0o600)
	}
	run(t, c) // as it was
}

func TestOneServerPerNodeName(t *testing.T) {
	url := storetest.Postgres(t)
	first := run(t, configure(t, url))
	if _, err := first.Initialize(t.Context(), passphrase(sealtest.Passphrase), "first"); err != nil {
		t.Fatal(err)
	}
	second := run(t, configure(t, url))
	if err := second.Unseal(t.Context(), passphrase(sealtest.Passphrase)); !fault.Is(err, fault.ResourceInUse) {
		t.Errorf("a second server with the same name: %v", err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if err := second.Unseal(t.Context(), passphrase(sealtest.Passphrase)); err != nil {
		t.Errorf("after the first has stopped: %v", err)
	}
}

// Two servers on one embedded database would not hear of each other's changes.
func TestOneServerPerEmbeddedDatabase(t *testing.T) {
	url := storetest.SQLite(t)
	first := run(t, configure(t, url))
	if _, err := first.Initialize(t.Context(), passphrase(sealtest.Passphrase), "first"); err != nil {
		t.Fatal(err)
	}
	c := configure(t, url)
	c.Node = "node-2"
	second := app.New(app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Version: "test", Now: time.Now})
	if err := second.Run(t.Context()); !fault.Is(err, fault.ResourceInUse) {
		t.Errorf("a second server on the same file: %v", err)
	}
}

// A mute is a store of an audit log that takes no records.
type mute struct{ audit.Store }

func (mute) Append(context.Context, [][]byte, func([]bool) (audit.Batch, error)) error {
	return errors.New("injected failure")
}

// The root key comes before the log, whose key is sealed under it: an initialisation that
// could not be recorded says what is there and what to do, and not that nothing was done.
func TestInitializeUnrecorded(t *testing.T) {
	failing := true
	r := run(t, configure(t, storetest.SQLite(t)), func(o *app.Options) {
		o.AuditStore = func(s audit.Store) audit.Store {
			if failing {
				return mute{s}
			}
			return s
		}
	})
	founded, err := r.Initialize(t.Context(), passphrase(sealtest.Passphrase), "first")
	if !fault.Is(err, fault.AuditUnavailable) || !strings.Contains(fault.Message(err), "has its root key") || founded.Account.ID != "" {
		t.Fatalf("initialising without a log: %+v, %v", founded, err)
	}
	failing = false
	if err := r.Unseal(t.Context(), passphrase(sealtest.Passphrase)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateAccount(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
}
