package tencent

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// usual is how often an action may be called in a second unless it says otherwise: the
// limit that Tencent Cloud names for most.
const usual = 20

// A pace spreads the requests of each action over time. It measures with the machine's
// monotonic clock, as the timers do that it waits with, and not with the clock that dates
// are compared with.
type pace struct {
	mu   sync.Mutex
	next map[string]time.Time // guarded by mu: when an action may be called again
}

// wait waits for the turn of a request. Three quarters of the limit are used: requests
// do not arrive as evenly as they are sent, and others use the same account.
func (p *pace) wait(ctx context.Context, op Operation) error {
	limit := op.Limit
	if limit == 0 {
		limit = usual
	}
	p.mu.Lock()
	now, turn := time.Now(), p.next[op.String()]
	if turn.Before(now) {
		turn = now
	}
	if p.next == nil {
		p.next = map[string]time.Time{}
	}
	p.next[op.String()] = turn.Add(time.Second * 4 / (3 * time.Duration(limit)))
	p.mu.Unlock()
	return sleep(ctx, turn.Sub(now))
}

// sleep waits, or answers the context's error as soon as it ends.
func sleep(ctx context.Context, d time.Duration) error {
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

const (
	attempts     = 5
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 8 * time.Second
)

// backoff is how long to wait after a number of failed attempts: between a half and the
// whole of a time that doubles, so that clients that failed together do not return together.
func backoff(failed int, asked time.Duration) time.Duration {
	d := min(firstBackoff<<(failed-1), maxBackoff)
	var b [8]byte
	rand.Read(b[:]) // never fails: the runtime ends the process instead
	d = d/2 + time.Duration(binary.NativeEndian.Uint64(b[:])%uint64(d/2))
	return max(d, min(asked, maxBackoff))
}
