// Package cache keeps what the warm path would otherwise read from the database:
// values that a loader can always make again and that a change feed keeps true.
//
// A value is stored only if nothing was forgotten while it was loading, so a load
// that raced a change can be answered once but never stays. When the feed itself is
// cut off (Fresh answers false) the cache is passed by, and every read loads.
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
	values  map[K]V
	changes uint64 // grows with every Forget and Clear
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
	changes := c.changes
	c.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := c.load(ctx, k)
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == changes {
		if len(c.values) >= c.max {
			for victim := range c.values { // any one: map order is random
				delete(c.values, victim)
				break
			}
		}
		c.values[k] = v
	}
	return v, nil
}

// Forget drops the value of k.
func (c *Cache[K, V]) Forget(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.values, k)
	c.changes++
}

// Clear drops every value.
func (c *Cache[K, V]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.values)
	c.changes++
}
