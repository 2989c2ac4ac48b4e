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

// symmetricDefault is the value of kms:EncryptionAlgorithm for symmetric operations.
const symmetricDefault = "SYMMETRIC_DEFAULT"

// A Ciphertext is what an encryption answers.
type Ciphertext struct {
	Key     key.ID
	Version key.VersionID
	Blob    []byte
}

// A Plaintext is what a decryption answers.
type Plaintext struct {
	Key     key.ID
	Version key.VersionID
	Data    material.Bytes
}

// EncryptInput is what Encrypt takes.
type EncryptInput struct {
	Key       string // id, alias or ARN
	Plaintext material.Bytes
	Context   material.Context
	DryRun    bool
}

// Encrypt encrypts up to 6,144 bytes with the key's primary version.
func (s *Service) Encrypt(ctx context.Context, c *authz.Call, in EncryptInput) (out Ciphertext, err error) {
	err = s.do(ctx, c, "kms:Encrypt", func(rec *audit.Record) error {
		if err := checkPlaintext(in.Plaintext); err != nil {
			return err
		}
		out, err = s.seal(ctx, c, rec, in)
		return err
	})
	return audit.Kept(out, err)
}

func checkPlaintext(m material.Bytes) error {
	if n := m.Len(); n < 1 || n > key.MaxPlaintext {
		return fault.InvalidParameter.New("The specified parameter Plaintext is not valid. It must have 1 to %d bytes before base64; encrypt larger data with a data key.", key.MaxPlaintext)
	}
	return nil
}

// DataKeyInput is what the GenerateDataKey operations take.
type DataKeyInput struct {
	Key     string // id, alias or ARN
	Size    int    // bytes, 1 to 1,024
	Context material.Context
	DryRun  bool
}

// A DataKey is a new random key in the clear and encrypted.
type DataKey struct {
	Ciphertext
	Plaintext material.Bytes
}

// GenerateDataKey makes random bytes and answers them in the clear and encrypted.
func (s *Service) GenerateDataKey(ctx context.Context, c *authz.Call, in DataKeyInput) (DataKey, error) {
	return s.dataKey(ctx, c, "kms:GenerateDataKey", in)
}

// GenerateDataKeyWithoutPlaintext makes random bytes and answers them encrypted only.
func (s *Service) GenerateDataKeyWithoutPlaintext(ctx context.Context, c *authz.Call, in DataKeyInput) (Ciphertext, error) {
	out, err := s.dataKey(ctx, c, "kms:GenerateDataKeyWithoutPlaintext", in)
	out.Plaintext.Zero()
	return out.Ciphertext, err
}

func (s *Service) dataKey(ctx context.Context, c *authz.Call, action string, in DataKeyInput) (out DataKey, err error) {
	err = s.do(ctx, c, action, func(rec *audit.Record) error {
		if in.Size < 1 || in.Size > key.MaxDataKey {
			return errDataKeySize()
		}
		out.Plaintext = material.Random(in.Size)
		out.Ciphertext, err = s.seal(ctx, c, rec, EncryptInput{Key: in.Key, Plaintext: out.Plaintext, Context: in.Context, DryRun: in.DryRun})
		return err
	})
	return audit.Kept(out, err)
}

func errDataKeySize() error {
	return fault.InvalidParameter.New("The specified parameter NumberOfBytes is not valid. It must be between 1 and %d.", key.MaxDataKey)
}

// seal encrypts with a key's primary version.
func (s *Service) seal(ctx context.Context, c *authz.Call, rec *audit.Record, in EncryptInput) (Ciphertext, error) {
	if err := s.noteContext(rec, in.Context); err != nil {
		return Ciphertext{}, err
	}
	e, err := s.ring.Resolve(ctx, keyring.Ask{Call: c, Record: rec, Action: rec.Action, Name: in.Key, Attributes: cryptoAttributes(symmetricDefault, in.Context)})
	if err != nil {
		return Ciphertext{}, err
	}
	v, err := s.symmetric(ctx, rec, e, e.Key.Primary)
	if err != nil {
		return Ciphertext{}, err
	}
	if in.DryRun {
		return Ciphertext{}, errDryRun()
	}
	blob, err := v.Cipher.Seal(ctx, in.Plaintext.Expose(), in.Context)
	if err != nil {
		return Ciphertext{}, err
	}
	s.used(c, rec.Action, &e.Key, v.ID, in.Context)
	return Ciphertext{Key: e.Key.ID, Version: v.ID, Blob: blob}, nil
}

// DecryptInput is what Decrypt takes.
type DecryptInput struct {
	Ciphertext []byte
	Context    material.Context
	DryRun     bool
}

// Decrypt decrypts what Encrypt or GenerateDataKey answered. The ciphertext names its key.
func (s *Service) Decrypt(ctx context.Context, c *authz.Call, in DecryptInput) (out Plaintext, err error) {
	err = s.do(ctx, c, "kms:Decrypt", func(rec *audit.Record) error {
		o, err := s.open(ctx, c, rec, rec.Action, in.Ciphertext, in.Context)
		if err != nil {
			return err
		}
		out, err = s.hand(c, rec.Action, o, in.DryRun)
		return err
	})
	return audit.Kept(out, err)
}

