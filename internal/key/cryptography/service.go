// Package cryptography offers the operations that use keys: encrypting and decrypting,
// data keys, signing and verifying, message authentication codes; and random bytes, for which
// there is no key.
//
// A [Service] has the keyring find the key and ask whether the caller may, checks that the
// key is of the right spec, usage and state, and works with the version of it that the
// keyring has opened. Once warm that reads nothing from the database; the one audit record
// of each operation is durable before its answer leaves, and what could not be recorded
// is dropped.
//
// Who may call: the API dialects, and other domains for parts of their own operations
// (part.go). Nothing is stored here. Plaintexts and ciphertexts are never in records; of an
// encryption context there is a keyed digest.
package cryptography

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keyring"
	"github.com/keyward/keyward/internal/material"
)

// Options says what a Service is made of. All fields are required.
type Options struct {
	Ring *keyring.Ring
	Log  *audit.Log
	// ContextDigest answers a keyed digest of an encryption context for the audit log,
	// which must not hold the context itself.
	ContextDigest func([]byte) (string, error)
	// Used is told of every version of a key that did what was asked for: who wanted it, the
	// action, and the encryption context. It must be quick.
	Used func(c *authz.Call, action string, k *key.Key, v key.VersionID, of material.Context)
}

// A Service offers the operations. Its methods may be called concurrently.
type Service struct {
	ring   *keyring.Ring
	log    *audit.Log
	digest func([]byte) (string, error)
	used   func(*authz.Call, string, *key.Key, key.VersionID, material.Context)
}

// New makes a Service.
func New(o Options) *Service {
	return &Service{ring: o.Ring, log: o.Log, digest: o.ContextDigest, used: o.Used}
}

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action string, fn func(*audit.Record) error) error {
	rec := audit.NewRecord(c, action)
	return s.log.Do(ctx, rec, func() error { return fn(rec) })
}

// noteContext records a keyed digest of the encryption context.
func (s *Service) noteContext(rec *audit.Record, of material.Context) error {
	if len(of) == 0 {
		return nil
	}
	encoded, err := of.Encode()
	if err != nil {
		return err
	}
	digest, err := s.digest(encoded)
	if err != nil {
		return err
	}
	rec.Param("EncryptionContextHMAC", digest)
	return nil
}

// errDryRun answers a call that would have succeeded and asked not to be performed.
func errDryRun() error {
	return fault.DryRun.New("The request would have succeeded, but the DryRun parameter is set.")
}
