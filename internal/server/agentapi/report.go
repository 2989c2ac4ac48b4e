package agentapi

import (
	"time"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rollout"
)

// longest is the longest time that an agent may speak of, in milliseconds.
const longest = int64(10 * 365 * 24 * time.Hour / time.Millisecond)

// report takes in what a node says of itself.
func (d *Dialect) report(v visit) (any, error) {
	g, err := d.identify(v)
	if err != nil {
		return nil, err
	}
	st, err := v.readReport(g)
	if err != nil {
		return nil, err
	}
	stale, err := d.Rollouts.Report(v.x.Context(), g.call, g.Node, st)
	return delivery.ReportAnswer{Now: d.Now().UTC(), Stale: stale}, err
}

// readReport reads a ReportRequest.
func (v visit) readReport(g guest) (rollout.Statement, error) {
	var in delivery.ReportRequest
	if err := v.decode(&in); err != nil {
		return rollout.Statement{}, err
	}
	if in.Skew > longest || in.Skew < -longest {
		return rollout.Statement{}, fault.InvalidParameter.New("skewMillis makes no sense")
	}
	st := rollout.Statement{SaidAt: g.signed, Version: in.Version, Skew: time.Duration(in.Skew) * time.Millisecond, Trouble: in.Trouble}
	seen := make(map[string]bool, len(in.Acks))
	for _, a := range in.Acks {
		if seen[a.Rollout] {
			return rollout.Statement{}, fault.InvalidParameter.New("a report acknowledges each rollout once")
		}
		seen[a.Rollout] = true
		used, okUsed := ago(a.UsedAgo)
		fallback, okFallback := ago(a.FallbackAgo)
		if !okUsed || !okFallback {
			return rollout.Statement{}, fault.InvalidParameter.New("a last use was 0 to %d milliseconds ago", longest)
		}
		st.Claims = append(st.Claims, rollout.Claim{
			Rollout: a.Rollout, Generation: a.Generation, Level: rollout.Level(a.Level), Proof: a.Proof, Used: used, Fallback: fallback,
			Message: func(version string) []byte {
				return delivery.ProofMessage(g.Account, a.Rollout, g.Name, version, a.Generation)
			},
			Fallbacks: a.Fallbacks, Refused: a.Refused, Error: a.Error,
		})
	}
	return st, nil
}

// ago reads a time since a last use; false for one that makes no sense.
func ago(millis *int64) (*time.Duration, bool) {
	if millis == nil {
		return nil, true
	}
	since := time.Duration(*millis) * time.Millisecond
	return &since, *millis >= 0 && *millis <= longest
}
