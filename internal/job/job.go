// Package job runs what must happen later, whatever crashes in between.
//
// A [Job] is a promise to look at something at a time: its kind says which [Handler]
// looks, its account and subject say at what. Jobs are scheduled in the transaction
// of the change that makes them necessary. A job says only *when to look*; what is to
// be done the handler reads from the subject itself, so a job that is late, early,
// doubled or stale does no harm. One that destroys waits for two clocks: its time, and
// how long the service has served (package clock).
//
// Several nodes may share a queue: a node claims due jobs with a lease; a job whose
// node died is claimed again when the lease is over. Handlers therefore must be
// idempotent and must fail when somebody else acted meanwhile.
//
// Who may call: services plan jobs, through their stores; package app runs the queue
// while the server is unsealed. Rows of jobs are not bound: who writes the database can
// plan, delay or lose a look; what is done then follows from the subject.
package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// A Job is one thing to look at.
type Job struct {
	Kind     string
	Account  string
	Subject  string
	Due      time.Time
	Served   time.Duration // how long the service must have served, too; 0 for what destroys nothing
	Attempts int           // how often it failed so far
	// Hasten makes a plan that stands keep its lease, and its time if that is earlier;
	// otherwise it moves to the new time and loses its lease.
	Hasten bool
}

// A Need is a job that something needs for as long as it is there, so that it can be
// planned again if it was lost.
type Need struct {
	Job
	Ahead time.Duration // how far from now the job may stand, where that is later than Due
}

// A Store keeps jobs; there is at most one for each (kind, account, subject). Its
// methods may be called concurrently, from several processes.
type Store interface {
	// Ensure plans the jobs that are not planned yet; the others stay as they are.
	Ensure(ctx context.Context, jobs ...Job) error
	// Claim leases due jobs. A job is never leased to two owners at once.
	Claim(ctx context.Context, c Claim) ([]Job, error)
	// Renew makes a lease longer. It answers false when the job is not leased to the owner
	// any more.
	Renew(ctx context.Context, owner string, j Job, until time.Time) (bool, error)
	// Disown gives back what an owner that is not at work has leased.
	Disown(ctx context.Context, owner string) error
	// Settle ends leases: it removes each job, or schedules it anew, unless it was scheduled
	// again since it was claimed.
	Settle(ctx context.Context, owner string, all ...Settlement) error
}

// A Settlement says what becomes of a job that was looked at.
type Settlement struct {
	Job              // with its Attempts by now
	Again  time.Time // when to look again; zero for never
	Reason string    // to look again
}

// A Claim says which jobs to lease.
type Claim struct {
	Owner  string
	Kinds  []string      // of jobs, one at least: a node leaves what it does not know to newer ones
	Now    time.Time     // what is due then
	Served time.Duration // and needs no more service than this
	Until  time.Time     // end of the lease
	Limit  int           // jobs at most
}

// A Handler looks at a job's subject and does what is due. It answers when to look
// again, zero for never; when it answers an error the job is tried again later.
type Handler func(ctx context.Context, j Job) (again time.Time, err error)

const (
	lease    = time.Minute      // of a claim, made longer while the handler runs
	perClaim = 16               // jobs that a runner claims at once which runs them one by one
	idle     = time.Second      // between two looks at an empty queue
	maxDelay = 10 * time.Minute // before a job that failed is tried again
)

// A Runner claims due jobs of the kinds that it has handlers for.
type Runner struct {
	Store    Store
	Owner    string // unique among the processes and, of several runners in one, to this one; the next process has it again
	Handlers map[string]Handler
	// Parallel is how many handlers run at once. With one or none, jobs run in the order
	// of their times, and the leases of those that wait are not renewed: the handlers must be
	// quick. Handlers that wait for others' services should run beside each other.
	Parallel int
	Now      func() time.Time
	// Served answers how long the service has served, and whether jobs may be done at
	// all: not while the clock is wrong.
	Served func() (time.Duration, bool)
	Logger *slog.Logger
}

// Run works until ctx ends. What an earlier process of the same owner had leased when it was
// killed is due at once, not when the lease is over: an alarm may be among it.
func (r *Runner) Run(ctx context.Context) error {
	if err := r.Store.Disown(ctx, r.Owner); err != nil && ctx.Err() == nil {
		r.Logger.Warn("giving back the jobs of an earlier process", "error", err)
	}
	if r.Parallel > 1 {
		r.beside(ctx)
		return nil
	}
	for ctx.Err() == nil {
		n, err := r.Step(ctx)
		if err != nil && ctx.Err() == nil {
			r.Logger.Warn("claiming jobs", "error", err)
		}
		if n == perClaim { // more may be due
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(idle):
		}
	}
	return nil
}

