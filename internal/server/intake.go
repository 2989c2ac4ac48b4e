package server

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// An Intake bounds the memory that requests take while they are arriving, all of them
// together. Limits of one request do not: net/http holds the headers, and the edge the
// body, of whoever begins a large request on each of ten thousand connections and stops
// in the middle of it, and gives nobody but the clock a say in that.
//
// The first bytes of every request are free, which is all that most requests have. What
// goes beyond comes out of one budget, until the request is answered; when that is used
// up, the connection that wants more is closed. So large requests can be kept out by who
// sends many of them, small ones cannot.
//
// Connections of HTTP/2 are not counted: there a connection is never between requests.
// Their memory is bounded by the streams and the buffers of each.
type Intake struct {
	Free   int64 // bytes of a request
	Budget int64 // bytes of all requests beyond

	held atomic.Int64
}

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
	if counted, ok := c.(*intakeConn); ok && (http2 || state == http.StateIdle) {
		counted.settle(http2)
	}
}

type intakeListener struct {
	net.Listener
	intake *Intake
}

// Accept implements net.Listener.
func (l intakeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &intakeConn{Conn: c, intake: l.intake}, nil
}

// An intakeConn counts what was read since its last request was answered.
type intakeConn struct {
	net.Conn
	intake *Intake

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
	c.settle(true)
	return c.Conn.Close()
}
