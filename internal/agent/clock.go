package agent

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// A clock shows the server's time, as far as it was heard, however this machine's clock
// stands and whatever becomes of it meanwhile.
type clock struct {
	now func() time.Time

	mu            sync.Mutex // guards what follows
	server, local time.Time  // at the last sync; zero before the first
}

// Now answers the time by the server's clock, without a monotonic reading, so that it
// means the same after a restart. Before the server was heard it is this machine's.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at(c.now())
}

// at answers the server's time at a time of this machine. The caller holds mu.
func (c *clock) at(local time.Time) time.Time {
	if c.server.IsZero() {
		return local.Round(0).UTC()
	}
	return c.server.Add(local.Sub(c.local)).Round(0).UTC() // by the monotonic clock: setting the wall clock changes nothing
}

// sync takes over what the server says that the time is.
func (c *clock) sync(server time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server, c.local = server.Round(0), c.now()
}

// maxSkew is the largest skew that is told: a clock that lost its battery is off by more.
const maxSkew = 9 * 365 * 24 * time.Hour

// Skew answers how far this machine's wall clock is before the server's.
func (c *clock) Skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	return min(max(now.Round(0).Sub(c.at(now)), -maxSkew), maxSkew)
}

// random answers a random part of d. Which part does not have to be a secret, but the
// generator of secrets needs no seed.
func random(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	var b [8]byte
	rand.Read(b[:]) // never fails
	return time.Duration(float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53) * float64(d))
}

// Backoff: the first attempt after a failure comes within firstPause, so that the agents
// of a server that was restarted do not all come back at once.
const (
	firstPause = 5 * time.Second
	lastPause  = time.Minute
)

// backoff answers how long to wait after a number of failures in a row: a random part of
// a time that doubles up to a bound, after what the server asked for.
func backoff(failures int, err error) time.Duration {
	return retryAfter(err) + random(min(firstPause<<min(failures, 10), lastPause))
}
