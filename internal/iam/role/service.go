package role

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
)

// The operations' names in policies and in the audit log: RAM's where RAM has them.
const (
	ActionCreateRole   = "ram:CreateRole"
	ActionGetRole      = "ram:GetRole"
	ActionListRoles    = "ram:ListRoles"
	ActionUpdateRole   = "ram:UpdateRole"
	ActionDeleteRole   = "ram:DeleteRole"
	ActionDetachPolicy = "ram:DetachPolicyFromRole"
	ActionEndSessions  = "ram:EndRoleSessions"
	ActionFederate     = "sts:GetFederationToken"
)

// A Sealer seals tickets. Its methods may be called concurrently; Open answers an
// InvalidCiphertext fault for what Seal did not make.
type Sealer interface {
	Seal(ticket material.Bytes) ([]byte, error)
	Open(sealed []byte) (material.Bytes, error)
}

// Logins tells whether the session of a user who logged in is still in force. It is asked
// with every request of such a session and must be as fast as a cache.
type Logins func(ctx context.Context, account, user, session string) (bool, error)

// Options says what a Service is made of. All fields are required; Logins only where
// people log in.
type Options struct {
	Store  Store
	IAM    *iam.Service
	Log    *audit.Log
	Sealer Sealer
	Logins Logins
	Now    func() time.Time // clock
	Fresh  func() bool      // whether the change feed is up to date; see package cache
}

// A Service is the rules about roles and sessions. Its methods may be called concurrently.
type Service struct {
	store  Store
	iam    *iam.Service
	log    *audit.Log
	sealer Sealer
	logins Logins
	clock  func() time.Time

	roles   *cache.Cache[string, actor]    // by "account/name"
	tickets *cache.Cache[string, *session] // by token
}

// How many roles and sessions stay in memory. A token has at most some 4 KiB.
const (
	maxRolesCached   = 1 << 12
	maxTicketsCached = 1 << 12
)

// New makes a Service. Connect its Changed to the store's change feed.
func New(o Options) *Service {
	s := &Service{store: o.Store, iam: o.IAM, log: o.Log, sealer: o.Sealer, logins: o.Logins, clock: o.Now}
	s.roles = cache.New(maxRolesCached, o.Fresh, s.loadActor)
	s.tickets = cache.New(maxTicketsCached, func() bool { return true }, s.open) // a token never changes
	return s
}

// now answers the time as precisely as the store keeps it.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Changed tells that a row was changed; see [iam.Service.Changed].
func (s *Service) Changed(table, id string) {
	switch table {
	case "iam_role":
		s.roles.Forget(id)
	case "iam_policy":
		s.roles.Clear() // whichever has it holds it compiled
	case "":
		s.roles.Clear()
		s.tickets.Clear()
	}
}

// Age drops the secrets of sessions that were not used since the last call, and answers
// how many were dropped; see [iam.Service.Age].
func (s *Service) Age() int { return s.tickets.Age() }

// A NewRole says what a role is to be like.
type NewRole struct {
	Name        string
	Description string
	Trust       string        // policy document
	MaxSession  time.Duration // 1 to 12 hours in whole seconds; 0 means an hour
}

// CreateRole makes a role, which may do nothing until a policy is attached.
func (s *Service) CreateRole(ctx context.Context, call *authz.Call, in NewRole) (Role, error) {
	op := iam.Begin(s.log, call, ActionCreateRole)
	return iam.Perform(ctx, op, func() (Role, error) {
		if err := op.Authorize(iam.RoleARN(call.Account, in.Name)); err != nil {
			return Role{}, err
		}
		if err := checkName(in.Name); err != nil {
			return Role{}, err
		}
		if in.MaxSession == 0 {
			in.MaxSession = leastMaximum
		}
		change := Change{Description: &in.Description, Trust: &in.Trust, MaxSession: &in.MaxSession}
		if err := s.check(ctx, call.Account, change); err != nil {
			return Role{}, err
		}
		now := s.now()
		r := Role{
			Account: call.Account, Name: in.Name, ID: rand.Text(), Description: in.Description, Trust: in.Trust,
			MaxSession: in.MaxSession, Generation: 1, CreatedAt: now, UpdatedAt: now,
		}
		err := s.store.CreateRole(ctx, op.Record, &r)
		return r, iam.Explain(err, fault.Say("role"), in.Name)
	})
}

