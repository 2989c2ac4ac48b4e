package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// An Intake bounds the memory of connections and of the requests that arrive on them, all of
// them together.
//
// Of connections there is a number. Beyond it those that have waited longest for their clients
// to send a whole request are closed, be it the newest: whoever opens connections from many
// addresses and is slow on them is in nobody's way, and a client whose connection was idle makes
// another one.
//
// Of requests there are bytes. Limits of one request bound nothing: net/http holds the
// headers, and the edge the body, of whoever begins a large request on each of ten thousand
// connections and stops in the middle of it, and gives nobody but the clock a say in that.
//
// The first bytes of every request are free, which is all that most requests have. What
// goes beyond comes out of one budget, until the request is answered; when that is used
// up, the connection that wants more is closed. So large requests can be kept out by who
// sends many of them, small ones cannot.
//
// The bytes of HTTP/2 are not counted: there a connection is never between requests. Their
// memory is bounded by the streams and the buffers of each.
type Intake struct {
	Connections int   // at once; 0 for no limit
	Free        int64 // bytes of a request
	Budget      int64 // bytes of all requests beyond

	held atomic.Int64

	mu        sync.Mutex // guards the fields below
	open      map[*intakeConn]struct{}
	displaced int // connections that were closed for others
}

// epoch is when times begin to be counted, by a clock that nobody sets.
var epoch = time.Now().Add(-time.Nanosecond)

// errCrowded ends a connection. Nobody reads it: net/http closes and says nothing.
var errCrowded = errors.New("too many large requests are arriving")

// Listen counts what is read from the connections of l.
func (i *Intake) Listen(l net.Listener) net.Listener { return intakeListener{l, i} }

// Note hears of connections' states; it is meant to be http.Server.ConnState.
func (i *Intake) Note(c net.Conn, state http.ConnState) {
	http2 := false
	if secure, ok := c.(*tls.Conn); ok && (state == http.StateActive || state == http.StateIdle) {
		c, http2 = secure.NetConn(), secure.ConnectionState().NegotiatedProtocol == "h2"
	}
	counted, ok := c.(*intakeConn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		counted.waits.Store(0)
	case http.StateIdle:
		counted.waits.Store(int64(time.Since(epoch)))
	}
	if http2 || state == http.StateIdle {
		counted.settle(http2)
	}
}

type connKey struct{}

// Context lets the requests of a connection know it; it is meant to be http.Server.ConnContext.
func (i *Intake) Context(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// receiving notes that a request waits for its body, until the answer is called.
func receiving(ctx context.Context) (received func()) {
	c, ok := ctx.Value(connKey{}).(*intakeConn)
	if !ok {
		return func() {}
	}
	c.waits.Store(int64(time.Since(epoch)))
	return func() { c.waits.Store(0) }
}

// Open answers how many connections there are.
func (i *Intake) Open() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.open)
}

// Displaced answers how many connections were closed for others since the start.
func (i *Intake) Displaced() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.displaced
}

// admit counts a new connection, and answers which ones are to be closed for it: a hundredth
// of the limit at once, so that not all have to be looked through for each.
func (i *Intake) admit(c *intakeConn) (excess []*intakeConn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.open == nil {
		i.open = map[*intakeConn]struct{}{}
	}
	i.open[c] = struct{}{}
	if i.Connections == 0 || len(i.open) <= i.Connections {
		return nil
	}
	type waiter struct {
		c     *intakeConn
		since int64
	}
	var waiting []waiter // c at least
	for c := range i.open {
		if since := c.waits.Load(); since != 0 {
			waiting = append(waiting, waiter{c, since})
		}
	}
	slices.SortFunc(waiting, func(a, b waiter) int { return cmp.Compare(a.since, b.since) })
	for _, w := range waiting[:min(max(1, i.Connections/100), max(1, len(waiting)-1))] {
		delete(i.open, w.c)
		excess = append(excess, w.c)
	}
	i.displaced += len(excess)
	return excess
}

// leave counts a connection no more. It may be called again.
func (i *Intake) leave(c *intakeConn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, c)
}

type intakeListener struct {
	net.Listener
	intake *Intake
}

// Accept implements net.Listener.
func (l intakeListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &intakeConn{Conn: accepted, intake: l.intake}
		c.waits.Store(int64(time.Since(epoch)))
		excess := l.intake.admit(c)
		for _, e := range excess {
			_ = e.Close() // it was not promised anything
		}
		if !slices.Contains(excess, c) {
			return c, nil
		}
	}
}

// An intakeConn counts what was read since its last request was answered.
type intakeConn struct {
	net.Conn
	intake *Intake

	waits atomic.Int64 // since when, after epoch, it is without a request; 0 while it has one

	mu     sync.Mutex // guards the fields below
	exempt bool       // nothing is counted any more
	read   int64
	held   int64 // of the budget
}

// Read implements net.Conn.
func (c *intakeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read += int64(n); c.exempt || c.read <= c.intake.Free || n == 0 {
		return n, err
	}
	c.held += int64(n)
	if c.intake.held.Add(int64(n)) > c.intake.Budget {
		c.giveBack()
		return 0, errCrowded
	}
	return n, err
}

// settle gives back what the connection holds; a last one, for good.
func (c *intakeConn) settle(last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exempt = c.exempt || last
	c.giveBack()
}

func (c *intakeConn) giveBack() {
	c.intake.held.Add(-c.held)
	c.read, c.held = 0, 0
}

// Close implements net.Conn.
func (c *intakeConn) Close() error {
	c.intake.leave(c)
	c.settle(true)
	return c.Conn.Close()
}
