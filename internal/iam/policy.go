package iam

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// administrator is the system policy that the first user of an account has.
const administrator = "AdministratorAccess"

// everyKey is the system policy that allows whatever a policy of a key or a secret could.
const everyKey = "AliyunKMSFullAccess"

// systemPolicies are the policies that every account has.
type systemPolicies struct {
	byName   map[string]Policy // by name in lower case
	compiled map[string]*authz.Policy
}

func compileSystemPolicies() (systemPolicies, error) {
	s := systemPolicies{make(map[string]Policy), make(map[string]*authz.Policy)}
	for _, p := range authz.SystemPolicies() {
		compiled, err := authz.Compile(p.Name, []byte(p.Document))
		if err != nil {
			return s, fmt.Errorf("compiling system policies: %w", err)
		}
		s.byName[strings.ToLower(p.Name)] = Policy{Name: p.Name, Description: p.Description, Document: p.Document, System: true}
		s.compiled[p.Name] = compiled
	}
	return s, nil
}

// reserves tells whether a system policy has the name, or a later release may give it
// to one, without regard to case.
func (s systemPolicies) reserves(name string) bool {
	name = strings.ToLower(name)
	_, ok := s.byName[name]
	return ok || strings.HasPrefix(name, "aliyun") || strings.HasPrefix(name, "keyward")
}

// policy answers the system policy of exactly this name.
func (s systemPolicies) policy(name string) (Policy, bool) {
	p := s.byName[strings.ToLower(name)]
	return p, p.Name == name && name != ""
}

// A NewPolicy says what a custom policy is to be like.
type NewPolicy struct {
	Name        string
	Description string
	Document    string
}

// CreatePolicy makes a custom policy, which has no effect until it is attached.
func (s *Service) CreatePolicy(ctx context.Context, call *authz.Call, in NewPolicy) (Policy, error) {
	op := s.begin(call, ActionCreatePolicy)
	return Perform(ctx, op, func() (Policy, error) {
		if err := op.Authorize(PolicyARN(call.Account, in.Name)); err != nil {
			return Policy{}, err
		}
		if err := CheckPolicyName(in.Name); err != nil {
			return Policy{}, err
		}
		if err := CheckText(fault.Say("description"), in.Description, MaxDescription); err != nil {
			return Policy{}, err
		}
		if err := s.checkDocument(in.Name, in.Document); err != nil {
			return Policy{}, err
		}
		if s.system.reserves(in.Name) {
			return Policy{}, fault.InvalidParameter.New("the policy name %q is reserved for system policies; choose another one", in.Name)
		}
		now := s.now()
		p := Policy{Account: call.Account, Name: in.Name, Description: in.Description, Document: in.Document, CreatedAt: now, UpdatedAt: now}
		err := s.store.CreatePolicy(ctx, op.Record, &p)
		return p, Explain(err, fault.Say("policy"), in.Name)
	})
}

// GetPolicy answers a system policy or a custom one.
func (s *Service) GetPolicy(ctx context.Context, call *authz.Call, name string) (Policy, error) {
	op := s.begin(call, ActionGetPolicy)
	return Perform(ctx, op, func() (Policy, error) {
		if err := op.Authorize(PolicyARN(call.Account, name)); err != nil {
			return Policy{}, err
		}
		return s.Policy(ctx, call.Account, name)
	})
}

// ListPolicies answers system and custom policies in the order of their names.
func (s *Service) ListPolicies(ctx context.Context, call *authz.Call, page Page) (List[Policy], error) {
	op := s.begin(call, ActionListPolicies)
	return Perform(ctx, op, func() (List[Policy], error) {
		if err := op.Authorize(PolicyARN(call.Account, "")); err != nil {
			return List[Policy]{}, err
		}
		page, err := page.Ask()
		if err != nil {
			return List[Policy]{}, err
		}
		policies, err := s.store.Policies(ctx, call.Account, page)
		if err != nil {
			return List[Policy]{}, err
		}
		for _, p := range s.system.byName {
			if p.Name > page.After {
				policies = append(policies, p)
			}
		}
		slices.SortFunc(policies, func(a, b Policy) int { return strings.Compare(a.Name, b.Name) })
		policies = policies[:min(len(policies), page.Limit)]
		return Cut(policies, page, func(p Policy) string { return p.Name }), nil
	})
}

// A PolicyChange says what to change of a policy; nil leaves a field as it is.
type PolicyChange struct {
	Description *string
	Document    *string
}

func (s *Service) checkChange(name string, c PolicyChange) error {
	if c.Description == nil && c.Document == nil {
		return fault.MissingParameter.New("nothing to change was named; give a description or a document")
	}
	if c.Description != nil {
		if err := CheckText(fault.Say("description"), *c.Description, MaxDescription); err != nil {
			return err
		}
	}
	if c.Document != nil {
		return s.checkDocument(name, *c.Document)
	}
	return nil
}

