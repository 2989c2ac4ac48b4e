package xks

import "time"

// A Breaker is a breaker for tests.
type Breaker struct{ b breaker }

// Enter tells whether a request may be made.
func (b *Breaker) Enter(now time.Time) bool { return b.b.enter(now) }

// Leave says whether it succeeded.
func (b *Breaker) Leave(now time.Time, ok bool) { b.b.leave(now, ok) }

// Abandon says that nobody knows.
func (b *Breaker) Abandon() { b.b.abandon() }
