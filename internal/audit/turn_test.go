package audit_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/store/storetest"
)

var nothing audit.Change = func(context.Context, audit.Tx) ([]audit.Effect, error) { return nil, nil }

// On a store that is not shared a plain record does not wait for what is done in a
// transaction, and changes that wait share one; on a shared one each change has its own, and
// records wait for it.
func TestRecordsDoNotWaitForChanges(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, _ := start(t, url)
		began, goOn := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		commit := func(i int, change audit.Change) {
			all.Go(func() {
				if err := n.Log.Commit(context.WithoutCancel(t.Context()), record(i), change); err != nil {
					t.Error(err)
				}
			})
		}
		commit(0, func(context.Context, audit.Tx) ([]audit.Effect, error) {
			close(began)
			<-goOn
			return nil, nil
		})
		<-began
		for i := 1; i <= 3; i++ {
			commit(i, nothing)
			for n.Log.Waiting() < i {
				runtime.Gosched()
			}
		}
		first := "0 1 2 3 4"
		if !n.DB.Shared() {
			first = "4 0 1 2 3"
			if err := n.Log.Append(t.Context(), record(4)); err != nil {
				t.Fatal(err)
			}
			close(goOn)
		} else {
			close(goOn)
			all.Wait()
			if err := n.Log.Append(t.Context(), record(4)); err != nil {
				t.Fatal(err)
			}
		}
		all.Wait()
		entries, _, err := audit.List(t.Context(), n.DB, audit.Query{Limit: 10, Oldest: true})
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, e := range entries {
			order = append(order, e.Action[len("kms:Test"):])
		}
		if have := strings.Join(order, " "); have != first {
			t.Errorf("written were %s, not %s", have, first)
		}
	})
}

// failing is a store of which the next batch of records fails.
type failing struct {
	audit.Store
	mu      sync.Mutex
	appends int // that fail
}

func (f *failing) Append(ctx context.Context, nonces [][]byte, build func([]bool) (audit.Batch, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.appends--; f.appends >= 0 {
		_, err := build(make([]bool, len(nonces)))
		return errors.Join(err, errors.New("injected"))
	}
	return f.Store.Append(ctx, nonces, build)
}

// While it is not known what became of a batch of records, no change is committed, also
// none that was under way; afterwards the log goes on and verifies.
func TestChangesWaitForTheFateOfRecords(t *testing.T) {
	n, _ := start(t, storetest.SQLite(t))
	n.StopLog()
	f := &failing{Store: n.DB, appends: 1}
	log, key := openOn(t, n, f, "keyward/failing", nil)
	began, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- log.Commit(context.WithoutCancel(t.Context()), record(1), func(context.Context, audit.Tx) ([]audit.Effect, error) {
			close(began)
			<-goOn
			return nil, nil
		})
	}()
	<-began
	refused := make(chan error, 1)
	go func() { refused <- log.Append(context.WithoutCancel(t.Context()), record(2)) }()
	for log.Writable() {
		runtime.Gosched()
	}
	close(goOn)
	for _, done := range []chan error{ended, refused} {
		if err := <-done; !fault.Is(err, fault.AuditUnavailable) {
			t.Errorf("beside a batch that failed: %v", err)
		}
	}
	if err := log.Commit(t.Context(), record(3), nothing); err != nil {
		t.Error(err)
	}
	if err := log.Append(t.Context(), record(4)); err != nil || !log.Writable() {
		t.Errorf("afterwards: %v, writable %v", err, log.Writable())
	}
	report, err := audit.VerifyStore(t.Context(), n.DB, "keyward/failing", audit.Trust{PublicKey: key})
	if err != nil || report.Size != 2 {
		t.Errorf("%v: %d records", err, report.Size)
	}
}

// Records and changes at once: each is in the log once, and the log verifies.
func TestRecordsBesideChanges(t *testing.T) {
	n, key := start(t, storetest.SQLite(t))
	const each, callers = 40, 8
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range each {
				r := record(c*each + i)
				r.Nonce = fmt.Appendf(nil, "%08d of the test", c*each+i)
				err := error(nil)
				if c%2 == 0 {
					err = n.Log.Append(t.Context(), r)
				} else {
					err = n.Log.Commit(t.Context(), r, nothing)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	report, err := audit.VerifyStore(t.Context(), n.DB, n.Log.Origin(), audit.Trust{PublicKey: key})
	if err != nil || report.Size != each*callers {
		t.Errorf("%v: %d records", err, report.Size)
	}
}

// When a transaction that several changes share fails, each of their callers is refused, and
// nothing of any is there; when it only seems to, each is told that it happened.
func TestSharedTransactionFails(t *testing.T) {
	for _, step := range []string{"append", "commit", "lost"} {
		t.Run(step, func(t *testing.T) {
			n, _ := start(t, storetest.SQLite(t))
			n.StopLog()
			fails, lost := "", false
			b := &broken{n.DB, func(s string) error {
				if s != fails || s == "lost" && lost {
					return nil
				}
				lost = true
				return errors.New("injected")
			}}
			log, key := openOn(t, n, b, "keyward/shared", nil)
			if err := log.Commit(t.Context(), record(0), nothing); err != nil {
				t.Fatal(err)
			}
			fails = step
			began, goOn := make(chan struct{}), make(chan struct{})
			const callers = 4
			answers := make(chan error, callers)
			for i := range callers {
				change := nothing
				if i == 0 {
					change = func(context.Context, audit.Tx) ([]audit.Effect, error) { close(began); <-goOn; return nil, nil }
				}
				go func() { answers <- log.Commit(context.WithoutCancel(t.Context()), record(i+1), change) }()
				if i == 0 {
					<-began
				}
				for log.Waiting() < i {
					runtime.Gosched()
				}
			}
			close(goOn)
			want := int64(1)
			if step == "lost" {
				want += callers
			}
			for range callers {
				if err := <-answers; (step == "lost") != (err == nil) || err != nil && !fault.Is(err, fault.AuditUnavailable) {
					t.Errorf("%v", err)
				}
			}
			report, err := audit.VerifyStore(t.Context(), n.DB, "keyward/shared", audit.Trust{PublicKey: key})
			if err != nil || report.Size != want {
				t.Errorf("%d records, want %d; %v", report.Size, want, err)
			}
		})
	}
}
