package rpc

import (
	"context"
	"sync"
	"time"
)

// A pace lets one request go every so often, after a burst. It counts with the clock of
// the timers and not with an injected one, because what it spaces are real requests.
type pace struct {
	every time.Duration
	burst int

	mu   sync.Mutex // guards next
	next time.Time  // when the next request would be due if there were no burst
}

// wait takes a place and waits for its time.
func (p *pace) wait(ctx context.Context) error {
	return Sleep(ctx, p.take(time.Now()))
}

func (p *pace) take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if earliest := now.Add(-time.Duration(p.burst) * p.every); p.next.Before(earliest) {
		p.next = earliest
	}
	p.next = p.next.Add(p.every)
	return p.next.Sub(now)
}

// Sleep waits, at most until ctx ends, and then answers its error.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
