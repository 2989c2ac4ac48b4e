package agentapi

import (
	"context"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// A room is where agents wait. A node has one seat: who comes again, perhaps because its
// connection broke, takes it over.
type room struct {
	most int
	desk chan struct{} // as many elements as agents are being answered

	mu     sync.Mutex                  // guards the fields below
	seats  map[string]map[string]*seat // by account and node
	taken  int
	closed bool
}

// A seat is one waiting agent's. Its channel has an element if there may be something for
// it, and is closed when the seat is not its any more.
type seat struct {
	account, node string
	wake          chan struct{}
}

// deskTime is how long an agent waits for its turn at least. Until the time is over for
// which it would have waited anyway, nobody who waits is better off elsewhere.
const deskTime = 10 * time.Second

func newRoom(most, atOnce int) *room {
	return &room{most: most, desk: make(chan struct{}, atOnce), seats: map[string]map[string]*seat{}}
}

// errCrowded turns away who finds no place.
var errCrowded = fault.Throttled.New("too many agents are waiting or being answered here; come again a little later, or to another server")

// errClosing sends away who waits at a server that ends or is sealed.
var errClosing = fault.Unavailable.New("the server is closing; come again a little later, or to another server")

// enter gives a node a seat.
func (r *room) enter(account, node string) (*seat, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errClosing
	}
	if former := r.seats[account][node]; former != nil {
		close(former.wake)
		delete(r.seats[account], node)
		r.taken--
	}
	if r.taken >= r.most {
		return nil, errCrowded
	}
	s := &seat{account, node, make(chan struct{}, 1)}
	if r.seats[account] == nil {
		r.seats[account] = map[string]*seat{}
	}
	r.seats[account][node] = s
	r.taken++
	return s, nil
}

// leave gives a seat back.
func (r *room) leave(s *seat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.seats[s.account]
	if of[s.node] != s {
		return // somebody else has it
	}
	delete(of, s.node)
	if len(of) == 0 {
		delete(r.seats, s.account)
	}
	r.taken--
}

// wake wakes the agents of one account.
func (r *room) wake(account string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.seats[account] {
		s.nudge()
	}
}

// wakeNode wakes the agent of one node.
func (r *room) wakeNode(account, node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.seats[account][node]; s != nil {
		s.nudge()
	}
}

func (r *room) wakeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range r.seats {
		for _, s := range of {
			s.nudge()
		}
	}
}

func (s *seat) nudge() {
	select {
	case s.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}

// close takes all seats away.
func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, of := range r.seats {
		for _, s := range of {
			close(s.wake)
		}
	}
	clear(r.seats)
	r.taken = 0
}

// isClosed tells whether nobody is let in any more.
func (r *room) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// turn waits until the agent may be answered, at most until a time or for a while beyond;
// whoever gets a turn ends it.
func (r *room) turn(ctx context.Context, until time.Time) (end func(), err error) {
	select {
	case r.desk <- struct{}{}:
		return r.endTurn, nil
	default:
	}
	timer := time.NewTimer(max(time.Until(until), deskTime))
	defer timer.Stop()
	select {
	case r.desk <- struct{}{}:
		return r.endTurn, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, errCrowded
	}
}

func (r *room) endTurn() { <-r.desk }