// An opened is a plaintext that was not handed out yet, and what it was opened with: only an
// operation that succeeds is a use of the key.
type opened struct {
	Plaintext
	key *key.Key
	of  material.Context
}

// hand answers what was opened, as a use of its key, or [fault.DryRun].
func (s *Service) hand(c *authz.Call, action string, o opened, dryRun bool) (Plaintext, error) {
	if dryRun {
		o.Data.Zero()
		return Plaintext{}, errDryRun()
	}
	s.used(c, action, o.key, o.Version, o.of)
	return o.Plaintext, nil
}

// open decrypts with the version that the ciphertext names.
func (s *Service) open(ctx context.Context, c *authz.Call, rec *audit.Record, action string, ciphertext []byte, of material.Context) (opened, error) {
	if len(ciphertext) == 0 {
		return opened{}, fault.MissingParameter.New("CiphertextBlob is mandatory for this action.")
	}
	if err := s.noteContext(rec, of); err != nil {
		return opened{}, err
	}
	h, err := material.ParseHeader(ciphertext)
	if err != nil {
		return opened{}, err
	}
	e, err := s.ring.Resolve(ctx, keyring.Ask{Call: c, Record: rec, Action: action, Name: string(key.IDOf(h.Key)), Sealed: true, Attributes: cryptoAttributes(symmetricDefault, of)})
	if err != nil {
		return opened{}, err
	}
	v, err := s.symmetric(ctx, rec, e, key.VersionOf(h.Version))
	if fault.Is(err, fault.KeyVersionNotFound) {
		return opened{}, fault.InvalidCiphertext.New("the ciphertext is not valid for this key and encryption context")
	}
	if err != nil {
		return opened{}, err
	}
	data, err := v.Cipher.Open(ctx, ciphertext, of)
	return opened{Plaintext{Key: e.Key.ID, Version: v.ID, Data: data}, &e.Key, of}, err
}

// ReEncryptInput is what ReEncrypt takes. With SourceKey the source is an asymmetric
// ciphertext; otherwise the ciphertext names its key.
type ReEncryptInput struct {
	Ciphertext         []byte
	SourceKey          string
	SourceVersion      key.VersionID
	SourceAlgorithm    material.Algorithm
	SourceContext      material.Context
	Destination        string // id, alias or ARN of a symmetric key
	DestinationContext material.Context
	DryRun             bool
}

// ReEncrypt decrypts with one key and encrypts with another; the plaintext stays here.
// It takes kms:ReEncryptFrom on the source and kms:ReEncryptTo on the destination.
func (s *Service) ReEncrypt(ctx context.Context, c *authz.Call, in ReEncryptInput) (out Ciphertext, err error) {
	err = s.do(ctx, c, "kms:ReEncryptTo", func(rec *audit.Record) error {
		source, err := s.reEncryptSource(ctx, c, rec, in)
		if err != nil {
			return err
		}
		defer source.Data.Zero()
		rec.Param("SourceKeyId", string(source.Key))
		rec.Param("SourceKeyVersionId", string(source.Version))
		out, err = s.seal(ctx, c, rec, EncryptInput{
			Key: in.Destination, Plaintext: source.Data, Context: in.DestinationContext, DryRun: in.DryRun,
		})
		if err == nil {
			s.used(c, reEncryptFrom, source.key, source.Version, source.of)
		}
		return err
	})
	return audit.Kept(out, err)
}

const reEncryptFrom = "kms:ReEncryptFrom"

func (s *Service) reEncryptSource(ctx context.Context, c *authz.Call, rec *audit.Record, in ReEncryptInput) (opened, error) {
	if in.SourceKey == "" {
		return s.open(ctx, c, rec, reEncryptFrom, in.Ciphertext, in.SourceContext)
	}
	return s.openAsymmetric(ctx, c, rec, reEncryptFrom, AsymmetricInput{
		Key: in.SourceKey, Version: in.SourceVersion, Algorithm: in.SourceAlgorithm,
	}, in.Ciphertext)
}

// symmetric answers a version of a key that may be used to encrypt and decrypt.
func (s *Service) symmetric(ctx context.Context, rec *audit.Record, e *keyring.Entry, id key.VersionID) (*keyring.Version, error) {
	switch {
	case e.Key.Spec.MAC():
		return nil, fault.UnsupportedOperation.New("Unsupported operation. Key %s has the spec %s, which makes MACs and does not encrypt.", e.Key.ID, e.Key.Spec)
	case !e.Key.Spec.Symmetric():
		return nil, fault.UnsupportedOperation.New("Unsupported operation. Key %s has the asymmetric spec %s; use the Asymmetric operations.", e.Key.ID, e.Key.Spec)
	}
	if err := e.Key.Allow(key.ActUse); err != nil {
		return nil, err
	}
	rec.Version = string(id)
	return s.ring.Version(ctx, e, id)
}

func cryptoAttributes(algorithm string, of material.Context) []authz.Attribute {
	out := []authz.Attribute{{Key: authz.EncryptionAlgorithm, Value: algorithm}}
	for name, value := range of {
		out = append(out, authz.Attribute{Key: authz.EncryptionContextPrefix + name, Value: value})
	}
	return out
}
