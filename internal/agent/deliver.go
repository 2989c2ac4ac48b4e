package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent/config"
	"github.com/keyward/keyward/internal/material"
)

// deliver brings each generation of a rollout to its consumer until ctx ends.
func (a *Agent) deliver(ctx context.Context, d config.Delivery) error {
	for _, f := range d.Files {
		if err := f.Clean(); err != nil {
			a.options.Logger.Warn("starting", "rollout", d.Rollout, "error", err) // applying will say more
		}
	}
	var tried int64 // generation
	for failures := 0; ctx.Err() == nil; {
		k, _, ok := a.Key(d.Rollout)
		if !ok {
			a.rest(ctx, d.Rollout, 0, time.Hour)
			continue
		}
		if k.Generation != tried {
			tried, failures = k.Generation, 0
		}
		err := a.apply(ctx, d, k)
		if err == nil {
			a.probe(ctx, d, k.Generation)
			continue
		}
		if ctx.Err() == nil {
			a.options.Logger.Error("applying", "rollout", d.Rollout, "generation", k.Generation, "error", err)
			a.change(d.Rollout, k.Generation, func(h *holding) { h.applyError = err.Error() })
		}
		a.rest(ctx, d.Rollout, k.Generation, backoff(failures, nil))
		failures++
	}
	return nil
}

// apply writes the files of a generation, and tells the consumer. What is known to be
// done is not done again.
func (a *Agent) apply(ctx context.Context, d config.Delivery, k delivery.Key) error {
	contents := make([]material.Bytes, len(d.Files))
	defer func() {
		for _, c := range contents {
			c.Zero()
		}
	}()
	var stale []int
	for i, f := range d.Files { // all of them, before any is written
		content, err := f.Template.Execute(k)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		contents[i] = content
		if !f.Current(content) {
			stale = append(stale, i)
		}
	}
	applied := false
	a.change(d.Rollout, k.Generation, func(h *holding) { applied = h.Applied })
	if applied && len(stale) == 0 {
		return nil
	}
	if applied { // somebody changed a file, or the configuration did: begin anew
		if err := a.cache.forgetProgress(d.Rollout); err != nil {
			return err
		}
		a.change(d.Rollout, k.Generation, func(h *holding) { h.Applied, h.Probed, h.dirty = false, false, true })
		a.options.Done(Unmarked)
	}
	for _, i := range stale {
		if err := d.Files[i].Write(contents[i]); err != nil {
			return err
		}
		a.options.Done(Written)
	}
	if done, err := a.reload(ctx, d, k); !done {
		return err
	}
	a.change(d.Rollout, k.Generation, func(h *holding) { h.Applied, h.applyError, h.probeError, h.dirty = true, "", "", true })
	a.keep()
	a.options.Done(Marked)
	a.options.Logger.Info("a generation was applied", "rollout", d.Rollout, "generation", k.Generation, "files", len(stale))
	return nil
}

// reload tells the consumer that its files are others, and whether it did: it does not if
// meanwhile there is a newer generation, which is to be written first.
func (a *Agent) reload(ctx context.Context, d config.Delivery, k delivery.Key) (bool, error) {
	if d.Reload == nil {
		return true, nil
	}
	if !a.rest(ctx, d.Rollout, k.Generation, random(d.Splay)) {
		return false, ctx.Err()
	}
	if err := d.Reload.Run(ctx); err != nil {
		return false, fmt.Errorf("reload: %w", err)
	}
	a.options.Done(Reloaded)
	return true, nil
}

// probe asks again and again whether the consumer works with a generation that was
// applied, until there is another.
func (a *Agent) probe(ctx context.Context, d config.Delivery, generation int64) {
	if d.Probe == nil {
		for a.rest(ctx, d.Rollout, generation, time.Hour) {
		}
		return
	}
	for again := true; again; again = a.rest(ctx, d.Rollout, generation, d.Probe.Interval) {
		err := d.Probe.Run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.change(d.Rollout, generation, func(h *holding) { h.probeError = "probe: " + err.Error() })
			continue
		}
		at := a.clock.Now()
		a.change(d.Rollout, generation, func(h *holding) {
			h.Probed, h.probeError, h.dirty = true, "", true
			if h.LastWord == "" {
				h.UsedAt = at
			}
		})
		a.keep()
		a.options.Done(Confirmed)
	}
}
