package demo

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// A relay is the network between a region and the server. It can be cut.
type relay struct {
	listener net.Listener
	to       string

	mu    sync.Mutex // guards what follows
	cut   bool
	conns map[net.Conn]bool // of both sides
}

func newRelay(to string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a relay: %w", err)
	}
	r := &relay{listener: l, to: to, conns: map[net.Conn]bool{}}
	go r.run()
	return r, nil
}

func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) run() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return // it was closed
		}
		go r.carry(from)
	}
}

// carry connects somebody with the server until one of them has enough.
func (r *relay) carry(from net.Conn) {
	defer r.drop(from)
	if !r.keep(from) {
		return
	}
	to, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer r.drop(to)
	if !r.keep(to) {
		return
	}
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			_, _ = io.Copy(pair[1], pair[0]) // a connection that breaks is one that ends
			done <- struct{}{}
		}()
	}
	<-done
}

// keep remembers a connection, and answers false if none may be.
func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut {
		return false
	}
	r.conns[c] = true
	return true
}

func (r *relay) drop(c net.Conn) {
	_ = c.Close() // it may be closed
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// sever breaks all connections and lets none through, until heal.
func (r *relay) sever() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = true
	for c := range r.conns {
		_ = c.Close() // whoever carries it drops it
	}
}

func (r *relay) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = false
}

func (r *relay) severed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cut
}

func (r *relay) close() {
	r.sever()
	_ = r.listener.Close() // nobody comes any more
}
