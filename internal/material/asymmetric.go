package material

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"

	"github.com/emmansun/gmsm/sm2"

	"github.com/keyward/keyward/internal/erase"
	"github.com/keyward/keyward/internal/fault"
)

// Generate makes a new key. A symmetric or HMAC key is the raw key, and public is nil; an
// asymmetric key is PKCS#8 DER, and public its SubjectPublicKeyInfo DER, for every
// spec. An RSA key of 4096 bits can take seconds. An unknown spec is an
// InvalidParameter fault.
func Generate(spec Spec) (private Bytes, public []byte, err error) {
	erase.Do(func() { private, public, err = generate(spec) })
	return private, public, err
}

func generate(spec Spec) (private Bytes, public []byte, err error) {
	row := spec.row()
	switch {
	case row.secret():
		return Random(row.bits / 8), nil, nil
	case row.rsa():
		private, public, err = generateRSA(row.bits)
	case spec == P256:
		private, public, err = generateP256()
	case spec == P256K:
		private, public, err = generateP256K()
	case spec == SM2:
		private, public, err = generateSM2()
	default:
		return Bytes{}, nil, fault.InvalidParameter.New("the key spec is unknown; use one of %v", Specs())
	}
	if err != nil {
		return Bytes{}, nil, fmt.Errorf("generating a key of spec %s: %w", spec, err)
	}
	return private, public, nil
}

// A privateKey is the private half for one family of specs. The callers have
// checked that the algorithm belongs to the spec and that the digest has 32 bytes.
type privateKey interface {
	sign(a Algorithm, digest []byte) ([]byte, error)
	decrypt(a Algorithm, ciphertext []byte) ([]byte, error)
}

// A publicKey is the public half for one family of specs; checks as for privateKey.
type publicKey interface {
	verify(a Algorithm, digest, signature []byte) bool
	encrypt(a Algorithm, plaintext []byte) ([]byte, error)
}

// A Private is the private half of an asymmetric key, ready for use by several goroutines.
type Private struct {
	spec Spec

	mu  sync.RWMutex
	key privateKey // guarded by mu; nil after Zero
}

// OpenPrivate reads PKCS#8 DER as [Generate] makes it; the bytes are not kept. A
// key of another spec, of impossible numbers, or not in this form is an error.
func OpenPrivate(spec Spec, pkcs8 Bytes) (*Private, error) {
	key, err := erase.With(func() (privateKey, error) { return parsePrivate(spec, pkcs8.Expose()) })
	if err != nil {
		return nil, fmt.Errorf("opening a private key of spec %s: %w", spec, err)
	}
	return &Private{spec: spec, key: key}, nil
}

func parsePrivate(spec Spec, pkcs8 []byte) (privateKey, error) {
	switch row := spec.row(); {
	case row.rsa():
		return parseRSAPrivate(row.bits, pkcs8)
	case spec == P256:
		return parseP256Private(pkcs8)
	case spec == P256K:
		return parseP256KPrivate(pkcs8)
	case spec == SM2:
		return parseSM2Private(pkcs8)
	default:
		return nil, fault.UnsupportedOperation.New("a key of spec %s is not asymmetric", spec)
	}
}

