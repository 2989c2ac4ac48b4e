package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/hsm/daemon"
	"github.com/keyward/keyward/internal/material"
)

// A token answers every request with its data; "wait" waits until nobody does any more.
type token struct{}

func (token) Do(ctx context.Context, r hsm.Request) hsm.Answer {
	if string(r.Data) == "wait" {
		<-ctx.Done()
		return hsm.Failure(hsm.ErrAway)
	}
	return hsm.Answer{IV: r.IV, Data: bytes.Clone(r.Data)}
}

// serve starts a server for some users, and answers its socket.
func serve(t *testing.T, users ...int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hsm") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "socket")
	l, err := daemon.Listen(path, users)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- (&daemon.Server{Token: token{}, Users: users, Logger: slog.New(slog.DiscardHandler)}).Run(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return path
}

func client(path string, users ...int) *hsm.Client {
	return hsm.NewClient(hsm.Options{Socket: path, Users: users, Connections: 4})
}

var object = hsm.Object{Label: "l", ID: make([]byte, 16), Spec: material.AES256}

func TestServes(t *testing.T) {
	me := os.Geteuid()
	path := serve(t, me)
	c := client(path, me)
	for range 8 {
		_, data, err := c.Encrypt(t.Context(), object, []byte("x"), nil)
		if err != nil || string(data) != "x" {
			t.Fatal(data, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
	}
	if _, err := daemon.Listen(path, []int{me}); err == nil {
		t.Error("a second helper took the socket of the first")
	}
}

// A stranger gets nothing, neither as a client nor as a helper.
func TestStrangers(t *testing.T) {
	me := os.Geteuid()
	if _, _, err := client(serve(t, me+1), me).Encrypt(t.Context(), object, []byte("x"), nil); !errors.Is(err, hsm.ErrAway) {
		t.Errorf("a stranger is served: %v", err)
	}
	if _, _, err := client(serve(t, me), me+1).Encrypt(t.Context(), object, []byte("x"), nil); !errors.Is(err, hsm.ErrAway) || !strings.Contains(err.Error(), "runs as user") {
		t.Errorf("a stranger's helper is believed: %v", err)
	}
}

// Garbage ends its own connection and nothing else.
func TestGarbage(t *testing.T) {
	me := os.Geteuid()
	path := serve(t, me)
	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\x00\x00\x00", "\x00\x00\x00\x02\x01\x01", "\xff\xff\xff\xff", "\x00\x00\x00\x06\x02\x01\x00\x00\x00\x00", strings.Repeat("\x00\x00\x00\x06", 1000)} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, garbage); err != nil {
			t.Fatal(err)
		}
		frame, err := hsm.ReadFrame(conn)
		if err != nil {
			t.Fatalf("%.20q: %v", garbage, err)
		}
		if a, err := hsm.ParseAnswer(frame); err != nil || a.Code != hsm.CodeRefused {
			t.Errorf("%.20q: %+v, %v", garbage, a, err)
		}
		if n, _ := conn.Read(make([]byte, 1)); n != 0 {
			t.Errorf("%.20q: the connection goes on", garbage)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := client(path, me).Encrypt(t.Context(), object, []byte("x"), nil); err != nil {
		t.Error(err)
	}
}

// A gone answers when its peer is gone, with what nobody else may find.
type gone struct {
	peer   chan struct{}
	secret []byte
}

func (g gone) Do(context.Context, hsm.Request) hsm.Answer {
	<-g.peer
	return hsm.Answer{Data: g.secret}
}

// What was decrypted for a peer that does not take it does not stay in memory.
func TestAnswersAreErased(t *testing.T) {
	g := gone{make(chan struct{}), []byte("fake secret")}
	l, err := daemon.Listen(filepath.Join(t.TempDir(), "s"), []int{os.Geteuid()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- (&daemon.Server{Token: g, Users: []int{os.Geteuid()}, Logger: slog.New(slog.DiscardHandler)}).Run(ctx, l)
	}()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(hsm.WriteFrame(conn, hsm.Request{Op: hsm.OpDecrypt, Wait: time.Minute}.Encode()), conn.Close()); err != nil {
		t.Fatal(err)
	}
	g.peer <- struct{}{} // the request was read
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if string(g.secret) != strings.Repeat("\x00", len(g.secret)) {
		t.Errorf("it is still there: %q", g.secret)
	}
}

// Who waits is answered when the time is over, and others meanwhile.
func TestTimeOut(t *testing.T) {
	me := os.Geteuid()
	c := client(serve(t, me), me)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := c.Encrypt(ctx, object, []byte("wait"), nil); !errors.Is(err, hsm.ErrAway) {
		t.Error(err)
	}
	if _, _, err := c.Encrypt(t.Context(), object, []byte("x"), nil); err != nil {
		t.Error(err)
	}
}

// Many connections are refused beyond a number, and are free again when they are closed.
func TestManyConnections(t *testing.T) {
	me := os.Geteuid()
	path := serve(t, me)
	var conns []net.Conn
	for range 80 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	refused := 0
	for _, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			refused++
		}
	}
	if refused != 16 {
		t.Errorf("%d of 80 connections are refused", refused)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	c := client(path, me)
	for began := time.Now(); ; {
		_, _, err := c.Encrypt(t.Context(), object, []byte("x"), nil)
		if err == nil {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal(err)
		}
	}
}
