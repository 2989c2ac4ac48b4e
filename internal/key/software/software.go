// Package software is the keystore of keys whose material stands in the database,
// wrapped under the tenant key of their account.
//
// Material is unwrapped only in memory, when a version is opened. It is bound to its
// account, key, version, spec, usage and origin: wrapped material that was moved to
// another row does not open. What is opened is for the keyring, which drops it once it is
// idle; package erase overwrites it when no operation has it any more.
package software

import (
	"context"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/mac"
)

// generators is how many key pairs are generated at once: RSA takes seconds of CPU.
const generators = 2

// Tenants answers the wrapper that protects an account's key material at rest.
type Tenants interface {
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
}

// A Keystore implements [key.Importer] for every spec that there is.
type Keystore struct {
	tenants    Tenants
	generating chan struct{}
}

// New makes a Keystore.
func New(tenants Tenants) *Keystore {
	return &Keystore{tenants: tenants, generating: make(chan struct{}, generators)}
}

// Offers implements [key.Keystore].
func (s *Keystore) Offers(context.Context, key.Key) error { return nil }

// Generate implements [key.Keystore].
func (s *Keystore) Generate(ctx context.Context, k key.Key, v *key.Version) error {
	if k.Spec.Asymmetric() {
		select {
		case s.generating <- struct{}{}:
			defer func() { <-s.generating }()
		case <-ctx.Done():
			return fault.Unavailable.Wrap(ctx.Err(), "too many key pairs are being generated; try again")
		}
	}
	m, public, err := material.Generate(k.Spec)
	if err != nil {
		return err
	}
	defer m.Zero()
	v.Public = public
	return s.Import(ctx, k, v, m)
}

// Import implements [key.Importer].
func (s *Keystore) Import(ctx context.Context, k key.Key, v *key.Version, m material.Bytes) error {
	tenant, err := s.tenants.Tenant(ctx, k.Account)
	if err != nil {
		return err
	}
	v.Wrapped, err = tenant.Wrap(binding(k, *v), m)
	return err
}

// Open implements [key.Keystore].
func (s *Keystore) Open(ctx context.Context, k key.Key, v key.Version) (key.Material, error) {
	tenant, err := s.tenants.Tenant(ctx, k.Account)
	if err != nil {
		return key.Material{}, err
	}
	m, err := tenant.Unwrap(binding(k, v), v.Wrapped)
	if err != nil {
		return key.Material{}, fmt.Errorf("unwrapping version %s of key %s: %w", v.ID, k.ID, err)
	}
	defer m.Zero()
	if k.Spec.MAC() {
		m, err := mac.New(k.Spec, m)
		return key.Material{MAC: authenticator{m}}, err
	}
	if k.Spec.Symmetric() {
		id, okKey := k.ID.Bytes()
		version, okVersion := v.ID.Bytes()
		if !okKey || !okVersion {
			return key.Material{}, fmt.Errorf("preparing version %s of key %s: malformed id", v.ID, k.ID)
		}
		c, err := material.NewCipher(k.Spec, m, id, version)
		return key.Material{Cipher: cipher{c}}, err
	}
	p, err := material.OpenPrivate(k.Spec, m)
	if err != nil {
		return key.Material{}, err
	}
	public, err := material.OpenPublic(k.Spec, v.Public)
	return key.Material{Private: private{p}, Public: public}, err
}

// Destroy implements [key.Keystore]: there is nothing outside of the database.
func (s *Keystore) Destroy(context.Context, key.Key) error { return nil }

// binding is what the wrapped material of a version is bound to.
func binding(k key.Key, v key.Version) []byte {
	return material.Binding("kms-row/v1", "kms_key_version", v.Account, string(v.Key), string(v.ID),
		string(k.Spec), string(k.Usage), k.Origin, v.CreatedAt.UTC().Format(time.RFC3339Nano))
}

// What is in memory waits for nothing, so that the context is not needed.
type (
	cipher        struct{ *material.Cipher }
	authenticator struct{ *mac.Key }
	private       struct{ *material.Private }
)

// Sum implements [key.MAC].
func (a authenticator) Sum(_ context.Context, message []byte) ([]byte, error) {
	return a.Key.Sum(message), nil
}

// Verify implements [key.MAC].
func (a authenticator) Verify(_ context.Context, message, mac []byte) (bool, error) {
	return a.Key.Verify(message, mac), nil
}

// Seal implements [key.Cipher].
func (c cipher) Seal(_ context.Context, plaintext []byte, of material.Context) ([]byte, error) {
	return c.Cipher.Seal(plaintext, of)
}

// Open implements [key.Cipher].
func (c cipher) Open(_ context.Context, ciphertext []byte, of material.Context) (material.Bytes, error) {
	return c.Cipher.Open(ciphertext, of)
}

// Sign implements [key.Private].
func (p private) Sign(_ context.Context, a material.Algorithm, digest []byte) ([]byte, error) {
	return p.Private.Sign(a, digest)
}

// Decrypt implements [key.Private].
func (p private) Decrypt(_ context.Context, a material.Algorithm, ciphertext []byte) (material.Bytes, error) {
	return p.Private.Decrypt(a, ciphertext)
}
