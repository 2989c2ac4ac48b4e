package audit_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

func start(t *testing.T, url string) (storetest.Node, string) {
	t.Helper()
	n := storetest.Start(t, storetest.Options{
		URL: url, Origin: "keyward/test", Keys: sealtest.Keyring(t), Now: time.Now, Changed: func(string, string) {},
	})
	logs, err := n.DB.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n, logs[0].PublicKey
}

func record(i int) *audit.Record {
	c := &authz.Call{Principal: authz.Principal{Account: "1000000000000001", Kind: authz.User, Name: "ada"}, Time: time.Now()}
	r := audit.NewRecord(c, fmt.Sprintf("kms:Test%d", i))
	r.Result = audit.ResultOK
	return r
}

func TestGroupCommitKeepsEveryRecordOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, key := start(t, url)
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				if err := n.Log.Append(t.Context(), record(i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		entries, _, err := audit.List(t.Context(), n.DB, audit.Query{Limit: 1000, Oldest: true})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for i, e := range entries {
			if e.Seq != int64(i) {
				t.Fatalf("entry %d has sequence number %d", i, e.Seq)
			}
			seen[e.Action] = true
		}
		if len(entries) != 200 || len(seen) != 200 {
			t.Fatalf("have %d entries of %d actions, want 200 of 200", len(entries), len(seen))
		}
		report, err := audit.VerifyStore(t.Context(), n.DB, "keyward/test", audit.Trust{PublicKey: key, Remembered: [][]byte{n.Log.Checkpoint()}})
		if err != nil || report.Size != 200 || len(report.Remembered) != 1 {
			t.Fatalf("verifying: %+v, %v", report, err)
		}
	})
}

func TestListPagesMeetEveryRecordOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, _ := start(t, url)
		for i := range 57 {
			if err := n.Log.Append(t.Context(), record(i)); err != nil {
				t.Fatal(err)
			}
		}
		for _, oldest := range []bool{true, false} {
			var got []int64
			q := audit.Query{Limit: 10, Oldest: oldest}
			for {
				page, next, err := audit.List(t.Context(), n.DB, q)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range page {
					got = append(got, e.Seq)
				}
				if next == "" {
					break
				}
				q.Cursor = next
			}
			for i := range got {
				want := int64(i)
				if !oldest {
					want = 56 - want
				}
				if len(got) != 57 || got[i] != want {
					t.Fatalf("oldest first %v: have %v", oldest, got)
				}
			}
		}
	})
}

func TestNonceIsAcceptedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, _ := start(t, url)
		nonce := []byte("0123456789abcdef")
		var wg sync.WaitGroup
		var mu sync.Mutex
		accepted := 0
		for range 32 {
			wg.Go(func() {
				r := record(0)
				r.Nonce = nonce
				err := n.Log.Do(t.Context(), r, func() error { return nil })
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					accepted++
				} else if !fault.Is(err, fault.NonceUsed) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if accepted != 1 {
			t.Errorf("%d of 32 equal requests were accepted", accepted)
		}
		changed := false
		r := record(0)
		r.Nonce = nonce
		err := n.Log.Commit(t.Context(), r, func(context.Context, audit.Tx) ([]audit.Effect, error) { changed = true; return nil, nil })
		if changed || !fault.Is(err, fault.NonceUsed) {
			t.Errorf("a replayed mutation: changed %v, %v", changed, err)
		}
		entries, _, err := audit.List(t.Context(), n.DB, audit.Query{Limit: 100, Result: string(fault.NonceUsed)})
		if err != nil || len(entries) != 32 {
			t.Errorf("%d replays are recorded as such, want 32; %v", len(entries), err)
		}
	})
}

// broken is a store whose steps can be made to fail.
type broken struct {
	audit.Store
	fail func(step string) error
}

func (b *broken) Transact(ctx context.Context, fn func(audit.Tx) error) error {
	if err := b.fail("begin"); err != nil {
		return err
	}
	lost := b.fail("lost")
	err := b.Store.Transact(ctx, func(tx audit.Tx) error {
		if err := fn(&brokenTx{tx, b}); err != nil {
			return err
		}
		return b.fail("commit")
	})
	return errors.Join(err, lost)
}

func (b *broken) Append(ctx context.Context, nonces [][]byte, build func([]bool) (audit.Batch, error)) error {
	if err := b.fail("begin"); err != nil {
		return err
	}
	lost := b.fail("lost")
	err := b.Store.Append(ctx, nonces, func(used []bool) (audit.Batch, error) {
		batch, err := build(used)
		return batch, errors.Join(err, b.fail("claim"), b.fail("append"), b.fail("commit"))
	})
	return errors.Join(err, lost)
}

