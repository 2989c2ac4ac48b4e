package secret

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/tag"
)

// CreateInput is what Create takes.
type CreateInput struct {
	Name        string
	Key         string // id, alias or ARN; empty for the account's [DefaultKey]
	Instance    string // id or name of the instance that the key must be in; empty for any or none
	Description string
	Tags        []tag.Tag
	Version     string // id of the first version; empty for a random one
	Kind        Kind   // empty for Text
	Data        material.Bytes
	Policy      string // the document of its policy; empty for the default
}

// Create makes a secret with its first value, which is current, and a policy, which takes the
// permission to set one. A name that is taken is
// [fault.ResourceExists], or [fault.StateConflict] while that secret is about to be deleted.
func (s *Service) Create(ctx context.Context, c *authz.Call, in CreateInput) (out Secret, err error) {
	err = s.do(ctx, c, "kms:CreateSecret", func(rec *audit.Record) error {
		if err := checkName(in.Name); err != nil {
			return err
		}
		if err := s.may(c, rec, s.ARN(c.Account, in.Name), attributes(in.Tags)...); err != nil {
			return err
		}
		new, v, err := s.newSecret(c, in)
		if err != nil {
			return err
		}
		policy, err := s.firstPolicy(ctx, c, rec, new, in.Policy)
		if err != nil {
			return err
		}
		if in.Key == "" {
			if in.Instance != "" {
				return fault.MissingParameter.New("EncryptionKeyId is mandatory with an instance: name a symmetric key that is in it")
			}
			in.Key = DefaultKey
			if err := s.ensureKey(ctx, c.Account); err != nil {
				return err
			}
		}
		rec.Param("VersionId", v.ID)
		if err := s.seal(ctx, c, rec, &v, in.Key, in.Data); err != nil {
			return err
		}
		if in.Instance != "" {
			if err := s.keys.CheckIn(ctx, c.Account, v.Key, in.Instance); err != nil {
				return err
			}
		}
		v.Marks = v.Marked(s.mark(ctx, c.Account, in.Data))
		out = new
		out.Key = v.Key
		err = s.store.CreateSecret(ctx, rec, &out, &v, policy)
		if fault.Is(err, fault.ResourceExists) {
			if there, unread := s.store.Secret(ctx, c.Account, in.Name); unread == nil && there.Usable() != nil {
				return there.Usable()
			}
		}
		return err
	})
	return audit.Kept(out, err)
}

// newSecret validates the input and makes of it what will be stored.
func (s *Service) newSecret(c *authz.Call, in CreateInput) (Secret, Version, error) {
	now := s.clock()
	new := Secret{
		Account: c.Account, Name: in.Name, ID: newID(), Description: in.Description, Creator: c.ARN(),
		CreatedAt: now, UpdatedAt: now, Versions: 1, Made: 1,
	}
	v, err := s.newVersion(new, PutInput{Version: in.Version, Kind: in.Kind, Data: in.Data})
	if err != nil {
		return Secret{}, Version{}, err
	}
	if err := key.CheckDescription(in.Description); err != nil {
		return Secret{}, Version{}, err
	}
	if new.Tags, err = tag.Merge(nil, in.Tags); err != nil {
		return Secret{}, Version{}, err
	}
	v.Number = 1
	return new, v, new.label(Current, v.ID)
}

func (s *Service) newVersion(of Secret, in PutInput) (Version, error) {
	id := cmp.Or(in.Version, string(key.NewVersionID()))
	kind := cmp.Or(in.Kind, Text)
	if err := CheckVersion(id); err != nil {
		return Version{}, err
	}
	if err := checkValue(kind, in.Data.Expose()); err != nil {
		return Version{}, err
	}
	return Version{Account: of.Account, Secret: of.ID, Name: of.Name, ID: id, Kind: kind, CreatedAt: s.clock()}, nil
}

