package engine

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/credential"
	"github.com/keyward/keyward/internal/secret"
)

// create has a key made and does not let its credential go before it is in the secret.
func (s *Service) create(ctx context.Context, i rotation.Issuer, r rotation.Rotation, p rotation.Plan, attempt int) (k rotation.Key, err error) {
	w, err := s.o.Tenants.Tenant(ctx, r.Account)
	if err != nil {
		return k, noEffect(err)
	}
	m, err := i.Create(ctx, rotation.Attempt{ID: version(r.ID, attempt), Tag: r.Tag(attempt), Principal: p.Principal, Old: r.Old.ID, Expire: orphanDies(p, r)})
	if err != nil {
		return k, err
	}
	defer m.Erase()
	// The key is there now, and its credential nowhere but here.
	if err := s.o.Spool.Keep(w, r, attempt, m); err != nil {
		return k, err
	}
	// It is on this machine's disk; the secret makes it everybody's.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Terms.CallTime())
	defer cancel()
	err = insist(ctx, func() error {
		k, err = s.seal(ctx, p, r, attempt, m)
		return err
	})
	return k, err
}

// orphanDies answers when a key of which nothing is known any more may die by itself: the same
// with every repetition of an attempt.
func orphanDies(p rotation.Plan, r rotation.Rotation) time.Time {
	if p.Care.Every == 0 || r.TriedAt.IsZero() {
		return time.Time{}
	}
	return r.TriedAt.Add(2*p.Care.Every + 24*time.Hour)
}

// seal stores a new key's credential as a version of the secret that no reader gets yet. Done twice
// it has the effect that it has once.
func (s *Service) seal(ctx context.Context, p rotation.Plan, r rotation.Rotation, attempt int, m rotation.Minted) (rotation.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Terms.CallTime())
	defer cancel()
	data, err := credential.Encode(m.Parts)
	if err != nil {
		return rotation.Key{}, err
	}
	defer data.Zero()
	k := rotation.Key{ID: m.ID, Version: version(r.ID, attempt)}
	_, _, err = s.o.Secrets.Put(ctx, s.self(p.Account), secret.PutInput{Secret: p.Secret, Version: k.Version, Data: data, Stages: []secret.Stage{secret.Pending}})
	return k, err
}

// recover takes up what was spooled and perhaps not stored; [rotation.ErrNoEffect] is that there is
// nothing.
func (s *Service) recover(ctx context.Context, r rotation.Rotation, p rotation.Plan, attempt int) (k rotation.Key, err error) {
	w, err := s.o.Tenants.Tenant(ctx, r.Account)
	if err != nil {
		return k, err
	}
	m, found, err := s.o.Spool.Find(w, r.ID, attempt)
	if err != nil {
		return k, err
	}
	if !found {
		return k, rotation.ErrNoEffect
	}
	defer m.Erase()
	return s.seal(ctx, p, r, attempt, m)
}

// settle makes a version the current one.
func (s *Service) settle(ctx context.Context, p rotation.Plan, version string) error {
	return insist(ctx, func() error {
		sec, err := s.secret(ctx, p.Account, p.Secret)
		if err != nil {
			return noEffect(err)
		}
		if sec.At(secret.Current) == version {
			return nil
		}
		_, err = s.o.Secrets.MoveStage(ctx, s.self(p.Account), secret.MoveInput{Secret: p.Secret, Stage: secret.Current, From: sec.At(secret.Current), To: version})
		return err
	})
}

// verify tries the credential of a version.
func (s *Service) verify(ctx context.Context, i rotation.Issuer, p rotation.Plan, k rotation.Key) (rotation.Verdict, error) {
	parts, err := s.parts(ctx, p, k.Version)
	if err != nil {
		return "", noEffect(err)
	}
	defer rotation.Minted{Parts: parts}.Erase()
	return i.Verify(ctx, k.ID, parts)
}

// parts answers the credential in a version of the plan's secret.
func (s *Service) parts(ctx context.Context, p rotation.Plan, version string) (map[string]material.Bytes, error) {
	v, err := s.o.Secrets.Get(ctx, s.self(p.Account), secret.GetInput{Secret: p.Secret, Version: version})
	if err != nil {
		return nil, err
	}
	defer v.Data.Zero()
	return credential.Decode(v.Data)
}
