package key

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/tag"
)

// CreateInput is what Create takes. Every field may be empty.
type CreateInput struct {
	Spec            material.Spec // default Aliyun_AES_256
	Usage           Usage         // default by spec
	Origin          string        // default Aliyun_KMS
	ProtectionLevel string        // default SOFTWARE
	Description     string
	Rotate          bool
	Interval        time.Duration
	Tags            []Tag
	Alias           string // another name that the key gets at once, or neither is made; may be empty
}

// Create makes a key with its first version. Symmetric ones may rotate automatically.
func (s *Service) Create(ctx context.Context, c *authz.Call, in CreateInput) (out Key, err error) {
	err = s.do(ctx, c, "kms:CreateKey", func(rec *audit.Record) error {
		if err := s.may(c, rec, rec.Action, s.arn(c.Account, "key")); err != nil {
			return err
		}
		k, err := s.newKey(c, in)
		if err != nil {
			return err
		}
		alias, err := s.firstAlias(c, rec, k, in.Alias)
		if err != nil {
			return err
		}
		rec.Param("KeySpec", string(k.Spec))
		rec.Param("KeyUsage", string(k.Usage))
		v, err := s.generate(ctx, k, 1)
		if err != nil {
			return err
		}
		k.Primary, k.Versions = v.ID, 1
		rec.Resource, rec.Version = s.ARN(k), string(v.ID)
		out = k
		return s.store.CreateKey(ctx, rec, &k, &v, alias, k.jobs())
	})
	return kept(out, err)
}

// firstAlias answers the alias that a key is created with, nil for none. It takes the
// same permission as creating the alias later.
func (s *Service) firstAlias(c *authz.Call, rec *audit.Record, k Key, name string) (*Alias, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // no alias is wanted, which is no error
	}
	if err := checkAlias(name); err != nil {
		return nil, err
	}
	rec.Param("AliasName", name)
	if err := s.may(c, rec, "kms:CreateAlias", s.arn(c.Account, name)); err != nil {
		return nil, err
	}
	return &Alias{Account: c.Account, Name: name, Key: k.ID, CreatedAt: k.CreatedAt}, nil
}

func (s *Service) newKey(c *authz.Call, in CreateInput) (Key, error) {
	now := s.clock()
	k := Key{
		Account: c.Account, ID: NewID(), Origin: OriginKMS, ProtectionLevel: LevelSoftware, State: Enabled,
		Description: in.Description, Creator: c.Account, CreatedAt: now,
		Rotation: Rotation{Last: now},
	}
	var err error
	if k.Spec, k.Usage, err = checkSpec(in.Spec, in.Usage); err != nil {
		return Key{}, err
	}
	switch {
	case in.Origin == "EXTERNAL":
		return Key{}, fault.UnsupportedOperation.New("This release does not import key material; leave Origin out.")
	case in.Origin != "" && in.Origin != OriginKMS:
		return Key{}, fault.InvalidParameter.New("The specified parameter Origin is not valid. It must be %s.", OriginKMS)
	case in.ProtectionLevel == "HSM":
		return Key{}, fault.UnsupportedOperation.New("This release has no hardware keys; leave ProtectionLevel out.")
	case in.ProtectionLevel != "" && in.ProtectionLevel != LevelSoftware:
		return Key{}, fault.InvalidParameter.New("The specified parameter ProtectionLevel is not valid. It must be %s.", LevelSoftware)
	}
	if err := checkDescription(in.Description); err != nil {
		return Key{}, err
	}
	if k.Tags, err = tag.Merge(nil, in.Tags); err != nil {
		return Key{}, err
	}
	return k, k.setRotation(in.Rotate, in.Interval)
}

// setRotation sets the rotation policy.
func (k *Key) setRotation(on bool, interval time.Duration) error {
	if on && !k.Spec.Symmetric() {
		return fault.UnsupportedOperation.New("Unsupported operation. Asymmetric keys do not rotate automatically; create a version instead.")
	}
	if on && interval == 0 {
		interval = k.Rotation.Interval
	}
	if on || interval != 0 {
		if err := checkInterval(interval); err != nil {
			return err
		}
		k.Rotation.Interval = interval
	}
	k.Rotation.Enabled = on
	return nil
}

// Describe answers a key.
func (s *Service) Describe(ctx context.Context, c *authz.Call, key string) (out Key, err error) {
	err = s.do(ctx, c, "kms:DescribeKey", func(rec *audit.Record) error {
		u, err := s.resolve(ctx, c, rec, rec.Action, key)
		if err != nil {
			return err
		}
		out = u.key
		return nil
	})
	return kept(out, err)
}

