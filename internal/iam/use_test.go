package iam_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/iam"
)

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// TestLastUse holds that a use shows at once, from memory, and later, from the store,
// and that of two uses the newer one counts.
func TestLastUse(t *testing.T) {
	w := newWorld(t)
	id := w.Key.AccessKey.ID
	report := func() iam.AccessKeyReport {
		t.Helper()
		list := must(w.ListAccessKeys(t.Context(), w.root(), "admin", iam.Page{}))(t)
		one := must(w.GetAccessKeyLastUsed(t.Context(), w.root(), id))(t)
		if diff := cmp.Diff(one, list.Items[0], sameAddr); diff != "" {
			t.Fatalf("the list tells something else:\n%s", diff)
		}
		return one
	}
	if r := report(); !r.LastUse.At.IsZero() {
		t.Errorf("never used, and yet %+v", r.LastUse)
	}
	want := iam.Use{At: w.now().Add(time.Hour), Source: netip.MustParseAddr("2001:db8::1"), Action: "kms:Encrypt"}
	w.Touch(id, want.At, want.Source, want.Action)
	w.Touch(id, want.At.Add(-time.Minute), netip.Addr{}, "kms:Decrypt") // arrived late
	stop := func() {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Run(ended); err != nil {
			t.Fatal(err)
		}
	}
	for _, flushed := range []bool{false, true} {
		if flushed {
			stop()
		}
		if r := report(); !cmp.Equal(r.LastUse, want, sameAddr) {
			t.Errorf("flushed %t: %s", flushed, cmp.Diff(want, r.LastUse, sameAddr))
		}
	}
	if stored := must(w.store.Uses(t.Context(), []string{id}))(t); !cmp.Equal(stored[id], want, sameAddr) {
		t.Errorf("stored is %+v", stored[id])
	}
	// Memory is older than the store once another node has seen a later use.
	later := iam.Use{At: want.At.Add(time.Hour), Action: "kms:Sign"}
	if err := w.store.SaveUses(t.Context(), map[string]iam.Use{id: later}); err != nil {
		t.Fatal(err)
	}
	w.Touch(id, want.At.Add(time.Minute), want.Source, want.Action)
	if r := report(); !cmp.Equal(r.LastUse, later, sameAddr) {
		t.Error(cmp.Diff(later, r.LastUse, sameAddr))
	}
	stop()
	if r := report(); !cmp.Equal(r.LastUse, later, sameAddr) {
		t.Error(cmp.Diff(later, r.LastUse, sameAddr))
	}
}

// A ledger is a store that only keeps last uses, and fails when told to.
type ledger struct {
	iam.Store
	fail  atomic.Bool
	mu    sync.Mutex
	saved []map[string]iam.Use // guarded by mu
}

func (l *ledger) SaveUses(_ context.Context, uses map[string]iam.Use) error {
	if l.fail.Load() {
		return errors.New("disk full")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saved = append(l.saved, uses)
	return nil
}

// TestFlush holds when last uses are stored, and that a failure loses none.
func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &ledger{}
		s := must(iam.New(iam.Options{Store: store, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Fresh: func() bool { return true }}))(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() } // virtual time
		wantSaves := func(n int) {
			t.Helper()
			store.mu.Lock()
			defer store.mu.Unlock()
			if len(store.saved) != n {
				t.Fatalf("%d times stored, want %d", len(store.saved), n)
			}
		}
		wait(time.Minute)
		wantSaves(0)
		at := time.Now()
		s.Touch("a", at, netip.Addr{}, "kms:Encrypt")
		wait(5 * time.Second)
		wantSaves(1)
		wait(time.Minute)
		wantSaves(1)

		store.fail.Store(true)
		s.Touch("a", at.Add(time.Second), netip.Addr{}, "kms:Decrypt")
		wait(5 * time.Second)
		store.fail.Store(false)
		wait(5 * time.Second)
		wantSaves(2)

		s.Touch("b", at, netip.Addr{}, "kms:Sign")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []map[string]iam.Use{
			{"a": {At: at.UTC(), Action: "kms:Encrypt"}},
			{"a": {At: at.UTC().Add(time.Second), Action: "kms:Decrypt"}},
			{"b": {At: at.UTC(), Action: "kms:Sign"}},
		}
		if diff := cmp.Diff(want, store.saved, sameAddr); diff != "" {
			t.Error(diff)
		}
	})
}
