package engine

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rotation"
)

// planPace is the longest time between two looks at a plan.
const planPace = time.Hour

// PlanNeeds answers the jobs that a plan needs.
func (s *Service) PlanNeeds(p rotation.Plan) []job.Need {
	return []job.Need{{Job: job.Job{Kind: JobPlan, Account: p.Account, Subject: p.Name, Due: s.now()}, Ahead: planPace}}
}

// Needs answers the jobs that a rotation needs.
func (s *Service) Needs(r rotation.Rotation) []job.Need {
	if !r.EndedAt.IsZero() {
		return nil
	}
	return []job.Need{{Job: s.soon(r)[0], Ahead: longest}}
}

// spoolPace is the time between two looks at what the spool holds.
const spoolPace = time.Minute

// Run drops from this server's spool, until ctx ends, what another server has made worthless:
// it went on with a rotation that this one was killed in, and ended the key or the rotation.
func (s *Service) Run(ctx context.Context) error {
	for {
		if err := s.tidy(ctx); err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("looking at the spool of new keys", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(spoolPace):
		}
	}
}

func (s *Service) tidy(ctx context.Context) error {
	files, err := s.o.Spool.Left()
	for _, f := range files {
		r, lost := s.o.Store.Rotation(ctx, f.Account, f.Rotation)
		switch {
		case lost != nil: // of a rotation that is not known it may be the only copy
			err = errors.Join(err, lost)
		case r.Over():
			err = errors.Join(err, s.o.Spool.Drop(f.Rotation, f.Attempt))
		case r.Attempt > f.Attempt: // by then the key of this one was ended
			err = errors.Join(err, s.o.Spool.Drop(f.Rotation, r.Attempt-1))
		}
	}
	return err
}

// lookAtPlan begins a rotation when its plan is due, and raises an incident when it is too
// late for one that ends well.
func (s *Service) lookAtPlan(ctx context.Context, j job.Job) (again time.Time, err error) {
	p, err := s.o.Store.Plan(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, s.o.Incidents.End(ctx, j.Account, lateCondition(j.Subject))
	}
	if err != nil {
		return time.Time{}, err
	}
	m, closed := s.means(ctx, p) // none of a source that cannot be opened: then it is late only when it is for all
	f, err := s.forecast(ctx, p, m)
	if err != nil {
		return time.Time{}, err
	}
	now := s.now()
	again = now.Add(planPace)
	if f.Due.After(now) && f.Due.Before(again) {
		again = f.Due
	}
	underWay, err := s.beginDue(ctx, f, now)
	ahead := p.Auto && now.Before(f.Due) // of a key that lives so shortly that no start is early enough
	if underWay || f.Latest.IsZero() || !now.After(f.Latest) || ahead {
		if closed != nil {
			return again, closed
		}
		return again, errors.Join(err, s.o.Incidents.End(ctx, p.Account, lateCondition(p.Name)))
	}
	return again, errors.Join(closed, err, s.o.Incidents.Report(ctx, p.Account, notify.Condition{ // whatever keeps it from beginning
		Name: lateCondition(p.Name), Kind: notify.RotationLate, Subject: p.Name, Deadline: f.Expires,
		Facts: []notify.Fact{{Name: "key", Value: p.Key}, {Name: "expires", Value: f.Expires.Format(time.RFC3339)}, {Name: "fix", Value: "keyward rotation start " + p.Name}},
	}))
}

// beginDue begins a rotation if the plan is due and does so by itself, and tells whether one is
// under way then.
func (s *Service) beginDue(ctx context.Context, f Forecast, now time.Time) (underWay bool, err error) {
	if f.UnderWay != "" || !f.Plan.Auto || f.Due.IsZero() || now.Before(f.Due) {
		return f.UnderWay != "", nil
	}
	err = s.do(ctx, s.self(f.Plan.Account), "keyward:StartRotation", f.Plan.Name, func(rec *audit.Record) error {
		_, err := s.begin(ctx, rec, f.Plan, automatic(f, now))
		return err
	})
	if fault.Is(err, fault.ResourceExists) { // somebody has begun one at this moment
		err = nil
	}
	return err == nil, err
}

// automatic says how a plan's own rotation begins: late rather than not at all.
func automatic(f Forecast, now time.Time) StartInput {
	in := StartInput{Plan: f.Plan.Name, Profile: rotation.Planned, Cause: "the key reaches its age", Late: true}
	if !f.Expires.IsZero() {
		in.Cause = "the key expires at " + f.Expires.Format(time.RFC3339)
		if now.Add(f.Terms.Rolls()).After(f.Expires) { // a grace period that the key's death ends is better than haste
			in.Profile = rotation.Emergency
		}
	}
	return in
}

// stuckNear is how close the end of its key must be for a rotation that is stuck to escalate towards
// it: before, that it waits is what is wrong, and not when the key ends.
const stuckNear = 72 * time.Hour

func lateCondition(plan string) string   { return "rotation-late/" + plan }
func stuckCondition(plan string) string  { return "rotation-stuck/" + plan }
func missedCondition(plan string) string { return "rotation-missed/" + plan }

// tell raises an incident for what a rotation cannot do by itself, and one for that it cannot
// end in time any more, each with what it knows and the next command, and ends them when that
// is over.
func (s *Service) tell(ctx context.Context, r rotation.Rotation) error {
	if err := s.tellMissed(ctx, r); err != nil {
		return err
	}
	why, deadline := cmp.Or(r.Halt, r.Trouble), r.FinishBy
	if r.Over() || why == "" {
		return s.o.Incidents.End(ctx, r.Account, stuckCondition(r.Plan))
	}
	if deadline.Sub(s.now()) > stuckNear {
		deadline = time.Time{}
	}
	return s.o.Incidents.Report(ctx, r.Account, notify.Condition{
		Name: stuckCondition(r.Plan), Kind: notify.RotationStuck, Subject: r.Plan, Facts: facts(r, why), Deadline: deadline, Severity: message.Critical,
	})
}

// tellMissed raises an incident when a rotation cannot end before its key dies.
func (s *Service) tellMissed(ctx context.Context, r rotation.Rotation) error {
	if r.Over() || !r.Late {
		return s.o.Incidents.End(ctx, r.Account, missedCondition(r.Plan))
	}
	return s.o.Incidents.Report(ctx, r.Account, notify.Condition{
		Name: missedCondition(r.Plan), Kind: notify.RotationMissed, Subject: r.Plan, Deadline: r.FinishBy, Severity: message.Critical,
		Facts: append(facts(r, rotation.Late), notify.Fact{Name: "expires", Value: r.FinishBy.Format(time.RFC3339)}),
	})
}

// facts are what is known of a rotation, why somebody should know, and what to do.
func facts(r rotation.Rotation, why rotation.Reason) []notify.Fact {
	out := []notify.Fact{{Name: "key", Value: r.Old.ID}, {Name: "step", Value: string(r.Step)}, {Name: "reason", Value: string(why)}}
	if r.Detail != "" {
		out = append(out, notify.Fact{Name: "detail", Value: r.Detail})
	}
	return append(out, notify.Fact{Name: "advice", Value: string(why)}, notify.Fact{Name: "fix", Value: r.Next()})
}
