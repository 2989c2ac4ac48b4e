// Package checkup runs the checks of package check over the inventory, again and again,
// and hands what they find to the inbox, package finding.
//
// A run looks at every key of every provider that was ever read, a page at a time, and at
// everyone who holds one. It notes how many keys it looked at, of how many; its record in
// the audit log says what it changed. What a run finds does not depend on an earlier one,
// so one that fails, or never comes, costs only delay.
//
// Runs come once a day, soon after the inventory or a person's decision changed, and when
// a suppression ends. However fast things change, runs take a twentieth of the time at most.
//
// Who may call: package app, which plans the jobs; the API, which shows the last run.
package checkup

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/check"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/tune"
)

// JobCheck is the kind of job that runs the checks; each account has one, without a subject.
const JobCheck = "accesskey.check"

const (
	every   = 24 * time.Hour
	soonest = 2 * time.Second // between two runs, however short they are
	share   = 20              // of the time, one part is for runs
)

// A Run is how the last run over an account went.
type Run struct {
	Account string
	At      time.Time
	Took    time.Duration
	Seen    int // keys that were looked at
	Of      int // keys that there are
	Tally   finding.Tally
	Error   string // why it did not end
	Chinese string // Error in Chinese
}

// A Store keeps the last run of each account. Methods may be called concurrently.
type Store interface {
	SaveRun(ctx context.Context, r Run) error
	LastRun(ctx context.Context, account string) (Run, error)   // the zero Run if there was none
	CountKeys(ctx context.Context, account string) (int, error) // that are not gone
}

// An Inventory is what is checked. Only what is there is read, in pages.
type Inventory interface {
	Sources(ctx context.Context, account string) ([]accesskey.Source, error)
	States(ctx context.Context, account string) (map[string]accesskey.State, error)
	Principals(ctx context.Context, account, source string) ([]accesskey.Principal, error)
	Keys(ctx context.Context, account string, q accesskey.Query) (keys []accesskey.AccessKey, next string, err error)
}

// Options says what a Service is made of.
type Options struct {
	Store      Store
	Inventory  Inventory
	Findings   *finding.Service
	Thresholds check.Thresholds
	Log        *audit.Log
	Now        func() time.Time
}

// A Service runs checks. It may be used concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// Handlers answers what the service does when its jobs are due.
func (s *Service) Handlers() map[string]job.Handler { return map[string]job.Handler{JobCheck: s.due} }

// Jobs answers the jobs that an account needs, for ever.
func Jobs(account string, now time.Time) []job.Job {
	return []job.Job{{Kind: JobCheck, Account: account, Due: now}}
}

// Soon answers the job that has an account checked because something has changed.
func Soon(account string, now time.Time) []job.Job {
	return []job.Job{{Kind: JobCheck, Account: account, Due: now, Hasten: true}}
}

// Last answers how the last run over an account went.
func (s *Service) Last(ctx context.Context, account string) (Run, error) {
	return s.o.Store.LastRun(ctx, account)
}

// due runs the checks, unless the last run is too fresh.
func (s *Service) due(ctx context.Context, j job.Job) (again time.Time, err error) {
	last, err := s.Last(ctx, j.Account)
	if err != nil {
		return time.Time{}, err
	}
	began := s.o.Now().UTC().Truncate(time.Microsecond)
	rest := last.At.Add(last.Took + max(soonest, share*last.Took))
	if began.Before(rest) && !began.Before(last.At) {
		return rest, nil
	}
	run := Run{Account: j.Account, At: began}
	err = s.run(ctx, &run)
	var next time.Time
	if err == nil {
		next, err = s.o.Findings.Announce(ctx, j.Account)
	}
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	err = s.record(ctx, &run, err)
	if saved := s.o.Store.SaveRun(ctx, run); err == nil {
		err = saved
	}
	again = began.Add(every)
	if !next.IsZero() && next.Before(again) {
		again = next
	}
	return again, err
}

// record notes a run in the audit log.
func (s *Service) record(ctx context.Context, run *Run, err error) error {
	run.Took = s.o.Now().Sub(run.At)
	if err != nil {
		why := fault.Say("the checks did not end; the server's log says why")
		run.Error, run.Chinese = why.String(), why.Chinese()
	}
	rec := audit.NewRecord(&authz.Call{
		Principal: authz.Principal{Account: run.Account, Kind: authz.Service, Name: "checks"}, Time: run.At, Scheme: "job",
	}, "keyward:CheckAccessKeys")
	rec.Param("Seen", strconv.Itoa(run.Seen))
	rec.Param("Of", strconv.Itoa(run.Of))
	rec.Param("Opened", strconv.Itoa(run.Tally.Opened))
	rec.Param("Resolved", strconv.Itoa(run.Tally.Resolved))
	rec.Param("Lasting", strconv.Itoa(run.Tally.Lasting))
	return s.o.Log.Do(ctx, rec, func() error { return err })
}

// run looks at every provider and hands in what was found.
func (s *Service) run(ctx context.Context, run *Run) (err error) {
	if run.Of, err = s.o.Store.CountKeys(ctx, run.Account); err != nil {
		return err
	}
	sources, err := s.o.Inventory.Sources(ctx, run.Account)
	if err != nil {
		return err
	}
	states, err := s.o.Inventory.States(ctx, run.Account)
	if err != nil {
		return err
	}
	var there []string
	var mu sync.Mutex // guards run
	g, looking := errgroup.WithContext(ctx)
	g.SetLimit(max(1, tune.Processors()/2)) // half of the machine is for everybody else
	for _, src := range sources {
		there = append(there, src.Name)
		st := accesskey.Standing{Source: src, State: states[src.Name]}
		if st.State.SucceededAt.IsZero() {
			continue // nothing was read yet
		}
		g.Go(func() error {
			seen, t, err := s.look(looking, run.Account, st, run.At)
			mu.Lock()
			defer mu.Unlock()
			run.Seen += seen
			run.Tally.Add(t)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	t, err := s.o.Findings.Retire(ctx, run.Account, check.Source, there, run.At)
	run.Tally.Add(t)
	return err
}

// look examines one provider, and answers how many of its keys it saw.
func (s *Service) look(ctx context.Context, account string, st accesskey.Standing, at time.Time) (seen int, t finding.Tally, err error) {
	principals, err := s.o.Inventory.Principals(ctx, account, st.Source.Name)
	if err != nil {
		return 0, t, err
	}
	by := make(map[string]*accesskey.Principal, len(principals))
	for i := range principals {
		by[principals[i].ID] = &principals[i]
	}
	exam := check.New(st, s.o.Thresholds, at)
	for q := (accesskey.Query{Source: st.Source.Name, Order: accesskey.BySubject, Limit: accesskey.MaxPage, Bare: true}); ; {
		keys, next, err := s.o.Inventory.Keys(ctx, account, q)
		if err != nil {
			return seen, t, err
		}
		for i := range keys {
			if p := by[keys[i].Principal.ID]; p != nil {
				keys[i].Principal = *p
			}
			exam.Key(&keys[i])
		}
		seen += len(keys)
		if q.After = next; next == "" {
			break
		}
	}
	t, err = s.o.Findings.Reconcile(ctx, finding.Batch{
		Account: account, Source: check.Source, Provider: st.Source.Name, At: at, ReadAt: st.State.SucceededAt,
		Found: exam.End(principals), Unknown: exam.Unknown,
	})
	return seen, t, err
}
