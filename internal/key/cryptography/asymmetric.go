package cryptography

import (
	"cmp"
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/csr"
	"github.com/keyward/keyward/internal/key/keyring"
	"github.com/keyward/keyward/internal/material"
)

// AsymmetricInput names what an asymmetric operation works with.
type AsymmetricInput struct {
	Key       string // id, alias or ARN
	Version   key.VersionID
	Algorithm material.Algorithm
	DryRun    bool
}

// A Signature is what AsymmetricSign answers.
type Signature struct {
	Key     key.ID
	Version key.VersionID
	Value   []byte // ECDSA and SM2: ASN.1 DER
}

// AsymmetricSign signs a digest of 32 bytes.
func (s *Service) AsymmetricSign(ctx context.Context, c *authz.Call, in AsymmetricInput, digest []byte) (out Signature, err error) {
	err = s.do(ctx, c, "kms:AsymmetricSign", func(rec *audit.Record) error {
		e, v, err := s.asymmetric(ctx, c, rec, rec.Action, in, key.SignVerify)
		if err != nil {
			return err
		}
		value, err := v.Private.Sign(ctx, in.Algorithm, digest)
		if err != nil {
			return err
		}
		if in.DryRun {
			return errDryRun()
		}
		s.used(c, rec.Action, &e.Key, v.ID, nil)
		out = Signature{Key: e.Key.ID, Version: v.ID, Value: value}
		return nil
	})
	return audit.Kept(out, err)
}

// A Verification is what AsymmetricVerify answers.
type Verification struct {
	Key     key.ID
	Version key.VersionID
	Valid   bool
}

// AsymmetricVerify tells whether a signature of a digest is valid.
func (s *Service) AsymmetricVerify(ctx context.Context, c *authz.Call, in AsymmetricInput, digest, signature []byte) (out Verification, err error) {
	err = s.do(ctx, c, "kms:AsymmetricVerify", func(rec *audit.Record) error {
		e, v, err := s.asymmetric(ctx, c, rec, rec.Action, in, key.SignVerify)
		if err != nil {
			return err
		}
		if len(signature) == 0 {
			return fault.MissingParameter.New("Value is mandatory for this action.")
		}
		valid, err := v.Public.Verify(in.Algorithm, digest, signature)
		if err != nil {
			return err
		}
		if in.DryRun {
			return errDryRun()
		}
		s.used(c, rec.Action, &e.Key, v.ID, nil)
		out = Verification{Key: e.Key.ID, Version: v.ID, Valid: valid}
		return nil
	})
	return audit.Kept(out, err)
}

// AsymmetricEncrypt encrypts with the public half of a key version.
func (s *Service) AsymmetricEncrypt(ctx context.Context, c *authz.Call, in AsymmetricInput, plaintext material.Bytes) (out Ciphertext, err error) {
	err = s.do(ctx, c, "kms:AsymmetricEncrypt", func(rec *audit.Record) error {
		e, v, err := s.asymmetric(ctx, c, rec, rec.Action, in, key.EncryptDecrypt)
		if err != nil {
			return err
		}
		blob, err := v.Public.Encrypt(in.Algorithm, plaintext.Expose())
		if err != nil {
			return err
		}
		if in.DryRun {
			return errDryRun()
		}
		s.used(c, rec.Action, &e.Key, v.ID, nil)
		out = Ciphertext{Key: e.Key.ID, Version: v.ID, Blob: blob}
		return nil
	})
	return audit.Kept(out, err)
}

// AsymmetricDecrypt decrypts with the private half of a key version.
func (s *Service) AsymmetricDecrypt(ctx context.Context, c *authz.Call, in AsymmetricInput, ciphertext []byte) (out Plaintext, err error) {
	err = s.do(ctx, c, "kms:AsymmetricDecrypt", func(rec *audit.Record) error {
		o, err := s.openAsymmetric(ctx, c, rec, rec.Action, in, ciphertext)
		if err != nil {
			return err
		}
		out, err = s.hand(c, rec.Action, o, in.DryRun)
		return err
	})
	return audit.Kept(out, err)
}

func (s *Service) openAsymmetric(ctx context.Context, c *authz.Call, rec *audit.Record, action string, in AsymmetricInput, ciphertext []byte) (opened, error) {
	e, v, err := s.asymmetric(ctx, c, rec, action, in, key.EncryptDecrypt)
	if err != nil {
		return opened{}, err
	}
	data, err := v.Private.Decrypt(ctx, in.Algorithm, ciphertext)
	return opened{Plaintext{Key: e.Key.ID, Version: v.ID, Data: data}, &e.Key, nil}, err
}

