package iam

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// An IssuedKey is an access key with its secret, which is answered this once.
type IssuedKey struct {
	AccessKey AccessKey
	Secret    material.Bytes
}

// A NewAccessKey says what an access key is to be like.
type NewAccessKey struct {
	User      string
	Remark    string
	ExpiresAt time.Time // zero for never
}

// CreateAccessKey makes an access key for a user who has fewer than [MaxAccessKeys].
// For another user than the caller it needs, beside its own permission, the power to give
// what that user may do ([Service.RequireTakeover]): whoever makes a key could use it.
func (s *Service) CreateAccessKey(ctx context.Context, call *authz.Call, in NewAccessKey) (IssuedKey, error) {
	op := s.begin(call, ActionCreateAccessKey)
	return Perform(ctx, op, func() (IssuedKey, error) {
		if err := op.AuthorizeChange(in.User); err != nil {
			return IssuedKey{}, err
		}
		now := s.now()
		if err := CheckText(fault.Say("remark"), in.Remark, MaxRemark); err != nil {
			return IssuedKey{}, err
		}
		if err := checkExpiry(in.ExpiresAt, now); err != nil {
			return IssuedKey{}, err
		}
		key := AccessKey{
			ID: newAccessKeyID(), Account: call.Account, User: in.User, Enabled: true,
			Remark: in.Remark, CreatedAt: now, ExpiresAt: in.ExpiresAt.UTC().Truncate(time.Microsecond),
		}
		op.Record.Param("AccessKeyId", key.ID)
		secret, err := s.renew(ctx, &key)
		if err != nil {
			return IssuedKey{}, err
		}
		_, err = s.changeUser(ctx, op, in.User, func(user *User) error {
			if err := s.RequireOwnOrGrant(ctx, op, *user); err != nil {
				return err
			}
			return s.store.CreateAccessKey(ctx, op.Record, user, &key)
		})
		return IssuedKey{key, secret}, err
	})
}

// An AccessKeyReport is an access key with what tells whether anybody still needs it.
type AccessKeyReport struct {
	AccessKey AccessKey
	LastUse   Use
}

// ListAccessKeys answers the access keys of the user, or of all users of the account
// when user is empty, in the order of their ids.
func (s *Service) ListAccessKeys(ctx context.Context, call *authz.Call, user string, page Page) (List[AccessKeyReport], error) {
	op := s.begin(call, ActionListAccessKeys)
	return Perform(ctx, op, func() (list List[AccessKeyReport], err error) {
		if err := op.Authorize(UserARN(call.Account, user)); err != nil {
			return list, err
		}
		if page, err = page.Ask(); err != nil {
			return list, err
		}
		if user != "" {
			if _, err := s.User(ctx, call.Account, user); err != nil {
				return list, err
			}
		}
		keys, err := s.store.AccessKeys(ctx, call.Account, user, page)
		if err != nil {
			return list, err
		}
		found := Cut(keys, page, func(k AccessKey) string { return k.ID })
		reports, err := s.report(ctx, found.Items)
		return List[AccessKeyReport]{reports, found.Next}, err
	})
}

// report adds to access keys when they were last used.
func (s *Service) report(ctx context.Context, keys []AccessKey) ([]AccessKeyReport, error) {
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = k.ID
	}
	uses, err := s.lastUses(ctx, ids)
	if err != nil {
		return nil, err
	}
	reports := make([]AccessKeyReport, len(keys))
	for i, k := range keys {
		reports[i] = AccessKeyReport{k, uses[k.ID]}
	}
	return reports, nil
}

// GetAccessKeyLastUsed answers an access key and when, from where and for what it was
// last used.
func (s *Service) GetAccessKeyLastUsed(ctx context.Context, call *authz.Call, id string) (AccessKeyReport, error) {
	op := s.begin(call, ActionGetAccessKeyLastUsed)
	return Perform(ctx, op, func() (AccessKeyReport, error) {
		key, err := s.authorizeKey(ctx, op, id)
		if err != nil {
			return AccessKeyReport{}, err
		}
		reports, err := s.report(ctx, []AccessKey{key})
		if err != nil {
			return AccessKeyReport{}, err
		}
		return reports[0], nil
	})
}

// An AccessKeyChange says what to change of an access key; nil leaves a field as it is.
type AccessKeyChange struct {
	Enabled   *bool
	Remark    *string
	ExpiresAt *time.Time // the zero time for never
}

func (c AccessKeyChange) check(now time.Time) error {
	if c.Enabled == nil && c.Remark == nil && c.ExpiresAt == nil {
		return fault.MissingParameter.New("nothing to change was named; give a remark, an expiry, or whether the access key is enabled")
	}
	if c.Remark != nil {
		if err := CheckText(fault.Say("remark"), *c.Remark, MaxRemark); err != nil {
			return err
		}
	}
	if c.ExpiresAt != nil {
		return checkExpiry(*c.ExpiresAt, now)
	}
	return nil
}