// checkDocument refuses what is no policy, or takes away what there is not.
func (s *Service) checkDocument(name, document string) error {
	p, err := authz.Compile(name, []byte(document))
	if err != nil {
		return err
	}
	return p.CheckSpelling(s.actions)
}

// UpdatePolicy changes a custom policy, from the next request on. Because a new
// document changes what the users and roles that have the policy may do, it needs the
// permission to attach the policy to each of them, too.
func (s *Service) UpdatePolicy(ctx context.Context, call *authz.Call, name string, change PolicyChange) (Policy, error) {
	op := s.begin(call, ActionUpdatePolicy)
	return Perform(ctx, op, func() (Policy, error) {
		if err := op.Authorize(PolicyARN(call.Account, name)); err != nil {
			return Policy{}, err
		}
		if err := s.checkChange(name, change); err != nil {
			return Policy{}, err
		}
		return s.changePolicy(ctx, op, name, func(p *Policy) error {
			if change.Description != nil {
				p.Description = *change.Description
			}
			if change.Document != nil {
				if err := s.requireGrants(ctx, op, name); err != nil {
					return err
				}
				p.Document = *change.Document
			}
			p.UpdatedAt = s.now()
			return s.store.UpdatePolicy(ctx, op.Record, p)
		})
	})
}

// requireGrants asks for the power to decide that those who have the policy have it.
func (s *Service) requireGrants(ctx context.Context, op *Operation, policy string) error {
	users, roles, err := s.store.PolicyHolders(ctx, op.Call.Account, policy)
	if err != nil {
		return err
	}
	for _, user := range users {
		if err := op.requireGrant(user, policy); err != nil {
			return err
		}
	}
	for _, role := range roles {
		if err := op.RequireGrant(ActionAttachPolicyToRole, RoleARN(op.Call.Account, role), policy); err != nil {
			return err
		}
	}
	return nil
}

// RequireTakeover asks for the power to grant whatever a user or a role may do, for who comes
// to act as it: its policies and, where policies of resources name it, all that such could allow.
// Somebody fresh may do nothing, so that whoever makes users can make their keys.
func (s *Service) RequireTakeover(ctx context.Context, op *Operation, attach, holder string, policies []string) error {
	if err := op.RequireGrant(attach, holder, policies...); err != nil {
		return err
	}
	named, err := s.store.Namings(ctx, op.Call.Account, holder)
	for _, n := range named {
		most := administrator
		if n.Kind == "key" || n.Kind == "secret" {
			most = everyKey
		}
		if err := op.RequireGrant(attach, holder, most); fault.Is(err, fault.NoPermission) {
			return fault.NoPermission.New("%s may not come to act as %s, whom a %s names: it takes %s on that and on the policy %s; ask an administrator of the account",
				op.Call.ARN(), holder, n.Kind, attach, most)
		} else if err != nil {
			return err
		}
	}
	return err
}

// DeletePolicy removes a custom policy. One that a user or a role has is refused with
// ResourceInUse: it may be what keeps them from something.
func (s *Service) DeletePolicy(ctx context.Context, call *authz.Call, name string) error {
	op := s.begin(call, ActionDeletePolicy)
	return op.Run(ctx, func() error {
		if err := op.Authorize(PolicyARN(call.Account, name)); err != nil {
			return err
		}
		_, err := s.changePolicy(ctx, op, name, func(p *Policy) error {
			return s.store.DeletePolicy(ctx, op.Record, p)
		})
		return err
	})
}

// changePolicy reads the custom policy and lets apply change and store it, again if
// need be.
func (s *Service) changePolicy(ctx context.Context, op *Operation, name string, apply func(*Policy) error) (Policy, error) {
	var p Policy
	err := Retry(func() (err error) {
		if p, err = s.Policy(ctx, op.Call.Account, name); err != nil {
			return err
		}
		if p.System {
			return fault.UnsupportedOperation.New("%q is a system policy and cannot be changed; create a policy of your own", name)
		}
		return apply(&p)
	})
	return p, err
}

// Policy reads a system policy or a custom one of the account, for the packages below:
// it authorizes nothing.
func (s *Service) Policy(ctx context.Context, account, name string) (Policy, error) {
	if err := CheckPolicyName(name); err != nil {
		return Policy{}, err
	}
	if p, ok := s.system.policy(name); ok {
		return p, nil
	}
	return s.store.Policy(ctx, account, name)
}

// Custom answers which of the policies are custom ones: rows of their own.
func (s *Service) Custom(policies []string) []string {
	return slices.DeleteFunc(slices.Clone(policies), func(name string) bool { _, system := s.system.compiled[name]; return system })
}
