package finding

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/notify"
)

// Limits. docs/findings.md tells them to users.
const (
	MaxPage        = 1000
	MaxOwner       = 256                  // characters
	MaxReason      = 2000                 // characters
	MaxSuppression = 366 * 24 * time.Hour // a year, and the day more that a leap year has
	keep           = 90 * 24 * time.Hour  // how long what is resolved is shown
)

// Incidents is who tells people; notify.Service is one.
type Incidents interface {
	Reconcile(ctx context.Context, account string, ours func(condition string) bool, conditions map[string]notify.Condition) error
}

// Options says what a Service is made of.
type Options struct {
	Store     Store
	Ledger    Ledger
	Incidents Incidents
	Rules     []Rule // of all who look
	Log       *audit.Log
	Region    string // of the ARNs
	Now       func() time.Time
	// Follow answers the jobs that look again after a person decided something; nil for none.
	Follow func(account string, now time.Time) []job.Job
}

// A Service offers the operations on findings. It may be used concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service {
	if o.Follow == nil {
		o.Follow = func(string, time.Time) []job.Job { return nil }
	}
	return &Service{o}
}

// Rule answers a rule by its id; the zero Rule if there is none any more.
func (s *Service) Rule(id string) *Rule {
	if i := slices.IndexFunc(s.o.Rules, func(r Rule) bool { return r.ID == id }); i >= 0 {
		return &s.o.Rules[i]
	}
	return &Rule{ID: id}
}

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, resource string, fn func(*audit.Record) error) error {
	return s.o.Log.Perform(ctx, c, action, "acs:keyward:"+s.o.Region+":"+c.Account+":"+resource, fn)
}

// Now answers what time it is for the states of findings.
func (s *Service) Now() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

// List answers the findings of the account that match, and the cursor of the rest, "" if
// there is none.
func (s *Service) List(ctx context.Context, c *authz.Call, q Query) (found []Finding, next string, err error) {
	err = s.do(ctx, c, "keyward:ListFindings", "finding/*", func(*audit.Record) error {
		if q.Limit < 1 || q.Limit > MaxPage {
			return fault.InvalidParameter.New("a page has 1 to %d findings", MaxPage)
		}
		if !slices.Contains([]State{"", Open, Suppressed, Resolved}, q.State) {
			return fault.InvalidParameter.New("there is no state %q; use open, suppressed or resolved", q.State)
		}
		if q.Rule != "" && s.Rule(q.Rule).Source == "" {
			return fault.InvalidParameter.New("there is no rule %q; list them with: keyward accesskey checks", q.Rule)
		}
		q.Now = s.Now()
		found, next, err = s.o.Store.Findings(ctx, c.Account, q)
		return err
	})
	return found, next, err
}

// Get answers one finding.
func (s *Service) Get(ctx context.Context, c *authz.Call, id string) (f Finding, err error) {
	err = s.do(ctx, c, "keyward:GetFinding", "finding/"+id, func(*audit.Record) error {
		f, err = s.o.Store.Finding(ctx, c.Account, id)
		return err
	})
	return f, err
}

// A Verdict is what a person says when a finding is accepted for some time.
type Verdict struct {
	Owner  string // who answers for it
	Reason string
	Until  time.Time // at most [MaxSuppression] from now
}

// Suppress silences a finding until a date. Suppressing it again moves the date.
func (s *Service) Suppress(ctx context.Context, c *authz.Call, id string, v Verdict) (f Finding, err error) {
	err = s.do(ctx, c, "keyward:SuppressFinding", "finding/"+id, func(rec *audit.Record) error {
		now := s.Now()
		if err := v.check(now); err != nil {
			return err
		}
		if f, err = s.o.Store.Finding(ctx, c.Account, id); err != nil {
			return err
		}
		if f.State(now) == Resolved {
			return fault.StateConflict.New("the finding is resolved: there is nothing to suppress")
		}
		p := Suppression{
			Account: c.Account, Finding: f.ID, Rule: f.Rule, Subject: f.Subject.String(),
			Owner: v.Owner, Reason: v.Reason, By: c.ARN(), At: now, Until: v.Until.UTC().Truncate(time.Microsecond),
		}
		if f.Suppression != nil {
			p.Rev = f.Suppression.Rev
		}
		f.Suppression = &p
		rec.Param("Owner", p.Owner)
		rec.Param("Reason", p.Reason)
		rec.Param("Until", p.Until.Format(time.RFC3339))
		return s.o.Store.Suppress(ctx, rec, &p, s.o.Follow(c.Account, now))
	})
	return f, err
}

func (v Verdict) check(now time.Time) error {
	if err := checkText(fault.Say("owner"), v.Owner, MaxOwner); err != nil {
		return err
	}
	if err := checkText(fault.Say("reason"), v.Reason, MaxReason); err != nil {
		return err
	}
	if !v.Until.After(now) || v.Until.Sub(now) > MaxSuppression {
		return fault.InvalidParameter.New("a finding is suppressed until a date to come, at most a year from now")
	}
	return nil
}

func checkText(name fault.Text, text string, limit int) error {
	if strings.TrimSpace(text) == "" {
		return fault.MissingParameter.New("the %s is missing: who silences a finding says who answers for it and why", name)
	}
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > limit {
		return fault.InvalidParameter.New("the %s is not text of at most %d characters", name, limit)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		return fault.InvalidParameter.New("the %s has a control character", name)
	}
	return nil
}

// Resolve takes a person's word that what a finding is about was mended. The finding opens
// again when what is read after now says otherwise.
func (s *Service) Resolve(ctx context.Context, c *authz.Call, id string) (f Finding, err error) {
	err = s.do(ctx, c, "keyward:ResolveFinding", "finding/"+id, func(rec *audit.Record) error {
		if f, err = s.o.Store.Finding(ctx, c.Account, id); err != nil {
			return err
		}
		now := s.Now()
		if f.State(now) == Resolved {
			return fault.StateConflict.New("the finding is resolved already")
		}
		f.ResolvedAt, f.ResolvedBy = now, c.ARN()
		return s.o.Store.Resolve(ctx, rec, &f, s.o.Follow(c.Account, now))
	})
	return f, err
}

// A Standing is a rule and how many findings it has.
type Standing struct {
	Rule  Rule
	Count Count
}

// Rules answers every rule, also those that are not looked for yet, with its findings.
func (s *Service) Rules(ctx context.Context, c *authz.Call) (out []Standing, err error) {
	err = s.do(ctx, c, "keyward:ListChecks", "check/*", func(*audit.Record) error {
		counts, err := s.o.Store.Counts(ctx, c.Account, s.Now())
		for _, r := range s.o.Rules {
			out = append(out, Standing{r, counts[r.ID]})
		}
		return err
	})
	return out, err
}
