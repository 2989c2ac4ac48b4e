package approval

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

// document answers the rule's patterns as a policy, whose sense they have.
func document(r Rule) []byte {
	type statement struct {
		Effect           string
		Action, Resource []string
	}
	text, _ := json.Marshal(struct { // of strings, which cannot fail
		Version   string
		Statement []statement
	}{"1", []statement{{"Allow", r.Actions, r.Resources}}})
	return text
}

// A Terms is what somebody says of a rule.
type Terms struct {
	Need      int
	Approvers []string
	Actions   []string
	Resources []string // none for all
	Exempt    []string
	Life      time.Duration // 0 for DefaultLife
}

// rule answers the rule that the terms describe, tidied.
func (t Terms) rule(r Rule) Rule {
	tidy := func(list []string) []string {
		list = slices.Clone(list)
		slices.Sort(list)
		return slices.Compact(list)
	}
	r.Need, r.Approvers, r.Actions, r.Resources, r.Exempt, r.Life = t.Need, tidy(t.Approvers), tidy(t.Actions), tidy(t.Resources), tidy(t.Exempt), t.Life
	if len(r.Resources) == 0 {
		r.Resources = []string{"*"}
	}
	if r.Life == 0 {
		r.Life = DefaultLife
	}
	return r
}

// check refuses a rule that has no meaning. Whether it can be satisfied is another question.
func (s *Service) check(r Rule) error {
	if !iam.ValidRoleName(r.Name) {
		return fault.InvalidParameter.New("the name of a rule has 1 to 64 characters, which are letters, digits or one of . - _")
	}
	if len(r.Approvers) > MaxApprovers || max(len(r.Actions), len(r.Resources), len(r.Exempt)) > MaxPatterns {
		return fault.InvalidParameter.New("a rule has at most %d approvers, and %d actions, resources and exemptions each", MaxApprovers, MaxPatterns)
	}
	if len(r.Actions) == 0 {
		return fault.MissingParameter.New("the rule names no action; docs/approvals.md lists those that it may")
	}
	if r.Need < 1 || r.Need > len(r.Approvers) {
		return fault.InvalidParameter.New("%d approvals of %d people are wanted, which nobody can ever have; name more approvers, or want fewer", r.Need, len(r.Approvers))
	}
	if r.Life < MinLife || r.Life > MaxLife || r.Life%time.Second != 0 {
		return fault.InvalidParameter.New("an approval request lives for whole seconds, from %v to %v", MinLife, MaxLife)
	}
	for _, who := range r.Exempt {
		kind, name, _ := strings.Cut(who, "/")
		if kind != "user" && kind != "role" || kind == "user" && !iam.ValidUserName(name) || kind == "role" && !iam.ValidRoleName(name) {
			return fault.InvalidParameter.New("an exemption is user/NAME or role/NAME")
		}
		if strings.EqualFold(who, "user/"+iam.RootName) {
			return fault.InvalidParameter.New("root cannot be exempted: whoever has it could do everything alone")
		}
	}
	c, err := s.compile(r)
	if err != nil {
		return err
	}
	for _, action := range r.Actions {
		one := Rule{Name: r.Name, Actions: []string{action}, Resources: []string{"*"}}
		alone, err := authz.Compile("approval rule", document(one))
		if err != nil {
			return err
		}
		call := &authz.Call{Principal: authz.Principal{Account: r.Account}}
		if !slices.ContainsFunc(authz.Dangerous(), func(a string) bool {
			return alone.Covers(call, authz.Request{Action: a, Resource: c.arn})
		}) {
			return fault.InvalidParameter.New("no dangerous action is named %s; docs/approvals.md lists those that rules may name", action)
		}
	}
	return nil
}

// SetRule makes or changes a rule. It must be one that somebody can satisfy now, beside the caller.
func (s *Service) SetRule(ctx context.Context, c *authz.Call, name string, terms Terms) (out Rule, err error) {
	err = s.onRule(ctx, c, ActionSetRule, name, func(rec *audit.Record, old Rule) error {
		now := s.now()
		if old.Rev == 0 {
			old = Rule{Account: c.Account, Name: name, CreatedAt: now}
		}
		out = terms.rule(old)
		out.UpdatedAt, out.SuspendedUntil = now, time.Time{}
		rec.Param("Need", strconv.Itoa(out.Need))
		rec.Param("Approvers", strings.Join(out.Approvers, ","))
		rec.Param("Actions", strings.Join(out.Actions, ","))
		rec.Param("Resources", strings.Join(out.Resources, ","))
		rec.Param("Exempt", strings.Join(out.Exempt, ","))
		if err := s.check(out); err != nil {
			return err
		}
		if err := s.canBeMet(ctx, c, out); err != nil {
			return err
		}
		return s.Store.SaveRule(ctx, rec, &out, look(c.Account, now))
	})
	return out, err
}

