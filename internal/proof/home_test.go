package proof

import (
	"cmp"
	"context"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/app"
	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A place is where a server keeps what it has.
type place struct {
	dir    string // data directory
	url    string // of the database; "" for a file in dir
	socket string // of the operator
}

// local runs the server of a place in this process, which costs less than a process,
// while use is called with it.
func local(t *testing.T, p place, use func(context.Context, *server, *app.App) error) error {
	s := &server{t: t, dir: p.dir, url: cmp.Or(p.url, "sqlite:"+filepath.Join(p.dir, "keyward.db")), socket: p.socket, dials: dialer()}
	defer s.dials.CloseIdleConnections()
	c := config.Default()
	c.DataDir, c.Listen, c.Database, c.OperatorSocket = s.dir, "127.0.0.1:0", config.Database(s.url), s.socket
	c.Limits.CallsPerAccessKey, c.Limits.CallsPerAccount, c.Limits.ConnectionsPerAddress = 0, 0, 1000
	if err := c.Complete(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var used error
	err := app.New(app.Options{
		Config: c, Logger: slog.New(slog.DiscardHandler), Version: "proof", Now: time.Now, Cost: sealtest.Cost(),
		Ready: func(ctx context.Context, a *app.App, address string) error {
			defer stop()
			s.address = address
			used = use(ctx, s, a)
			return nil
		},
	}).Run(ctx)
	if used != nil {
		return used
	}
	return err
}

// found makes an initialised server, whose passphrase takes no time to derive, with the old
// keys of the named worlds. It is made in a bubble, whose clock stands still
// in the year 2000: keys that were made there are old enough to be rotated.
func found(t *testing.T, dir, url string, worlds ...string) (key api.FoundedAccount) {
	t.Helper()
	at := place{dir, url, filepath.Join(storetest.ShortDir(t), "s")}
	synctest.Test(t, func(t *testing.T) {
		transport := &http.Transport{}
		err := local(t, at, func(ctx context.Context, s *server, a *app.App) error {
			defer hangUp(transport)
			founded, err := a.Initialize(ctx, material.NewBytes([]byte(passphrase)), "proof")
			if err != nil {
				return err
			}
			key.AccessKeyID, key.AccessKeySecret = string(founded.Key.AccessKey.ID), api.SecretText(founded.Key.Secret.Expose())
			c, err := client.New(client.Config{
				Endpoint: "http://" + s.address, AccessKeyID: key.AccessKeyID, AccessKeySecret: string(key.AccessKeySecret),
				HTTPClient: &http.Client{Transport: transport},
			})
			if err != nil {
				return err
			}
			for _, w := range worlds {
				for i := range oldKeys {
					if _, err := c.CreateKey(ctx, api.CreateKeyRequest{Description: oldKey(w, i)}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	return key
}

// hangUp closes a client's connections and gives the server the time to notice: where it
// must poll for that, it would wait for a clock that stands still.
func hangUp(transport *http.Transport) {
	transport.CloseIdleConnections()
	_ = syscall.Nanosleep(&syscall.Timespec{Nsec: 100_000_000}, nil) // of the machine's time, not the bubble's
}

// foundServer starts a server that was founded, and makes its worlds, whose names it has.
func foundServer(t *testing.T, dir, url string, seed uint64, names ...string) (*server, []*world) {
	t.Helper()
	key := found(t, dir, url, names...)
	s := prepareServer(t, build(t), dir, url)
	s.key = key
	s.start()
	var worlds []*world
	for i, name := range names {
		worlds = append(worlds, oldWorld(t, s, name, rand.New(rand.NewPCG(seed, uint64(i)))))
	}
	return s, worlds
}

// writeDir makes a directory of private files.
func writeDir(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// readDir answers the files below a directory, by their names relative to it.
func readDir(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
