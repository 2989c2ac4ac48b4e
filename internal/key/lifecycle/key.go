package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keyring"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/tag"
)

// CreateInput is what Create takes. Every field may be empty.
type CreateInput struct {
	Spec            material.Spec // default Aliyun_AES_256
	Usage           key.Usage     // default by spec
	More            []key.Usage   // beside it, of asymmetric keys
	Origin          string        // default Aliyun_KMS
	ProtectionLevel string        // default SOFTWARE
	Description     string
	Rotate          bool
	Interval        time.Duration
	Tags            []key.Tag
	Alias           string // another name that the key gets at once, or neither is made; may be empty
	Policy          string // the document of its policy
	Instance        string // id or name of the instance it is made in; default none
	InToken         bool   // it must be one of a hardware token
	External        string // id at the manager, in an external instance
	Service         string // that makes the key for itself, and owns it; empty for a key of the account
}

// Create makes a key with its first version. Symmetric ones may rotate automatically; one
// of origin EXTERNAL has no material until it is imported.
func (s *Service) Create(ctx context.Context, c *authz.Call, in CreateInput) (out key.Key, err error) {
	err = s.do(ctx, c, "kms:CreateKey", func(rec *audit.Record) error {
		if err := s.may(c, rec, "key"); err != nil {
			return err
		}
		k, err := s.newKey(ctx, c, in)
		if err != nil {
			return err
		}
		alias, err := s.firstAlias(c, rec, k, in.Alias)
		if err != nil {
			return err
		}
		if err := s.firstPolicy(ctx, c, rec, &k, in.Policy); err != nil {
			return err
		}
		rec.Param("KeySpec", string(k.Spec))
		rec.Param("KeyUsage", string(k.Usage))
		for _, u := range k.More {
			rec.Param("AdditionalKeyUsage", string(u))
		}
		rec.Param("DKMSInstanceId", k.Instance)
		rec.Param("ExternalKeyId", k.External)
		v, err := s.generate(ctx, k, 1)
		if err != nil {
			return err
		}
		k.Primary, k.Versions = v.ID, 1
		rec.Resource, rec.Version = s.ring.ARN(k), string(v.ID)
		out = k
		return s.store.CreateKey(ctx, rec, &k, &v, alias, k.Jobs())
	})
	return audit.Kept(out, err)
}

// firstAlias answers the alias that a key is created with, nil for none. It takes the
// same permission as creating the alias later.
func (s *Service) firstAlias(c *authz.Call, rec *audit.Record, k key.Key, name string) (*key.Alias, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // no alias is wanted, which is no error
	}
	if err := key.CheckAlias(name); err != nil {
		return nil, err
	}
	rec.Param("AliasName", name)
	ask := keyring.Ask{Call: c, Record: rec, Action: "kms:CreateAlias"}
	if err := s.ring.May(ask, s.ring.Name(c.Account, name)); err != nil {
		return nil, err
	}
	return &key.Alias{Account: c.Account, Name: name, Key: k.ID, CreatedAt: k.CreatedAt}, nil
}

func (s *Service) newKey(ctx context.Context, c *authz.Call, in CreateInput) (key.Key, error) {
	now := s.clock()
	k := key.Key{
		Account: c.Account, ID: key.NewID(), Origin: key.OriginKMS, ProtectionLevel: key.LevelSoftware, State: key.Enabled,
		Description: in.Description, Creator: cmp.Or(in.Service, c.Account), CreatedAt: now,
		Rotation: key.Rotation{Last: now},
	}
	var err error
	if k.Spec, k.Usage, err = key.CheckSpec(in.Spec, in.Usage); err != nil {
		return key.Key{}, err
	}
	if err := key.CheckMore(k.Spec, k.Usage, in.More); err != nil {
		return key.Key{}, err
	}
	k.More = append([]key.Usage(nil), in.More...)
	if err := s.settle(ctx, c, &k, in); err != nil {
		return key.Key{}, err
	}
	if in.InToken && k.ProtectionLevel != key.LevelHSM {
		return key.Key{}, fault.UnsupportedOperation.New("Unsupported operation. KeyStorageMechanism is for keys of a hardware token: make the key in a hardware instance, or with ProtectionLevel=%s.", key.LevelHSM)
	}
	if err := key.CheckDescription(in.Description); err != nil {
		return key.Key{}, err
	}
	if k.Tags, err = tag.Merge(nil, in.Tags); err != nil {
		return key.Key{}, err
	}
	return k, k.SetRotation(in.Rotate, in.Interval)
}

// Describe answers a key.
func (s *Service) Describe(ctx context.Context, c *authz.Call, name string) (key.Key, error) {
	return s.look(ctx, c, "kms:DescribeKey", name)
}

