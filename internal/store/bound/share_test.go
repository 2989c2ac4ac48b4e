package bound_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// Changes that share a transaction come out as if each had one of its own: those that fail
// leave nothing behind, those that do not are all there, and each of these is on record once.
func TestChangesThatShareATransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n := start(t, url, "keyward/a", sealtest.Keyring(t), nil)
		k, v := newKey(0)
		if err := n.keys.CreateKey(t.Context(), storetest.Record("kms:CreateKey"), k, v, nil, nil); err != nil {
			t.Fatal(err)
		}
		const names, workers, rounds = 3, 16, 25
		var made, gone [names]atomic.Int64
		var all sync.WaitGroup
		for worker := range workers {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			all.Go(func() {
				for range rounds {
					i := random.IntN(names)
					name := fmt.Sprintf("alias/%d", i)
					a, err := n.keys.Alias(t.Context(), "1", name)
					if err == nil {
						err = n.keys.DeleteAlias(t.Context(), storetest.Record("kms:DeleteAlias"), &a)
						happened(&gone[i], err)
					} else if fault.Is(err, fault.AliasNotFound) {
						err = n.keys.CreateAlias(t.Context(), storetest.Record("kms:CreateAlias"), &key.Alias{Account: "1", Name: name, Key: k.ID, CreatedAt: time.Unix(1, 0)})
						happened(&made[i], err)
					}
					if err != nil && !fault.Is(err, fault.Changed) && !fault.Is(err, fault.AliasExists) {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		want := int64(1)
		for i := range names {
			_, err := n.keys.Alias(t.Context(), "1", fmt.Sprintf("alias/%d", i))
			there := made[i].Load() - gone[i].Load()
			if err == nil && there != 1 || err != nil && (there != 0 || !fault.Is(err, fault.AliasNotFound)) {
				t.Errorf("alias %d was made %d times and removed %d times, and then: %v", i, made[i].Load(), gone[i].Load(), err)
			}
			want += made[i].Load() + gone[i].Load()
		}
		var records, most int64
		if err := n.DB.Batches(t.Context(), "keyward/a", 0, func(b audit.Batch) error {
			records, most = records+b.Count, max(most, b.Count)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if records != want {
			t.Errorf("%d records, want %d", records, want)
		}
		if shares := !n.DB.Shared(); shares != (most > 1) {
			t.Errorf("a transaction has %d changes at most", most)
		}
		if n.Store.Tampered() > 0 {
			t.Errorf("%d rows were not what keyward wrote", n.Store.Tampered())
		}
	})
}

func happened(n *atomic.Int64, err error) {
	if err == nil {
		n.Add(1)
	}
}
