package fleet_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/storetest"
)

func TestRolloutStore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		nodes := 0
		keys := sealtest.Keyring(t)
		storetest.Rollout(t, func(t *testing.T) (pair [2]storetest.Fleet) {
			for i := range pair {
				nodes++
				if i == 1 && strings.HasPrefix(url, "sqlite:") {
					return [2]storetest.Fleet{pair[0], pair[0]} // it serves one node
				}
				pair[i] = fleet.Store{Store: storetest.Start(t, storetest.Options{URL: url, Origin: fmt.Sprintf("keyward/%d", nodes), Keys: keys}).Store}
			}
			return pair
		})
	})
}