// beside keeps as many handlers at work as may run. What ended meanwhile is settled at once,
// and as much is claimed at once as may begin: with thousands of due jobs, the one transaction
// for each would take longer than what is done.
func (r *Runner) beside(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	ended := make(chan Settlement, r.Parallel)
	look := time.NewTicker(idle)
	defer look.Stop()
	free := r.Parallel
	for more := true; ; {
		if more && free > 0 {
			jobs, err := r.claim(ctx, free)
			if err != nil && ctx.Err() == nil {
				r.Logger.Warn("claiming jobs", "error", err)
			}
			more = len(jobs) == free
			free -= len(jobs)
			for _, j := range jobs {
				workers.Go(func() { ended <- r.handle(ctx, j) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			more = true
		case first := <-ended:
			all := []Settlement{first}
			for range len(ended) {
				all = append(all, <-ended)
			}
			free += len(all)
			r.settle(ctx, all...)
		}
	}
}

// Step claims what is due now, handles it until ctx ends, and answers how many jobs it claimed.
func (r *Runner) Step(ctx context.Context) (int, error) {
	jobs, err := r.claim(ctx, perClaim)
	for _, j := range jobs {
		if ctx.Err() != nil {
			break // the next process begins with what is left
		}
		r.settle(ctx, r.handle(ctx, j))
	}
	return len(jobs), err
}

func (r *Runner) claim(ctx context.Context, limit int) ([]Job, error) {
	now := r.Now()
	served, ok := r.Served() // after the time was read: a jump in between shows
	if !ok {
		return nil, nil
	}
	return r.Store.Claim(ctx, Claim{
		Owner: r.Owner, Kinds: slices.Sorted(maps.Keys(r.Handlers)), Now: now, Served: served, Until: now.Add(lease), Limit: limit,
	})
}

func (r *Runner) settle(ctx context.Context, all ...Settlement) {
	if err := r.Store.Settle(ctx, r.Owner, all...); err != nil && ctx.Err() == nil {
		r.Logger.Warn("settling jobs", "kind", all[0].Kind, "subject", all[0].Subject, "jobs", len(all), "error", err)
	}
}

// handle runs a job's handler and answers what becomes of the job.
func (r *Runner) handle(ctx context.Context, j Job) Settlement {
	again, err := r.hold(ctx, j)
	if err != nil {
		if ctx.Err() != nil { // it is no failure of the job
			return Settlement{j, r.Now(), "the server was stopped"}
		}
		after := backoff(j.Attempts)
		j.Attempts++
		r.Logger.Warn("job failed", "kind", j.Kind, "account", j.Account, "subject", j.Subject, "attempts", j.Attempts, "error", err)
		return Settlement{j, r.Now().Add(after), err.Error()}
	}
	j.Attempts = 0 // failures in a row are counted, not looks
	return Settlement{j, again, "it is not time yet"}
}

// hold runs the job's handler and keeps its lease meanwhile. A handler whose lease is
// lost is told to end: somebody else may do the job.
func (r *Runner) hold(ctx context.Context, j Job) (again time.Time, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var renewing sync.WaitGroup
	defer renewing.Wait()
	done := make(chan struct{})
	defer close(done)
	renewing.Go(func() {
		tick := time.NewTicker(lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			held, err := r.Store.Renew(ctx, r.Owner, j, r.Now().Add(lease))
			if err == nil && !held {
				cancel(errors.New("the lease of the job was lost"))
				return
			}
		}
	})
	// A handler reads what others wrote: one that breaks on it must not end the server,
	// again and again.
	defer func() {
		if broken := recover(); broken != nil {
			r.Logger.Error("a job broke", "kind", j.Kind, "panic", fmt.Sprint(broken), "stack", string(debug.Stack()))
			err = errors.New("the job broke; the server's log says where")
		}
	}()
	return r.Handlers[j.Kind](ctx, j)
}

// backoff doubles from one second to ten minutes.
func backoff(attempts int) time.Duration {
	if attempts > 9 {
		return maxDelay
	}
	return min(time.Second<<attempts, maxDelay)
}
