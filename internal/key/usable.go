package key

import (
	"context"
	"fmt"
	"sync"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// A usable is a key in the cache with those of its versions that were used, unwrapped.
type usable struct {
	key Key

	mu       sync.RWMutex // guards versions
	versions map[VersionID]*usableVersion
}

// A usableVersion is one version ready for work; which fields are set depends on the spec.
type usableVersion struct {
	id      VersionID
	cipher  *material.Cipher
	private *material.Private
	public  *material.Public
}

// load reads a key for the cache; versions follow on first use.
func (s *Service) load(ctx context.Context, r keyRef) (*usable, error) {
	k, err := s.store.Key(ctx, r.account, r.id)
	if err != nil {
		return nil, err
	}
	return &usable{key: k, versions: map[VersionID]*usableVersion{}}, nil
}

// attributes adds to a request's condition keys those of the key itself.
func (u *usable) attributes(of []authz.Attribute) []authz.Attribute {
	all := append(of[:len(of):len(of)],
		authz.Attribute{Key: authz.KeySpec, Value: string(u.key.Spec)},
		authz.Attribute{Key: authz.KeyUsage, Value: string(u.key.Usage)})
	for _, t := range u.key.Tags {
		all = append(all, authz.Attribute{Key: authz.TagPrefix + t.Key, Value: t.Value})
	}
	return all
}

// version answers a version of the key, unwrapping it on first use.
func (s *Service) version(ctx context.Context, u *usable, id VersionID) (*usableVersion, error) {
	u.mu.RLock()
	v := u.versions[id]
	u.mu.RUnlock()
	if v != nil {
		return v, nil
	}
	stored, err := s.store.Version(ctx, u.key.Account, u.key.ID, id)
	if err != nil {
		return nil, err
	}
	if v, err = s.unwrap(ctx, u.key, stored); err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.versions[id] = v
	return v, nil
}

func (s *Service) unwrap(ctx context.Context, k Key, v Version) (*usableVersion, error) {
	tenant, err := s.tenants.Tenant(ctx, k.Account)
	if err != nil {
		return nil, err
	}
	m, err := tenant.Unwrap(v.binding(k), v.Wrapped)
	if err != nil {
		return nil, fmt.Errorf("unwrapping version %s of key %s: %w", v.ID, k.ID, err)
	}
	defer m.Zero()
	out := &usableVersion{id: v.ID}
	if k.Spec.Symmetric() {
		key, okKey := k.ID.bytes()
		version, okVersion := v.ID.bytes()
		if !okKey || !okVersion {
			return nil, fmt.Errorf("preparing version %s of key %s: malformed id", v.ID, k.ID)
		}
		out.cipher, err = material.NewCipher(k.Spec, m, key, version)
		return out, err
	}
	if out.private, err = material.OpenPrivate(k.Spec, m); err != nil {
		return nil, err
	}
	out.public, err = material.OpenPublic(k.Spec, v.Public)
	return out, err
}

// Inspect tells whether the stored material of a version opens as the material of its
// key. It is for the scrub: nothing is kept of it.
func (s *Service) Inspect(ctx context.Context, k Key, v Version) error {
	opened, err := s.unwrap(ctx, k, v)
	if err == nil && opened.private != nil {
		opened.private.Zero()
	}
	return err
}

// generate makes a new version of k, its material wrapped.
func (s *Service) generate(ctx context.Context, k Key, number int) (Version, error) {
	if !k.Spec.Symmetric() {
		select {
		case s.generating <- struct{}{}:
			defer func() { <-s.generating }()
		case <-ctx.Done():
			return Version{}, fault.Unavailable.Wrap(ctx.Err(), "too many key pairs are being generated; try again")
		}
	}
	m, public, err := material.Generate(k.Spec)
	if err != nil {
		return Version{}, err
	}
	defer m.Zero()
	v := Version{Account: k.Account, Key: k.ID, ID: NewVersionID(), Number: number, Public: public, CreatedAt: s.clock()}
	tenant, err := s.tenants.Tenant(ctx, k.Account)
	if err != nil {
		return Version{}, err
	}
	v.Wrapped, err = tenant.Wrap(v.binding(k), m)
	return v, err
}
