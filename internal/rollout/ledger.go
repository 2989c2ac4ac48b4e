package rollout

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	writeEvery = 3 * time.Second // between two writes of what nobody waits for
	writeTime  = 10 * time.Second
)

// A ledger gathers what nodes report and stores it, many reports in one transaction: every
// few seconds, and at once if somebody waits for it. Whoever waits while one transaction is
// under way shares the next.
type ledger struct {
	store  Reports
	logger *slog.Logger
	urgent chan struct{} // has an element if somebody waits for the next page

	mu   sync.Mutex // guards the fields below
	page *page
	last map[nodeRef]map[string]said // what is stored, by rollout, as far as this process stored it
}

// A page is what the next transaction stores.
type page struct {
	nodes map[nodeRef]*Report
	acks  map[nodeRef]map[string]said
	done  chan struct{} // closed when it is stored, or is not; err tells
	err   error
}

// said is what a node said of a rollout and the proof that came with it.
type said struct {
	ack   Ack
	proof [32]byte
}

func newLedger(store Reports, logger *slog.Logger) *ledger {
	l := &ledger{store: store, logger: logger, urgent: make(chan struct{}, 1), last: map[nodeRef]map[string]said{}}
	l.page = newPage()
	return l
}

func newPage() *page {
	return &page{nodes: map[nodeRef]*Report{}, acks: map[nodeRef]map[string]said{}, done: make(chan struct{})}
}

// known answers what is stored of a node and a rollout.
func (l *ledger) known(n nodeRef, rollout string) (said, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.last[n][rollout]
	return s, ok
}

// forget forgets what is stored of a node, of all nodes for the zero one: its next words
// count as new.
func (l *ledger) forget(n nodeRef) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n == (nodeRef{}) {
		clear(l.last)
	}
	delete(l.last, n)
}

// note adds what a node said to the next page; that of one that has joined anew since is passed
// over. With wait it returns when the page is stored.
func (l *ledger) note(ctx context.Context, n Node, p Presence, acks []said, wait bool) error {
	ref := nodeRef{n.Account, n.Name}
	l.mu.Lock()
	on := l.page
	r := on.nodes[ref]
	if r != nil && r.JoinedAt.After(n.JoinedAt) { // it has joined anew since
		l.mu.Unlock()
		return nil
	}
	if r == nil || r.JoinedAt.Before(n.JoinedAt) {
		r = &Report{JoinedAt: n.JoinedAt}
		on.nodes[ref], on.acks[ref] = r, map[string]said{}
	}
	if p.SaidAt.After(r.Presence.SaidAt) {
		r.Presence = p
	}
	for _, s := range acks {
		if before, ok := on.acks[ref][s.ack.Rollout]; ok {
			s = s.after(before)
		}
		on.acks[ref][s.ack.Rollout] = s
	}
	l.mu.Unlock()
	if !wait {
		return nil
	}
	select {
	case l.urgent <- struct{}{}:
	default:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-on.done:
		return on.err
	}
}

// after answers what is known once s was said, too.
func (s said) after(before said) said {
	out := said{Merge(before.ack, s.ack), before.proof}
	if s.ack.Generation >= before.ack.Generation {
		out.proof = s.proof
	}
	return out
}

// run stores pages until ctx ends, and what is left then.
func (l *ledger) run(ctx context.Context) error {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.write(context.WithoutCancel(ctx))
			return nil
		case <-l.urgent:
		case <-tick.C:
		}
		l.write(ctx)
	}
}

// write stores the page that is open and opens the next one.
func (l *ledger) write(ctx context.Context) {
	l.mu.Lock()
	p := l.page
	if len(p.nodes) == 0 {
		l.mu.Unlock()
		return
	}
	l.page = newPage()
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	p.err = l.store.SaveReports(ctx, p.reports())
	if p.err != nil {
		l.logger.Warn("storing what nodes report", "nodes", len(p.nodes), "error", p.err)
	} else {
		l.remember(p)
	}
	close(p.done)
}

// reports answers the page in the order of nodes and rollouts, which is one on all servers:
// their transactions do not wait for each other in a circle.
func (p *page) reports() []Report {
	out := make([]Report, 0, len(p.nodes))
	for ref, r := range p.nodes {
		for _, s := range p.acks[ref] {
			r.Acks = append(r.Acks, s.ack)
		}
		slices.SortFunc(r.Acks, func(a, b Ack) int { return strings.Compare(a.Rollout, b.Rollout) })
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Report) int {
		return strings.Compare(a.Presence.Account+"/"+a.Presence.Node, b.Presence.Account+"/"+b.Presence.Node)
	})
	return out
}

// remember notes that a page is stored.
func (l *ledger) remember(p *page) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ref, acks := range p.acks {
		if len(acks) == 0 {
			continue
		}
		if l.last[ref] == nil {
			l.last[ref] = make(map[string]said, len(acks))
		}
		for rollout, s := range acks {
			if before, ok := l.last[ref][rollout]; ok {
				s = s.after(before)
			}
			l.last[ref][rollout] = s
		}
	}
}