func checkName(name string) error {
	if !iam.ValidRoleName(name) {
		return fault.InvalidParameter.New("a role name has 1 to 64 characters, which are letters, digits or one of . _ -, not dots alone")
	}
	return nil
}

// GetRole answers a role.
func (s *Service) GetRole(ctx context.Context, call *authz.Call, name string) (Role, error) {
	op := iam.Begin(s.log, call, ActionGetRole)
	return iam.Perform(ctx, op, func() (Role, error) {
		if err := op.Authorize(iam.RoleARN(call.Account, name)); err != nil {
			return Role{}, err
		}
		return s.role(ctx, call.Account, name)
	})
}

// ListRoles answers the roles of the account in the order of their names.
func (s *Service) ListRoles(ctx context.Context, call *authz.Call, page iam.Page) (iam.List[Role], error) {
	op := iam.Begin(s.log, call, ActionListRoles)
	return iam.Perform(ctx, op, func() (iam.List[Role], error) {
		if err := op.Authorize(iam.RoleARN(call.Account, "")); err != nil {
			return iam.List[Role]{}, err
		}
		page, err := page.Ask()
		if err != nil {
			return iam.List[Role]{}, err
		}
		roles, err := s.store.Roles(ctx, call.Account, page)
		return iam.Cut(roles, page, func(r Role) string { return r.Name }), err
	})
}

// A Change says what to change of a role; nil leaves a field as it is.
type Change struct {
	Description *string
	Trust       *string        // ends all sessions
	MaxSession  *time.Duration // of sessions to come
}

func (s *Service) check(ctx context.Context, account string, c Change) error {
	if c.Description == nil && c.Trust == nil && c.MaxSession == nil {
		return fault.MissingParameter.New("nothing to change was named; give a description, a trust policy or the longest duration of a session")
	}
	if c.Description != nil {
		if err := iam.CheckText(fault.Say("description"), *c.Description, iam.MaxDescription); err != nil {
			return err
		}
	}
	if m := c.MaxSession; m != nil && (*m < leastMaximum || *m > MaxDuration || *m%time.Second != 0) {
		return fault.InvalidParameter.New("the longest duration of a session is 3600 to 43200 seconds")
	}
	if c.Trust != nil {
		trust, err := authz.CompileTrust(account, []byte(*c.Trust))
		if err != nil {
			return err
		}
		return s.store.Known(ctx, account, trust.Named(account))
	}
	return nil
}

// UpdateRole changes a role. A new trust policy hands the role's permissions to others, so
// it needs the power to give what the role may do; and it ends all sessions of the role.
func (s *Service) UpdateRole(ctx context.Context, call *authz.Call, name string, change Change) (Role, error) {
	op := iam.Begin(s.log, call, ActionUpdateRole)
	return iam.Perform(ctx, op, func() (Role, error) {
		if err := op.Authorize(iam.RoleARN(call.Account, name)); err != nil {
			return Role{}, err
		}
		if err := s.check(ctx, call.Account, change); err != nil {
			return Role{}, err
		}
		return s.change(ctx, op, name, func(r *Role) error {
			if change.Description != nil {
				r.Description = *change.Description
			}
			if change.MaxSession != nil {
				r.MaxSession = *change.MaxSession
			}
			if change.Trust != nil {
				if err := s.iam.RequireTakeover(ctx, op, iam.ActionAttachPolicyToRole, r.ARN(), r.Policies); err != nil {
					return err
				}
				r.Trust = *change.Trust
				r.Generation++
			}
			return s.store.UpdateRole(ctx, op.Record, r)
		})
	})
}

// DeleteRole removes a role and ends all of its sessions.
func (s *Service) DeleteRole(ctx context.Context, call *authz.Call, name string) error {
	return s.simply(ctx, call, ActionDeleteRole, name, s.store.DeleteRole)
}

// EndSessions ends all sessions of a role. Who is trusted may begin new ones.
func (s *Service) EndSessions(ctx context.Context, call *authz.Call, name string) error {
	return s.simply(ctx, call, ActionEndSessions, name, func(ctx context.Context, rec *audit.Record, r *Role) error {
		r.Generation++
		return s.store.UpdateRole(ctx, rec, r)
	})
}