// apply changes the key.
func (c AccessKeyChange) apply(key *AccessKey) {
	if c.Enabled != nil {
		key.Enabled = *c.Enabled
	}
	if c.Remark != nil {
		key.Remark = *c.Remark
	}
	if c.ExpiresAt != nil {
		key.ExpiresAt = c.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
}

// UpdateAccessKey enables or disables an access key, or changes its remark or expiry.
func (s *Service) UpdateAccessKey(ctx context.Context, call *authz.Call, id string, change AccessKeyChange) (AccessKey, error) {
	op := s.begin(call, ActionUpdateAccessKey)
	return Perform(ctx, op, func() (AccessKey, error) {
		if err := s.authorizeKeyChange(ctx, op, id); err != nil {
			return AccessKey{}, err
		}
		if err := change.check(s.now()); err != nil {
			return AccessKey{}, err
		}
		op.noteEnabled(change.Enabled)
		return s.changeKey(ctx, op, id, func(key *AccessKey) error {
			change.apply(key)
			return s.store.UpdateAccessKey(ctx, op.Record, key)
		})
	})
}

// ResetAccessKey replaces the secret of an access key: from that instant the old one
// is refused and the new one accepted. It needs the permissions that creating an
// access key for the user needs, in the same way.
func (s *Service) ResetAccessKey(ctx context.Context, call *authz.Call, id string) (IssuedKey, error) {
	op := s.begin(call, ActionResetAccessKey)
	return Perform(ctx, op, func() (IssuedKey, error) {
		if err := s.authorizeKeyChange(ctx, op, id); err != nil {
			return IssuedKey{}, err
		}
		var secret material.Bytes
		key, err := s.changeKey(ctx, op, id, func(key *AccessKey) error {
			user, err := s.store.User(ctx, key.Account, key.User)
			if err != nil {
				return err
			}
			if err := s.RequireOwnOrGrant(ctx, op, user); err != nil {
				return err
			}
			key.ResetAt = s.now()
			if secret, err = s.renew(ctx, key); err != nil {
				return err
			}
			return s.store.UpdateAccessKey(ctx, op.Record, key)
		})
		return IssuedKey{key, secret}, err
	})
}

// DeleteAccessKey removes an access key for good; its id is never issued again.
func (s *Service) DeleteAccessKey(ctx context.Context, call *authz.Call, id string) error {
	op := s.begin(call, ActionDeleteAccessKey)
	return op.Run(ctx, func() error {
		if err := s.authorizeKeyChange(ctx, op, id); err != nil {
			return err
		}
		_, err := s.changeKey(ctx, op, id, func(key *AccessKey) error {
			return s.store.DeleteAccessKey(ctx, op.Record, key)
		})
		return err
	})
}

// RequireOwnOrGrant lets callers make keys for themselves; what acts as another user is for
// those only who could give what that user may do.
func (s *Service) RequireOwnOrGrant(ctx context.Context, op *Operation, user User) error {
	if op.Call.Kind == authz.User && op.Call.Name == user.Name {
		return nil
	}
	return s.RequireTakeover(ctx, op, ActionAttachPolicy, UserARN(user.Account, user.Name), user.Policies)
}

// authorizeKey authorizes an operation on an access key by the user who has it. For a
// key that the account does not have it asks for all users. A caller who is refused
// learns neither whether there is such a key nor whose it is.
func (s *Service) authorizeKey(ctx context.Context, op *Operation, id string) (AccessKey, error) {
	key, missing := s.accessKey(ctx, op.Call.Account, id)
	if missing != nil && !fault.Is(missing, fault.ResourceNotFound) {
		return AccessKey{}, missing
	}
	if err := op.Authorize(UserARN(op.Call.Account, key.User)); fault.Is(err, fault.MFARequired) || fault.Is(err, fault.MFANotSetUp) || fault.Is(err, fault.ApprovalRequired) {
		return AccessKey{}, err
	} else if err != nil {
		return AccessKey{}, fault.NoPermission.New("%s may not perform %s on this access key; ask an administrator of the account for a policy that allows it on the user who has the key",
			op.Call.ARN(), op.Record.Action)
	}
	if missing != nil {
		return AccessKey{}, missing
	}
	op.Record.Param("AccessKeyId", id)
	return key, nil
}

func (s *Service) authorizeKeyChange(ctx context.Context, op *Operation, id string) error {
	key, err := s.authorizeKey(ctx, op, id)
	if err != nil {
		return err
	}
	return op.guardRoot(key.User)
}

// changeKey reads the access key and lets apply change and store it, again if need be.
func (s *Service) changeKey(ctx context.Context, op *Operation, id string, apply func(*AccessKey) error) (AccessKey, error) {
	var key AccessKey
	err := Retry(func() (err error) {
		if key, err = s.accessKey(ctx, op.Call.Account, id); err != nil {
			return err
		}
		return apply(&key)
	})
	return key, err
}

// accessKey reads an access key of the account. That of another account is not there.
func (s *Service) accessKey(ctx context.Context, account, id string) (AccessKey, error) {
	notThere := fault.ResourceNotFound.New("there is no such access key in this account; check its id")
	if !ValidAccessKeyID(id) {
		return AccessKey{}, notThere
	}
	key, err := s.store.AccessKey(ctx, id)
	if fault.Is(err, fault.ResourceNotFound) || err == nil && key.Account != account {
		return AccessKey{}, notThere
	}
	return key, err
}

// renew gives the key a new secret, wrapped under its account's tenant key.
func (s *Service) renew(ctx context.Context, key *AccessKey) (material.Bytes, error) {
	tenant, err := s.Tenant(ctx, key.Account)
	if err != nil {
		return material.Bytes{}, err
	}
	return renew(key, tenant)
}

func renew(key *AccessKey, tenant material.Wrapper) (material.Bytes, error) {
	secret := newSecret()
	var err error
	key.Secret, err = tenant.Wrap(key.binding(), secret)
	return secret, err
}
