package fleet

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/app"
	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal/sealtest"
)

// The tests are inside the package because what it exports measures for minutes.

// TestRotations: plans that are due at once are all worked off, and every merchant has one
// key, which is new.
func TestRotations(t *testing.T) {
	const n = 4
	m, err := open(t.Context(), RotationsOptions{
		N: n, Database: "sqlite", Dir: t.TempDir(), CPU: func() (time.Duration, error) { return 0, nil }, OpenFiles: func() (int, error) { return 1, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := m.plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := m.Records()
	if err != nil || before < 3*n {
		t.Errorf("%d records of %d plans, %v", before, n, err)
	}
	d, err := m.drain(t.Context())
	if err != nil || d.begun == 0 || d.took < d.begun || d.files != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	for name, platform := range m.platforms.all {
		lives := platform.Lives()
		if len(lives) != 2 || !lives[0].Ended() || lives[1].Ended() {
			t.Errorf("%s has had keys %+v", name, lives)
		}
	}
}

// TestAgents: agents that are connected acknowledge each generation, after the server was
// started again, too.
func TestAgents(t *testing.T) {
	const n = 5
	r := &resumed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	r.start()
	s := Server{
		Name: "sqlite", URL: func() string { return r.url }, Root: func() *client.Client { return r.root },
		Resident: func() (int64, error) { return 1, nil }, CPU: func() (time.Duration, error) { return 0, nil },
		Waiting: func() (int, error) { return n, nil }, Restart: func(context.Context) error { r.stop(); r.start(); return nil },
	}
	f, err := gather(t.Context(), s, n)
	if err != nil {
		t.Fatal(err)
	}
	f.disconnect()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	table := ""
	if err := f.connected(t.Context(), 0, &table); err != nil {
		t.Fatal(err)
	}
	for _, a := range f.agents {
		if want := "v4"; a.Primary[rolloutName] != want {
			t.Errorf("%s has %s, want %s", a.Name, a.Primary[rolloutName], want)
		}
	}
	if got := strings.Count(table, "\n"); got != 1+rounds {
		t.Errorf("the table is\n%s", table)
	}
	coverage, err := r.root.GetRolloutCoverage(t.Context(), rolloutName, api.PageRequest{})
	if err != nil || coverage.Total != n || coverage.Waves[0].There != n {
		t.Errorf("the coverage is %+v, %v", coverage, err)
	}
	r.stop()
}

// A resumed is a server that can be started again on its data.
type resumed struct {
	t    *testing.T
	dir  string
	url  string
	root *client.Client
	stop func()

	access client.Config
}

func (r *resumed) start() {
	c := config.Default()
	c.Listen, c.DataDir = "127.0.0.1:0", r.dir
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := c.Complete(); err != nil {
		r.t.Fatal(err)
	}
	ready := make(chan string, 1)
	a := app.New(app.Options{
		Config: c, Logger: slog.New(slog.DiscardHandler), Version: "test", Now: time.Now, Cost: sealtest.Cost(),
		Ready: func(_ context.Context, _ *app.App, address string) error { ready <- address; return nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	}
	select {
	case address := <-ready:
		r.url = "http://" + address
	case err := <-ended:
		r.t.Fatal(err)
	}
	passphrase := material.NewBytes([]byte(sealtest.Passphrase))
	if r.root == nil {
		founded, err := a.Initialize(ctx, passphrase, "first")
		if err != nil {
			r.t.Fatal(err)
		}
		r.access = client.Config{AccessKeyID: founded.Key.AccessKey.ID, AccessKeySecret: string(founded.Key.Secret.Expose())}
	} else if err := a.Unseal(ctx, passphrase); err != nil {
		r.t.Fatal(err)
	}
	r.access.Endpoint = r.url
	root, err := client.New(r.access)
	if err != nil {
		r.t.Fatal(err)
	}
	r.root = root
}
