//go:build cgo

package token

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/raw"
)

const (
	digestSize = 32
	tagSize    = 16
	randomIV   = 16 // bytes of an IV that this side chooses: among 2^43 of them two are equal once in 2^32
	tokenIV    = 12 // bytes of an IV that the token chooses
)

// perform does what a request wants. A key whose handle the token has forgotten, because
// somebody else worked on the token, is looked up once more.
func (c *connection) perform(session pkcs11.SessionHandle, r hsm.Request) (a hsm.Answer, err error) {
	switch r.Op {
	case hsm.OpGenerate:
		a, err = c.generate(session, r)
	case hsm.OpDestroy:
		a, err = c.destroy(session, r)
	default:
		a, err = c.use(session, r)
		if is(err, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID) {
			c.handles.Clear()
			a, err = c.use(session, r)
		}
	}
	return a, c.kind(err)
}

func (c *connection) use(session pkcs11.SessionHandle, r hsm.Request) (a hsm.Answer, err error) {
	key, err := c.lookup(session, r)
	if err != nil {
		return hsm.Answer{}, err
	}
	switch r.Op {
	case hsm.OpEncrypt:
		a, err = c.encrypt(session, key.handle, r)
	case hsm.OpDecrypt:
		a, err = c.decrypt(session, key.handle, r)
	case hsm.OpSign:
		a, err = c.sign(session, key.handle, r)
	case hsm.OpUnwrap:
		a, err = c.unwrap(session, key.handle, r)
	default:
		err = fmt.Errorf("%w: operation %d", hsm.ErrUnsupported, r.Op)
	}
	a.Text = string(key.seen)
	return a, err
}

// encrypt encrypts with AES-GCM. Never is one IV used twice with a key: it has 128 random
// bits, or the token makes it, which probe has seen it do.
func (c *connection) encrypt(session pkcs11.SessionHandle, key pkcs11.ObjectHandle, r hsm.Request) (hsm.Answer, error) {
	iv := make([]byte, tokenIV)
	if c.ivSize > 0 {
		iv = make([]byte, c.ivSize)
		rand.Read(iv) // never fails
	}
	used, ciphertext, err := c.gcm(session, key, iv, r)
	if err != nil {
		return hsm.Answer{}, err
	}
	if c.ivSize == 0 && bytes.Equal(used, iv) {
		return hsm.Answer{}, errors.New("the token has not made an IV as it did before")
	}
	return hsm.Answer{IV: used, Data: ciphertext}, nil
}

// gcm encrypts with an IV, and answers that which the token used: some make their own.
func (c *connection) gcm(session pkcs11.SessionHandle, key pkcs11.ObjectHandle, iv []byte, r hsm.Request) (used, ciphertext []byte, err error) {
	params := pkcs11.NewGCMParams(iv, r.Additional, tagSize*8)
	defer params.Free()
	if err := c.module.EncryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, nil, wrap("encrypting", err)
	}
	ciphertext, err = c.module.Encrypt(session, r.Data)
	if err != nil {
		return nil, nil, wrap("encrypting", err)
	}
	if len(ciphertext) != len(r.Data)+tagSize {
		return nil, nil, fmt.Errorf("%w: its AES-GCM adds %d bytes instead of %d", hsm.ErrUnsupported, len(ciphertext)-len(r.Data), tagSize)
	}
	return params.IV(), ciphertext, nil
}

func (c *connection) decrypt(session pkcs11.SessionHandle, key pkcs11.ObjectHandle, r hsm.Request) (hsm.Answer, error) {
	if len(r.IV) != tokenIV && len(r.IV) != randomIV || len(r.Data) < tagSize {
		return hsm.Answer{}, hsm.ErrInvalid
	}
	params := pkcs11.NewGCMParams(r.IV, r.Additional, tagSize*8)
	defer params.Free()
	if err := c.module.DecryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return hsm.Answer{}, wrap("decrypting", err)
	}
	plaintext, err := c.module.Decrypt(session, r.Data)
	return hsm.Answer{Data: plaintext}, c.invalid(err)
}

// invalid tells a ciphertext that does not decrypt from a token that does not work. Tokens
// differ in what they call it, so all that does not say something else counts.
func (c *connection) invalid(err error) error {
	if err == nil {
		return nil
	}
	if is(err, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID) {
		return err
	}
	if kind := c.kind(err); errors.Is(kind, hsm.ErrAway) {
		return kind
	}
	return fmt.Errorf("%w: %w", hsm.ErrInvalid, err)
}

func (c *connection) sign(session pkcs11.SessionHandle, key pkcs11.ObjectHandle, r hsm.Request) (hsm.Answer, error) {
	spec, algorithm := material.Spec(r.Spec), material.Algorithm(r.Algorithm)
	if !slices.Contains(spec.SigningAlgorithms(), algorithm) || len(r.Data) != digestSize {
		return hsm.Answer{}, fmt.Errorf("%w: a key of spec %s does not sign so", hsm.ErrUnsupported, spec)
	}
	mechanism, data := pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil), r.Data
	switch algorithm {
	case material.PKCS1SHA256:
		mechanism, data = pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil), raw.DigestInfo(r.Data)
	case material.PSSSHA256:
		mechanism = pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.NewPSSParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, digestSize))
	}
	if err := c.module.SignInit(session, []*pkcs11.Mechanism{mechanism}, key); err != nil {
		return hsm.Answer{}, wrap("signing", err)
	}
	signature, err := c.module.Sign(session, data)
	if err == nil && algorithm == material.ECDSASHA256 {
		signature, err = raw.CurveSignature(spec, signature)
	}
	return hsm.Answer{Data: signature}, wrap("signing", err)
}

// unwrap decrypts with a private key. A token that does not know OAEP with SHA-256, as
// SoftHSM 2, does the RSA, and the padding is taken off here.
func (c *connection) unwrap(session pkcs11.SessionHandle, key pkcs11.ObjectHandle, r hsm.Request) (hsm.Answer, error) {
	spec, algorithm := material.Spec(r.Spec), material.Algorithm(r.Algorithm)
	if !slices.Contains(spec.EncryptionAlgorithms(), algorithm) {
		return hsm.Answer{}, fmt.Errorf("%w: a key of spec %s does not decrypt so", hsm.ErrUnsupported, spec)
	}
	hash, mgf := uint(pkcs11.CKM_SHA256), uint(pkcs11.CKG_MGF1_SHA256)
	if algorithm == material.OAEPSHA1 {
		hash, mgf = pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1
	}
	oaep := pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_OAEP, pkcs11.NewOAEPParams(hash, mgf, pkcs11.CKZ_DATA_SPECIFIED, nil))
	err := c.module.DecryptInit(session, []*pkcs11.Mechanism{oaep}, key)
	if err == nil {
		plaintext, err := c.module.Decrypt(session, r.Data)
		return hsm.Answer{Data: plaintext}, c.invalid(err)
	}
	if !is(err, pkcs11.CKR_ARGUMENTS_BAD, pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID) {
		return hsm.Answer{}, wrap("decrypting", err)
	}
	if err := c.module.DecryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_X_509, nil)}, key); err != nil {
		return hsm.Answer{}, wrap("decrypting", err)
	}
	block, err := c.module.Decrypt(session, r.Data)
	if err != nil {
		return hsm.Answer{}, c.invalid(err)
	}
	plaintext, err := raw.OpenOAEP(algorithm, block)
	if err != nil {
		return hsm.Answer{}, fmt.Errorf("%w: %w", hsm.ErrInvalid, err)
	}
	return hsm.Answer{Data: plaintext.Expose()}, nil
}
