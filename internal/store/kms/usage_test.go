package kms_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/usage"
)

// A resource is registered while its key is deleted, by another node where there can be one: it
// is refused, or goes with the key.
func TestNoResourceOutlivesItsKey(t *testing.T) {
	storetest.EachPair(t, func(t *testing.T, here, there *bound.Store) {
		for i := range 20 {
			k := &key.Key{Account: "1", ID: key.ID(fmt.Sprintf("key-%d", i)), Primary: "v"}
			v := &key.Version{Account: "1", Key: k.ID, ID: "v"}
			if err := (kms.Store{Store: here}).CreateKey(t.Context(), storetest.Record("CreateKey"), k, v, nil, nil); err != nil {
				t.Fatal(err)
			}
			var saved error
			var both sync.WaitGroup
			both.Go(func() {
				saved = kms.Usage{Store: here}.SaveResource(t.Context(), storetest.Record("RegisterKeyAssociation"), &usage.Resource{Account: "1", Key: k.ID, Product: "p", Name: "n"})
			})
			gone, err := kms.Store{Store: there}.DeleteKey(t.Context(), storetest.Record("DeleteKey"), k)
			if both.Wait(); err != nil || !gone || saved != nil && !fault.Is(saved, fault.KeyNotFound) {
				t.Fatal(saved, gone, err)
			}
			left, err := kms.Usage{Store: here}.Resources(t.Context(), "1", k.ID)
			if err != nil || len(left) > 0 {
				t.Errorf("registered %v; left is %v, %v", saved, left, err)
			}
		}
	})
}