// canBeMet refuses a rule that too few people could satisfy now: the caller, who may want to
// change it again, does not count.
func (s *Service) canBeMet(ctx context.Context, c *authz.Call, r Rule) error {
	for _, user := range r.Approvers {
		if user == iam.RootName {
			return fault.InvalidParameter.New("root does not log in, and so approves nothing; name people")
		}
		if _, err := s.Users.User(ctx, r.Account, user); err != nil {
			return err
		}
	}
	account, user, err := s.Roles.Origin(ctx, c.Principal)
	if err != nil {
		return err
	}
	able, err := s.able(ctx, r.Account, r.Approvers, iam.UserARN(account, user))
	if err == nil && able < r.Need {
		err = fault.StateConflict.New("%d of these people must approve, and beside you only %d could now: each must be able to log in, and needs a second factor (keyward user mfa enroll)", r.Need, able)
	}
	return err
}

// DeleteRule removes a rule. Approval requests that it alone wanted are of no more use.
func (s *Service) DeleteRule(ctx context.Context, c *authz.Call, name string) error {
	return s.onRule(ctx, c, ActionDeleteRule, name, func(rec *audit.Record, old Rule) error {
		if old.Rev == 0 {
			return errNoRule(name)
		}
		return s.Store.DeleteRule(ctx, rec, &old, look(c.Account, s.now()))
	})
}

func errNoRule(name string) error {
	return fault.ResourceNotFound.New("there is no approval rule %q in this account", name)
}

// onRule runs an operation on a rule, again if somebody else changed it meanwhile. The rule's
// Rev is 0 if there is none.
func (s *Service) onRule(ctx context.Context, c *authz.Call, action, name string, fn func(*audit.Record, Rule) error) error {
	named := name
	if !iam.ValidRoleName(name) {
		named = ""
	}
	return s.Log.Perform(ctx, c, action, s.arn(c.Account, "approval-rule/"+named), func(rec *audit.Record) error {
		given := len(rec.Params)
		return iam.Retry(func() error {
			rec.Params = rec.Params[:given]
			r, err := s.rule(ctx, c.Account, name)
			if err != nil && !fault.Is(err, fault.ResourceNotFound) {
				return err
			}
			if err := fn(rec, r); !fault.Is(err, fault.ResourceExists) {
				return err
			}
			return fault.Changed.New("somebody else made the rule meanwhile; look at it and try again")
		})
	})
}

// rule reads a rule of the account.
func (s *Service) rule(ctx context.Context, account, name string) (Rule, error) {
	all, err := s.Store.Rules(ctx, account)
	if err != nil {
		return Rule{}, err
	}
	i := slices.IndexFunc(all, func(r Rule) bool { return r.Name == name })
	if i < 0 {
		return Rule{}, errNoRule(name)
	}
	return all[i], nil
}

// ListRules answers the rules of the account, by name.
func (s *Service) ListRules(ctx context.Context, c *authz.Call) (rules []Rule, err error) {
	err = s.Log.Perform(ctx, c, ActionListRules, s.arn(c.Account, "approval-rule/*"), func(*audit.Record) error {
		rules, err = s.Store.Rules(ctx, c.Account)
		return err
	})
	return rules, err
}

// Suspend has a rule demand nothing for a while, or again at once if that is 0. It is for the
// operator, who acts outside any account, when those who could approve are out of reach.
func (s *Service) Suspend(ctx context.Context, operator *authz.Call, account, name string, while time.Duration) (out Rule, err error) {
	rec := audit.NewRecord(operator, ActionSuspendRule)
	rec.Principal = operator.ARN()
	rec.Account, rec.Resource, rec.Decision = account, s.arn(account, "approval-rule/"+name), string(authz.ByService)
	err = s.Log.Do(ctx, rec, func() error {
		if while < 0 || while > MaxSuspended {
			return fault.InvalidParameter.New("a rule is suspended for at most %v", MaxSuspended)
		}
		rec.Param("For", while.String())
		return iam.Retry(func() error {
			if out, err = s.rule(ctx, account, name); err != nil {
				return err
			}
			now := s.now()
			out.SuspendedUntil = time.Time{}
			if while > 0 {
				out.SuspendedUntil = now.Add(while)
			}
			return s.Store.SaveRule(ctx, rec, &out, look(account, now))
		})
	})
	return out, err
}