type brokenTx struct {
	audit.Tx
	b *broken
}

func (t *brokenTx) Claim(ctx context.Context, nonces [][]byte) ([]bool, error) {
	if err := t.b.fail("claim"); err != nil {
		return nil, err
	}
	return t.Tx.Claim(ctx, nonces)
}

func (t *brokenTx) Append(ctx context.Context, batch audit.Batch) error {
	if err := t.b.fail("append"); err != nil {
		return err
	}
	return t.Tx.Append(ctx, batch)
}

// openOn opens a new log of the given name on a store and runs it until the test ends. It
// answers the log and its public key.
func openOn(t *testing.T, n storetest.Node, store audit.Store, origin string, surprised func()) (*audit.Log, string) {
	t.Helper()
	private, public, err := audit.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.DB.CreateLog(t.Context(), audit.Identity{Origin: origin, PublicKey: public, SealedKey: []byte("none")}); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(t.Context(), audit.Options{
		Store: store, Origin: origin, PrivateKey: private, PublicKey: public, Now: time.Now, Surprised: surprised,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = log.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return log, public
}

// Whatever step fails, the operation is refused, nothing is recorded, and the log goes
// on afterwards; a commit whose answer alone was lost counts as what it is.
func TestEveryFailingStepRefuses(t *testing.T) {
	for i, step := range []string{"begin", "claim", "append", "commit", "lost", "begin", "claim", "append", "commit", "lost"} {
		change := audit.Change(func(context.Context, audit.Tx) ([]audit.Effect, error) { return nil, nil })
		if i < 5 {
			change = nil
		}
		t.Run(fmt.Sprintf("%s, change %v", step, change != nil), func(t *testing.T) {
			n, _ := start(t, storetest.SQLite(t))
			n.StopLog()
			failing := ""
			b := &broken{n.DB, func(s string) error {
				if s != failing {
					return nil
				}
				if s == "lost" {
					failing = "" // once: the log looks whether the record is durable
				}
				return errors.New("injected")
			}}
			log, public := openOn(t, n, b, "keyward/broken", nil)
			first := record(1)
			first.Nonce = []byte("first nonce 16 b")
			if err := log.Append(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			failing = step
			second := record(2)
			second.Nonce = []byte("other nonce 16 b")
			err := log.Do(t.Context(), second, func() error {
				if change != nil {
					return log.Commit(t.Context(), second, change)
				}
				return nil
			})
			if step == "lost" {
				if err != nil {
					t.Errorf("a record that is durable was refused: %v", err)
				}
			} else if !fault.Is(err, fault.AuditUnavailable) || step != "lost" && log.Writable() {
				t.Errorf("have %v, want AuditUnavailable; writable %v", err, log.Writable())
			}
			failing = ""
			if err := log.Append(t.Context(), record(3)); err != nil {
				t.Errorf("after the failure: %v", err)
			}
			if !log.Writable() {
				t.Error("the log is said to be failing after a success")
			}
			want := int64(2)
			if step == "lost" {
				want = 3
			}
			report, err := audit.VerifyStore(t.Context(), n.DB, "keyward/broken", audit.Trust{PublicKey: public})
			if err != nil || report.Size != want {
				t.Errorf("log has %d records, want %d; %v", report.Size, want, err)
			}
		})
	}
}

func TestProof(t *testing.T) {
	n, key := start(t, storetest.SQLite(t))
	for i := range 20 {
		if err := n.Log.Append(t.Context(), record(i)); err != nil {
			t.Fatal(err)
		}
	}
	proof, err := audit.Prove(t.Context(), n.DB, "keyward/test", 13)
	if err != nil {
		t.Fatal(err)
	}
	e, head, err := audit.VerifyProof(proof, key)
	if err != nil || e.Action != "kms:Test13" || head.Size != 20 {
		t.Fatalf("have %+v in %+v, %v", e, head, err)
	}
	for i := range proof {
		bad := bytes.Clone(proof)
		bad[i] ^= 1
		if _, _, err := audit.VerifyProof(bad, key); err == nil {
			t.Fatalf("the proof holds with byte %d (%q) changed", i, proof[i])
		}
	}
	if _, err := audit.Prove(t.Context(), n.DB, "keyward/test", 20); !fault.Is(err, fault.ResourceNotFound) {
		t.Errorf("a record that does not exist: %v", err)
	}
}

func FuzzVerifyProof(f *testing.F) {
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\n\nkeyward/test\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"))
	_, public, err := audit.GenerateKey("keyward/test")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, proof []byte) {
		if _, _, err := audit.VerifyProof(proof, public); err == nil {
			t.Fatal("a proof that nobody signed holds")
		}
	})
}

// memory is a log's content in memory, for tampering.
type memory struct {
	head    audit.Head
	batches []audit.Batch
}

func load(t *testing.T, n storetest.Node) *memory {
	m := &memory{}
	var err error
	if m.head, err = n.DB.Head(t.Context(), "keyward/test"); err != nil {
		t.Fatal(err)
	}
	err = n.DB.Batches(t.Context(), "keyward/test", 0, func(b audit.Batch) error { m.batches = append(m.batches, b); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *memory) clone() *memory {
	c := &memory{head: m.head}
	c.head.Checkpoint = bytes.Clone(m.head.Checkpoint)
	for _, b := range m.batches {
		b.Leaves, b.Hashes = bytes.Clone(b.Leaves), bytes.Clone(b.Hashes)
		c.batches = append(c.batches, b)
	}
	return c
}

func (m *memory) Logs(context.Context) ([]audit.Identity, error)               { return nil, nil }
func (m *memory) Head(context.Context, string) (audit.Head, error)             { return m.head, nil }
func (m *memory) Hashes(context.Context, string, []int64) ([]tlog.Hash, error) { return nil, nil }
func (m *memory) Search(context.Context, audit.Position, bool, func(audit.Batch) (bool, error)) error {
	return nil
}
func (m *memory) Batches(_ context.Context, _ string, _ int64, yield func(audit.Batch) error) error {
	for _, b := range m.batches {
		if err := yield(b); err != nil {
			return err
		}
	}
	return nil
}

// Any edit, deletion, reordering, insertion or truncation is found; truncation to an
// earlier signed head needs a remembered checkpoint, which the trust has.
func TestTamperingIsFound(t *testing.T) {
	n, key := start(t, storetest.SQLite(t))
	var wg sync.WaitGroup
	var early *memory
	for i := range 60 {
		if i == 30 {
			wg.Wait()
			early = load(t, n)
		}
		wg.Go(func() {
			if err := n.Log.Append(t.Context(), record(i)); err != nil {
				t.Error(err)
			}
		})
		if i%5 == 0 {
			wg.Wait()
		}
	}
	wg.Wait()
	good := load(t, n)
	trust := audit.Trust{PublicKey: key, Remembered: [][]byte{bytes.Clone(good.head.Checkpoint)}}
	if _, err := audit.VerifyStore(t.Context(), good, "keyward/test", trust); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := good.clone()
		i := rapid.IntRange(0, len(m.batches)-1).Draw(rt, "batch")
		b := &m.batches[i]
		switch what := rapid.SampledFrom([]string{"leaf", "hash", "count", "time", "delete", "swap", "repeat", "checkpoint", "size", "cut", "rollback"}).Draw(rt, "what"); what {
		case "leaf":
			b.Leaves[rapid.IntRange(0, len(b.Leaves)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		case "hash":
			b.Hashes[rapid.IntRange(0, len(b.Hashes)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		case "count":
			b.Count++
		case "time":
			for j := range m.batches { // all of them, so that their order says nothing
				m.batches[j].At = m.batches[j].At.Add(-365 * 24 * time.Hour)
			}
			m.head.At = m.head.At.Add(-365 * 24 * time.Hour)
		case "delete":
			m.batches = append(m.batches[:i], m.batches[i+1:]...)
		case "swap":
			if i == 0 {
				rt.Skip("nothing to swap with")
			}
			m.batches[i], m.batches[i-1] = m.batches[i-1], m.batches[i]
		case "repeat":
			m.batches = append(m.batches[:i+1], m.batches[i:]...)
		case "checkpoint":
			m.head.Checkpoint[rapid.IntRange(0, len(m.head.Checkpoint)-1).Draw(rt, "byte")] ^= 1
		case "size":
			m.head.Size--
		case "cut":
			m.batches = m.batches[:i]
		case "rollback":
			m = early.clone()
		}
		var tampered *audit.TamperError
		if _, err := audit.VerifyStore(t.Context(), m, "keyward/test", trust); !errors.As(err, &tampered) {
			rt.Fatalf("not found: %v", err)
		}
	})
}

// A database that is behind what the node remembers is refused.
func TestRollbackIsSuspected(t *testing.T) {
	n, key := start(t, storetest.SQLite(t))
	for i := range 5 {
		if err := n.Log.Append(t.Context(), record(i)); err != nil {
			t.Fatal(err)
		}
	}
	n.StopLog()
	private, public, err := audit.GenerateKey("keyward/test")
	if err != nil {
		t.Fatal(err)
	}
	old := load(t, n)
	_, err = audit.Open(t.Context(), audit.Options{Store: n.DB, Origin: "keyward/test", PrivateKey: private, PublicKey: public, Now: time.Now})
	if err == nil {
		t.Error("a log opened with another key")
	}
	if err := n.DB.CreateLog(t.Context(), audit.Identity{Origin: "keyward/empty", PublicKey: key, SealedKey: []byte("none")}); err != nil {
		t.Fatal(err)
	}
	_, err = audit.Open(t.Context(), audit.Options{
		Store: &emptied{n.DB}, Origin: "keyward/test", PrivateKey: private, PublicKey: key, Remembered: old.head.Checkpoint, Now: time.Now,
	})
	if err == nil || !strings.Contains(err.Error(), "rollback suspected") {
		t.Errorf("an emptied database: %v", err)
	}
}

type emptied struct{ audit.Store }

func (emptied) Head(context.Context, string) (audit.Head, error) { return audit.Head{}, nil }

// A log whose store was set back under it, or whose commit takes effect after it was
// answered as failed.
func TestStoreThatChangesUnderTheLog(t *testing.T) {
	for _, test := range []struct {
		name  string
		hurt  func(t *testing.T, url string, b *broken)
		grown bool
	}{
		{"late commit", nil, true},
		{"rollback", func(t *testing.T, url string, _ *broken) {
			for _, q := range []string{
				`DELETE FROM audit_batch WHERE first >= 1`,
				`UPDATE audit_log SET size = 1, checkpoint = (SELECT checkpoint FROM saved)`,
			} {
				exec(t, url, q)
			}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := storetest.SQLite(t)
			n, _ := start(t, url)
			n.StopLog()
			exec(t, url, `DELETE FROM audit_log`)
			surprises := 0
			failing := ""
			b := &broken{n.DB, func(step string) error {
				if failing == step {
					return errors.New("injected")
				}
				return nil
			}}
			lying := &lyingHead{Store: b}
			log, public := openOn(t, n, lying, "keyward/hurt", func() { surprises++ })
			nothing := func(context.Context, audit.Tx) ([]audit.Effect, error) { return nil, nil }
			if err := log.Commit(t.Context(), record(0), nothing); err != nil {
				t.Fatal(err)
			}
			exec(t, url, `CREATE TABLE saved AS SELECT checkpoint FROM audit_log`)
			if err := log.Commit(t.Context(), record(1), nothing); err != nil {
				t.Fatal(err)
			}
			if test.hurt != nil {
				test.hurt(t, url, b)
				failing = "commit"
				_ = log.Append(t.Context(), record(2))
				failing = ""
				for i := range 3 {
					if err := log.Append(t.Context(), record(3+i)); !fault.Is(err, fault.AuditUnavailable) {
						t.Errorf("after a rollback the log goes on: %v", err)
					}
				}
				return
			}
			failing, lying.fail = "lost", true // it commits, and neither the commit nor the head answers
			if err := log.Append(t.Context(), record(2)); !fault.Is(err, fault.AuditUnavailable) {
				t.Errorf("have %v", err)
			}
			failing, lying.fail = "", false
			if err := log.Append(t.Context(), record(3)); !fault.Is(err, fault.AuditUnavailable) {
				t.Errorf("what was computed before the surprise was not refused: %v", err)
			}
			if err := log.Append(t.Context(), record(4)); err != nil || surprises != 1 {
				t.Errorf("afterwards: %v, %d surprises", err, surprises)
			}
			if report, err := audit.VerifyStore(t.Context(), n.DB, "keyward/hurt", audit.Trust{PublicKey: public}); err != nil || report.Size != 4 {
				t.Errorf("%d records, %v", report.Size, err)
			}
		})
	}
}

type lyingHead struct {
	audit.Store
	fail bool
}

func (l *lyingHead) Head(ctx context.Context, log string) (audit.Head, error) {
	if l.fail {
		return audit.Head{}, errors.New("injected")
	}
	return l.Store.Head(ctx, log)
}

func exec(t *testing.T, url, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}
