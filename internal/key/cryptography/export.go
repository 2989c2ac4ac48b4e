package cryptography

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
)

// An Export says under which public key a data key leaves, and how it is wrapped.
type Export struct {
	PublicKey []byte            // SubjectPublicKeyInfo DER, of the wrapping's spec
	Wrapping  material.Wrapping // one of [ExportWrappings]
}

// ExportWrappings lists how data keys are wrapped, as Alibaba Cloud KMS does, the preferred
// one first.
func ExportWrappings() []material.Wrapping {
	return []material.Wrapping{material.WrapOAEPSHA256, material.WrapOAEPSHA1, material.WrapSM2}
}

// check refuses what no data key is exported under, and tells in the record whose public key
// it is: the SHA-256 of it.
func (e Export) check(rec *audit.Record) error {
	if !slices.Contains(ExportWrappings(), e.Wrapping) {
		return fault.InvalidParameter.New("The specified parameter WrappingAlgorithm is not valid. Data keys are wrapped with one of %v.", ExportWrappings())
	}
	if _, err := material.OpenPublic(e.Wrapping.Key(), e.PublicKey); err != nil {
		return fault.InvalidParameter.Wrap(err, "The specified parameter PublicKeyBlob is not valid. It must be a public key of spec %s, SubjectPublicKeyInfo in DER.", e.Wrapping.Key())
	}
	rec.Param("WrappingAlgorithm", string(e.Wrapping))
	sum := sha256.Sum256(e.PublicKey)
	rec.Param("PublicKeySHA256", hex.EncodeToString(sum[:]))
	return nil
}

// ExportInput is what ExportDataKey takes.
type ExportInput struct {
	Ciphertext []byte // of the data key, as GenerateDataKey answered it
	Context    material.Context
	To         Export
	DryRun     bool
}

// An ExportedDataKey is a data key that only the owner of a private key can read.
type ExportedDataKey struct {
	Ciphertext        // under the key of the KMS; its Blob is empty unless it was generated now
	Wrapped    []byte // under the public key
}

// ExportDataKey decrypts a data key and encrypts it under a public key of the caller's choice;
// the data key itself stays here. Who may do that can read the data key.
func (s *Service) ExportDataKey(ctx context.Context, c *authz.Call, in ExportInput) (out ExportedDataKey, err error) {
	err = s.do(ctx, c, "kms:ExportDataKey", func(rec *audit.Record) error {
		if err := in.To.check(rec); err != nil {
			return err
		}
		o, err := s.open(ctx, c, rec, rec.Action, in.Ciphertext, in.Context)
		if err != nil {
			return err
		}
		defer o.Data.Zero()
		wrapped, err := in.To.Wrapping.Wrap(in.To.PublicKey, o.Data)
		if err != nil {
			return err
		}
		plain, err := s.hand(c, rec.Action, o, in.DryRun)
		out = ExportedDataKey{Ciphertext{Key: plain.Key, Version: plain.Version}, wrapped}
		return err
	})
	return audit.Kept(out, err)
}

// GenerateAndExportDataKey makes random bytes and answers them encrypted with a key, and under
// a public key of the caller's choice.
func (s *Service) GenerateAndExportDataKey(ctx context.Context, c *authz.Call, in DataKeyInput, to Export) (out ExportedDataKey, err error) {
	err = s.do(ctx, c, "kms:GenerateAndExportDataKey", func(rec *audit.Record) error {
		if err := to.check(rec); err != nil {
			return err
		}
		if in.Size < 1 || in.Size > key.MaxDataKey {
			return errDataKeySize()
		}
		plain := material.Random(in.Size)
		defer plain.Zero()
		wrapped, err := to.Wrapping.Wrap(to.PublicKey, plain)
		if err != nil {
			return err
		}
		sealed, err := s.seal(ctx, c, rec, EncryptInput{Key: in.Key, Plaintext: plain, Context: in.Context, DryRun: in.DryRun})
		out = ExportedDataKey{sealed, wrapped}
		return err
	})
	return audit.Kept(out, err)
}
