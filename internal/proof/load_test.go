package proof

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clients are the worlds of those who work at once.
var clients = []string{"w0", "w1", "w2", "w3"}

// A load is clients that work at once, each in its world, whatever they are answered: the
// server lives, and refuses what it cannot do now.
type load struct {
	server  *server
	worlds  []*world
	maybe   []*state // what a change of unknown outcome would have made of each world
	refused atomic.Int64
	stop    context.CancelFunc
	running sync.WaitGroup
}

// load starts to work, until end.
func (s *server) load(worlds []*world) *load {
	l := &load{server: s, worlds: worlds, maybe: make([]*state, len(worlds))}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(s.t.Context())
	for i := range worlds {
		l.running.Go(func() {
			for ctx.Err() == nil && l.act(i) {
			}
		})
	}
	return l
}

// act lets one client do something and answers whether it may go on.
func (l *load) act(i int) bool {
	w, t := l.worlds[i], l.server.t
	a := w.next()
	if l.maybe[i] != nil && a.name != "Encrypt" {
		return true // a second change of unknown outcome would leave too much open
	}
	open, err := w.try(t.Context(), w.client(l.server), a)
	l.maybe[i] = cmp.Or(l.maybe[i], open)
	if refusedFor(err) {
		l.refused.Add(1)
		time.Sleep(time.Millisecond) // nobody asks at once again
	} else if err != nil && l.maybe[i] == nil { // otherwise the key may be disabled
		t.Errorf("%s answered %v", a.name, err)
		return false
	}
	return true
}

// end waits until no client works any more.
func (l *load) end() {
	l.stop()
	l.running.Wait()
}

// settle holds every world against what was acknowledged, which must be possible within
// the given time from start on.
func (l *load) settle(t *testing.T, start time.Time, within time.Duration) {
	settleAll(t, l.server, l.worlds, l.maybe, within-time.Since(start))
}

// settleAll settles worlds at once, each with what a change of unknown outcome would have
// made of it.
func settleAll(t *testing.T, s *server, worlds []*world, maybe []*state, within time.Duration) {
	var running sync.WaitGroup
	for i, w := range worlds {
		running.Go(func() { w.settled(t, w.client(s), maybe[i], within) })
	}
	running.Wait()
}
