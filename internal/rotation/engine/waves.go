package engine

import (
	"slices"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
)

// DefaultBake is how long a wave bakes of which nobody says it.
const DefaultBake = 10 * time.Minute

// matchWaves answers the terms of each wave of a rollout, in order. Those of waves that
// the rollout does not have are refused.
func matchWaves(terms []rotation.WaveTerms, waves []rollout.Wave) ([]rotation.WaveTerms, error) {
	out := make([]rotation.WaveTerms, len(waves))
	for i, w := range waves {
		out[i] = rotation.WaveTerms{Name: w.Name, Bake: DefaultBake}
	}
	for _, t := range terms {
		i := slices.IndexFunc(waves, func(w rollout.Wave) bool { return w.Name == t.Name })
		if i < 0 {
			return nil, fault.InvalidParameter.New("the rollout has no wave %q", t.Name)
		}
		out[i] = t
	}
	return out, nil
}
