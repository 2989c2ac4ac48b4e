package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipe answers both ends of a connection, the first with spare deadlines.
func pipe(t *testing.T) (spare, other net.Conn) {
	a, b := net.Pipe()
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return newSparing(a), b
}

// reads answers how long one byte is waited for, and what became of it.
func reads(c net.Conn) (time.Duration, error) {
	start := time.Now()
	_, err := c.Read(make([]byte, 1))
	return time.Since(start), err
}

func TestDeadlinesHoldToTheMoment(t *testing.T) {
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	for name, c := range map[string]struct {
		move func(net.Conn)
		want time.Duration // 0 for never
	}{
		"one": {func(c net.Conn) { _ = c.SetReadDeadline(in(7 * time.Second)) }, 7 * time.Second},
		"a later one": {func(c net.Conn) {
			_ = errors.Join(c.SetReadDeadline(in(time.Second)), c.SetReadDeadline(in(time.Minute)))
		}, time.Minute},
		"an earlier one": {func(c net.Conn) {
			_ = errors.Join(c.SetReadDeadline(in(time.Minute)), c.SetReadDeadline(in(time.Second)))
		}, time.Second},
		"of both directions":      {func(c net.Conn) { _ = c.SetDeadline(in(time.Second)) }, time.Second},
		"one that was taken back": {func(c net.Conn) { _ = errors.Join(c.SetReadDeadline(in(time.Second)), c.SetReadDeadline(time.Time{})) }, 0},
		"one after an interruption": {func(c net.Conn) {
			_ = errors.Join(c.SetReadDeadline(time.Unix(1, 0)), c.SetReadDeadline(in(time.Minute)))
		}, time.Minute},
		"a short one after an interruption": {func(c net.Conn) {
			_ = errors.Join(c.SetReadDeadline(time.Unix(1, 0)), c.SetReadDeadline(time.Time{}), c.SetReadDeadline(in(time.Second)))
		}, time.Second},
		"none after an interruption": {func(c net.Conn) { _ = errors.Join(c.SetReadDeadline(time.Unix(1, 0)), c.SetReadDeadline(time.Time{})) }, 0},
		"one that moves while it is waited for": {func(c net.Conn) {
			_ = c.SetReadDeadline(in(time.Second))
			time.AfterFunc(time.Second/2, func() { _ = c.SetReadDeadline(in(time.Hour)) })
		}, time.Hour + time.Second/2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spare, other := pipe(t)
				const late = 24 * time.Hour
				time.AfterFunc(late, func() { _, _ = other.Write([]byte("a")) })
				c.move(spare)
				took, err := reads(spare)
				if c.want == 0 && (err != nil || took != late) || c.want != 0 && (!errors.Is(err, os.ErrDeadlineExceeded) || took != c.want) {
					t.Errorf("it took %v, %v; want %v", took, err, c.want)
				}
				time.Sleep(late) // until the other end has given up
			})
		})
	}
}

// What was written before a deadline that came too early is not written again.
func TestWritesGoOnAfterAnEarlyDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spare, other := pipe(t)
		_ = errors.Join(spare.SetWriteDeadline(time.Now().Add(time.Second)), spare.SetWriteDeadline(time.Now().Add(time.Minute)))
		go func() {
			n, err := spare.Write([]byte("an answer"))
			if n != 9 || err != nil {
				t.Errorf("%d bytes were written, %v", n, err)
			}
			_ = spare.Close()
		}()
		var have []byte
		for one := make([]byte, 1); ; time.Sleep(400 * time.Millisecond) {
			n, err := other.Read(one)
			if have = append(have, one[:n]...); err != nil {
				break
			}
		}
		if string(have) != "an answer" {
			t.Errorf("%q arrived", have)
		}
	})
}

// net/http moves the deadlines of a connection eight times for each request.
func TestRequestsSetFewDeadlines(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var sets atomic.Int64
	s := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
	}
	go func() { _ = s.Serve(SpareDeadlines(tallied{l, &sets})) }()
	t.Cleanup(func() { _ = s.Close() })
	const requests = 50
	for range requests {
		r, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	if n := sets.Load(); n > 2*requests+10 {
		t.Errorf("%d deadlines were set for %d requests", n, requests)
	}
}

// tallied counts the deadlines of all its connections.
type tallied struct {
	net.Listener
	sets *atomic.Int64
}

func (l tallied) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tallyConn{c, l.sets}, nil
}

type tallyConn struct {
	net.Conn
	sets *atomic.Int64
}

func (c *tallyConn) SetReadDeadline(t time.Time) error {
	c.sets.Add(1)
	return c.Conn.SetReadDeadline(t)
}

func (c *tallyConn) SetWriteDeadline(t time.Time) error {
	c.sets.Add(1)
	return c.Conn.SetWriteDeadline(t)
}

// Who writes waits under the deadline that was asked for last, or one that is a little later: under
// an earlier one it would be woken when the kernel has room for a few more bytes, and slow readers could stay for ever.
func TestWritersWaitUnderTheirOwnDeadline(t *testing.T) {
	late := &writer{}
	c := newSparing(late)
	now := time.Now()
	for _, want := range []time.Time{now.Add(30 * time.Second), now.Add(time.Second), now.Add(time.Minute), now.Add(time.Minute + time.Second), now.Add(time.Minute - time.Second), {}, now.Add(time.Hour), interruption} {
		if err := c.SetWriteDeadline(want); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
		if late.under.IsZero() != want.IsZero() || late.under.Before(want) || late.under.After(want.Add(slack)) && !want.IsZero() {
			t.Errorf("it was written under the deadline %v, want %v", late.under, want)
		}
	}
}

// A writer is a connection that notes the deadline it was written under.
type writer struct {
	net.Conn
	deadline, under time.Time
}

func (w *writer) SetReadDeadline(time.Time) error { return nil }

func (w *writer) SetWriteDeadline(t time.Time) error {
	w.deadline = t
	return nil
}

func (w *writer) Write(p []byte) (int, error) {
	w.under = w.deadline
	return len(p), nil
}
