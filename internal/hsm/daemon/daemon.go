// Package daemon is the helper's side of the socket: it lets in whom it was told to,
// reads requests and has a [Token] answer them. It knows nothing of PKCS#11.
//
// Every byte that comes is hostile until the kernel has said who sent it, and bounded
// even then: a frame has at most [hsm.MaxFrame] bytes, must be complete within seconds
// once it has begun, and there are at most 64 connections. A peer that sends what is no
// frame is told so and loses its connection, and nobody else notices.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/hsm"
)

const (
	maxConnections = 64
	frameTime      = 5 * time.Second // for the rest of a frame, and for an answer
)

// A Token answers requests. It may be called concurrently, and answers when ctx ends.
type Token interface {
	Do(ctx context.Context, r hsm.Request) hsm.Answer
}

// A Server serves a token.
type Server struct {
	Token  Token
	Users  []int // who may connect, by uid
	Logger *slog.Logger
}

// Listen opens the socket. One that is left of a helper that is gone is replaced; one that
// somebody serves is an error. With several users everybody may connect, and Run tells who
// may stay.
func Listen(path string, users []int) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		return nil, errors.Join(fmt.Errorf("listening on %s: another helper serves it", path), conn.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing the socket of an earlier helper: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	mode := fs.FileMode(0o600)
	if slices.ContainsFunc(users, func(uid int) bool { return uid != os.Geteuid() }) {
		mode = 0o666
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("listening: %w", err), l.Close())
	}
	return l, nil
}

// Run serves until ctx ends, and then waits for the requests under way.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	var peers sync.WaitGroup
	defer peers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // Accept says so
	defer stop()
	places := make(chan struct{}, maxConnections)
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting a connection: %w", err)
		}
		peer := conn.(*net.UnixConn)
		if err := s.admit(peer); err != nil {
			s.Logger.Warn("a connection was refused", "error", err)
			_ = peer.Close() // it is a stranger's
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			s.Logger.Warn("a connection was refused", "error", "there are too many")
			_ = peer.Close()
			continue
		}
		peers.Go(func() {
			defer func() { <-places }()
			s.serve(ctx, peer)
		})
	}
}

func (s *Server) admit(peer *net.UnixConn) error {
	uid, err := hsm.PeerUser(peer)
	if err == nil && !slices.Contains(s.Users, uid) {
		err = fmt.Errorf("user %d may not use the token", uid)
	}
	return err
}

// serve answers the requests of one peer until it goes.
func (s *Server) serve(ctx context.Context, peer *net.UnixConn) {
	defer func() { _ = peer.Close() }() // all that was to be said was said
	stop := context.AfterFunc(ctx, func() { _ = peer.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		_ = peer.SetReadDeadline(time.Time{}) // reading says what is wrong with it
		if ctx.Err() != nil {
			return
		}
		frame, err := hsm.ReadFrame(begun{peer})
		if err != nil && !hsm.ErrFrame(err) {
			return
		}
		var r hsm.Request
		if err == nil {
			r, err = hsm.ParseRequest(frame)
		}
		answer := hsm.Answer{Code: hsm.CodeRefused}
		if err != nil {
			s.Logger.Warn("a request is malformed", "error", err)
			answer.Text = err.Error()
		} else {
			answer = s.do(ctx, r)
		}
		clear(frame)
		_ = peer.SetWriteDeadline(time.Now().Add(frameTime)) // writing says what is wrong with it
		failed := hsm.WriteFrame(peer, answer.Encode())
		clear(answer.Data)
		if failed != nil || err != nil {
			return
		}
	}
}

func (s *Server) do(ctx context.Context, r hsm.Request) hsm.Answer {
	// A request that is under way when the helper stops may finish.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Wait)
	defer cancel()
	return s.Token.Do(ctx, r)
}

// begun reads from a peer that may be idle for as long as it likes, but not in the middle
// of a frame.
type begun struct{ peer *net.UnixConn }

// Read implements io.Reader.
func (b begun) Read(p []byte) (int, error) {
	n, err := b.peer.Read(p)
	if n > 0 {
		_ = b.peer.SetReadDeadline(time.Now().Add(frameTime)) // reading says what is wrong with it
	}
	return n, err
}