// look does an operation that answers a key, and nothing besides.
func (s *Service) look(ctx context.Context, c *authz.Call, action, name string) (out key.Key, err error) {
	err = s.do(ctx, c, action, func(rec *audit.Record) error {
		e, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		out = e.Key
		return nil
	})
	return audit.Kept(out, err)
}

// List answers one page of the account's keys that match, oldest first, and how many match.
func (s *Service) List(ctx context.Context, c *authz.Call, f key.Filter, p key.Page) (out []key.Key, total int, err error) {
	err = s.do(ctx, c, "kms:ListKeys", func(rec *audit.Record) error {
		if err := s.may(c, rec, "key"); err != nil {
			return err
		}
		if err := errors.Join(p.Check(), f.Check()); err != nil {
			return err
		}
		if f.Instances, err = s.instances.Choose(ctx, c.Account, f.Instances); err != nil {
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

// UpdateDescription sets a key's description.
func (s *Service) UpdateDescription(ctx context.Context, c *authz.Call, name, description string) error {
	return s.do(ctx, c, "kms:UpdateKeyDescription", func(rec *audit.Record) error {
		if err := key.CheckDescription(description); err != nil {
			return err
		}
		return s.change(ctx, c, rec, name, func(k *key.Key) error {
			k.Description = description
			return k.Allow(key.ActEdit)
		})
	})
}

// Enable allows a key to be used.
func (s *Service) Enable(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "kms:EnableKey", func(rec *audit.Record) error {
		return s.change(ctx, c, rec, name, func(k *key.Key) error { return k.Enter(key.ActSwitch, key.Enabled) })
	})
}

// Disable forbids a key to be used, from the moment it returns.
func (s *Service) Disable(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "kms:DisableKey", func(rec *audit.Record) error {
		return s.change(ctx, c, rec, name, func(k *key.Key) error { return k.Enter(key.ActSwitch, key.Disabled) })
	})
}

// ScheduleDeletion has a key deleted after 7 to 366 days, never earlier, and not before
// the service has served for as long: neither a wrong clock nor a long outage takes the
// time away in which it can be cancelled. Until then the key cannot be used.
func (s *Service) ScheduleDeletion(ctx context.Context, c *authz.Call, name string, days int) error {
	return s.do(ctx, c, "kms:ScheduleKeyDeletion", func(rec *audit.Record) error {
		if days < key.MinWindow || days > key.MaxWindow {
			return fault.InvalidParameter.New("The specified parameter PendingWindowInDays is not valid. It must be between %d and %d.", key.MinWindow, key.MaxWindow)
		}
		rec.Param("PendingWindowInDays", strconv.Itoa(days))
		return s.changeAndPlan(ctx, c, rec, name, func(k *key.Key) ([]job.Job, error) {
			if k.Owned() {
				return nil, fault.UnsupportedOperation.New("Key %s belongs to the service %s and cannot be deleted; disable it if nothing may use it.", k.ID, k.Creator)
			}
			if k.Protected {
				return nil, fault.UnsupportedOperation.New("Key %s is protected against deletion; switch its deletion protection off first.", k.ID)
			}
			window := time.Duration(days) * 24 * time.Hour
			served, err := s.after(ctx, window)
			if err != nil {
				return nil, err
			}
			k.DeleteAt = s.clock().Add(window)
			look := job.Job{Kind: key.JobDelete, Account: k.Account, Subject: string(k.ID), Due: k.DeleteAt, Served: served}
			return []job.Job{look}, k.Enter(key.ActSchedule, key.PendingDeletion)
		})
	})
}

// CancelDeletion keeps a key that is pending deletion, and enables it.
func (s *Service) CancelDeletion(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "kms:CancelKeyDeletion", func(rec *audit.Record) error {
		return s.change(ctx, c, rec, name, func(k *key.Key) error {
			if k.Empty && k.Origin != key.OriginExternal {
				return fault.StateConflict.New("The material of key %s is being destroyed; its deletion cannot be cancelled any more.", k.ID)
			}
			k.DeleteAt = time.Time{}
			return k.Enter(key.ActCancel, key.Enabled)
		})
	})
}

// SetDeletionProtection switches deletion protection; the note says why it is on.
func (s *Service) SetDeletionProtection(ctx context.Context, c *authz.Call, name string, on bool, note string) error {
	return s.do(ctx, c, "kms:SetDeletionProtection", func(rec *audit.Record) error {
		if err := key.CheckDescription(note); err != nil {
			return err
		}
		rec.Param("EnableDeletionProtection", strconv.FormatBool(on))
		return s.change(ctx, c, rec, name, func(k *key.Key) error {
			k.Protected = on
			if !on {
				k.ProtectionNote = ""
				return k.Allow(key.ActRead)
			}
			k.ProtectionNote = note
			return k.Allow(key.ActProtect)
		})
	})
}
