package engine

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/secret"
)

// maxAccounts is of how many accounts the plans are cached.
const maxAccounts = 1000

// What follows is for those who know the secret and not the plan that writes it: the API
// dialect of Alibaba Cloud. They need the rights that the operation takes on the secret.

// A Schedule tells when what a secret holds is replaced.
type Schedule struct {
	Planned bool          // a plan replaces it
	Auto    bool          // and begins rotations by itself
	Every   time.Duration // the age that the key may reach; 0 for any
	Last    time.Time     // when the last rotation ended well; zero for never
	Next    time.Time     // when the age has a rotation begin; zero for never
}

// ScheduleOf answers when what a secret holds is replaced, for an operation that has asked
// whether the caller may know of the secret: it asks no policy and leaves no record.
func (s *Service) ScheduleOf(ctx context.Context, account, name string) (Schedule, error) {
	p, found, err := s.planOf(ctx, account, name)
	if err != nil || !found {
		return Schedule{}, err
	}
	out := Schedule{Planned: true, Auto: p.Auto, Every: p.Care.Every}
	if p.LastAt.After(p.CreatedAt) {
		out.Last = p.LastAt
	}
	if p.Auto {
		out.Next, _ = p.Due(rotation.Terms{}, p.LastAt, time.Time{})
	}
	return out, nil
}

// Replacing tells, for keyward's own work, which plan replaces a key, "" for none, and whether
// a rotation of it is under way. It asks no policy and leaves no record.
func (s *Service) Replacing(ctx context.Context, account, source, key string) (plan string, underWay bool, err error) {
	plans, err := s.plans.Get(ctx, account)
	if err != nil {
		return "", false, err
	}
	for _, p := range plans {
		if p.Source == source && p.Key == key {
			_, underWay, err = s.o.Store.UnderWay(ctx, account, p.Name)
			return p.Name, underWay, err
		}
	}
	return "", false, nil
}

// Reserves refuses, for package secret, a change of what readers of a secret get while a rotation
// is at it. It asks no policy and leaves no record.
func (s *Service) Reserves(ctx context.Context, account, name string) error {
	p, found, err := s.planOf(ctx, account, name)
	if err != nil || !found {
		return err
	}
	r, found, err := s.o.Store.UnderWay(ctx, account, p.Name)
	switch {
	case err != nil || !found || !r.Reserves():
		return err
	case r.Paused != "" || r.Halt != "":
		return fault.ResourceInUse.New("a call of rotation plan %s to the provider is still under way; try again in a minute", p.Name)
	}
	return fault.ResourceInUse.New("rotation plan %s is replacing the key in secret %s; wait until it is over, or have it go back to the old key with keyward rotation rollback %s; in an emergency keyward rotation pause %s first, and then change the secret",
		p.Name, name, p.Name, p.Name)
}

func (s *Service) planOf(ctx context.Context, account, name string) (p rotation.Plan, found bool, err error) {
	plans, err := s.plans.Get(ctx, account)
	for _, p := range plans {
		if p.Secret == name {
			return p, true, err
		}
	}
	return p, false, err
}

// ofSecret runs one operation on the plan that writes a secret.
func (s *Service) ofSecret(ctx context.Context, c *authz.Call, action, name string, fn func(*audit.Record, rotation.Plan) error) error {
	rec := audit.NewRecord(c, action)
	return s.o.Log.Do(ctx, rec, func() error {
		sec, err := s.o.Secrets.Find(ctx, c, rec, name)
		if err != nil {
			return err
		}
		if err := sec.Usable(); err != nil {
			return err
		}
		p, found, err := s.planOf(ctx, c.Account, sec.Name)
		if err == nil && !found {
			err = fault.UnsupportedOperation.New("no rotation plan replaces what secret %s holds; make one with keyward rotation plan create", sec.Name)
		}
		if err != nil {
			return err
		}
		rec.Param("Plan", p.Name)
		if p, err = s.o.Store.Plan(ctx, c.Account, p.Name); err != nil { // the cached one may be old
			return err
		}
		return fn(rec, p)
	})
}

// RotateSecret begins a rotation of the plan that writes a secret, and answers the id of
// the version that it will make. The token is the caller's: as long as the rotation that it
// began is under way, beginning it again with the same one changes nothing.
func (s *Service) RotateSecret(ctx context.Context, c *authz.Call, name, token string) (id string, err error) {
	err = s.ofSecret(ctx, c, "kms:RotateSecret", name, func(rec *audit.Record, p rotation.Plan) error {
		if err := secret.CheckVersion(token); err != nil {
			return err
		}
		rec.Param("VersionId", token)
		in := StartInput{Plan: p.Name, Profile: rotation.Planned, Cause: "RotateSecret " + token}
		r, found, err := s.o.Store.UnderWay(ctx, p.Account, p.Name)
		if err == nil && (!found || r.Cause != in.Cause) {
			r, err = s.begin(ctx, rec, p, in)
		}
		id = version(r.ID, 1)
		return err
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// ScheduleSecret switches rotations that begin by themselves on, with the age that a key
// may reach, or off. Like every change of a plan it takes the rights that the plan uses.
func (s *Service) ScheduleSecret(ctx context.Context, c *authz.Call, name string, auto bool, every time.Duration) error {
	return s.ofSecret(ctx, c, "kms:UpdateSecretRotationPolicy", name, func(rec *audit.Record, p rotation.Plan) error {
		if p.Auto = auto; auto {
			p.Care.Every = every
		}
		_, err := s.keep(ctx, c, rec, p)
		return err
	})
}
