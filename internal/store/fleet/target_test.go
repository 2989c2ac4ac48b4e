package fleet_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/target"
)

// One node adds targets while another removes others: neither waits for the other in a circle.
func TestTargetsComeAndGo(t *testing.T) {
	storetest.EachPair(t, func(t *testing.T, one, other *bound.Store) {
		here, there := fleet.Store{Store: one}, fleet.Store{Store: other}
		add := func(i int) target.Target {
			name := fmt.Sprintf("target-%d", i)
			of, n := target.Target{Account: "1", Name: name}, rollout.Node{Account: "1", Name: name, Kind: "edge"}
			if err := here.CreateTarget(t.Context(), storetest.Record("AddTarget"), &of, &n, nil); err != nil {
				t.Error(err)
			}
			return of
		}
		old := add(0)
		for i := range rounds {
			var both sync.WaitGroup
			var next target.Target
			both.Go(func() { next = add(i + 1) })
			if err := there.DeleteTarget(t.Context(), storetest.Record("RemoveTarget"), &old); err != nil {
				t.Error(err)
			}
			both.Wait()
			old = next
		}
	})
}
