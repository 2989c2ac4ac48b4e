package server

import (
	"context"
	"sync"
	"time"
)

// A deadline is a context that ends at a time, like context.WithDeadline, but whose timer
// is only started when somebody waits for it. The warm path of an operation reads nothing
// and waits for nobody, so nearly all requests are spared the timer.
type deadline struct {
	context.Context // the request's own, which ends when the client goes away
	at              time.Time

	mu     sync.Mutex // guards the fields below
	timed  context.Context
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil {
		d.timed, d.cancel = context.WithDeadline(d.Context, d.at)
	}
	return d.timed.Done()
}

// Err implements context.Context.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed != nil {
		return d.timed.Err()
	}
	if err := d.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(d.at) {
		return context.DeadlineExceeded
	}
	return nil
}

// end stops the timer, if there is one. The request's own context ends by itself.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel != nil {
		d.cancel()
	}
}