// PutInput is what Put takes.
type PutInput struct {
	Secret  string // name or ARN
	Version string // id of the new version; empty for a random one
	Kind    Kind   // empty for Text
	Data    material.Bytes
	Stages  []Stage // that move to the new version; none means Current
}

// Put adds a version with a new value. With a version id of the caller's it may be
// repeated: the same value under the same id changes nothing, another value is
// [fault.ResourceExists]. Versions beyond [MaxVersions] that no stage stands on are
// dropped, the oldest first.
func (s *Service) Put(ctx context.Context, c *authz.Call, in PutInput) (out Version, stages []Stage, err error) {
	err = s.do(ctx, c, "kms:PutSecretValue", func(rec *audit.Record) error {
		found, err := s.Find(ctx, c, rec, in.Secret)
		if err != nil {
			return err
		}
		if err := found.Usable(); err != nil {
			return err
		}
		if len(in.Stages) == 0 {
			in.Stages = []Stage{Current}
		}
		if err := checkStages(in.Stages); err != nil {
			return err
		}
		if out, err = s.newVersion(found, in); err != nil {
			return err
		}
		rec.Param("VersionId", out.ID)
		if in.Version != "" {
			if old, err := s.repeated(ctx, found, in); err != nil || old.ID != "" {
				out, stages = old, found.On(in.Version)
				return err
			}
		}
		if err := s.free(ctx, c, found, in.Stages...); err != nil {
			return err
		}
		if err := s.seal(ctx, c, rec, &out, string(found.Key), in.Data); err != nil {
			return err
		}
		out.Marks = out.Marked(s.mark(ctx, c.Account, in.Data))
		stages, err = s.add(ctx, rec, found, &out, in.Stages)
		return err
	})
	if err != nil {
		return Version{}, nil, err
	}
	return out, stages, nil
}

// repeated answers the version with the id of in if it has the same value, a zero one if
// there is none. It opens the stored value in keyward's own name: the caller, who need
// not be allowed to read, learns only whether it is the value that he has.
func (s *Service) repeated(ctx context.Context, of Secret, in PutInput) (Version, error) {
	old, err := s.versions.Get(ctx, versionRef{of.Account, of.ID, in.Version})
	if fault.Is(err, fault.ResourceNotFound) {
		return Version{}, nil
	}
	if err != nil {
		return Version{}, err
	}
	value, err := s.open(ctx, s.self(of.Account), &audit.Record{}, old, false)
	if err != nil {
		return Version{}, err
	}
	defer value.Zero()
	if old.Kind != cmp.Or(in.Kind, Text) || !value.Equal(in.Data) {
		return Version{}, fault.ResourceExists.New("secret %s has a version %s already, with another value; choose another version id", of.Name, in.Version)
	}
	return old, nil
}

// add stores a new version of a secret and moves stages to it.
func (s *Service) add(ctx context.Context, rec *audit.Record, found Secret, v *Version, stages []Stage) (on []Stage, err error) {
	err = rec.Again(func() error {
		fresh, err := s.fresh(ctx, found)
		if err != nil {
			return err
		}
		if err := fresh.Usable(); err != nil {
			return err
		}
		for _, stage := range stages {
			if err := fresh.label(stage, v.ID); err != nil {
				return err
			}
		}
		drop, err := s.surplus(ctx, fresh)
		if err != nil {
			return err
		}
		fresh.Made++
		fresh.Versions += 1 - len(drop)
		fresh.UpdatedAt, v.Number = s.clock(), fresh.Made
		on = fresh.On(v.ID)
		return s.store.AddSecretVersion(ctx, rec, &fresh, v, drop)
	})
	return on, err
}

