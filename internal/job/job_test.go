package job_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyward/keyward/internal/job"
)

// queue is a store of one job.
type queue struct {
	job    *job.Job
	leased time.Time
	reason string

	mu      sync.Mutex // guards what follows
	renewed int
	stolen  bool // its lease is somebody else's
}

func (q *queue) Claim(_ context.Context, c job.Claim) ([]job.Job, error) {
	if q.job == nil || !slices.Contains(c.Kinds, q.job.Kind) || q.job.Due.After(c.Now) || q.job.Served > c.Served || q.leased.After(c.Now) {
		return nil, nil
	}
	q.leased = c.Until
	return []job.Job{*q.job}, nil
}

func (q *queue) Ensure(context.Context, ...job.Job) error { return nil }

func (q *queue) Renew(_ context.Context, _ string, _ job.Job, until time.Time) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.renewed++
	q.leased = until
	return !q.stolen, nil
}

func (q *queue) Disown(context.Context, string) error { q.leased = time.Time{}; return nil }

func (q *queue) Settle(_ context.Context, _ string, all ...job.Settlement) error {
	for _, s := range all {
		if q.job = nil; !s.Again.IsZero() {
			s.Due = s.Again
			q.job, q.leased, q.reason = &s.Job, time.Time{}, s.Reason
		}
	}
	return nil
}

func run(t *testing.T, q *queue, now time.Time, h job.Handler) {
	t.Helper()
	r := &job.Runner{Store: q, Owner: "o", Handlers: map[string]job.Handler{"k": h}, Now: func() time.Time { return now },
		Served: func() (time.Duration, bool) { return time.Hour, true }, Logger: slog.New(slog.DiscardHandler)}
	if _, err := r.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestFailuresAreRetriedEverLater(t *testing.T) {
	q := &queue{job: &job.Job{Kind: "k", Due: noon}}
	now := noon
	fail := func(context.Context, job.Job) (time.Time, error) { return time.Time{}, errors.New("injected") }
	var waits []time.Duration
	for range 14 {
		run(t, q, now, fail)
		waits = append(waits, q.job.Due.Sub(now))
		now = q.job.Due
	}
	if waits[0] != time.Second || waits[3] != 8*time.Second || waits[13] != 10*time.Minute || q.reason != "injected" {
		t.Errorf("waits %v, reason %q", waits, q.reason)
	}
	run(t, q, now, func(context.Context, job.Job) (time.Time, error) { return time.Time{}, nil })
	if q.job != nil {
		t.Error("a job that succeeded is still there")
	}
}

func TestHandlerMayPutAJobOff(t *testing.T) {
	q := &queue{job: &job.Job{Kind: "k", Due: noon}}
	later := noon.Add(48 * time.Hour)
	run(t, q, noon, func(context.Context, job.Job) (time.Time, error) { return later, nil })
	if q.job == nil || !q.job.Due.Equal(later) {
		t.Errorf("have %+v", q.job)
	}
}

// Looks that find nothing to do do not put off what fails once.
func TestOnlyFailuresAreCounted(t *testing.T) {
	q := &queue{job: &job.Job{Kind: "k", Due: noon}}
	for range 20 {
		run(t, q, noon, func(context.Context, job.Job) (time.Time, error) { return noon, nil })
	}
	run(t, q, noon, func(context.Context, job.Job) (time.Time, error) { return time.Time{}, errors.New("injected") })
	if wait := q.job.Due.Sub(noon); wait != time.Second {
		t.Errorf("it is tried again after %v", wait)
	}
}

// A handler that panics ends no server, and is tried again.
func TestAHandlerThatBreaksIsTriedAgain(t *testing.T) {
	q := &queue{job: &job.Job{Kind: "k", Due: noon}}
	run(t, q, noon, func(context.Context, job.Job) (time.Time, error) { panic("injected") })
	if q.job == nil || q.job.Attempts != 1 || !q.job.Due.After(noon) {
		t.Errorf("have %+v", q.job)
	}
}

func TestUnknownKindsWaitForANodeThatKnowsThem(t *testing.T) {
	q := &queue{job: &job.Job{Kind: "future", Due: noon}}
	run(t, q, noon, nil)
	if q.job == nil || !q.leased.IsZero() {
		t.Errorf("have %+v, leased until %v", q.job, q.leased)
	}
}

func TestALeaseIsKeptAsLongAsItsHandlerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{job: &job.Job{Kind: "k", Due: time.Now()}}
		run(t, q, time.Now(), func(ctx context.Context, _ job.Job) (time.Time, error) {
			time.Sleep(5 * time.Minute)
			return time.Time{}, ctx.Err()
		})
		if q.renewed < 10 || q.job != nil {
			t.Errorf("renewed %d times in five minutes; job %+v", q.renewed, q.job)
		}
	})
}

