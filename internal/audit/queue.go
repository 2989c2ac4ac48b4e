package audit

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// A queue is what waits for a writer. Who has waited for longer than the log's patience is
// answered that nothing was done; what a writer has taken is bounded by the same patience.
type queue struct {
	arrived chan struct{} // has an element if there may be something

	mu       sync.Mutex // guards the fields below
	waiting  []*pending // oldest first
	watching bool       // watchdog will go off
	watchdog *time.Timer
}

func newQueue() *queue {
	q := &queue{arrived: make(chan struct{}, 1)}
	q.watchdog = time.AfterFunc(patience, q.abandon)
	q.watchdog.Stop()
	return q
}

func (q *queue) put(p *pending) {
	q.mu.Lock()
	p.since = time.Now()
	q.waiting = append(q.waiting, p)
	if !q.watching {
		q.watching = true
		q.watchdog.Reset(patience)
	}
	q.mu.Unlock()
	select {
	case q.arrived <- struct{}{}:
	default: // the writer will look anyway
	}
}

// take moves the oldest to batch, so many at most.
func (q *queue) take(batch []*pending, most int) []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(most, len(q.waiting))
	batch = append(batch, q.waiting[:n]...)
	q.waiting = slices.Delete(q.waiting, 0, n)
	return batch
}

// length answers how many wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// abandon answers those whose patience is over.
func (q *queue) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	late := 0
	for late < len(q.waiting) && time.Since(q.waiting[late].since) >= patience {
		q.waiting[late].done <- fault.AuditUnavailable.New("the audit log could not be written in time; nothing was done; try again")
		late++
	}
	q.waiting = slices.Delete(q.waiting, 0, late)
	if q.watching = len(q.waiting) > 0; q.watching {
		q.watchdog.Reset(patience - time.Since(q.waiting[0].since))
	}
}

// refuse answers err to all who wait.
func (q *queue) refuse(err error) {
	for _, p := range q.take(nil, q.length()) {
		p.done <- err
	}
}

// serve calls write, which takes from the queue, until ctx has ended and nobody waits.
func (q *queue) serve(ctx context.Context, write func()) {
	for ended := false; !ended; {
		select {
		case <-q.arrived:
		case <-ctx.Done():
			ended = true
		}
		for q.length() > 0 {
			write()
		}
	}
	q.stop()
}

// stop stops the watchdog if nobody waits: a timer that runs would keep the log, and its
// signing key, in memory.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.watchdog.Stop()
		q.watching = false
	}
}
