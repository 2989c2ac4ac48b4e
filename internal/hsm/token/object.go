//go:build cgo

package token

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/raw"
)

const (
	maxLabel   = 64
	idSize     = 16
	maxDestroy = 64 // objects that are destroyed in one search
	pointSize  = 65 // of an uncompressed point
)

// A kind is how keys of a spec are made and found in the token.
type kind struct {
	class, keyType uint
	generation     uint // mechanism
	bits           int  // 0 for curves
}

// kindOf answers how keys of a spec are made; false for those that no token has by a
// standard: PKCS#11 2.40 knows neither SM2 signatures nor SM4.
func kindOf(spec material.Spec) (kind, bool) {
	aes := func(bits int) kind { return kind{pkcs11.CKO_SECRET_KEY, pkcs11.CKK_AES, pkcs11.CKM_AES_KEY_GEN, bits} }
	rsa := func(bits int) kind {
		return kind{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKK_RSA, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, bits}
	}
	curve := kind{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, 0}
	k, ok := map[material.Spec]kind{
		material.AES256: aes(256), material.AES192: aes(192), material.AES128: aes(128),
		material.RSA2048: rsa(2048), material.RSA3072: rsa(3072), material.RSA4096: rsa(4096),
		material.P256: curve, material.P256K: curve,
	}[spec]
	return k, ok
}

func attribute(a uint, value any) *pkcs11.Attribute { return pkcs11.NewAttribute(a, value) }

// template answers what the object of a request is found by.
func (k kind) template(r hsm.Request) []*pkcs11.Attribute {
	return []*pkcs11.Attribute{attribute(pkcs11.CKA_CLASS, k.class), attribute(pkcs11.CKA_KEY_TYPE, k.keyType), attribute(pkcs11.CKA_TOKEN, true),
		attribute(pkcs11.CKA_LABEL, r.Label), attribute(pkcs11.CKA_ID, r.ID)}
}

// A found is an object that was looked up and may be trusted.
type found struct {
	handle pkcs11.ObjectHandle
	seen   hsm.Sighting
}

// lookup answers the object of a request, if it may be trusted.
func (c *connection) lookup(session pkcs11.SessionHandle, r hsm.Request) (found, error) {
	k, ok := kindOf(material.Spec(r.Spec))
	if !ok || len(r.Label) == 0 || len(r.Label) > maxLabel || len(r.ID) != idSize {
		return found{}, fmt.Errorf("%w: there is no such key", hsm.ErrUnsupported)
	}
	name := r.Label + " " + string(r.ID) + " " + r.Spec
	if known, ok := c.handles.Load(name); ok {
		return known.(found), nil
	}
	objects, err := c.search(session, 2, k.template(r)...)
	if err != nil {
		return found{}, err
	}
	switch len(objects) {
	case 0:
		return found{}, fmt.Errorf("%w: %s", hsm.ErrMissing, r.Label)
	case 1:
	default:
		return found{}, fmt.Errorf("%w: there are two of the name %s", hsm.ErrUntrusted, r.Label)
	}
	if err := c.trust(session, objects[0]); err != nil {
		return found{}, err
	}
	known, _ := c.handles.LoadOrStore(name, found{objects[0], hsm.Sighting(rand.Text())}) // at once for all who looked
	return known.(found), nil
}

// trust refuses a key that anybody could have outside of the token.
func (c *connection) trust(session pkcs11.SessionHandle, object pkcs11.ObjectHandle) error {
	wanted := []struct {
		attribute uint
		value     byte
		problem   string
	}{
		{pkcs11.CKA_SENSITIVE, 1, "it is not sensitive"},
		{pkcs11.CKA_ALWAYS_SENSITIVE, 1, "it was not always sensitive"},
		{pkcs11.CKA_EXTRACTABLE, 0, "it is extractable"},
		{pkcs11.CKA_NEVER_EXTRACTABLE, 1, "it was once extractable"},
		{pkcs11.CKA_LOCAL, 1, "it was not generated in the token"},
	}
	for _, w := range wanted {
		got, err := c.module.GetAttributeValue(session, object, []*pkcs11.Attribute{pkcs11.NewAttribute(w.attribute, nil)})
		if err != nil {
			return fmt.Errorf("looking at a key in the token: %w", err)
		}
		if !bytes.Equal(got[0].Value, []byte{w.value}) {
			return fmt.Errorf("%w: %s", hsm.ErrUntrusted, w.problem)
		}
	}
	return nil
}

// generate makes a key and answers the public half of a pair. What the token made and
// should not have is destroyed again.
func (c *connection) generate(session pkcs11.SessionHandle, r hsm.Request) (hsm.Answer, error) {
	if reason := (hsm.Status{Offers: c.offers}).Reason(material.Spec(r.Spec)); reason.String() != "" {
		return hsm.Answer{}, fmt.Errorf("%w: %s", hsm.ErrUnsupported, reason)
	}
	switch _, err := c.lookup(session, r); {
	case err == nil:
		return hsm.Answer{}, fmt.Errorf("%w: there is a key of this name", hsm.ErrUnsupported)
	case !errors.Is(err, hsm.ErrMissing):
		return hsm.Answer{}, err
	}
	private, public, err := c.make(session, r, true)
	if err != nil {
		return hsm.Answer{}, err
	}
	spki, err := c.public(session, r, public)
	if err == nil {
		_, err = c.lookup(session, r)
	}
	if err != nil {
		return hsm.Answer{}, errors.Join(err, c.module.DestroyObject(session, private))
	}
	return hsm.Answer{Data: spki}, nil
}

