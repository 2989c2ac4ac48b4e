package proof

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/store"
	"github.com/keyward/keyward/internal/store/storetest"
)

// workers use the server at once, each with keys of its own, so that each knows what
// its keys must be like.
const workers = 8

// kills answers how often the server is killed: KEYWARD_KILLS, or a short run.
func kills(t *testing.T) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("KEYWARD_KILLS"), "20"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestKillOnSQLite(t *testing.T) { campaign(t, newServer(t, build(t), ""), kills(t)) }
func TestKillOnPostgres(t *testing.T) {
	campaign(t, newServer(t, build(t), storetest.Postgres(t)), kills(t)/4)
}

func campaign(t *testing.T, s *server, kills int) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d kills", seed, kills)
	var all []*worker
	for i := range workers {
		all = append(all, &worker{t: t, random: rand.New(rand.NewPCG(seed, uint64(i))), acknowledged: map[string]bool{}})
	}
	random := rand.New(rand.NewPCG(seed, workers))
	for range kills {
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, w := range all {
			running.Go(func() { w.work(ctx, s.client(w.heard)) })
		}
		time.Sleep(time.Duration(50+random.IntN(300)) * time.Millisecond)
		s.kill()
		stop()
		running.Wait()
		s.start()
		for _, w := range all {
			w.check(t, s.client(w.heard))
		}
		if t.Failed() {
			t.Fatalf("server's log:\n%s", s.log())
		}
	}
	operations := 0
	for _, w := range all {
		operations += len(w.acknowledged)
	}
	t.Logf("%d kills, %d acknowledged operations", kills, operations)
	if operations < 100*kills/2 {
		t.Errorf("the load was too small to prove anything")
	}
	for _, w := range all {
		c := s.client(w.heard)
		for _, k := range w.keys {
			if err := c.EnableKey(t.Context(), k.id); err != nil {
				t.Error(err)
			}
			k.decrypt(t, c, k.fresh)
			k.decrypt(t, c, k.blobs)
		}
	}
	checkAudit(t, s, all)
}

// A worker does random things to its own keys and remembers what was acknowledged.
type worker struct {
	t      *testing.T
	random *rand.Rand
	keys   []*knownKey

	mu           sync.Mutex // guards acknowledged
	acknowledged map[string]bool
}

// A knownKey is what a worker knows of a key. maybe is what the operation that was under
// way when the server died would have made of it, if it was not acknowledged.
type knownKey struct {
	id       string
	disabled bool
	tag      string
	versions int
	fresh    map[string]string // ciphertext → plaintext, not decrypted since
	blobs    map[string]string // the same, decrypted once after a kill
	maybe    func(*knownKey)
}

func (w *worker) heard(requestID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acknowledged[requestID] = true
}

// work works until the server dies.
func (w *worker) work(ctx context.Context, c *client.Client) {
	for ctx.Err() == nil {
		if err := w.step(ctx, c); err != nil {
			var refused *client.Error
			if errors.As(err, &refused) {
				w.t.Errorf("refused: %v", err)
			}
			return
		}
	}
}

func (w *worker) step(ctx context.Context, c *client.Client) error {
	if len(w.keys) < 3 {
		k, err := c.CreateKey(ctx, api.CreateKeyRequest{})
		if err == nil {
			w.keys = append(w.keys, &knownKey{id: k.ID, versions: 1, fresh: map[string]string{}, blobs: map[string]string{}})
		}
		return err
	}
	k := w.keys[w.random.IntN(len(w.keys))]
	change := func(apply func(*knownKey), err error) error {
		if err == nil {
			apply(k)
		} else {
			k.maybe = apply
		}
		return err
	}
	switch w.random.IntN(10) {
	case 0:
		return change(func(k *knownKey) { k.disabled = true }, c.DisableKey(ctx, k.id))
	case 1, 2:
		return change(func(k *knownKey) { k.disabled = false }, c.EnableKey(ctx, k.id))
	case 3:
		value := strconv.Itoa(w.random.IntN(1000))
		return change(func(k *knownKey) { k.tag = value }, c.TagKey(ctx, k.id, api.TagRequest{Tags: map[string]string{"t": value}}))
	default:
		if k.disabled {
			return nil
		}
		plain := fmt.Sprintf("plaintext %d", w.random.Uint64())
		out, err := c.Encrypt(ctx, api.EncryptRequest{Key: k.id, Plaintext: api.SecretBytes(plain)})
		if err == nil && w.random.IntN(10) == 0 { // checking each would take longer than the campaign
			k.fresh[string(out.Ciphertext)] = plain
		}
		return err
	}
}

// check holds every key against what was acknowledged; where an operation was under
// way, either outcome is right, but it must be one of the two.
func (w *worker) check(t *testing.T, c *client.Client) {
	for _, k := range w.keys {
		have, err := c.DescribeKey(t.Context(), k.id)
		if err != nil {
			t.Errorf("key %s is lost: %v", k.id, err)
			continue
		}
		if k.maybe != nil && !k.is(have) {
			k.maybe(k)
		}
		k.maybe = nil
		if !k.is(have) {
			t.Errorf("key %s is %s with tag %q and %d versions; acknowledged: %+v", k.id, have.State, have.Tags["t"], have.Versions, *k)
		}
		if k.disabled {
			continue
		}
		k.decrypt(t, c, k.fresh)
		maps.Copy(k.blobs, k.fresh)
		clear(k.fresh)
	}
}

// decrypt holds ciphertexts against what they were made of.
func (k *knownKey) decrypt(t *testing.T, c *client.Client, blobs map[string]string) {
	for blob, plain := range blobs {
		out, err := c.Decrypt(t.Context(), api.DecryptRequest{Ciphertext: []byte(blob)})
		if err != nil || string(out.Plaintext) != plain {
			t.Errorf("a ciphertext of key %s does not decrypt: %v", k.id, err)
		}
	}
}

func (k *knownKey) is(have api.Key) bool {
	return (have.State == "Disabled") == k.disabled && have.Tags["t"] == k.tag && have.Versions == k.versions
}

// checkAudit proves that the log holds and that every acknowledged operation has
// exactly one record in it.
func checkAudit(t *testing.T, s *server, all []*worker) {
	s.kill()
	db, err := store.Open(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	logs, err := db.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]int{}
	for _, id := range logs {
		report, err := audit.VerifyStore(t.Context(), db, id.Origin, audit.Trust{PublicKey: id.PublicKey})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d records verified", report.Size)
		q := audit.Query{Limit: 1000, Oldest: true, Result: audit.ResultOK}
		for more := true; more; more = q.Cursor != "" {
			var entries []audit.Entry
			if entries, q.Cursor, err = audit.List(t.Context(), db, q); err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				records[e.RequestID]++
			}
		}
	}
	for _, w := range all {
		for id := range w.acknowledged {
			if records[id] != 1 {
				t.Errorf("the acknowledged request %s has %d records", id, records[id])
			}
		}
	}
}
