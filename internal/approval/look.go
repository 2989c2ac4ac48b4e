package approval

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
)

// JobLook tells people what waits for an approval, and which rules nobody can satisfy; each
// account has one, without a subject.
const JobLook = "approval.look"

const (
	every  = 15 * time.Minute // between two looks at an account that has rules
	seldom = 6 * time.Hour    // and at one that has none
	prefix = "approval/"
)

// Jobs answers the job that an account needs, for ever.
func Jobs(account string, now time.Time) []job.Job {
	return []job.Job{{Kind: JobLook, Account: account, Due: now}}
}

// look answers the job that looks at an account at once, because something has changed.
func look(account string, now time.Time) []job.Job {
	return []job.Job{{Kind: JobLook, Account: account, Due: now, Hasten: true}}
}

// Handlers answers what the service does when its job is due.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{JobLook: s.look}
}

func (s *Service) look(ctx context.Context, j job.Job) (again time.Time, err error) {
	now := s.now()
	rules, err := s.Store.Rules(ctx, j.Account)
	if err != nil {
		return time.Time{}, err
	}
	open, err := s.Store.OpenApprovals(ctx, j.Account, now)
	if err != nil {
		return time.Time{}, err
	}
	again = now.Add(seldom)
	if len(rules) > 0 {
		again = now.Add(every)
	}
	soon := func(at time.Time) {
		if at.After(now) && at.Before(again) {
			again = at
		}
	}
	found := map[string]notify.Condition{}
	for _, r := range open {
		v, err := s.view(ctx, r)
		if err != nil {
			return time.Time{}, err
		}
		if v.Standing == Open {
			found[prefix+r.ID] = v.condition()
			soon(r.ExpiresAt)
		}
	}
	for _, r := range rules {
		soon(r.SuspendedUntil)
		c, wrong, err := s.wrong(ctx, r, now)
		if err != nil {
			return time.Time{}, err
		}
		if wrong {
			found[c.Name] = c
		}
	}
	ours := func(condition string) bool { return strings.HasPrefix(condition, prefix) }
	return again, s.Incidents.Reconcile(ctx, j.Account, ours, found)
}

// condition says that an approval request waits. No parameter stands in it: messages go far.
func (v View) condition() notify.Condition {
	var approvers []string
	for _, w := range v.Wants {
		approvers = append(approvers, w.Approvers...)
	}
	slices.Sort(approvers)
	approvers = slices.Compact(approvers)
	return notify.Condition{
		Name: prefix + v.ID, Kind: notify.ApprovalWanted, Subject: v.Action, Owner: approvers[0], Severity: message.Warning,
		Facts: []notify.Fact{
			{Name: "requester", Value: v.Requester}, {Name: "resource", Value: v.Resource}, {Name: "approvers", Value: strings.Join(approvers, ", ")},
			{Name: "expires", Value: v.ExpiresAt.Format(time.RFC3339)}, {Name: "fix", Value: "keyward approval show " + v.ID},
		},
	}
}

// wrong says what is wrong with a rule, if anything: that it is suspended, or that too few
// people are left who could satisfy it.
func (s *Service) wrong(ctx context.Context, r Rule, now time.Time) (notify.Condition, bool, error) {
	c := notify.Condition{Name: prefix + "rule/" + r.Name, Subject: r.Name, Severity: message.Critical}
	if r.Suspended(now) {
		c.Kind = notify.ApprovalSuspended
		c.Facts = []notify.Fact{{Name: "until", Value: r.SuspendedUntil.Format(time.RFC3339)}}
		return c, true, nil
	}
	able, err := s.able(ctx, r.Account, r.Approvers, "")
	if err != nil || able >= r.Need {
		return c, false, err
	}
	c.Kind = notify.ApprovalStuck
	c.Facts = []notify.Fact{
		{Name: "approvers", Value: strings.Join(r.Approvers, ", ")}, {Name: "able", Value: strconv.Itoa(able) + " / " + strconv.Itoa(r.Need)},
		{Name: "fix", Value: "keyward operator approval suspend --account " + r.Account + " " + r.Name},
	}
	return c, true, nil
}
