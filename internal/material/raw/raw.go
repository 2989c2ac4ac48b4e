// Package raw translates between what a hardware token speaks and what keyward does:
// PKCS#11 answers numbers and points instead of SubjectPublicKeyInfo, r ‖ s instead of DER,
// and some tokens know OAEP with SHA-1 only, so that its padding is taken off here.
//
// Who may call: internal/hsm/token. Nothing is kept. What comes from a token is checked as
// far as its form goes; that a public key is on its curve, too.
package raw

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/keyward/keyward/internal/material"
)

const (
	scalarSize = 32
	pointSize  = 65
)

// The names of curves and of what they are used for (RFC 5480, SEC 2).
var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidP256        = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	oidP256K       = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
)

type curveAlgorithm struct{ Algorithm, Curve asn1.ObjectIdentifier }

type curveSPKI struct {
	Algorithm curveAlgorithm
	Point     asn1.BitString
}

// RSAPublicKey answers the SubjectPublicKeyInfo of a modulus and an exponent, big endian.
func RSAPublicKey(modulus, exponent []byte) ([]byte, error) {
	e := new(big.Int).SetBytes(exponent)
	if !e.IsInt64() || e.Int64() > 1<<31-1 {
		return nil, fmt.Errorf("encoding a public key: an exponent of %d bits", e.BitLen())
	}
	return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(e.Int64())})
}

// CurvePublicKey answers the SubjectPublicKeyInfo of an uncompressed point.
func CurvePublicKey(spec material.Spec, point []byte) ([]byte, error) {
	switch spec {
	case material.P256:
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKIXPublicKey(key)
	case material.P256K:
		key, err := secp256k1.ParsePubKey(point)
		if err != nil {
			return nil, err
		}
		return asn1.Marshal(curveSPKI{
			Algorithm: curveAlgorithm{Algorithm: oidECPublicKey, Curve: oidP256K},
			Point:     asn1.BitString{Bytes: key.SerializeUncompressed(), BitLength: 8 * pointSize},
		})
	}
	return nil, fmt.Errorf("encoding a public key: a point of spec %s", spec)
}

// CurveParameters answers the curve's object identifier in DER, which PKCS#11 names curves by.
func CurveParameters(spec material.Spec) ([]byte, error) {
	switch spec {
	case material.P256:
		return asn1.Marshal(oidP256)
	case material.P256K:
		return asn1.Marshal(oidP256K)
	}
	return nil, fmt.Errorf("naming a curve: spec %s", spec)
}

// CurveSignature answers r ‖ s as ASN.1 DER; on secp256k1 with the low s, as [material.Private.Sign] has it.
func CurveSignature(spec material.Spec, raw []byte) ([]byte, error) {
	if len(raw) != 2*scalarSize {
		return nil, fmt.Errorf("encoding a signature: %d bytes", len(raw))
	}
	r, s := new(big.Int).SetBytes(raw[:scalarSize]), new(big.Int).SetBytes(raw[scalarSize:])
	if order := secp256k1.Params().N; spec == material.P256K && s.Cmp(new(big.Int).Rsh(order, 1)) > 0 {
		s.Sub(order, s)
	}
	return asn1.Marshal(struct{ R, S *big.Int }{r, s})
}

// digestInfo is the DER that precedes a SHA-256 digest in a PKCS #1 v1.5 signature (RFC 8017, 9.2).
const digestInfo = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// DigestInfo answers what a raw PKCS #1 v1.5 signature of a SHA-256 digest signs.
func DigestInfo(digest []byte) []byte { return append([]byte(digestInfo), digest...) }

var errOAEP = errors.New("the block is no OAEP block")

// OpenOAEP takes the OAEP padding (RFC 8017, 7.1.2, empty label) off a block that was
// decrypted without it, for tokens that do not know the hash. A block that is wrong in any
// way is one error after the same work: which byte is wrong would tell the plaintext
// (Manger's attack).
func OpenOAEP(a material.Algorithm, block []byte) (material.Bytes, error) {
	h := sha256.New()
	if a == material.OAEPSHA1 {
		h = sha1.New()
	}
	size := h.Size()
	if len(block) < 2*size+2 {
		return material.Bytes{}, errOAEP
	}
	seed, db := block[1:1+size], block[1+size:]
	mask(seed, db, h)
	mask(db, seed, h)
	h.Reset() // of the empty label
	good := subtle.ConstantTimeByteEq(block[0], 0) & subtle.ConstantTimeCompare(db[:size], h.Sum(nil))

	// The message begins after the first 1, which only zeros precede.
	rest := db[size:]
	looking, index := 1, 0
	for i, b := range rest {
		one, zero := subtle.ConstantTimeByteEq(b, 1), subtle.ConstantTimeByteEq(b, 0)
		index = subtle.ConstantTimeSelect(looking&one, i, index)
		looking &= 1 - one
		good &= 1 - looking&(1-zero)
	}
	if good&(1-looking) != 1 {
		clear(block)
		return material.Bytes{}, errOAEP
	}
	return material.NewBytes(rest[index+1:]), nil
}

// mask adds MGF1 of seed to b.
func mask(b, seed []byte, h hash.Hash) {
	var counter [4]byte
	for n := uint32(0); len(b) > 0; n++ {
		h.Reset()
		h.Write(seed)
		binary.BigEndian.PutUint32(counter[:], n)
		h.Write(counter[:])
		b = b[subtle.XORBytes(b, b, h.Sum(nil)):]
	}
}
