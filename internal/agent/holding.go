package agent

import (
	"cmp"
	"fmt"
	"time"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent/identity"
)

// A holding is what the agent has of one rollout. The agent's lock guards it.
type holding struct {
	key   delivery.Key
	proof []byte
	progress
	dirty bool // progress changed since it was kept

	applyError string // why the generation is not applied, "" for nothing
	probeError string // why the last probe failed
}

// progress is how far the agent has come with a generation. Times are by the server's
// clock, so that they mean the same after a restart.
type progress struct {
	Generation int64     `json:"generation"`
	Applied    bool      `json:"applied"`  // files are written and the consumer was told
	Probed     bool      `json:"probed"`   // a probe succeeded after that
	LastWord   string    `json:"lastWord"` // what a program last said of the primary version; "" for nothing
	UsedAt     time.Time `json:"usedAt"`   // last use of the primary version; zero for none
	FallbackAt time.Time `json:"fallbackAt"`
	Fallbacks  int       `json:"fallbacks"`
	Refused    int       `json:"refused"`
}

// level answers how far that is. Programs know better than a probe: after one said that
// the version is refused, no probe counts, until one says that it was accepted.
func (p progress) level() string {
	switch {
	case !p.Applied:
		return delivery.LevelReceived
	case p.LastWord == delivery.ResultUsed, p.LastWord == "" && p.Probed:
		return delivery.LevelUsed
	}
	return delivery.LevelApplied
}

// maxUses is up to how many uses are counted: of a report with more the server believes nothing.
const maxUses = 1 << 40

// use takes in what a program says of a version, and tells whether the version is one of
// this generation.
func (h *holding) use(u delivery.Use, now time.Time) bool {
	count := func(n *int) { *n += min(max(u.Times, 1), maxUses-*n) }
	switch {
	case u.Version == h.key.Primary.Version && u.Result == delivery.ResultUsed:
		h.UsedAt, h.LastWord = now, delivery.ResultUsed
	case u.Version == h.key.Primary.Version:
		count(&h.Refused)
		h.LastWord = delivery.ResultRefused
	case u.Version == h.key.Fallback.Version && u.Version != "" && u.Result == delivery.ResultUsed:
		h.FallbackAt = now
		if u.Instead {
			count(&h.Fallbacks)
		}
	case u.Version == h.key.Fallback.Version && u.Version != "": // of no use to anybody: the primary version is what counts
	default:
		return false
	}
	h.dirty = true
	return true
}

// trouble answers why the rollout does not come farther.
func (h *holding) trouble() string {
	refused := ""
	if h.LastWord == delivery.ResultRefused {
		refused = fmt.Sprintf("programs say that the primary version is refused, %d times so far", h.Refused)
	}
	return cmp.Or(h.applyError, refused, h.probeError)
}

// ack answers what the server is told.
func (h *holding) ack(now time.Time) delivery.Ack {
	ago := func(at time.Time) *int64 {
		if at.IsZero() {
			return nil
		}
		millis := max(now.Sub(at).Milliseconds(), 0)
		return &millis
	}
	return delivery.Ack{
		Rollout: h.key.Rollout, Generation: h.key.Generation, Level: h.level(), Proof: h.proof,
		UsedAgo: ago(h.UsedAt), FallbackAgo: ago(h.FallbackAt), Fallbacks: h.Fallbacks, Refused: h.Refused, Error: h.trouble(),
	}
}

// standing answers what people are shown.
func (h *holding) standing() delivery.Standing {
	return delivery.Standing{
		Rollout: h.key.Rollout, Generation: h.key.Generation, Primary: h.key.Primary.Version, Fallback: h.key.Fallback.Version,
		Level: h.level(), UsedAt: h.UsedAt, FallbackAt: h.FallbackAt, Fallbacks: h.Fallbacks, Refused: h.Refused, Error: h.trouble(),
	}
}

// open opens a bundle.
func open(n identity.Node, k identity.Keys, b delivery.Bundle) (*holding, error) {
	h := &holding{key: delivery.Key{Rollout: b.Rollout, Generation: b.Generation}}
	for _, one := range []struct {
		sealed delivery.Sealed
		into   *delivery.Credential
	}{{b.Primary, &h.key.Primary}, {b.Fallback, &h.key.Fallback}} {
		if one.sealed.Version == "" && one.into == &h.key.Fallback {
			continue
		}
		value, err := k.Open(n, b.Rollout, one.sealed)
		if err != nil {
			return nil, err
		}
		defer value.Zero()
		parts, err := partsOf(value)
		if err != nil {
			return nil, fmt.Errorf("opening version %.64q: %w", one.sealed.Version, err)
		}
		*one.into = delivery.Credential{Version: one.sealed.Version, Parts: parts}
		if one.into == &h.key.Primary {
			h.proof = identity.Proof(n, b, value)
		}
	}
	return h, nil
}
