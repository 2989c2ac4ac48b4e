// Package storetest holds the contracts of the stores as test suites that every
// database must pass, and starts stores for the tests of other packages.
package storetest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// Options says how a test wants its node.
type Options struct {
	URL     string // as database.Open takes it
	Origin  string // name of the audit log; each node of one database needs its own
	Keys    *seal.Keyring
	Now     func() time.Time       // time.Now if nil
	Changed func(table, id string) // may be nil
}

// A Node is one keyward process as far as its store is concerned.
type Node struct {
	DB      *database.DB
	Log     *audit.Log
	Store   *bound.Store
	Anchor  *anchor.Anchor
	Logs    anchor.Options // that Anchor was made with
	StopLog func()         // ends the log's writer, as stopping the process does
}

// SQLite answers the URL of a database of the test's own.
func SQLite(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + filepath.Join(dir, "keyward.db")
}

// Start opens a node with a new audit log and stops it when the test ends.
func Start(t testing.TB, o Options) Node {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Changed == nil {
		o.Changed = func(string, string) {}
	}
	db, err := database.Open(t.Context(), o.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	private, public, err := note.GenerateKey(rand.Reader, o.Origin)
	if err != nil {
		t.Fatal(err)
	}
	id := audit.Identity{Origin: o.Origin, PublicKey: public, SealedKey: []byte("not needed here")}
	if err := db.CreateLog(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(t.Context(), audit.Options{Store: db, Origin: o.Origin, PrivateKey: private, PublicKey: public, Now: o.Now})
	if err != nil {
		t.Fatal(err)
	}
	logs := anchor.Options{Reader: db, Own: o.Origin, Keys: o.Keys, Trust: func(audit.Identity) error { return nil }}
	known, err := anchor.Open(t.Context(), logs)
	if err != nil {
		t.Fatal(err)
	}
	s := bound.New(bound.Options{DB: db, Log: log, Keys: o.Keys, Anchor: known, Tables: store.Tables(), Logger: slog.New(slog.DiscardHandler), Changed: o.Changed})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return Node{db, log, s, known, logs, stop}
}

// EachPair runs a test on every database with two nodes, which are one where a database has only one.
func EachPair(t *testing.T, test func(t *testing.T, here, there *bound.Store)) {
	Each(t, func(t *testing.T, url string) {
		keys := sealtest.Keyring(t)
		here := Start(t, Options{URL: url, Origin: "keyward/1", Keys: keys})
		there := here
		if here.DB.Shared() {
			there = Start(t, Options{URL: url, Origin: "keyward/2", Keys: keys})
		}
		test(t, here.Store, there.Store)
	})
}

// Record answers a record of an action that the account 1 took by itself.
func Record(action string) *audit.Record {
	return audit.NewRecord(&authz.Call{Principal: authz.Principal{Account: "1", Kind: authz.Root}, Time: time.Now()}, action)
}