// List answers one page of the account's keys that match, oldest first, and how many match.
func (s *Service) List(ctx context.Context, c *authz.Call, f Filter, p Page) (out []Key, total int, err error) {
	err = s.do(ctx, c, "kms:ListKeys", func(rec *audit.Record) error {
		if err := s.may(c, rec, rec.Action, s.arn(c.Account, "key")); err != nil {
			return err
		}
		if err := errors.Join(p.Check(), f.check()); err != nil {
			return err
		}
		out, total, err = s.store.Keys(ctx, c.Account, f, p)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return out, total, nil
}

// Check refuses a page that no list has.
func (p Page) Check() error {
	if p.Number < 1 || p.Number > 1_000_000 {
		return fault.InvalidParameter.New("The specified parameter PageNumber is not valid. It counts from 1.")
	}
	if p.Size < 1 || p.Size > 100 {
		return fault.InvalidParameter.New("The specified parameter PageSize is not valid. It must be between 1 and 100.")
	}
	return nil
}

// UpdateDescription sets a key's description.
func (s *Service) UpdateDescription(ctx context.Context, c *authz.Call, key, description string) error {
	return s.do(ctx, c, "kms:UpdateKeyDescription", func(rec *audit.Record) error {
		if err := checkDescription(description); err != nil {
			return err
		}
		return s.change(ctx, c, rec, key, func(k *Key) error {
			k.Description = description
			return k.allow(actEdit)
		})
	})
}

// Enable allows a key to be used.
func (s *Service) Enable(ctx context.Context, c *authz.Call, key string) error {
	return s.do(ctx, c, "kms:EnableKey", func(rec *audit.Record) error {
		return s.change(ctx, c, rec, key, func(k *Key) error { return k.enter(actSwitch, Enabled) })
	})
}

// Disable forbids a key to be used, from the moment it returns.
func (s *Service) Disable(ctx context.Context, c *authz.Call, key string) error {
	return s.do(ctx, c, "kms:DisableKey", func(rec *audit.Record) error {
		return s.change(ctx, c, rec, key, func(k *Key) error { return k.enter(actSwitch, Disabled) })
	})
}

// enter moves the key to a state if the act is allowed.
func (k *Key) enter(a act, to State) error {
	if err := k.allow(a); err != nil {
		return err
	}
	k.State = to
	return nil
}

// ScheduleDeletion has a key deleted after 7 to 366 days, never earlier, and not before
// the service has served for as long: neither a wrong clock nor a long outage takes the
// time away in which it can be cancelled. Until then the key cannot be used.
func (s *Service) ScheduleDeletion(ctx context.Context, c *authz.Call, key string, days int) error {
	return s.do(ctx, c, "kms:ScheduleKeyDeletion", func(rec *audit.Record) error {
		if days < minWindow || days > maxWindow {
			return fault.InvalidParameter.New("The specified parameter PendingWindowInDays is not valid. It must be between %d and %d.", minWindow, maxWindow)
		}
		rec.Param("PendingWindowInDays", strconv.Itoa(days))
		return s.changeAndPlan(ctx, c, rec, key, func(k *Key) ([]job.Job, error) {
			if k.Protected {
				return nil, fault.UnsupportedOperation.New("Key %s is protected against deletion; switch its deletion protection off first.", k.ID)
			}
			window := time.Duration(days) * 24 * time.Hour
			served, err := s.after(ctx, window)
			if err != nil {
				return nil, err
			}
			k.DeleteAt = s.clock().Add(window)
			look := job.Job{Kind: JobDelete, Account: k.Account, Subject: string(k.ID), Due: k.DeleteAt, Served: served}
			return []job.Job{look}, k.enter(actSchedule, PendingDeletion)
		})
	})
}

// CancelDeletion keeps a key that is pending deletion, and enables it.
func (s *Service) CancelDeletion(ctx context.Context, c *authz.Call, key string) error {
	return s.do(ctx, c, "kms:CancelKeyDeletion", func(rec *audit.Record) error {
		return s.change(ctx, c, rec, key, func(k *Key) error {
			k.DeleteAt = time.Time{}
			return k.enter(actCancel, Enabled)
		})
	})
}

// SetDeletionProtection switches deletion protection; the note says why it is on.
func (s *Service) SetDeletionProtection(ctx context.Context, c *authz.Call, key string, on bool, note string) error {
	return s.do(ctx, c, "kms:SetDeletionProtection", func(rec *audit.Record) error {
		if err := checkDescription(note); err != nil {
			return err
		}
		rec.Param("EnableDeletionProtection", strconv.FormatBool(on))
		return s.change(ctx, c, rec, key, func(k *Key) error {
			k.Protected = on
			if !on {
				k.ProtectionNote = ""
				return k.allow(actRead)
			}
			k.ProtectionNote = note
			return k.allow(actProtect)
		})
	})
}