// What a process had leased when it was killed does not wait for the end of the lease.
func TestTheNextProcessGoesOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		q := &queue{job: &job.Job{Kind: "k", Due: noon}, leased: noon.Add(time.Hour)}
		r := &job.Runner{Store: q, Owner: "o", Now: func() time.Time { return noon }, Served: func() (time.Duration, bool) { return time.Hour, true },
			Handlers: map[string]job.Handler{"k": func(context.Context, job.Job) (time.Time, error) { stop(); return time.Time{}, nil }}, Logger: slog.New(slog.DiscardHandler)}
		began := time.Now()
		_ = r.Run(ctx)
		if took := time.Since(began); took != 0 {
			t.Errorf("it went on after %v", took)
		}
	})
}

func TestAHandlerThatLostItsLeaseIsToldToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{job: &job.Job{Kind: "k", Due: time.Now()}, stolen: true}
		began := time.Now()
		run(t, q, began, func(ctx context.Context, _ job.Job) (time.Time, error) {
			<-ctx.Done()
			return time.Time{}, context.Cause(ctx)
		})
		if took := time.Since(began); took > time.Minute || q.reason == "" {
			t.Errorf("it ended after %v because %q", took, q.reason)
		}
	})
}

// many is a store of jobs that are due.
type many struct {
	queue
	due      []job.Job
	settled  int
	together int // that were settled in one call, at most
}

func (m *many) Claim(_ context.Context, c job.Claim) ([]job.Job, error) {
	n := min(c.Limit, len(m.due))
	out := m.due[:n]
	m.due = m.due[n:]
	return out, nil
}

func (m *many) Settle(_ context.Context, _ string, all ...job.Settlement) error {
	m.settled, m.together = m.settled+len(all), max(m.together, len(all))
	return nil
}

// When the process is stopped no further handler begins, and none is said to have failed.
func TestStopping(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var said strings.Builder
	began := 0
	r := &job.Runner{
		Store: &many{due: []job.Job{{Kind: "k", Due: noon}, {Kind: "k", Due: noon}}}, Owner: "o", Now: func() time.Time { return noon }, Served: func() (time.Duration, bool) { return 0, true },
		Handlers: map[string]job.Handler{"k": func(ctx context.Context, _ job.Job) (time.Time, error) {
			began++
			stop()
			return time.Time{}, ctx.Err()
		}}, Logger: slog.New(slog.NewTextHandler(&said, nil)),
	}
	if n, err := r.Step(ctx); n != 2 || err != nil {
		t.Fatalf("%d jobs, %v", n, err)
	}
	if began != 1 || said.Len() > 0 {
		t.Errorf("%d handlers began; said:\n%s", began, said.String())
	}
}

// Handlers run beside each other, no more than may, and what ended together is settled together.
func TestHandlersRunBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs, lanes = 100, 10
		m := &many{due: make([]job.Job, jobs)}
		for i := range m.due {
			m.due[i] = job.Job{Kind: "k", Due: noon}
		}
		var mu sync.Mutex
		running, most := 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			running += n
			most = max(most, running)
		}
		ctx, stop := context.WithCancel(t.Context())
		r := &job.Runner{Store: m, Owner: "o", Parallel: lanes, Now: func() time.Time { return noon }, Served: func() (time.Duration, bool) { return time.Hour, true },
			Handlers: map[string]job.Handler{"k": func(context.Context, job.Job) (time.Time, error) {
				count(1)
				defer count(-1)
				time.Sleep(time.Second)
				return time.Time{}, nil
			}}, Logger: slog.New(slog.DiscardHandler)}
		began := time.Now()
		var done sync.WaitGroup
		done.Go(func() { _ = r.Run(ctx) })
		time.Sleep(jobs / lanes * time.Second)
		synctest.Wait()
		if m.settled != jobs || most != lanes || m.together < 2 {
			t.Errorf("after %v %d of %d jobs are settled, %d at once; %d ran beside each other, want %d", time.Since(began), m.settled, jobs, m.together, most, lanes)
		}
		stop()
		done.Wait()
	})
}