// simply does one thing to a role.
func (s *Service) simply(ctx context.Context, call *authz.Call, action, name string, do func(context.Context, *audit.Record, *Role) error) error {
	op := iam.Begin(s.log, call, action)
	return op.Run(ctx, func() error {
		if err := op.Authorize(iam.RoleARN(call.Account, name)); err != nil {
			return err
		}
		_, err := s.change(ctx, op, name, func(r *Role) error { return do(ctx, op.Record, r) })
		return err
	})
}

// AttachPolicy lets a role do what the policy says, from the next request on. Attaching a
// policy that the role has already changes nothing.
func (s *Service) AttachPolicy(ctx context.Context, call *authz.Call, name, policy string) error {
	op := iam.Begin(s.log, call, iam.ActionAttachPolicyToRole)
	return op.Run(ctx, func() error {
		if err := authorizeAttachment(op, name, policy); err != nil {
			return err
		}
		_, err := s.change(ctx, op, name, func(r *Role) error {
			p, err := s.iam.Policy(ctx, call.Account, policy)
			if err != nil {
				return err
			}
			if slices.Contains(r.Policies, policy) {
				return nil
			}
			if len(r.Policies) >= MaxAttached {
				return fault.LimitExceeded.New("the role %q has %d policies, which is the limit; detach one first", name, MaxAttached)
			}
			r.Policies = append(r.Policies, policy)
			slices.Sort(r.Policies)
			if p.System {
				return s.store.UpdateRole(ctx, op.Record, r)
			}
			return s.store.AttachPolicyToRole(ctx, op.Record, r, &p)
		})
		return err
	})
}

// DetachPolicy takes a policy from a role, from the next request on. Because the policy
// may have denied something, this needs the permission to attach it, too.
func (s *Service) DetachPolicy(ctx context.Context, call *authz.Call, name, policy string) error {
	op := iam.Begin(s.log, call, ActionDetachPolicy)
	return op.Run(ctx, func() error {
		if err := authorizeAttachment(op, name, policy); err != nil {
			return err
		}
		if err := op.RequireGrant(iam.ActionAttachPolicyToRole, iam.RoleARN(call.Account, name), policy); err != nil {
			return err
		}
		_, err := s.change(ctx, op, name, func(r *Role) error {
			i := slices.Index(r.Policies, policy)
			if i < 0 {
				return fault.ResourceNotFound.New("the role %q does not have the policy %q", name, policy)
			}
			r.Policies = slices.Delete(r.Policies, i, i+1)
			return s.store.UpdateRole(ctx, op.Record, r)
		})
		return err
	})
}

// authorizeAttachment authorizes the operation on the role and on the policy.
func authorizeAttachment(op *iam.Operation, name, policy string) error {
	if err := op.Authorize(iam.RoleARN(op.Call.Account, name)); err != nil {
		return err
	}
	if err := op.Require(op.Record.Action, iam.PolicyARN(op.Call.Account, policy)); err != nil {
		return err
	}
	if err := iam.CheckPolicyName(policy); err != nil {
		return err
	}
	op.Record.Param("PolicyName", policy)
	return nil
}

// change reads the role and lets apply change and store it, again if need be.
func (s *Service) change(ctx context.Context, op *iam.Operation, name string, apply func(*Role) error) (Role, error) {
	var r Role
	err := iam.Retry(func() (err error) {
		if r, err = s.role(ctx, op.Call.Account, name); err != nil {
			return err
		}
		r.UpdatedAt = s.now()
		return apply(&r)
	})
	return r, err
}

// role reads a role of the account.
func (s *Service) role(ctx context.Context, account, name string) (Role, error) {
	if err := checkName(name); err != nil {
		return Role{}, err
	}
	return s.store.Role(ctx, account, name)
}

// An actor is what is kept of a role in memory.
type actor struct {
	role     Role
	trust    *authz.Trust
	policies []*authz.Policy
}

// loadActor reads a role and compiles what is about it.
func (s *Service) loadActor(ctx context.Context, id string) (actor, error) {
	account, name, _ := strings.Cut(id, "/")
	r, err := s.role(ctx, account, name)
	if err != nil {
		return actor{}, err
	}
	trust, err := authz.CompileTrust(account, []byte(r.Trust))
	if err != nil {
		return actor{}, iam.Inconsistent(err)
	}
	policies, err := s.iam.Compiled(ctx, account, r.Policies)
	return actor{r, trust, policies}, err
}