// A PublicKey is the public half of a key version.
type PublicKey struct {
	Key     key.ID
	Version key.VersionID
	PEM     string        // SubjectPublicKeyInfo
	DER     []byte        // the same
	JWK     *material.JWK // nil for SM2, for which no JWK is defined
}

// PublicKey answers the public half of a key version.
func (s *Service) PublicKey(ctx context.Context, c *authz.Call, name string, version key.VersionID, dryRun bool) (out PublicKey, err error) {
	err = s.do(ctx, c, "kms:GetPublicKey", func(rec *audit.Record) error {
		e, v, err := s.asymmetric(ctx, c, rec, rec.Action, AsymmetricInput{Key: name, Version: version}, "")
		if err != nil {
			return err
		}
		if dryRun {
			return errDryRun()
		}
		s.used(c, rec.Action, &e.Key, v.ID, nil)
		out = PublicKey{Key: e.Key.ID, Version: v.ID, PEM: v.Public.PEM(), DER: v.Public.SPKI(), JWK: v.Public.JWK()}
		return nil
	})
	return audit.Kept(out, err)
}

// CSRInput is what GenerateCSR takes. Without an algorithm it is the first of the key's.
type CSRInput struct {
	Key       string // id, alias or ARN
	Version   key.VersionID
	Algorithm material.Algorithm
	Subject   csr.Request
}

// A CSR is what GenerateCSR answers.
type CSR struct {
	Key     key.ID
	Version key.VersionID
	PEM     string
}

// GenerateCSR makes a certificate signing request for a version of a key that signs. The
// name of the action is of keyward's own making: Alibaba Cloud has none.
func (s *Service) GenerateCSR(ctx context.Context, c *authz.Call, in CSRInput) (out CSR, err error) {
	err = s.do(ctx, c, "kms:GenerateCsr", func(rec *audit.Record) error {
		e, v, err := s.asymmetric(ctx, c, rec, rec.Action, AsymmetricInput{Key: in.Key, Version: in.Version, Algorithm: in.Algorithm}, key.SignVerify)
		if err != nil {
			return err
		}
		if err := in.Subject.Check(); err != nil {
			return err
		}
		rec.Param("CommonName", in.Subject.CommonName)
		algorithm := cmp.Or(in.Algorithm, e.Key.Spec.SigningAlgorithms()[0])
		text, err := in.Subject.Encode(v.Public, algorithm, func(digest []byte) ([]byte, error) { return v.Private.Sign(ctx, algorithm, digest) })
		if err != nil {
			return err
		}
		s.used(c, rec.Action, &e.Key, v.ID, nil)
		out = CSR{Key: e.Key.ID, Version: v.ID, PEM: text}
		return nil
	})
	return audit.Kept(out, err)
}

// asymmetric answers a version of an asymmetric key that may be used as wanted; an
// empty usage allows both.
func (s *Service) asymmetric(ctx context.Context, c *authz.Call, rec *audit.Record, action string, in AsymmetricInput, usage key.Usage) (*keyring.Entry, *keyring.Version, error) {
	var attributes []authz.Attribute
	if in.Algorithm != "" {
		rec.Param("Algorithm", string(in.Algorithm))
		attributes = append(attributes, authz.Attribute{Key: authz.EncryptionAlgorithm, Value: string(in.Algorithm)})
	}
	e, err := s.ring.Resolve(ctx, keyring.Ask{Call: c, Record: rec, Action: action, Name: in.Key, Usage: usage, Attributes: attributes})
	if err != nil {
		return nil, nil, err
	}
	switch {
	case !e.Key.Spec.Asymmetric():
		return nil, nil, fault.UnsupportedOperation.New("Unsupported operation. Key %s has the spec %s, which is not asymmetric.", e.Key.ID, e.Key.Spec)
	case usage != "" && !e.Key.For(usage):
		return nil, nil, fault.UnsupportedOperation.New("Unsupported operation. Key %s was created for %s.", e.Key.ID, e.Key.Usage)
	case in.Version == "":
		return nil, nil, fault.MissingParameter.New("KeyVersionId is mandatory for this action; ListKeyVersions answers the versions of a key.")
	}
	if err := e.Key.Allow(key.ActUse); err != nil {
		return nil, nil, err
	}
	rec.Version = string(in.Version)
	v, err := s.ring.Version(ctx, e, in.Version)
	return e, v, err
}
