package iam

import (
	"context"
	"maps"
	"net/netip"
	"sync"
	"time"
)

const (
	flushEvery    = 5 * time.Second
	flushPatience = 5 * time.Second // how long stopping waits for the last flush
)

// uses are the uses of access keys that the store does not know yet.
type uses struct {
	mu     sync.Mutex // guards latest
	latest map[string]Use
}

// Touch notes that an access key was used. It only writes memory; Run stores it.
func (s *Service) Touch(accessKeyID string, at time.Time, source netip.Addr, action string) {
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	if at.After(s.uses.latest[accessKeyID].At) {
		s.uses.latest[accessKeyID] = Use{at.UTC().Truncate(time.Microsecond), source, action}
	}
}

// Run stores last uses every five seconds, and at the end, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.flush(ctx); err != nil && ctx.Err() == nil {
				s.logger.Warn("storing when access keys were last used; trying again", "error", err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushPatience)
			defer cancel()
			return s.flush(last)
		}
	}
}

// flush stores what was noted. Until it is stored it stays readable in memory.
func (s *Service) flush(ctx context.Context) error {
	s.uses.mu.Lock()
	pending := maps.Clone(s.uses.latest)
	s.uses.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	if err := s.store.SaveUses(ctx, pending); err != nil {
		return err
	}
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	for id, use := range pending {
		if s.uses.latest[id] == use {
			delete(s.uses.latest, id)
		}
	}
	return nil
}

// lastUses answers the last use of each of the keys that was used.
func (s *Service) lastUses(ctx context.Context, ids []string) (map[string]Use, error) {
	noted := make(map[string]Use)
	s.uses.mu.Lock()
	for _, id := range ids {
		if use, ok := s.uses.latest[id]; ok {
			noted[id] = use
		}
	}
	s.uses.mu.Unlock()
	// Memory was read first: what is no longer there is in the store by now.
	uses, err := s.store.Uses(ctx, ids)
	if err != nil {
		return nil, err
	}
	for id, use := range noted {
		if use.At.After(uses[id].At) {
			uses[id] = use
		}
	}
	return uses, nil
}
