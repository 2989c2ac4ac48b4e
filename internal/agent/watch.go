package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyward/keyward/api/delivery"
)

const (
	watchWait    = 55 * time.Second // that a watch may stay unanswered
	watchTimeout = 90 * time.Second
	tooSoon      = time.Second // in which an answer with nothing new is no answer
)

// watch asks for newer generations until ctx ends.
func (a *Agent) watch(ctx context.Context) error {
	for failures := 0; ; {
		begun := a.options.Now()
		more, err := a.watchOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			pause := backoff(failures, err)
			failures++
			a.options.Logger.Warn("watching", "error", err, "again in", pause.Round(time.Millisecond).String())
			wait(ctx, pause, a.stale) // a report that arrives says that the server is back
			continue
		}
		if failures > 0 {
			a.options.Logger.Info("watching again", "failures", failures)
		}
		failures = 0
		if !more && a.options.Now().Sub(begun) < tooSoon { // a server that does not let wait must not be asked without end
			wait(ctx, random(firstPause), nil)
		}
	}
}

// watchOnce asks once, and tells whether to ask again at once: something was taken, or
// the server says that there is more.
func (a *Agent) watchOnce(ctx context.Context) (more bool, err error) {
	in := delivery.WatchRequest{Have: map[string]int64{}, Wait: int(watchWait / time.Second)}
	a.mu.Lock()
	for name, h := range a.held {
		in.Have[name] = h.Generation
	}
	a.mu.Unlock()
	asked, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	go func() {
		select {
		case <-a.stale: // the server has something that this watch does not ask for
			cancel()
		case <-asked.Done():
		}
	}()
	var out delivery.WatchAnswer
	err = a.link.post(asked, delivery.WatchPath, in, &out)
	switch {
	case err != nil && errors.Is(asked.Err(), context.Canceled):
		return true, nil
	case err != nil:
		return false, err
	case out.Now.IsZero():
		return false, errors.New("reading the server's answer: it does not tell the time, so it is none")
	}
	a.clock.sync(out.Now)
	a.heard()
	for _, b := range out.Bundles {
		if !slices.Contains(out.Rollouts, b.Rollout) {
			continue
		}
		taken, fail := a.take(b)
		more = more || taken
		err = errors.Join(err, fail)
	}
	return more, errors.Join(err, a.forgetOthers(out.Rollouts))
}

// heard notes that the server answered.
func (a *Agent) heard() {
	now := a.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heardAt = now
}

// take takes a bundle if it is newer than what the agent has. When it tells so, the
// bundle is durable. When it fails, the agent has what it had before.
func (a *Agent) take(b delivery.Bundle) (bool, error) {
	have, _, _ := a.Key(b.Rollout)
	if !delivery.Newer(have.Generation, b.Generation) {
		a.options.Logger.Info("an older generation came late and was dropped", "rollout", b.Rollout, "generation", b.Generation, "have", have.Generation)
		return false, nil
	}
	h, err := open(a.node, a.keys, b)
	if err == nil {
		a.files.Lock()
		err = a.cache.keepBundle(b)
		a.files.Unlock()
	}
	if err != nil {
		err = fmt.Errorf("taking generation %d: %w", b.Generation, err)
	}
	a.setTrouble(b.Rollout, err)
	if err != nil {
		return false, err
	}
	a.options.Done(Cached)
	h.progress = progress{Generation: b.Generation, Applied: a.delivery(b.Rollout) == nil}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held[b.Rollout] = h
	a.moveOn()
	signal(a.wake)
	a.options.Logger.Info("a generation was received", "rollout", b.Rollout, "generation", b.Generation, "primary", b.Primary.Version, "fallback", b.Fallback.Version)
	return true, nil
}

// forgetOthers forgets all rollouts but some. The files that it wrote stay: what a program
// may be reading is not the agent's to take away.
func (a *Agent) forgetOthers(members []string) error {
	a.mu.Lock()
	var gone []string
	for name := range a.held {
		if !slices.Contains(members, name) {
			delete(a.held, name)
			gone = append(gone, name)
		}
	}
	if len(gone) > 0 {
		a.moveOn()
	}
	a.mu.Unlock()
	a.files.Lock()
	defer a.files.Unlock()
	var failed error
	for _, name := range gone {
		err := a.cache.forget(name)
		a.setTrouble(name, err)
		a.setTrouble(progressOf(name), nil)
		failed = errors.Join(failed, err)
		a.options.Logger.Warn("a rollout is not for this machine any more; its files stay", "rollout", name)
	}
	return failed
}
