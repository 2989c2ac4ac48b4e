package audit_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/storetest"
)

// unreadable is a store of which one commit fails, and after it one reading of hashes.
type unreadable struct {
	audit.Store
	commit bool // fails, once
	hashes int  // readings until one fails
}

func (u *unreadable) Transact(ctx context.Context, fn func(audit.Tx) error) error {
	if u.commit {
		u.commit = false
		return errors.New("injected")
	}
	return u.Store.Transact(ctx, fn)
}

func (u *unreadable) Hashes(ctx context.Context, log string, indexes []int64) ([]tlog.Hash, error) {
	if u.hashes--; u.hashes == 0 {
		return nil, context.DeadlineExceeded
	}
	return u.Store.Hashes(ctx, log, indexes)
}

// A store that cannot be read while the log finds out where it stands has not been rolled
// back: the log refuses, and goes on as soon as the store can be read.
func TestUnreadableStoreIsNotARollback(t *testing.T) {
	for n := 1; n <= 2; n++ { // one reading is for the tree, one for the proof that it continues
		t.Run(fmt.Sprint("reading ", n), func(t *testing.T) {
			node, _ := start(t, storetest.SQLite(t))
			node.StopLog()
			u := &unreadable{Store: node.DB}
			log, _ := openOn(t, node, u, "keyward/unreadable", nil)
			if err := log.Append(t.Context(), record(1)); err != nil {
				t.Fatal(err)
			}
			u.commit = true
			change := func(context.Context, audit.Tx) ([]audit.Effect, error) { return nil, nil }
			if err := log.Commit(t.Context(), record(2), change); !fault.Is(err, fault.AuditUnavailable) {
				t.Fatalf("a commit that failed: %v", err)
			}
			u.hashes = n
			if err := log.Append(t.Context(), record(3)); !fault.Is(err, fault.AuditUnavailable) {
				t.Fatalf("a store that cannot be read: %v", err)
			}
			if err := log.Append(t.Context(), record(4)); err != nil || !log.Writable() {
				t.Errorf("afterwards: %v, writable %v", err, log.Writable())
			}
		})
	}
}

// A log whose writer has ended is garbage at once, and its signing key with it.
func TestEndedLogIsCollected(t *testing.T) {
	db, err := database.Open(t.Context(), storetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	private, public, err := audit.GenerateKey("keyward/test")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.CreateLog(t.Context(), audit.Identity{Origin: "keyward/test", PublicKey: public, SealedKey: []byte("none")}); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(t.Context(), audit.Options{Store: db, Origin: "keyward/test", PrivateKey: private, PublicKey: public, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- log.Run(ctx) }()
	if err := log.Append(t.Context(), record(0)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	kept := weak.Make(log)
	log = nil
	for range 3 {
		runtime.GC()
	}
	if kept.Value() != nil {
		t.Error("something still refers to the log")
	}
}

// A writer that comes when those who waited were answered already writes nothing: an empty
// batch has the place of the next one, which the tables could then never take.
func TestNobodyWaits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		node, _ := start(t, url)
		node.StopLog()
		log, _ := openOn(t, node, node.DB, "keyward/late", nil)
		log.WriteRecords()
		change := func(context.Context, audit.Tx) ([]audit.Effect, error) { return nil, nil }
		for i := range 3 {
			if err := log.Append(t.Context(), record(2*i)); err != nil {
				t.Fatal(err)
			}
			if err := log.Commit(t.Context(), record(2*i+1), change); err != nil {
				t.Fatal(err)
			}
		}
	})
}
