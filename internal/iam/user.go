package iam

import (
	"context"
	"slices"
	"strconv"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// CreateUser makes a user who may do nothing until a policy is attached.
func (s *Service) CreateUser(ctx context.Context, call *authz.Call, name, remark string) (User, error) {
	op := s.begin(call, ActionCreateUser)
	return Perform(ctx, op, func() (User, error) {
		if err := op.Authorize(UserARN(call.Account, name)); err != nil {
			return User{}, err
		}
		if err := checkNewUserName(name); err != nil {
			return User{}, err
		}
		if err := CheckText(fault.Say("remark"), remark, MaxRemark); err != nil {
			return User{}, err
		}
		user := User{Account: call.Account, Name: name, Kind: authz.User, Remark: remark, Enabled: true, CreatedAt: s.now()}
		err := s.store.CreateUser(ctx, op.Record, &user)
		return user, Explain(err, fault.Say("user"), name)
	})
}

// GetUser answers a user.
func (s *Service) GetUser(ctx context.Context, call *authz.Call, name string) (User, error) {
	op := s.begin(call, ActionGetUser)
	return Perform(ctx, op, func() (User, error) {
		if err := op.Authorize(UserARN(call.Account, name)); err != nil {
			return User{}, err
		}
		return s.User(ctx, call.Account, name)
	})
}

// ListUsers answers the users of the account in the order of their names.
func (s *Service) ListUsers(ctx context.Context, call *authz.Call, page Page) (List[User], error) {
	op := s.begin(call, ActionListUsers)
	return Perform(ctx, op, func() (List[User], error) {
		if err := op.Authorize(UserARN(call.Account, "")); err != nil {
			return List[User]{}, err
		}
		page, err := page.Ask()
		if err != nil {
			return List[User]{}, err
		}
		users, err := s.store.Users(ctx, call.Account, page)
		return Cut(users, page, func(u User) string { return u.Name }), err
	})
}

// A UserChange says what to change of a user; nil leaves a field as it is.
type UserChange struct {
	Remark  *string
	Enabled *bool // a disabled user's access keys are refused
}

func (c UserChange) check(name string) error {
	switch {
	case c.Remark == nil && c.Enabled == nil:
		return fault.MissingParameter.New("nothing to change was named; give a remark, or whether the user is enabled")
	case c.Enabled != nil && !*c.Enabled && name == RootName:
		return fault.UnsupportedOperation.New("root cannot be disabled; disable its access keys instead")
	case c.Remark != nil:
		return CheckText(fault.Say("remark"), *c.Remark, MaxRemark)
	}
	return nil
}

// UpdateUser changes a user's remark, or enables or disables the user.
func (s *Service) UpdateUser(ctx context.Context, call *authz.Call, name string, change UserChange) (User, error) {
	op := s.begin(call, ActionUpdateUser)
	return Perform(ctx, op, func() (User, error) {
		if err := op.AuthorizeChange(name); err != nil {
			return User{}, err
		}
		if err := change.check(name); err != nil {
			return User{}, err
		}
		op.noteEnabled(change.Enabled)
		return s.changeUser(ctx, op, name, func(user *User) error {
			if change.Remark != nil {
				user.Remark = *change.Remark
			}
			if change.Enabled != nil {
				user.Enabled = *change.Enabled
			}
			return s.store.UpdateUser(ctx, op.Record, user)
		})
	})
}

// DeleteUser removes a user and what is attached to it. A user with access keys is
// refused with ResourceInUse: somebody may be using them.
func (s *Service) DeleteUser(ctx context.Context, call *authz.Call, name string) error {
	op := s.begin(call, ActionDeleteUser)
	return op.Run(ctx, func() error {
		if err := op.AuthorizeChange(name); err != nil {
			return err
		}
		if name == RootName {
			return fault.UnsupportedOperation.New("root cannot be deleted")
		}
		_, err := s.changeUser(ctx, op, name, func(user *User) error {
			return s.store.DeleteUser(ctx, op.Record, user)
		})
		return err
	})
}

// AttachPolicy lets a user do what the policy says, from the next request on.
// Attaching a policy that the user has already changes nothing.
func (s *Service) AttachPolicy(ctx context.Context, call *authz.Call, user, policy string) error {
	op := s.begin(call, ActionAttachPolicy)
	return op.Run(ctx, func() error {
		if err := op.authorizeAttachment(user, policy); err != nil {
			return err
		}
		_, err := s.changeUser(ctx, op, user, func(u *User) error {
			p, err := s.Policy(ctx, call.Account, policy)
			if err != nil {
				return err
			}
			if slices.Contains(u.Policies, policy) {
				return nil
			}
			if len(u.Policies) >= MaxAttached {
				return fault.LimitExceeded.New("the user %q has %d policies, which is the limit; detach one first", user, MaxAttached)
			}
			u.Policies = append(u.Policies, policy)
			slices.Sort(u.Policies)
			if p.System {
				return s.store.UpdateUser(ctx, op.Record, u)
			}
			return s.store.AttachPolicy(ctx, op.Record, u, &p)
		})
		return err
	})
}

// DetachPolicy takes a policy from a user, from the next request on. Because the
// policy may have denied something, this needs the permission to attach it, too.
func (s *Service) DetachPolicy(ctx context.Context, call *authz.Call, user, policy string) error {
	op := s.begin(call, ActionDetachPolicy)
	return op.Run(ctx, func() error {
		if err := op.authorizeAttachment(user, policy); err != nil {
			return err
		}
		if err := op.requireGrant(user, policy); err != nil {
			return err
		}
		_, err := s.changeUser(ctx, op, user, func(u *User) error {
			i := slices.Index(u.Policies, policy)
			if i < 0 {
				return fault.ResourceNotFound.New("the user %q does not have the policy %q", user, policy)
			}
			u.Policies = slices.Delete(u.Policies, i, i+1)
			return s.store.UpdateUser(ctx, op.Record, u)
		})
		return err
	})
}

// AuthorizeChange authorizes an operation that changes a user or how somebody acts as it.
func (op *Operation) AuthorizeChange(user string) error {
	if err := op.Authorize(UserARN(op.Call.Account, user)); err != nil {
		return err
	}
	return op.guardRoot(user)
}

// authorizeAttachment authorizes the operation on the user and on the policy, and
// checks what they are called.
func (op *Operation) authorizeAttachment(user, policy string) error {
	if err := op.AuthorizeChange(user); err != nil {
		return err
	}
	if err := op.Require(op.Record.Action, PolicyARN(op.Call.Account, policy)); err != nil {
		return err
	}
	if err := CheckPolicyName(policy); err != nil {
		return err
	}
	op.Record.Param("PolicyName", policy)
	if user == RootName {
		return fault.UnsupportedOperation.New("root needs no policies and takes none: it may do everything in its account")
	}
	return nil
}

// noteEnabled records what a thing was switched to; nil means that it was not.
func (op *Operation) noteEnabled(enabled *bool) {
	if enabled != nil {
		op.Record.Param("Enabled", strconv.FormatBool(*enabled))
	}
}

// changeUser reads the user and lets apply change and store it, again if need be.
func (s *Service) changeUser(ctx context.Context, op *Operation, name string, apply func(*User) error) (User, error) {
	var user User
	err := Retry(func() (err error) {
		if user, err = s.User(ctx, op.Call.Account, name); err != nil {
			return err
		}
		return apply(&user)
	})
	return user, err
}

// User reads a user of the account. It authorizes nothing.
func (s *Service) User(ctx context.Context, account, name string) (User, error) {
	if err := checkUserName(name); err != nil {
		return User{}, err
	}
	return s.store.User(ctx, account, name)
}
