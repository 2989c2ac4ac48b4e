package demo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/keyward/keyward/api"
)

// A sight is what the server said last.
type sight struct {
	up        bool // it answered
	run       api.RotationRun
	coverage  api.RolloutCoverage
	incidents []api.Incident // that are open
}

// whole tells whether every node uses a generation, or a later one.
func (s sight) whole(generation int64) bool {
	return len(s.coverage.Members) == len(regionNames)*shopsOfRegion && !slices.ContainsFunc(s.coverage.Members, func(m api.RolloutMember) bool {
		return !m.There || m.Acknowledged < generation || m.UsedAt.IsZero()
	})
}

// confirmed tells whether all nodes of a wave use the new key.
func (s sight) confirmed(wave int) bool {
	return wave < len(s.run.Waves) && !s.run.Waves[wave].ConfirmedAt.IsZero()
}

// incident answers the open incident of a kind.
func (s sight) incident(kind string) (api.Incident, bool) {
	n := slices.IndexFunc(s.incidents, func(i api.Incident) bool { return i.Kind == kind })
	if n < 0 {
		return api.Incident{}, false
	}
	return s.incidents[n], true
}

// A lookout keeps what the server said last.
type lookout struct {
	mu   sync.Mutex // guards what follows
	last sight
}

func (l *lookout) now() sight {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// look asks the server again and again, until ctx ends.
func (s *stage) look(ctx context.Context) {
	const every = 300 * time.Millisecond
	for ctx.Err() == nil {
		now := s.seen.now()
		coverage, err := s.keyward.GetRolloutCoverage(ctx, rolloutName, api.PageRequest{})
		now.up = err == nil
		if now.up {
			now.coverage = coverage
		}
		if runs, err := s.keyward.ListRotations(ctx, api.ListRotationsRequest{Plan: planName, Limit: 1}); err == nil && len(runs.Rotations) > 0 {
			now.run = runs.Rotations[0]
		}
		if open, err := s.keyward.ListIncidents(ctx, api.ListIncidentsRequest{}); err == nil {
			now.incidents = open.Incidents
		}
		s.seen.mu.Lock()
		s.seen.last = now
		s.seen.mu.Unlock()
		_ = pause(ctx, every) // it ends with ctx
	}
}

// errLate says that something did not happen in time.
var errLate = errors.New("it did not happen in time")

const glance = 50 * time.Millisecond // between two looks at what is waited for

// until waits until something is so, at most for a time.
func until(ctx context.Context, limit time.Duration, so func() (bool, error)) error {
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		ok, err := so()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-end.C:
			return errLate
		case <-time.After(glance):
		}
	}
}

// pause waits for a time.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
