package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
)

// CreateVersion adds a version to a key by hand, at most one in seven days and fifty
// in all. It becomes the primary version; older ones stay and go on decrypting.
func (s *Service) CreateVersion(ctx context.Context, c *authz.Call, name string) (out key.Version, err error) {
	err = s.do(ctx, c, "kms:CreateKeyVersion", func(rec *audit.Record) error {
		e, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		out, err = s.addVersion(ctx, rec, e.Key.Account, e.Key.ID, func(k key.Key) error {
			if err := k.Allow(key.ActUse); err != nil {
				return err
			}
			if err := k.CheckRotates(); err != nil {
				return err
			}
			if next := k.Rotation.Last.Add(key.VersionPause); s.now().Before(next) {
				return fault.UnsupportedOperation.New("Unsupported operation. The newest version of key %s is younger than seven days; the next one can be made after %s.", k.ID, next.Format(time.RFC3339))
			}
			if k.Versions >= key.MaxVersions {
				return fault.LimitExceeded.New("key %s has %d versions, the most that can be made by hand; create a new key and move its alias", k.ID, key.MaxVersions)
			}
			return nil
		})
		return err
	})
	return audit.Kept(out, err)
}

// addVersion makes a new primary version of a key if check allows it.
func (s *Service) addVersion(ctx context.Context, rec *audit.Record, account string, id key.ID, check func(key.Key) error) (v key.Version, err error) {
	err = rec.Again(func() error {
		k, err := s.store.Key(ctx, account, id)
		if err != nil {
			return err
		}
		if err := check(k); err != nil {
			return err
		}
		if v, err = s.generate(ctx, k, k.Versions+1); err != nil {
			return err
		}
		k.Primary, k.Versions, k.Rotation.Last = v.ID, v.Number, v.CreatedAt
		rec.Version = string(v.ID)
		return s.store.StoreVersion(ctx, rec, &k, &v, k.Jobs())
	})
	return v, err
}

// generate makes a version of k in the key's keystore; one without material if that is
// to be imported.
func (s *Service) generate(ctx context.Context, k key.Key, number int) (key.Version, error) {
	v := key.Version{Account: k.Account, Key: k.ID, ID: key.NewVersionID(), Number: number, CreatedAt: s.clock()}
	keystore, err := s.ring.Keystore(ctx, k)
	if err != nil {
		return v, err
	}
	if err := keystore.Offers(ctx, k); err != nil {
		return v, err
	}
	if k.Empty {
		return v, nil
	}
	err = keystore.Generate(ctx, k, &v)
	return v, err
}

// DescribeVersion answers one version of a key.
func (s *Service) DescribeVersion(ctx context.Context, c *authz.Call, name string, id key.VersionID) (out key.Version, err error) {
	err = s.do(ctx, c, "kms:DescribeKeyVersion", func(rec *audit.Record) error {
		e, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		rec.Version = string(id)
		out, err = s.store.Version(ctx, e.Key.Account, e.Key.ID, id)
		return err
	})
	return audit.Kept(out, err)
}

// ListVersions answers one page of a key's versions, newest first, and how many it has.
func (s *Service) ListVersions(ctx context.Context, c *authz.Call, name string, p key.Page) (out []key.Version, total int, err error) {
	err = s.do(ctx, c, "kms:ListKeyVersions", func(rec *audit.Record) error {
		e, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		if err := p.Check(); err != nil {
			return err
		}
		out, total, err = s.store.Versions(ctx, e.Key.Account, e.Key.ID, p)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return out, total, nil
}

// UpdateRotationPolicy switches automatic rotation of a symmetric key. An interval of
// zero keeps the one that was set before.
func (s *Service) UpdateRotationPolicy(ctx context.Context, c *authz.Call, name string, on bool, interval time.Duration) error {
	return s.do(ctx, c, "kms:UpdateRotationPolicy", func(rec *audit.Record) error {
		rec.Param("RotationInterval", fmt.Sprint(interval))
		return s.change(ctx, c, rec, name, func(k *key.Key) error {
			if err := k.Allow(key.ActUse); err != nil {
				return err
			}
			return k.SetRotation(on, interval)
		})
	})
}