// surplus answers the versions that must go so that there is room for one more. There
// always are enough without a stage: stages are fewer than versions may be.
func (s *Service) surplus(ctx context.Context, of Secret) ([]Version, error) {
	n := of.Versions + 1 - MaxVersions
	if n <= 0 {
		return nil, nil
	}
	all, _, err := s.store.SecretVersions(ctx, of.Account, of.ID, key.Page{Number: 1, Size: MaxVersions})
	if err != nil {
		return nil, err
	}
	var drop []Version
	for _, v := range slices.Backward(all) {
		if len(drop) < n && len(of.On(v.ID)) == 0 {
			drop = append(drop, v)
		}
	}
	return drop, nil
}

// UpdateInput is what Update takes; what is nil stays as it is.
type UpdateInput struct {
	Secret      string // name or ARN
	Description *string
	Key         *string // id, alias or ARN of the key for versions to come
}

// Update changes a secret's description, and the key for the versions to come. Those
// that are there stay under their keys.
func (s *Service) Update(ctx context.Context, c *authz.Call, in UpdateInput) (out Secret, err error) {
	err = s.do(ctx, c, "kms:UpdateSecret", func(rec *audit.Record) error {
		found, err := s.Find(ctx, c, rec, in.Secret)
		if err != nil {
			return err
		}
		if in.Description != nil {
			if err := key.CheckDescription(*in.Description); err != nil {
				return err
			}
		}
		next := found.Key
		if in.Key != nil { // made and thrown away: it shows that the key can do it, and the caller may
			v := Version{Account: c.Account, Secret: found.ID, Name: found.Name}
			if err := s.seal(ctx, c, rec, &v, *in.Key, material.Bytes{}); err != nil {
				return err
			}
			next = v.Key
		}
		out, err = s.change(ctx, rec, found, func(sec *Secret) ([]job.Job, error) {
			if in.Description != nil {
				sec.Description = *in.Description
			}
			if in.Key != nil {
				sec.Key = next
			}
			return nil, sec.Usable()
		})
		return err
	})
	return audit.Kept(out, err)
}

// Keep puts what a person entered into a secret, which it makes if it is not there, as a
// part of another operation of the same caller. The parts become one JSON object, as text;
// what is no text is in Base64.
func (s *Service) Keep(ctx context.Context, c *authz.Call, name string, parts map[string]material.Bytes) error {
	own := *c
	own.Nonce = nil // the request's own record claims it
	plain := make(map[string]string, len(parts))
	for part, value := range parts {
		if plain[part] = string(value.Expose()); !utf8.ValidString(plain[part]) { // a file, such as a .pfx, which JSON would spoil
			plain[part] = base64.StdEncoding.EncodeToString(value.Expose())
		}
	}
	encoded, err := json.Marshal(plain)
	if err != nil {
		return fmt.Errorf("encoding what was entered: %w", err)
	}
	data := material.NewBytes(encoded)
	defer data.Zero()
	_, _, err = s.Put(ctx, &own, PutInput{Secret: name, Data: data})
	if fault.Is(err, fault.ResourceNotFound) {
		_, err = s.Create(ctx, &own, CreateInput{Name: name, Description: "entered by a person", Data: data})
	}
	return err
}

// Rehearse proves, for keyward's own work, that a value could be put now: it does
// everything but store it. That a value can be sealed and opened again is known then before
// something happens that cannot be undone.
func (s *Service) Rehearse(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:RehearseSecret", func(rec *audit.Record) error {
		found, err := s.Find(ctx, c, rec, name)
		if err != nil {
			return err
		}
		if err := found.Usable(); err != nil {
			return err
		}
		want := material.NewBytes([]byte("rehearsal"))
		defer want.Zero()
		v, err := s.newVersion(found, PutInput{Data: want})
		if err != nil {
			return err
		}
		if err := s.seal(ctx, c, rec, &v, string(found.Key), want); err != nil {
			return err
		}
		got, err := s.open(ctx, s.self(c.Account), &audit.Record{}, v, false)
		if err != nil {
			return err
		}
		defer got.Zero()
		if !got.Equal(want) {
			return fault.Unavailable.New("what was sealed for secret %s does not open to the same value", found.Name)
		}
		return nil
	})
}