// make has the token make a key, for good or for the session only. A public half is for
// the session only: it is read at once, and keyward keeps it.
func (c *connection) make(session pkcs11.SessionHandle, r hsm.Request, keep bool) (private, public pkcs11.ObjectHandle, err error) {
	k, _ := kindOf(material.Spec(r.Spec))
	secret := []*pkcs11.Attribute{
		attribute(pkcs11.CKA_TOKEN, keep), attribute(pkcs11.CKA_PRIVATE, true), attribute(pkcs11.CKA_SENSITIVE, true), attribute(pkcs11.CKA_EXTRACTABLE, false),
		attribute(pkcs11.CKA_LABEL, r.Label), attribute(pkcs11.CKA_ID, r.ID), attribute(pkcs11.CKA_UNWRAP, false), // many tokens allow all that is not forbidden
	}
	mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(k.generation, nil)}
	if k.class == pkcs11.CKO_SECRET_KEY {
		secret = append(secret, attribute(pkcs11.CKA_ENCRYPT, true), attribute(pkcs11.CKA_DECRYPT, true), attribute(pkcs11.CKA_WRAP, false), attribute(pkcs11.CKA_VALUE_LEN, k.bits/8))
		private, err = c.module.GenerateKey(session, mechanism, secret)
		return private, 0, wrap("generating a key", err)
	}
	open := []*pkcs11.Attribute{attribute(pkcs11.CKA_TOKEN, false)}
	signs, decrypts := r.Algorithm != hsm.ForDecryption, r.Algorithm != hsm.ForSigning
	secret = append(secret, attribute(pkcs11.CKA_SIGN, signs), attribute(pkcs11.CKA_DECRYPT, decrypts))
	open = append(open, attribute(pkcs11.CKA_VERIFY, signs), attribute(pkcs11.CKA_ENCRYPT, decrypts))
	if k.bits != 0 {
		open = append(open, attribute(pkcs11.CKA_MODULUS_BITS, k.bits), attribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	} else {
		curve, err := raw.CurveParameters(material.Spec(r.Spec))
		if err != nil {
			return 0, 0, err
		}
		open = append(open, attribute(pkcs11.CKA_EC_PARAMS, curve))
	}
	public, private, err = c.module.GenerateKeyPair(session, mechanism, open, secret)
	return private, public, wrap("generating a key pair", err)
}

// public reads the public half of a new key pair; there is none of a symmetric key.
func (c *connection) public(session pkcs11.SessionHandle, r hsm.Request, public pkcs11.ObjectHandle) ([]byte, error) {
	k, _ := kindOf(material.Spec(r.Spec))
	if k.class == pkcs11.CKO_SECRET_KEY {
		return nil, nil
	}
	defer func() { _ = c.module.DestroyObject(session, public) }() // it ends with the session anyway
	if k.bits != 0 {
		got, err := c.module.GetAttributeValue(session, public, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS, nil), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, nil)})
		if err != nil {
			return nil, wrap("reading a public key", err)
		}
		return raw.RSAPublicKey(got[0].Value, got[1].Value)
	}
	got, err := c.module.GetAttributeValue(session, public, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, wrap("reading a public key", err)
	}
	point := got[0].Value // as a DER octet string, which some tokens leave out
	if len(point) == pointSize+2 {
		point = bytes.TrimPrefix(point, []byte{0x04, pointSize})
	}
	return raw.CurvePublicKey(material.Spec(r.Spec), point)
}

// destroy removes every object of a label and, if there is one, an id.
func (c *connection) destroy(session pkcs11.SessionHandle, r hsm.Request) (hsm.Answer, error) {
	if len(r.Label) == 0 || len(r.Label) > maxLabel {
		return hsm.Answer{}, fmt.Errorf("%w: a label is missing", hsm.ErrUnsupported)
	}
	template := []*pkcs11.Attribute{attribute(pkcs11.CKA_TOKEN, true), attribute(pkcs11.CKA_LABEL, r.Label)}
	if len(r.ID) > 0 {
		template = append(template, attribute(pkcs11.CKA_ID, r.ID))
	}
	defer c.handles.Clear()
	for {
		found, err := c.search(session, maxDestroy, template...)
		if err != nil || len(found) == 0 {
			return hsm.Answer{}, err
		}
		for _, object := range found {
			if err := c.module.DestroyObject(session, object); err != nil {
				return hsm.Answer{}, fmt.Errorf("destroying an object: %w", err)
			}
		}
	}
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
