package secret

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/erase"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
)

// DefaultKey is the alias of the key that protects the secrets for which no other was
// named. keyward makes it, in each account, when it is first needed.
const DefaultKey = "alias/keyward-secrets"

// Every sealed value begins with these bytes: magic "KS", format version, suite.
const (
	formatVersion = 1
	headerSize    = 4
	dataKeySize   = 32
)

func header() [headerSize]byte {
	return [headerSize]byte{'K', 'S', formatVersion, byte(material.SuiteAES)}
}

// context is the encryption context of the version's data key, which policies can name
// as kms:EncryptionContext:keyward:secret and so on.
func (v Version) context() material.Context {
	return material.Context{
		"keyward:account": v.Account, "keyward:secret": v.Name, "keyward:secret-id": v.Secret, "keyward:version": v.ID,
	}
}

// binding is what the sealed value is bound to.
func (v Version) binding() []byte {
	return material.Binding("kms-secret/v1", v.Account, v.Name, v.Secret, v.ID, string(v.Kind), v.CreatedAt.UTC().Format(time.RFC3339Nano))
}

// seal encrypts a value into v, under a key that the caller may use.
func (s *Service) seal(ctx context.Context, c *authz.Call, rec *audit.Record, v *Version, keyName string, value material.Bytes) error {
	dataKey, err := s.crypto.DataKeyFor(ctx, c, rec, cryptography.DataKeyInput{Key: keyName, Size: dataKeySize, Context: v.context()})
	if err != nil {
		return s.ofKey(err, fault.Say("encrypting a value"), keyName)
	}
	defer dataKey.Plaintext.Zero()
	v.Key, v.Wrapped = dataKey.Key, dataKey.Blob
	v.Sealed, err = sealValue(dataKey.Plaintext, value, v.binding())
	return err
}

func sealValue(dataKey, value material.Bytes, binding []byte) ([]byte, error) {
	return erase.With(func() ([]byte, error) {
		aead, err := material.NewAEAD(material.SuiteAES, dataKey)
		if err != nil {
			return nil, err
		}
		prefix := header()
		return aead.Seal(prefix[:], value.Expose(), binding)
	})
}

// open decrypts the value of v, with a key that the caller may use. With dryRun it answers
// [fault.DryRun] instead, and that is no use of the key.
func (s *Service) open(ctx context.Context, c *authz.Call, rec *audit.Record, v Version, dryRun bool) (material.Bytes, error) {
	dataKey, err := s.crypto.DecryptFor(ctx, c, rec, cryptography.DecryptInput{Ciphertext: v.Wrapped, Context: v.context(), DryRun: dryRun})
	if fault.Is(err, fault.InvalidCiphertext) { // no caller can cause it: the row is not what keyward wrote
		return material.Bytes{}, fmt.Errorf("opening the data key of %s: %w", v.describe(), errNotItself)
	}
	if fault.Is(err, fault.DryRun) {
		return material.Bytes{}, err
	}
	if err != nil {
		return material.Bytes{}, s.ofKey(err, fault.Say("decrypting version %s of secret %s", v.ID, v.Name), string(v.Key))
	}
	defer dataKey.Data.Zero()
	value, ok := OpenValue(dataKey.Data, v)
	if !ok {
		return material.Bytes{}, fmt.Errorf("opening %s: %w", v.describe(), errNotItself)
	}
	return value, nil
}

// errNotItself marks a version that was changed behind keyward's back. It has no kind,
// so that callers are told of an internal error.
var errNotItself = errors.New("it is not what keyward stored")

// OpenValue decrypts the value of a version with its data key; false for what was not
// sealed as the value of exactly this version.
func OpenValue(dataKey material.Bytes, v Version) (value material.Bytes, ok bool) {
	if len(v.Sealed) < headerSize || [headerSize]byte(v.Sealed) != header() {
		return material.Bytes{}, false
	}
	erase.Do(func() {
		aead, err := material.NewAEAD(material.SuiteAES, dataKey)
		if err != nil {
			return
		}
		value, ok = aead.Open(headerSize, v.Sealed, v.binding())
	})
	return value, ok
}

// ofKey says of a refusal by the key, or by the policies about it, which key that was.
func (s *Service) ofKey(err error, doing fault.Text, keyName string) error {
	kind := fault.KindOf(err)
	if kind == fault.Internal {
		return err
	}
	return kind.Wrap(err, "%s needs key %s: %s", doing, keyName, fault.TextOf(err))
}

// ensureKey makes the account's default key if it is not there. That is keyward's own act,
// with a record of its own.
func (s *Service) ensureKey(ctx context.Context, account string) error {
	there, err := s.keys.HasAlias(ctx, account, DefaultKey)
	if there || err != nil {
		return err
	}
	_, err = s.keys.Create(ctx, s.self(account), lifecycle.CreateInput{Service: "keyward-secrets", Alias: DefaultKey, Description: "protects the secrets of this account for which no other key was named"})
	if fault.Is(err, fault.AliasExists) { // somebody else was faster
		return nil
	}
	return err
}

// Keeper is the service in whose name keyward opens values for its own work, such as the scrub's
// daily look: that is nobody's use of a key.
const Keeper = "secrets"

// self is the principal of what keyward does by itself.
func (s *Service) self(account string) *authz.Call {
	return &authz.Call{
		Principal: authz.Principal{Account: account, Kind: authz.Service, Name: Keeper},
		Time:      s.now(), Scheme: "job",
	}
}

// Peek opens a version for keyward's own work and without a record: the value goes nowhere.
func (s *Service) Peek(ctx context.Context, v Version) (material.Bytes, error) {
	return s.open(ctx, s.self(v.Account), &audit.Record{}, v, false)
}

// Inspect tells whether the stored value of a version opens. It is for the scrub: nothing
// is kept of it. A key that is disabled or gone is no answer about the value.
func (s *Service) Inspect(ctx context.Context, v Version) error {
	value, err := s.Peek(ctx, v)
	value.Zero()
	if fault.KindOf(err) != fault.Internal {
		return nil
	}
	return err
}
