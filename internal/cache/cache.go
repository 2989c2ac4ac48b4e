// Package cache keeps what the warm path would otherwise read from the database:
// values that a loader can always make again and that a change feed keeps true.
//
// A value is stored only if nothing was forgotten while it was loading, so a load
// that raced a change can be answered once but never stays. When the feed itself is
// cut off (Fresh answers false) the cache is passed by, and every read loads.
//
// Values that should not stay longer than they are used, such as unwrapped keys, are kept
// in two generations: [Cache.Age] drops the older one, and a value that is used moves to
// the younger. Called once a period, it drops what was idle for between one and two
// periods, in constant time and without a note for each use. A dropped value stays usable
// for whoever has it; the garbage collector knows when nobody has.
//
// Domain services own caches and answer for what is in them: what they load was
// authenticated when it was read, and package app hands them the store's changes. A cache
// holds no rule, reads no clock and starts no goroutine.
package cache

import (
	"context"
	"sync"
)

// A Cache maps keys to loaded values. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	load  func(context.Context, K) (V, error)
	fresh func() bool
	max   int

	mu      sync.RWMutex // guards the fields below
	values  map[K]V      // used since the last Age
	older   map[K]V      // not used since, but before; disjoint from values
	changes uint64       // grows with every Forget and Clear
}

// New makes a cache of at most max values. load makes a value; fresh tells whether
// the change feed is up to date.
func New[K comparable, V any](max int, fresh func() bool, load func(context.Context, K) (V, error)) *Cache[K, V] {
	return &Cache[K, V]{load: load, fresh: fresh, max: max, values: make(map[K]V)}
}

// Get answers the value of k, loading it if need be. Errors are not kept.
func (c *Cache[K, V]) Get(ctx context.Context, k K) (V, error) {
	if !c.fresh() {
		return c.load(ctx, k)
	}
	c.mu.RLock()
	v, ok := c.values[k]
	_, idle := c.older[k]
	changes := c.changes
	c.mu.RUnlock()
	if ok {
		return v, nil
	}
	if idle {
		if v, ok := c.rejuvenate(k); ok {
			return v, nil
		}
	}
	v, err := c.load(ctx, k)
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == changes {
		if len(c.values)+len(c.older) >= c.max {
			c.evict()
		}
		delete(c.older, k) // somebody else may have loaded it, and Age have passed, meanwhile
		c.values[k] = v
	}
	return v, nil
}

// rejuvenate moves a value to the younger generation, if there still is one.
func (c *Cache[K, V]) rejuvenate(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.values[k]; ok { // somebody else was faster
		return v, true
	}
	v, ok := c.older[k]
	if ok {
		delete(c.older, k)
		c.values[k] = v
	}
	return v, ok
}

// evict drops any one value, of the older ones if there are: map order is random. The
// caller holds mu.
func (c *Cache[K, V]) evict() {
	for _, generation := range []map[K]V{c.older, c.values} {
		for victim := range generation {
			delete(generation, victim)
			return
		}
	}
}

// Age drops the values that were not used since the last call and answers how many.
func (c *Cache[K, V]) Age() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	dropped := len(c.older)
	c.older, c.values = c.values, make(map[K]V)
	return dropped
}

// Forget drops the value of k.
func (c *Cache[K, V]) Forget(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.values, k)
	delete(c.older, k)
	c.changes++
}

// Clear drops every value.
func (c *Cache[K, V]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.values)
	clear(c.older)
	c.changes++
}
