package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/keyward/keyward/api/delivery"
)

const reportTimeout = 30 * time.Second

// report says how the agent does until ctx ends: regularly, and at once when it comes
// farther.
func (a *Agent) report(ctx context.Context) error {
	every := a.options.Config.Report
	for failures := 0; ; {
		a.keep()
		err := a.reportOnce(ctx)
		pause, early := every*4/5+random(every*2/5), (<-chan struct{})(a.wake)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && failures == 0:
			a.options.Logger.Warn("reporting", "error", err)
		case err == nil && failures > 0:
			a.options.Logger.Info("reporting again", "failures", failures)
		}
		if err == nil {
			failures = 0
		} else {
			pause, early = retryAfter(err)+min(backoff(failures, nil), every), nil
			failures++
		}
		wait(ctx, pause, early)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// reportOnce reports once.
func (a *Agent) reportOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var out delivery.ReportAnswer
	if err := a.link.post(ctx, delivery.ReportPath, a.whatToReport(), &out); err != nil {
		return err
	}
	if !out.Now.IsZero() {
		a.clock.sync(out.Now)
		a.heard()
	}
	if len(out.Stale) > 0 {
		signal(a.stale)
	}
	return nil
}

func (a *Agent) whatToReport() delivery.ReportRequest {
	now, skew := a.clock.Now(), a.clock.Skew()
	a.mu.Lock()
	defer a.mu.Unlock()
	r := delivery.ReportRequest{Version: a.options.Version, Skew: skew.Milliseconds(), Trouble: a.trouble()}
	for _, name := range slices.Sorted(maps.Keys(a.held)) {
		ack := a.held[name].ack(now)
		ack.Error = clip(ack.Error)
		r.Acks = append(r.Acks, ack)
	}
	return r
}
