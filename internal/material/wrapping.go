package material

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm4"

	"github.com/keyward/keyward/internal/erase"
	"github.com/keyward/keyward/internal/fault"
)

// A Wrapping names a way in which key material travels here, as Alibaba Cloud KMS does.
type Wrapping string

// The wrappings. Those of two names carry a key of their own, under the public key, in
// front of the material under that key: OAEP(AES key) ‖ AES-256-ECB with PKCS#7 padding,
// and SM2(SM4 key) ‖ SM4-ECB without padding.
const (
	WrapOAEPSHA256 Wrapping = "RSAES_OAEP_SHA_256"
	WrapOAEPSHA1   Wrapping = "RSAES_OAEP_SHA_1"
	WrapPKCS1      Wrapping = "RSAES_PKCS1_V1_5"
	WrapSM2        Wrapping = "SM2PKE"
	WrapOAEPAES    Wrapping = "RSAES_OAEP_SHA_256_AES_256_ECB_PKCS7_PAD"
	WrapSM2SM4     Wrapping = "SM2PKE_SM4_ECB"
)

// A wrappingRow says what a wrapping wraps with, and what.
type wrappingRow struct {
	wrapping  Wrapping
	key       Spec // of the wrapping key
	algorithm Algorithm
	takes     func(Spec) bool
}

var wrappings = []wrappingRow{
	{WrapOAEPSHA256, RSA2048, OAEPSHA256, Spec.secret},
	{WrapOAEPSHA1, RSA2048, OAEPSHA1, Spec.secret},
	{WrapPKCS1, RSA2048, "", Spec.secret},
	{WrapSM2, SM2, SM2PKE, Spec.secret},
	{WrapOAEPAES, RSA2048, OAEPSHA256, Spec.Asymmetric},
	{WrapSM2SM4, SM2, SM2PKE, func(s Spec) bool { return s == SM2 }},
}

// Wrappings lists the wrappings that take material of a spec, the preferred one first.
func Wrappings(spec Spec) []Wrapping {
	var out []Wrapping
	for _, row := range wrappings {
		if row.takes(spec) {
			out = append(out, row.wrapping)
		}
	}
	return out
}

// Key answers the spec of the wrapping key, "" for an unknown wrapping.
func (w Wrapping) Key() Spec { return w.row().key }

func (w Wrapping) row() wrappingRow {
	for _, row := range wrappings {
		if row.wrapping == w {
			return row
		}
	}
	return wrappingRow{takes: func(Spec) bool { return false }}
}

// Takes tells whether the wrapping is for material of a spec.
func (w Wrapping) Takes(spec Spec) bool { return w.row().takes(spec) }

// Wrap wraps material under a public key, SubjectPublicKeyInfo DER: raw bytes of a
// symmetric key, PKCS#8 of an asymmetric one. It is for whoever has the material.
func (w Wrapping) Wrap(public []byte, m Bytes) ([]byte, error) {
	row := w.row()
	key, err := OpenPublic(row.key, public)
	if err != nil {
		return nil, err
	}
	switch w {
	case WrapPKCS1:
		//lint:ignore SA1019 the service documents this wrapping; who wraps chooses it
		return rsa.EncryptPKCS1v15(rand.Reader, key.key.(rsaPublic).key, m.Expose())
	case WrapOAEPAES:
		padding := aes.BlockSize - m.Len()%aes.BlockSize
		padded := append([]byte(nil), m.Expose()...)
		defer clear(padded)
		for range padding {
			padded = append(padded, byte(padding))
		}
		return wrapWith(key, row.algorithm, Random(32), padded, aes.NewCipher)
	case WrapSM2SM4:
		secret, _, err := parseCurvePrivate(oidSM2, m.Expose())
		if err != nil {
			return nil, err
		}
		defer secret.Zero()
		return wrapWith(key, row.algorithm, Random(sm4.BlockSize), secret.Expose(), sm4.NewCipher)
	default:
		return key.Encrypt(row.algorithm, m.Expose())
	}
}

// wrapWith encrypts whole blocks with a key, and puts the key, encrypted, in front.
func wrapWith(public *Public, a Algorithm, key Bytes, blocks []byte, newCipher func([]byte) (cipher.Block, error)) ([]byte, error) {
	defer key.Zero()
	out, err := public.Encrypt(a, key.Expose())
	if err != nil {
		return nil, err
	}
	block, err := newCipher(key.Expose())
	if err != nil {
		return nil, err
	}
	start := len(out)
	out = append(out, blocks...)
	for at := start; at < len(out); at += block.BlockSize() {
		block.Encrypt(out[at:], out[at:])
	}
	return out, nil
}

// Unwrap opens wrapped material of a spec, which the wrapping [Wrapping.Takes], with the
// private key, PKCS#8 DER, and answers it as [Generate] would have made it, with the public
// half if there is one. Whatever is wrong with it, the answer is the same
// InvalidKeyMaterial fault.
func (w Wrapping) Unwrap(spec Spec, private Bytes, wrapped []byte) (m Bytes, public []byte, err error) {
	erase.Do(func() {
		var raw Bytes
		if raw, err = w.unwrap(spec, private, wrapped); err != nil {
			return
		}
		defer raw.Zero()
		m, public, err = normalize(spec, raw)
	})
	if err != nil {
		// The cause is dropped: it is the material of padding oracles.
		return Bytes{}, nil, fault.InvalidKeyMaterial.New("the key material is not valid: it must be a key of spec %s, wrapped with %s under the public key that came with the import token", spec, w)
	}
	return m, public, nil
}

