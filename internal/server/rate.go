package server

import (
	"sync"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// A Limiter bounds the calls per second of each access key and of each account. It
// looks at authenticated calls, after the dialect decoded them, so that no encoding
// of a request escapes it. A limit of 0 is none.
type Limiter struct {
	PerKey     int
	PerAccount int

	mu      sync.Mutex // guards buckets
	buckets map[bucket]time.Time
}

// A bucket is an access key's or an account's.
type bucket struct {
	account bool
	id      string
}

// maxBuckets bounds memory; beyond it, buckets that are full again are dropped.
const maxBuckets = 100_000

// Admit answers [fault.Throttled] when the call comes too soon.
func (l *Limiter) Admit(c *authz.Call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buckets == nil {
		l.buckets = map[bucket]time.Time{}
	}
	if len(l.buckets) > maxBuckets {
		for name, t := range l.buckets {
			if t.Before(c.Time) {
				delete(l.buckets, name)
			}
		}
	}
	if !l.take(bucket{false, c.AccessKey}, l.PerKey, c.Time) || !l.take(bucket{true, c.Account}, l.PerAccount, c.Time) {
		return fault.Throttled.New("The request was denied due to throttling: at most %d calls a second per access key and %d per account. Wait a moment and try again.", l.PerKey, l.PerAccount)
	}
	return nil
}

// take is the generic cell rate algorithm with a burst of one second: the bucket keeps
// the time at which it would be full again.
func (l *Limiter) take(b bucket, perSecond int, now time.Time) bool {
	if perSecond == 0 {
		return true
	}
	full := l.buckets[b]
	if full.Before(now) {
		full = now
	}
	full = full.Add(time.Second / time.Duration(perSecond))
	if full.Sub(now) > time.Second {
		return false
	}
	l.buckets[b] = full
	return true
}
