package server

import (
	"maps"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// A Limiter bounds how often somebody calls. It looks at authenticated calls, whose access key
// and account it knows by then, or at visitors, who are known by nothing but an address or a name.
// A limit of 0 is none.
type Limiter struct {
	PerKey     int // calls a second of one access key, or of one visitor
	PerAccount int // calls a second of one account

	mu      sync.Mutex // guards buckets
	buckets map[bucket]time.Time
}

// A bucket is an access key's or a visitor's, or an account's.
type bucket struct {
	account bool
	id      string
}

// maxBuckets bounds memory; beyond it, buckets that are full again are dropped.
const maxBuckets = 100_000

// Admit answers [fault.Throttled] when an authenticated call comes too soon.
func (l *Limiter) Admit(c *authz.Call) error {
	if !l.take(bucket{false, c.AccessKey}, l.PerKey, c.Time) {
		return fault.Throttled.New("The request was denied due to throttling: at most %d calls a second per access key. Wait a moment and try again.", l.PerKey)
	}
	if !l.take(bucket{true, c.Account}, l.PerAccount, c.Time) {
		return fault.Throttled.New("The request was denied due to throttling: at most %d calls a second per account. Wait a moment and try again.", l.PerAccount)
	}
	return nil
}

// AdmitVisitor answers [fault.Throttled] when a visitor comes too soon.
func (l *Limiter) AdmitVisitor(name string, now time.Time) error {
	if !l.take(bucket{false, name}, l.PerKey, now) {
		return fault.Throttled.New("there are too many requests from you; wait a second and try again")
	}
	return nil
}

// take is the generic cell rate algorithm with a burst of one second: the bucket keeps
// the time at which it would be full again.
func (l *Limiter) take(b bucket, perSecond int, now time.Time) bool {
	if perSecond == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buckets == nil {
		l.buckets = map[bucket]time.Time{}
	}
	if len(l.buckets) > maxBuckets {
		maps.DeleteFunc(l.buckets, func(_ bucket, full time.Time) bool { return full.Before(now) })
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
