package server_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/server"
)

func TestIntakeBoundsWhatArrives(t *testing.T) {
	intake := &server.Intake{Free: 10, Budget: 100}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := intake.Listen(plain)
	defer l.Close()
	receive := func(n int) (net.Conn, error) {
		t.Helper()
		out, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = out.Close() })
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(out, strings.Repeat("x", n)); err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadFull(in, make([]byte, n))
		return in, err
	}
	first, err := receive(80)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := receive(80); err == nil {
		t.Error("more than the budget was taken")
	}
	if _, err := receive(10); err != nil {
		t.Errorf("a small request: %v", err)
	}
	intake.Note(first, http.StateIdle)
	second, err := receive(80)
	if err != nil {
		t.Errorf("after the first was answered: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := receive(80); err != nil {
		t.Errorf("after the second hung up: %v", err)
	}
}

// Beyond the limit of connections, the one that has waited longest without a request goes.
func TestIntakeBoundsConnections(t *testing.T) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	intake := &server.Intake{Connections: 2, Free: 10, Budget: 100}
	l := intake.Listen(plain)
	defer l.Close()
	dial := func() net.Conn {
		t.Helper()
		out, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = out.Close() })
		return out
	}
	connect := func() (in, out net.Conn) {
		t.Helper()
		out = dial()
		if in, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		return in, out
	}
	closed := func(out net.Conn) bool {
		_ = out.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := out.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	served, a := connect()
	intake.Note(served, http.StateActive)
	waits, b := connect()
	_, c := connect()
	if closed(a) || !closed(b) || closed(c) {
		t.Error("not the connection that waited longest was closed")
	}
	intake.Note(waits, http.StateIdle) // it had been about to answer
	intake.Note(served, http.StateIdle)
	fresh, d := connect()
	if closed(a) || !closed(c) || closed(d) {
		t.Error("not the connection that waited longest was closed after one had been answered")
	}
	intake.Note(served, http.StateActive)
	intake.Note(fresh, http.StateActive)
	refused := dial() // all are served: it is the only one that waits
	accepted := make(chan net.Conn)
	go func() {
		in, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- in
	}()
	if !closed(refused) || closed(a) || closed(d) {
		t.Error("a connection beyond the limit was kept, or one that is served was closed for it")
	}
	if err := errors.Join(served.Close(), served.Close()); err == nil {
		t.Error("closing twice says nothing")
	}
	dial()
	<-accepted // there is room again
	if open, displaced := intake.Open(), intake.Displaced(); open != 2 || displaced != 3 {
		t.Errorf("%d are open and %d were displaced", open, displaced)
	}
}

// Who never ends the body of a request waits like those who never begin one.
func TestSlowBodiesGiveWay(t *testing.T) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	intake := &server.Intake{Connections: 2, Free: 1 << 10, Budget: 1 << 20}
	active := make(chan bool, 10)
	s := &http.Server{
		ReadHeaderTimeout: time.Minute, ConnContext: intake.Context,
		ConnState: func(c net.Conn, state http.ConnState) {
			if intake.Note(c, state); state == http.StateActive {
				active <- true
			}
		},
		Handler: edge().Handle("test", 100, func(http.ResponseWriter, *http.Request, *server.Exchange, error) {}),
	}
	go func() { _ = s.Serve(intake.Listen(plain)) }()
	t.Cleanup(func() { _ = s.Close() })
	dial := func(text string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		return c
	}
	slow := dial("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
	<-active
	time.Sleep(100 * time.Millisecond) // it waits for the body now
	dial("")
	dial("")
	_ = slow.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := slow.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it was kept")
	}
}
