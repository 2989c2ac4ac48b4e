package fleet_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A plan is stored while what it names is removed, by another node where there can be one: one
// of the two is refused, and no plan names what is gone.
func TestNoPlanNamesWhatIsGone(t *testing.T) {
	storetest.EachPair(t, func(t *testing.T, here, there *bound.Store) {
		t.Run("provider", func(t *testing.T) { raceForProvider(t, here, there) })
		t.Run("rollout", func(t *testing.T) { raceForRollout(t, here, there) })
	})
}

const rounds = 20

func raceForProvider(t *testing.T, here, there *bound.Store) {
	for i := range rounds {
		src := accesskey.Source{Account: "1", Name: fmt.Sprintf("source-%d", i)}
		made(t, inventory.Store{Store: here}.CreateSource(t.Context(), storetest.Record("AddProvider"), &src, nil))
		p := rotation.Plan{Account: "1", Name: fmt.Sprintf("of-%s", src.Name), Source: src.Name}
		race(t, here, &p, func() error {
			return inventory.Store{Store: there}.DeleteSource(t.Context(), storetest.Record("RemoveProvider"), &src)
		})
	}
}

func raceForRollout(t *testing.T, here, there *bound.Store) {
	src := accesskey.Source{Account: "1", Name: "stays"}
	made(t, inventory.Store{Store: here}.CreateSource(t.Context(), storetest.Record("AddProvider"), &src, nil))
	for i := range rounds {
		r := rollout.Rollout{Account: "1", Name: fmt.Sprintf("rollout-%d", i), Now: []rollout.Generation{{Number: 1}}}
		made(t, fleet.Store{Store: here}.CreateRollout(t.Context(), storetest.Record("CreateRollout"), &r))
		p := rotation.Plan{Account: "1", Name: fmt.Sprintf("over-%s", r.Name), Source: src.Name, Rollout: r.Name}
		race(t, here, &p, func() error {
			return fleet.Store{Store: there}.DeleteRollout(t.Context(), storetest.Record("RemoveRollout"), &r)
		})
	}
}

// race stores a plan and removes what it names at the same time.
func race(t *testing.T, s *bound.Store, p *rotation.Plan, remove func() error) {
	t.Helper()
	var saved error
	var both sync.WaitGroup
	both.Go(func() {
		saved = fleet.Rotations{Store: s}.SavePlan(t.Context(), storetest.Record("CreateRotationPlan"), p, nil)
	})
	removed := remove()
	both.Wait()
	switch {
	case saved == nil && fault.Is(removed, fault.ResourceInUse) && strings.Contains(removed.Error(), p.Name):
	case removed == nil && fault.Is(saved, fault.ResourceNotFound):
	default:
		t.Errorf("plan %s: stored %v, and what it names removed %v", p.Name, saved, removed)
	}
}

func made(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
