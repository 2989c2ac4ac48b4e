package secret

import (
	"cmp"
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
)

// GetInput says which value of a secret is wanted. With a version and a stage, the
// version must have the stage; with neither it is the current one.
type GetInput struct {
	Secret  string // name or ARN
	Version string
	Stage   Stage
	DryRun  bool // answer [fault.DryRun] instead of the value
}

// Get answers a value in the clear, after it is on record who got it. The caller erases
// the value when it is not needed any more.
func (s *Service) Get(ctx context.Context, c *authz.Call, in GetInput) (out Value, err error) {
	err = s.do(ctx, c, "kms:GetSecretValue", func(rec *audit.Record) error {
		out, err = s.ValueFor(ctx, c, rec, in)
		return err
	})
	if err != nil {
		out.Data.Zero()
		return Value{}, err
	}
	return out, nil
}

// ValueFor answers a value as [Service.Get] does, as a part of the operation of rec: it
// leaves no record of its own, and the value must not leave before rec is durable. What is
// compared only, in keyward's own name, needs no record that is kept.
func (s *Service) ValueFor(ctx context.Context, c *authz.Call, rec *audit.Record, in GetInput) (Value, error) {
	found, err := s.Find(ctx, c, rec, in.Secret)
	if err != nil {
		return Value{}, err
	}
	if err := found.Usable(); err != nil {
		return Value{}, err
	}
	id := in.Version
	if id == "" {
		if id = found.At(cmp.Or(in.Stage, Current)); id == "" {
			return Value{}, fault.ResourceNotFound.New("secret %s has no version at the stage that was asked for", found.Name)
		}
	} else if err := CheckVersion(id); err != nil {
		return Value{}, err
	} else if in.Stage != "" && found.At(in.Stage) != id {
		return Value{}, fault.ResourceNotFound.New("the version that was asked for is not at that stage of secret %s", found.Name)
	}
	v, err := s.versions.Get(ctx, versionRef{found.Account, found.ID, id})
	if err != nil {
		return Value{}, err
	}
	rec.Param("VersionId", v.ID)
	data, err := s.open(ctx, c, rec, v, in.DryRun)
	return Value{Secret: found, Version: v, Stages: found.On(v.ID), Data: data}, err
}

// Describe answers a secret without any value.
func (s *Service) Describe(ctx context.Context, c *authz.Call, name string) (out Secret, err error) {
	err = s.do(ctx, c, "kms:DescribeSecret", func(rec *audit.Record) error {
		out, err = s.Find(ctx, c, rec, name)
		return err
	})
	return audit.Kept(out, err)
}

// List answers one page of the account's secrets that match, by name, and how many match.
func (s *Service) List(ctx context.Context, c *authz.Call, f Filter, p key.Page) (out []Secret, total int, err error) {
	err = s.do(ctx, c, "kms:ListSecrets", func(rec *audit.Record) error {
		if err := s.may(c, rec, s.container(c.Account)); err != nil {
			return err
		}
		if err := p.Check(); err != nil {
			return err
		}
		if err := f.check(); err != nil {
			return err
		}
		out, total, err = s.store.Secrets(ctx, c.Account, f, p)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return out, total, nil
}

// ListVersions answers one page of a secret's versions without their values, newest
// first, how many there are, and the secret, which tells their stages.
func (s *Service) ListVersions(ctx context.Context, c *authz.Call, name string, p key.Page) (of Secret, out []Version, total int, err error) {
	err = s.do(ctx, c, "kms:ListSecretVersionIds", func(rec *audit.Record) error {
		if of, err = s.Find(ctx, c, rec, name); err != nil {
			return err
		}
		if err := p.Check(); err != nil {
			return err
		}
		out, total, err = s.store.SecretVersions(ctx, c.Account, of.ID, p)
		return err
	})
	if err != nil {
		return Secret{}, nil, 0, err
	}
	return of, out, total, nil
}

// AllFor answers all secrets of an account that match, for keyward's own work: it asks no
// policy and leaves no record, and there is no value in what it answers.
func (s *Service) AllFor(ctx context.Context, account string, f Filter) ([]Secret, error) {
	var out []Secret
	for p := (key.Page{Number: 1, Size: 100}); ; p.Number++ {
		some, total, err := s.store.Secrets(ctx, account, f, p)
		if err != nil {
			return nil, err
		}
		if out = append(out, some...); p.Number*p.Size >= total {
			return out, nil
		}
	}
}

// VersionFor answers the id of a version of a secret that can be read, the current one for
// "", for keyward's own work: it asks no policy, leaves no record and answers no value.
func (s *Service) VersionFor(ctx context.Context, account, name, version string) (string, error) {
	found, err := s.secrets.Get(ctx, secretRef{account, name})
	if err != nil {
		return "", err
	}
	if err := found.Usable(); err != nil {
		return "", err
	}
	if version == "" {
		return found.At(Current), nil
	}
	if err := CheckVersion(version); err != nil {
		return "", err
	}
	v, err := s.versions.Get(ctx, versionRef{account, found.ID, version})
	return v.ID, err
}
