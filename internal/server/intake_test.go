package server_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

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