// Sign signs a digest of 32 bytes: SHA-256 of the message or, for SM2DSA,
// SM3(Z_A ‖ M). ECDSA and SM2 signatures are ASN.1 DER; those on secp256k1 have a
// low S. An algorithm that is not of the spec is an UnsupportedOperation fault, a
// digest of another size an InvalidParameter fault.
func (p *Private) Sign(a Algorithm, digest []byte) ([]byte, error) {
	if err := p.spec.checkSigning(a, digest); err != nil {
		return nil, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.key == nil {
		return nil, errReleased()
	}
	signature, err := erase.AfterWith(func() ([]byte, error) { return p.key.sign(a, digest) })
	if err != nil {
		return nil, fmt.Errorf("signing with %s: %w", a, err)
	}
	return signature, nil
}

// Decrypt decrypts what [Public.Encrypt] made. Everything that does not decrypt is
// one InvalidCiphertext fault; an algorithm that is not of the spec is an
// UnsupportedOperation fault.
func (p *Private) Decrypt(a Algorithm, ciphertext []byte) (Bytes, error) {
	if err := p.spec.checkEncryption(a); err != nil {
		return Bytes{}, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.key == nil {
		return Bytes{}, errReleased()
	}
	plaintext, err := erase.AfterWith(func() ([]byte, error) { return p.key.decrypt(a, ciphertext) })
	if err != nil {
		// The cause is dropped: it is the material of padding oracles.
		return Bytes{}, fault.InvalidCiphertext.New("the ciphertext is not valid for this key and algorithm")
	}
	return NewBytes(plaintext), nil
}

// Zero waits for running operations and lets go of the key; later ones are refused
// with an Unavailable fault. The libraries below keep the numbers in places that
// cannot be overwritten, so the memory is reclaimed by the garbage collector.
func (p *Private) Zero() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = nil
}

func errReleased() error {
	return fault.Unavailable.New("the key was just taken out of memory; try again")
}

// A Public is the public half of an asymmetric key, immutable and safe for concurrent use.
type Public struct {
	spec Spec
	spki []byte
	key  publicKey
}

// OpenPublic reads SubjectPublicKeyInfo DER; the bytes are copied. A key of another
// spec, a point that is not on the curve or at infinity, or bytes in another form are an error.
func OpenPublic(spec Spec, spki []byte) (*Public, error) {
	var key publicKey
	var err error
	switch row := spec.row(); {
	case row.rsa():
		key, err = parseRSAPublic(row.bits, spki)
	case spec == P256:
		key, err = parseP256Public(spki)
	case spec == P256K:
		key, err = parseP256KPublic(spki)
	case spec == SM2:
		key, err = parseSM2Public(spki)
	default:
		return nil, fault.UnsupportedOperation.New("a key of spec %s is not asymmetric", spec)
	}
	if err != nil {
		return nil, fmt.Errorf("opening a public key of spec %s: %w", spec, err)
	}
	return &Public{spec: spec, spki: append([]byte(nil), spki...), key: key}, nil
}

// Verify tells whether the signature of a digest of 32 bytes is valid. Faults are
// those of [Private.Sign]; a malformed signature is merely not valid. On secp256k1
// both the low and the high S are accepted.
func (p *Public) Verify(a Algorithm, digest, signature []byte) (bool, error) {
	if err := p.spec.checkSigning(a, digest); err != nil {
		return false, err
	}
	return p.key.verify(a, digest, signature), nil
}

// Encrypt encrypts at most [Spec.MaxPlaintext] bytes; SM2PKE needs at least one. A
// plaintext of another size is an InvalidParameter fault, an algorithm that is not
// of the spec an UnsupportedOperation fault.
func (p *Public) Encrypt(a Algorithm, plaintext []byte) ([]byte, error) {
	if err := p.spec.checkEncryption(a); err != nil {
		return nil, err
	}
	if most := p.spec.MaxPlaintext(a); len(plaintext) > most {
		return nil, fault.InvalidParameter.New("the plaintext has %d bytes; %s with a key of spec %s takes at most %d", len(plaintext), a, p.spec, most)
	}
	if a == SM2PKE && len(plaintext) == 0 {
		return nil, fault.InvalidParameter.New("the plaintext is empty; %s needs at least one byte", a)
	}
	ciphertext, err := p.key.encrypt(a, plaintext)
	if err != nil {
		return nil, fmt.Errorf("encrypting with %s: %w", a, err)
	}
	return ciphertext, nil
}

// PEM answers the SubjectPublicKeyInfo as a "PUBLIC KEY" block.
func (p *Public) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: p.spki}))
}

// SPKI answers the SubjectPublicKeyInfo, DER; the caller must not change it.
func (p *Public) SPKI() []byte { return p.spki }

// Digest answers what [Private.Sign] takes for a message: its SHA-256 or, for SM2DSA,
// SM3(Z_A ‖ M) with the signer's default identity.
func (p *Public) Digest(a Algorithm, message []byte) ([]byte, error) {
	if a != SM2DSA {
		sum := sha256.Sum256(message)
		return sum[:], nil
	}
	key, ok := p.key.(sm2Public)
	if !ok {
		return nil, unsupported(p.spec, fault.Say("sign"), p.spec.row().signing)
	}
	return sm2.CalculateSM2Hash(key.key, message, nil)
}

// A JWK is a public key as RFC 7517 and RFC 8812 write it; numbers are base64url.
type JWK struct {
	Kty string
	Crv string // of curves: P-256 or secp256k1
	X   string
	Y   string
	N   string // of RSA
	E   string
}

// JWK answers the key as a JWK, nil for SM2, for which none is defined.
func (p *Public) JWK() *JWK {
	enc := base64.RawURLEncoding.EncodeToString
	curve := func(name string, point []byte) *JWK {
		return &JWK{Kty: "EC", Crv: name, X: enc(point[1 : 1+scalarSize]), Y: enc(point[1+scalarSize:])}
	}
	switch k := p.key.(type) {
	case rsaPublic:
		return &JWK{Kty: "RSA", N: enc(k.key.N.Bytes()), E: enc(big.NewInt(int64(k.key.E)).Bytes())}
	case p256Public:
		if point, err := k.key.Bytes(); err == nil {
			return curve("P-256", point)
		}
	case p256kPublic:
		return curve("secp256k1", k.key.SerializeUncompressed())
	}
	return nil
}
