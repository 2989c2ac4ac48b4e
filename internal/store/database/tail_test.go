package database_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A logged is a log on an embedded database that can crash: its files are copied away
// while it is open, as a power cut would leave them.
type logged struct {
	t       *testing.T
	url     string
	db      *database.DB
	log     *audit.Log
	public  string
	private string
}

func newLogged(t *testing.T) *logged {
	l := &logged{t: t, url: storetest.SQLite(t)}
	var err error
	if l.private, l.public, err = audit.GenerateKey("keyward/a"); err != nil {
		t.Fatal(err)
	}
	l.open()
	if err := l.db.CreateLog(t.Context(), audit.Identity{Origin: "keyward/a", PublicKey: l.public, SealedKey: []byte("none")}); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *logged) open() {
	l.t.Helper()
	var err error
	if l.db, err = database.Open(l.t.Context(), l.url); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = l.db.Close() })
	l.log, err = audit.Open(l.t.Context(), audit.Options{Store: l.db, Origin: "keyward/a", PrivateKey: l.private, PublicKey: l.public, Now: time.Now})
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = l.log.Run(ctx) })
	l.t.Cleanup(func() { cancel(); running.Wait() })
}

// crash leaves the open database as it is and goes on with a copy of its files.
func (l *logged) crash() {
	l.t.Helper()
	from, to := strings.TrimPrefix(l.url, "sqlite:"), strings.TrimPrefix(storetest.SQLite(l.t), "sqlite:")
	for _, suffix := range []string{"", "-wal", "-audit.0", "-audit.1"} {
		content, err := os.ReadFile(from + suffix)
		if err != nil {
			l.t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, content, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	l.url = "sqlite:" + to
	l.open()
}

func (l *logged) append(nonce string) error {
	r := storetest.Record("kms:Test")
	r.Result = audit.ResultOK
	if nonce != "" {
		r.Nonce = []byte(nonce)
	}
	return l.log.Append(l.t.Context(), r)
}

func (l *logged) change(nonce string) error {
	r := storetest.Record("kms:Change")
	if nonce != "" {
		r.Nonce = []byte(nonce)
	}
	return l.log.Commit(l.t.Context(), r, func(context.Context, audit.Tx) ([]audit.Effect, error) { return nil, nil })
}

func (l *logged) want(r audit.Reader, size int64) {
	l.t.Helper()
	report, err := audit.VerifyStore(l.t.Context(), r, "keyward/a", audit.Trust{PublicKey: l.public, Remembered: [][]byte{l.log.Checkpoint()}})
	if err != nil || report.Size != size {
		l.t.Errorf("%d records, want %d; %v", report.Size, size, err)
	}
	for _, oldest := range []bool{true, false} {
		entries, _, err := audit.List(l.t.Context(), r, audit.Query{Limit: 1000, Oldest: oldest})
		if err != nil || int64(len(entries)) != size {
			l.t.Fatalf("%d entries are listed, want %d; %v", len(entries), size, err)
		}
		for i, e := range entries {
			if seq := int64(i); oldest && e.Seq != seq || !oldest && e.Seq != size-1-seq {
				l.t.Errorf("oldest first %v: entry %d is record %d", oldest, i, e.Seq)
			}
		}
	}
	for seq := range size {
		if _, err := audit.Prove(l.t.Context(), r, "keyward/a", seq); err != nil {
			l.t.Error(err)
		}
	}
}

// Records in the journal and in the tables are one log, for the process that writes it,
// for one that reads the files beside it, and for one that starts after a crash; and what
// was claimed before the crash stays claimed.
func TestJournalAndTablesAreOneLog(t *testing.T) {
	l := newLogged(t)
	size := int64(0)
	both := func() {
		t.Helper()
		l.want(l.db, size)
		other, err := database.OpenReadOnly(t.Context(), l.url)
		if err != nil {
			t.Fatal(err)
		}
		l.want(other, size)
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
	for round := range 3 {
		nonce := func(i int) string { return fmt.Sprintf("%02d %02d 0123456789", round, i) }
		for i := range 5 {
			if err := l.append(nonce(i)); err != nil {
				t.Fatal(err)
			}
			size++
		}
		both()
		if round == 1 {
			if err := l.change(nonce(5)); err != nil { // takes what is in the journal along
				t.Fatal(err)
			}
			if err := l.append(nonce(6)); err != nil {
				t.Fatal(err)
			}
			size += 2
			both()
		}
		l.crash()
		both()
		for _, again := range []func(string) error{l.append, l.change} {
			for i := range 5 {
				if err := again(nonce(i)); !fault.Is(err, fault.NonceUsed) {
					t.Errorf("after the crash a request is served again: %v", err)
				}
				size++
			}
		}
		if round == 1 {
			if err := l.append(nonce(5)); !fault.Is(err, fault.NonceUsed) {
				t.Errorf("after the crash a change is made again: %v", err)
			}
			size++
		}
	}
	both()
}

// A record that is missing before a whole one was lost by no crash.
func TestDamagedJournalIsRefused(t *testing.T) {
	l := newLogged(t)
	for range 3 {
		if err := l.append(""); err != nil {
			t.Fatal(err)
		}
	}
	path := strings.TrimPrefix(l.url, "sqlite:")
	content, err := os.ReadFile(path + "-audit.0")
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1 // in the second of three equal records
	to := storetest.SQLite(t)
	for suffix, content := range map[string][]byte{"": read(t, path), "-wal": read(t, path+"-wal"), "-audit.0": content} {
		if err := os.WriteFile(strings.TrimPrefix(to, "sqlite:")+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := database.Open(t.Context(), to); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("have %v", err)
	}
	if _, err := database.OpenReadOnly(t.Context(), to); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("have %v", err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Under load the tail moves into the tables while records arrive, and nothing is lost.
func TestTailMovesUnderLoad(t *testing.T) {
	n := storetest.Start(t, storetest.Options{URL: storetest.SQLite(t), Origin: "keyward/a", Keys: sealtest.Keyring(t)})
	ctx, cancel := context.WithCancel(t.Context())
	var running, writers sync.WaitGroup
	running.Go(func() { _ = n.Store.Run(ctx) })
	const each = 400
	for range 16 {
		writers.Go(func() {
			for i := range each {
				r := storetest.Record("kms:Test")
				r.Result = audit.ResultOK
				for p := range 16 {
					r.Param(fmt.Sprint(p), strings.Repeat("x", 256))
				}
				var err error
				if i%50 == 0 {
					err = n.Log.Commit(t.Context(), r, func(context.Context, audit.Tx) ([]audit.Effect, error) { return nil, nil })
				} else {
					err = n.Log.Append(t.Context(), r)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	cancel()
	running.Wait()
	logs, err := n.DB.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.VerifyStore(t.Context(), n.DB, "keyward/a", audit.Trust{PublicKey: logs[0].PublicKey})
	if err != nil || report.Size != 16*each {
		t.Errorf("%d records, want %d; %v", report.Size, 16*each, err)
	}
}

// Who reads the files beside a working server finds a whole log, at least as long as what
// was acknowledged before.
func TestReadingBesideAWorkingServer(t *testing.T) {
	l := newLogged(t)
	done := make(chan struct{})
	var writers sync.WaitGroup
	for n := range 8 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				err := l.append("")
				if n == 0 {
					err = l.change("")
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 30 {
		known := l.log.Checkpoint()
		other, err := database.OpenReadOnly(t.Context(), l.url)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := audit.VerifyStore(t.Context(), other, "keyward/a", audit.Trust{PublicKey: l.public, Remembered: [][]byte{known}}); err != nil && len(known) > 0 {
			t.Error(err)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	writers.Wait()
}

// A tail that is too long is moved before more is appended; but not while a transaction is under
// way, which may be waiting for the batch in hand and takes the tail along.
func TestLongTailDoesNotWaitForATransaction(t *testing.T) {
	l := newLogged(t)
	var size int64
	appended := func() error {
		return l.db.Append(t.Context(), nil, func([]bool) (audit.Batch, error) {
			size++
			return audit.Batch{Log: "keyward/a", First: size - 1, Count: 1, At: time.Now(), Leaves: bytes.Repeat([]byte("a"), 12<<20), Hashes: []byte{}, Checkpoint: []byte("signed")}, nil
		})
	}
	err := l.db.Transact(t.Context(), func(audit.Tx) error {
		for range 4 { // 48 MiB
			if err := appended(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := appended(); err != nil {
		t.Fatal(err)
	}
	if head, err := l.db.Head(t.Context(), "keyward/a"); err != nil || head.Size != size {
		t.Errorf("%d batches can be read, want %d; %v", head.Size, size, err)
	}
	if held := l.db.TailSize(); held > 13<<20 {
		t.Errorf("the tail has %d MB after it was moved", held>>20)
	}
}
