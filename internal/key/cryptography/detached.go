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

// DetachedInput is what the detached operations take, whose ciphertext is in parts, for
// protocols that have no room for that of [Service.Encrypt].
type DetachedInput struct {
	Key       string            // id, alias or ARN
	Plaintext material.Bytes    // to encrypt, 1 to [key.MaxPlaintext] bytes
	Message   material.Detached // to decrypt
	Data      []byte            // additional data, which must be the same for both
}

// A detacher is a cipher whose ciphertexts can be had in parts. That of a keystore outside
// may be none.
type detacher interface {
	SealDetached(plaintext, data []byte) (material.Detached, error)
	OpenDetached(d material.Detached, data []byte) (material.Bytes, error)
}

// DescribeFor answers a key for the operation of rec.
func (s *Service) DescribeFor(ctx context.Context, c *authz.Call, rec *audit.Record, name string) (key.Key, error) {
	part := audit.NewRecord(c, "kms:DescribeKey")
	e, err := s.ring.Resolve(ctx, keyring.Ask{Call: c, Record: part, Action: part.Action, Name: name})
	join(rec, part, err)
	if err != nil {
		return key.Key{}, err
	}
	return e.Key, nil
}

// EncryptDetachedFor encrypts with the primary version of a key for the operation of rec.
func (s *Service) EncryptDetachedFor(ctx context.Context, c *authz.Call, rec *audit.Record, in DetachedInput) (out material.Detached, err error) {
	if n := in.Plaintext.Len(); n < 1 || n > key.MaxPlaintext {
		return out, fault.InvalidParameter.New("a plaintext has 1 to %d bytes", key.MaxPlaintext)
	}
	err = s.detached(ctx, c, rec, "kms:Encrypt", in, func(d detacher) error {
		out, err = d.SealDetached(in.Plaintext.Expose(), in.Data)
		return err
	})
	return out, err
}

// DecryptDetachedFor decrypts what EncryptDetachedFor made, for the operation of rec.
func (s *Service) DecryptDetachedFor(ctx context.Context, c *authz.Call, rec *audit.Record, in DetachedInput) (out material.Bytes, err error) {
	err = s.detached(ctx, c, rec, "kms:Decrypt", in, func(d detacher) error {
		out, err = d.OpenDetached(in.Message, in.Data)
		return err
	})
	return out, err
}

// detached has the version of the message, or the primary one if there is no message, do the
// work.
func (s *Service) detached(ctx context.Context, c *authz.Call, rec *audit.Record, action string, in DetachedInput, do func(detacher) error) (err error) {
	part := audit.NewRecord(c, action)
	defer func() { join(rec, part, err) }()
	e, err := s.ring.Resolve(ctx, keyring.Ask{Call: c, Record: part, Action: action, Name: in.Key, Attributes: cryptoAttributes(symmetricDefault, nil)})
	if err != nil {
		return err
	}
	id := e.Key.Primary
	if len(in.Message.Metadata) > 0 || len(in.Message.Tag) > 0 {
		version, ok := material.DetachedVersion(in.Message.Metadata)
		if !ok {
			return errNotOfKey()
		}
		id = key.VersionOf(version)
	}
	v, err := s.symmetric(ctx, part, e, id)
	if fault.Is(err, fault.KeyVersionNotFound) {
		return errNotOfKey()
	}
	if err != nil {
		return err
	}
	d, ok := v.Cipher.(detacher)
	if !ok {
		return fault.UnsupportedOperation.New("key %s lives where ciphertexts cannot be had in parts", e.Key.ID)
	}
	if err := do(d); err != nil {
		return err
	}
	s.used(c, action, &e.Key, v.ID, nil)
	return nil
}

func errNotOfKey() error {
	return fault.InvalidCiphertext.New("the ciphertext is not valid for this key")
}
