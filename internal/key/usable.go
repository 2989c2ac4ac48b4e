package key

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// A usable is a key in the cache with those of its versions that were used, unwrapped.
type usable struct {
	key Key
	arn string

	mu       sync.RWMutex // guards the fields below
	versions map[VersionID]*usableVersion
	age      uint32 // the service's when idle versions were last dropped
}

// A usableVersion is one version ready for work; which fields are set depends on the spec.
type usableVersion struct {
	id      VersionID
	cipher  *material.Cipher
	private *material.Private
	public  *material.Public
	used    atomic.Uint32 // the service's age at the last use
}

// load reads a key for the cache; versions follow on first use.
func (s *Service) load(ctx context.Context, r keyRef) (*usable, error) {
	k, err := s.store.Key(ctx, r.account, r.id)
	if err != nil {
		return nil, err
	}
	return &usable{key: k, arn: s.ARN(k), versions: map[VersionID]*usableVersion{}, age: s.age.Load()}, nil
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
	age := s.age.Load()
	u.dropIdle(age)
	u.mu.RLock()
	v := u.versions[id]
	u.mu.RUnlock()
	if v != nil {
		if v.used.Load() != age { // the line of memory stays shared between processors
			v.used.Store(age)
		}
		return v, nil
	}
	stored, err := s.store.Version(ctx, u.key.Account, u.key.ID, id)
	if err != nil {
		return nil, err
	}
	if v, err = s.unwrap(ctx, u.key, stored); err != nil {
		return nil, err
	}
	v.used.Store(age)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.versions[id] = v
	return v, nil
}

// dropIdle drops the versions that were idle for a whole age of the service.
func (u *usable) dropIdle(age uint32) {
	u.mu.RLock()
	done := u.age == age
	u.mu.RUnlock()
	if done {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.age = age
	maps.DeleteFunc(u.versions, func(_ VersionID, v *usableVersion) bool { return age-v.used.Load() > 1 })
}

// Age drops the keys, and of the keys in use the versions, that were not used since the
// last call, and so their unwrapped material: package erase overwrites it once no
// operation has it any more. It answers how many keys were dropped.
func (s *Service) Age() int {
	s.age.Add(1)
	return s.keys.Age()
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
