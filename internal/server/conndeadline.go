package server

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// SpareDeadlines makes the deadlines of a listener's connections cheap. net/http moves those of a
// connection eight times for each request, nearly always to a later time, and each move costs the
// runtime a timer. Here a later deadline is only remembered, and set when the one before it has
// passed for somebody who reads, or when somebody writes. An earlier one is set at once. So nobody
// waits for longer than before, but who writes, for [slack].
func SpareDeadlines(l net.Listener) net.Listener { return sparingListener{l} }

type sparingListener struct{ net.Listener }

// Accept implements net.Listener.
func (l sparingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newSparing(c), nil
}

func newSparing(c net.Conn) *sparingConn {
	return &sparingConn{Conn: c, read: deadlines{set: c.SetReadDeadline}, write: deadlines{set: c.SetWriteDeadline, slack: slack}}
}

type sparingConn struct {
	net.Conn
	read, write deadlines
}

// Read implements net.Conn.
func (c *sparingConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || err == nil || !c.read.early(err) {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (c *sparingConn) Write(p []byte) (written int, err error) {
	c.write.settle()
	for {
		n, err := c.Conn.Write(p[written:])
		written += n
		if err == nil || !c.write.early(err) {
			return written, err
		}
	}
}

// SetDeadline implements net.Conn.
func (c *sparingConn) SetDeadline(t time.Time) error {
	return errors.Join(c.read.move(t), c.write.move(t))
}

// SetReadDeadline implements net.Conn.
func (c *sparingConn) SetReadDeadline(t time.Time) error { return c.read.move(t) }

// SetWriteDeadline implements net.Conn.
func (c *sparingConn) SetWriteDeadline(t time.Time) error { return c.write.move(t) }

// soon is for how long a deadline is set for somebody who was woken and may wait again:
// net/http's next one is for the headers of a request, and earlier than that for its beginning.
const soon = 5 * time.Second

// interruption is the deadline that net/http sets to wake who reads.
var interruption = time.Unix(1, 0)

// deadlines are those of one direction of a connection.
type deadlines struct {
	set   func(time.Time) error // the connection's own
	slack time.Duration         // how much later than wanted it may be

	mu     sync.Mutex // guards the fields below
	wanted time.Time  // zero for none
	given  time.Time  // what was set last; zero for none
}

// move asks for a deadline, zero for none.
func (d *deadlines) move(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	woken := d.wanted.Equal(interruption)
	d.wanted = t
	switch {
	case woken:
		return d.give(earlier(t, time.Now().Add(soon)))
	case d.given.IsZero() || !t.IsZero() && t.Before(d.given.Add(-d.slack)):
		return d.give(t)
	}
	return nil
}

// slack is how much later than asked for a deadline for writing may be, so that it serves the
// requests of the next moment, too.
const slack = 2 * time.Second

// settle sets the deadline that is wanted, or one that is a little later, before somebody writes.
// The kernel wakes a writer when a third of its buffer is free: who is woken before that, by an
// earlier deadline, writes on into less, which would let slow readers stay for ever and leave no
// room for the alert that ends TLS.
func (d *deadlines) settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch never := d.given.IsZero(); {
	case d.wanted.IsZero() && !never:
		_ = d.give(d.wanted) // writing says what is wrong with it, here and below
	case !d.wanted.IsZero() && (never || d.given.Before(d.wanted)):
		_ = d.give(d.wanted.Add(d.slack))
	}
}

// early tells whether err is that of a deadline which came before the one that is wanted, and
// sets that.
func (d *deadlines) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !d.wanted.After(time.Now()) {
		return false
	}
	return d.give(d.wanted) == nil
}

func (d *deadlines) give(t time.Time) error {
	d.given = t
	return d.set(t)
}

// earlier answers the earlier of two times, of which the first may be zero for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
