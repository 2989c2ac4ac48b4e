package xks

import (
	"sync"
	"time"
)

const (
	tolerance = 5                // failures in a row before a proxy is left alone
	firstRest = time.Second      // that it is then left alone; doubled each time it fails again
	longRest  = 30 * time.Second // at most
)

// A breaker leaves a proxy alone that failed several times in a row. After a rest, one
// request tries it; docs/design/external-keys.md draws the states. The zero breaker is closed.
type breaker struct {
	mu       sync.Mutex // guards the fields below
	failures int        // in a row
	rest     time.Duration
	until    time.Time // when the rest ends
	trying   bool      // one request tries the proxy
}

// enter tells whether a request may be made now; then leave or abandon must follow.
func (b *breaker) enter(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < tolerance {
		return true
	}
	if b.trying || now.Before(b.until) {
		return false
	}
	b.trying = true
	return true
}

// leave says whether the proxy did its work.
func (b *breaker) leave(now time.Time, answered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
	if answered {
		b.failures, b.rest = 0, 0
		return
	}
	if b.failures++; b.failures >= tolerance {
		b.rest = min(max(2*b.rest, firstRest), longRest)
		b.until = now.Add(b.rest)
	}
}

// abandon ends a request of which nobody knows whether the proxy would have done its work.
func (b *breaker) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
}