var errWrapping = errors.New("what is wrapped has an impossible form")

func (w Wrapping) unwrap(spec Spec, private Bytes, wrapped []byte) (Bytes, error) {
	row := w.row()
	key, err := OpenPrivate(row.key, private)
	if err != nil {
		return Bytes{}, err
	}
	switch w {
	case WrapPKCS1:
		return unwrapPKCS1(key.key.(rsaPrivate).key, spec.KeySize(), wrapped)
	case WrapOAEPAES:
		padded, err := unwrapWith(key, row.algorithm, RSA2048.row().bits/8, wrapped, 32, aes.NewCipher)
		if err != nil {
			return Bytes{}, err
		}
		b := padded.Expose()
		n := int(b[len(b)-1])
		if n == 0 || n > aes.BlockSize {
			return Bytes{}, errWrapping
		}
		for _, p := range b[len(b)-n:] {
			if int(p) != n {
				return Bytes{}, errWrapping
			}
		}
		return NewBytes(b[:len(b)-n]), nil
	case WrapSM2SM4:
		raw, err := unwrapWith(key, row.algorithm, sm2Overhead+sm4.BlockSize, wrapped, sm4.BlockSize, sm4.NewCipher)
		if err != nil {
			return Bytes{}, err
		}
		m, _, err := marshalSM2(raw)
		return m, err
	default:
		return key.Decrypt(row.algorithm, wrapped)
	}
}

// unwrapPKCS1 opens material of a known size. What does not have the padding, or another
// size, costs the same work and leaves the random bytes that were there before, so that
// an oracle would need tens of millions of imports for one bit.
func unwrapPKCS1(key *rsa.PrivateKey, size int, wrapped []byte) (Bytes, error) {
	opened := Random(size)
	before := NewBytes(bytes.Clone(opened.Expose()))
	defer before.Zero()
	//lint:ignore SA1019 the service documents this wrapping, and this is the one way to open it that is no oracle by itself
	if err := rsa.DecryptPKCS1v15SessionKey(nil, key, wrapped, opened.Expose()); err != nil {
		return Bytes{}, err // of another length than the modulus, which is no secret
	}
	if subtle.ConstantTimeCompare(opened.Expose(), before.Expose()) == 1 {
		return Bytes{}, errWrapping
	}
	return opened, nil
}

// unwrapWith opens the key in the first bytes, and whole blocks with it.
func unwrapWith(private *Private, a Algorithm, head int, wrapped []byte, keySize int, newCipher func([]byte) (cipher.Block, error)) (Bytes, error) {
	if len(wrapped) <= head {
		return Bytes{}, errWrapping
	}
	key, err := private.Decrypt(a, wrapped[:head])
	if err != nil {
		return Bytes{}, err
	}
	defer key.Zero()
	if key.Len() != keySize {
		return Bytes{}, errWrapping
	}
	block, err := newCipher(key.Expose())
	if err != nil {
		return Bytes{}, err
	}
	blocks := append([]byte(nil), wrapped[head:]...)
	if len(blocks)%block.BlockSize() != 0 {
		return Bytes{}, errWrapping
	}
	for at := 0; at < len(blocks); at += block.BlockSize() {
		block.Decrypt(blocks[at:], blocks[at:])
	}
	return NewBytes(blocks), nil
}

// normalize answers a key that came from outside as Generate would have made it.
func normalize(spec Spec, raw Bytes) (Bytes, []byte, error) {
	row := spec.row()
	if row.secret() {
		if raw.Len() != spec.KeySize() {
			return Bytes{}, nil, errWrapping
		}
		return NewBytes(append([]byte(nil), raw.Expose()...)), nil, nil
	}
	parsed, err := parsePrivate(spec, raw.Expose())
	if err != nil {
		return Bytes{}, nil, err
	}
	switch k := parsed.(type) {
	case rsaPrivate:
		return marshalStandard(k.key, k.key.Public())
	case p256Private:
		return marshalStandard(k.key, k.key.Public())
	case p256kPrivate:
		return marshalCurve(oidP256K, NewBytes(k.key.Serialize()), k.key.PubKey().SerializeUncompressed())
	case sm2Private:
		scalar, err := k.key.ECDH()
		if err != nil {
			return Bytes{}, nil, err
		}
		return marshalSM2(NewBytes(scalar.Bytes()))
	}
	return Bytes{}, nil, fmt.Errorf("reading a key of spec %s: it is of no known kind", spec)
}

// marshalSM2 encodes the key pair of a private number, and erases it.
func marshalSM2(secret Bytes) (Bytes, []byte, error) {
	defer secret.Zero()
	key, err := sm2.NewPrivateKey(secret.Expose())
	if err != nil {
		return Bytes{}, nil, errScalar
	}
	raw, err := key.ECDH()
	if err != nil {
		return Bytes{}, nil, err
	}
	return marshalCurve(oidSM2, NewBytes(raw.Bytes()), raw.PublicKey().Bytes())
}

// ReadPrivate reads a private key in PKCS#8, PKCS#1 or SEC 1 DER, as tools write it, and
// answers it as PKCS#8. It is for whoever has the material.
func ReadPrivate(spec Spec, der Bytes) (Bytes, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der.Expose()); err == nil {
		m, _, err := marshalStandard(key, key.Public())
		return m, err
	}
	if key, err := x509.ParseECPrivateKey(der.Expose()); err == nil {
		m, _, err := marshalStandard(key, key.Public())
		return m, err
	}
	m, _, err := normalize(spec, der)
	return m, err
}
