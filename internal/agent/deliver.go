package agent

import (
	"context"
	"fmt"
	"time"

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
	var tried *holding
	for failures := 0; ctx.Err() == nil; {
		h, _ := a.look(d.Rollout)
		if h == nil {
			a.rest(ctx, d.Rollout, nil, time.Hour)
			continue
		}
		if h != tried {
			tried, failures = h, 0
		}
		err := a.apply(ctx, d, h)
		if err == nil {
			a.probe(ctx, d, h)
			continue
		}
		if ctx.Err() == nil {
			a.options.Logger.Error("applying", "rollout", d.Rollout, "generation", h.key.Generation, "error", err)
			a.change(h, func() { h.applyError = err.Error() })
		}
		a.rest(ctx, d.Rollout, h, backoff(failures, nil))
		failures++
	}
	return nil
}

// apply writes the files of a generation, and tells the consumer. What is known to be
// done is not done again, and what there is a newer generation for by then not at all.
func (a *Agent) apply(ctx context.Context, d config.Delivery, h *holding) error {
	contents := make([]material.Bytes, len(d.Files))
	defer func() {
		for _, c := range contents {
			c.Zero()
		}
	}()
	var stale []int
	for i, f := range d.Files { // all of them, before any is written
		content, err := f.Template.Execute(h.key)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		contents[i] = content
		if !f.Current(content) {
			stale = append(stale, i)
		}
	}
	applied := false
	a.change(h, func() { applied = h.Applied })
	if applied && len(stale) == 0 {
		return nil
	}
	if applied { // somebody changed a file, or the configuration did: begin anew
		a.change(h, func() { h.Applied, h.Probed, h.dirty = false, false, true })
		a.files.Lock()
		err := a.cache.forgetProgress(d.Rollout)
		a.files.Unlock()
		if err != nil {
			return err
		}
		a.options.Done(Unmarked)
	}
	for _, i := range stale {
		if err := d.Files[i].Write(contents[i]); err != nil {
			return err
		}
		a.options.Done(Written)
	}
	if done, err := a.reload(ctx, d, h); !done {
		return err
	}
	a.change(h, func() { h.Applied, h.applyError, h.probeError, h.dirty = true, "", "", true })
	a.keep()
	a.options.Done(Marked)
	a.options.Logger.Info("a generation was applied", "rollout", d.Rollout, "generation", h.key.Generation, "files", len(stale))
	return nil
}

// reload tells the consumer that its files are others, and whether it did: it does not if
// meanwhile there is a newer generation, which is to be written first.
func (a *Agent) reload(ctx context.Context, d config.Delivery, h *holding) (bool, error) {
	if d.Reload == nil {
		return true, nil
	}
	if !a.rest(ctx, d.Rollout, h, random(d.Splay)) {
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
func (a *Agent) probe(ctx context.Context, d config.Delivery, h *holding) {
	if d.Probe == nil {
		for a.rest(ctx, d.Rollout, h, time.Hour) {
		}
		return
	}
	for pause := time.Duration(0); a.rest(ctx, d.Rollout, h, pause); pause = d.Probe.Interval {
		err := d.Probe.Run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.change(h, func() { h.probeError = "probe: " + err.Error() })
			continue
		}
		at := a.clock.Now()
		a.change(h, func() {
			h.Probed, h.probeError, h.dirty = true, "", true
			if h.LastWord == "" {
				h.UsedAt = at
			}
		})
		a.keep()
		a.options.Done(Confirmed)
	}
}
