package key

import (
	"context"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
)

// CreateVersion adds a version to a key by hand, at most one in seven days and fifty
// in all. It becomes the primary version; older ones stay and go on decrypting.
func (s *Service) CreateVersion(ctx context.Context, c *authz.Call, key string) (out Version, err error) {
	err = s.do(ctx, c, "kms:CreateKeyVersion", func(rec *audit.Record) error {
		u, err := s.resolve(ctx, c, rec, rec.Action, key)
		if err != nil {
			return err
		}
		out, err = s.addVersion(ctx, rec, u.key.Account, u.key.ID, func(k Key) error {
			if err := k.allow(actUse); err != nil {
				return err
			}
			if next := k.Rotation.Last.Add(versionPause); s.now().Before(next) {
				return fault.UnsupportedOperation.New("Unsupported operation. The newest version of key %s is younger than seven days; the next one can be made after %s.", k.ID, next.Format(time.RFC3339))
			}
			if k.Versions >= MaxVersions {
				return fault.LimitExceeded.New("key %s has %d versions, the most that can be made by hand; create a new key and move its alias", k.ID, MaxVersions)
			}
			return nil
		})
		return err
	})
	return kept(out, err)
}

// addVersion makes a new primary version of a key if check allows it.
func (s *Service) addVersion(ctx context.Context, rec *audit.Record, account string, id ID, check func(Key) error) (Version, error) {
	for try := 1; ; try++ {
		k, err := s.store.Key(ctx, account, id)
		if err != nil {
			return Version{}, err
		}
		if err := check(k); err != nil {
			return Version{}, err
		}
		v, err := s.generate(ctx, k, k.Versions+1)
		if err != nil {
			return Version{}, err
		}
		k.Primary, k.Versions, k.Rotation.Last = v.ID, v.Number, v.CreatedAt
		rec.Version = string(v.ID)
		err = s.store.AddVersion(ctx, rec, &k, &v, k.jobs())
		if !fault.Is(err, fault.Changed) || try == retries {
			return v, err
		}
	}
}

// DescribeVersion answers one version of a key.
func (s *Service) DescribeVersion(ctx context.Context, c *authz.Call, key string, id VersionID) (out Version, err error) {
	err = s.do(ctx, c, "kms:DescribeKeyVersion", func(rec *audit.Record) error {
		u, err := s.resolve(ctx, c, rec, rec.Action, key)
		if err != nil {
			return err
		}
		rec.Version = string(id)
		out, err = s.store.Version(ctx, c.Account, u.key.ID, id)
		return err
	})
	return kept(out, err)
}

// ListVersions answers one page of a key's versions, newest first, and how many it has.
func (s *Service) ListVersions(ctx context.Context, c *authz.Call, key string, p Page) (out []Version, total int, err error) {
	err = s.do(ctx, c, "kms:ListKeyVersions", func(rec *audit.Record) error {
		u, err := s.resolve(ctx, c, rec, rec.Action, key)
		if err != nil {
			return err
		}
		if err := p.Check(); err != nil {
			return err
		}
		out, total, err = s.store.Versions(ctx, c.Account, u.key.ID, p)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return out, total, nil
}

// UpdateRotationPolicy switches automatic rotation of a symmetric key. An interval of
// zero keeps the one that was set before.
func (s *Service) UpdateRotationPolicy(ctx context.Context, c *authz.Call, key string, on bool, interval time.Duration) error {
	return s.do(ctx, c, "kms:UpdateRotationPolicy", func(rec *audit.Record) error {
		rec.Param("RotationInterval", fmt.Sprint(interval))
		return s.change(ctx, c, rec, key, func(k *Key) error {
			if err := k.allow(actUse); err != nil {
				return err
			}
			return k.setRotation(on, interval)
		})
	})
}

// Handlers answers what keys do when their jobs are due.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{JobRotate: s.rotateDue, JobDelete: s.deleteDue}
}

// rotateDue rotates a key whose time has come; one that is suspended or gone is left alone.
func (s *Service) rotateDue(ctx context.Context, j job.Job) (again time.Time, err error) {
	k, err := s.store.Key(ctx, j.Account, ID(j.Subject))
	if fault.Is(err, fault.KeyNotFound) {
		return time.Time{}, nil
	}
	if err != nil || k.RotationStatus() != RotationEnabled {
		return time.Time{}, err
	}
	due := func(k Key) bool {
		return k.RotationStatus() == RotationEnabled && !s.now().Before(k.NextRotation())
	}
	if !due(k) {
		return k.NextRotation(), nil
	}
	return time.Time{}, s.do(ctx, s.scheduler(j.Account), "kms:RotateKey", func(rec *audit.Record) error {
		rec.Resource = s.ARN(k)
		_, err := s.addVersion(ctx, rec, k.Account, k.ID, func(k Key) error {
			if !due(k) {
				return fault.StateConflict.New("the key is not due any more")
			}
			return nil
		})
		return err
	})
}

// deleteDue deletes a key whose promised time has come. It looks again at the key
// itself: a deletion that was cancelled or moved is not carried out.
func (s *Service) deleteDue(ctx context.Context, j job.Job) (again time.Time, err error) {
	for gone := false; !gone; {
		k, err := s.store.Key(ctx, j.Account, ID(j.Subject))
		if fault.Is(err, fault.KeyNotFound) {
			return time.Time{}, nil
		}
		if err != nil || k.State != PendingDeletion {
			return time.Time{}, err
		}
		if s.now().Before(k.DeleteAt) {
			return k.DeleteAt, nil
		}
		err = s.do(ctx, s.scheduler(j.Account), "kms:DeleteKey", func(rec *audit.Record) (err error) {
			rec.Resource = s.ARN(k)
			gone, err = s.store.DeleteKey(ctx, rec, &k)
			return err
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// scheduler is the principal of what is done because its time has come.
func (s *Service) scheduler(account string) *authz.Call {
	return &authz.Call{
		Principal: authz.Principal{Account: account, Kind: authz.Service, Name: "scheduler"},
		Time:      s.now(), Scheme: "job",
	}
}
