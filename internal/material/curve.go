package material

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	k1ecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

var errSignsOnly = errors.New("the key only signs")

// signsOnly is the encryption of the curves that have none; the table of specs never lets a call come here.
type signsOnly struct{}

func (signsOnly) decrypt(Algorithm, []byte) ([]byte, error) { return nil, errSignsOnly }
func (signsOnly) encrypt(Algorithm, []byte) ([]byte, error) { return nil, errSignsOnly }

type p256Private struct {
	signsOnly
	key *ecdsa.PrivateKey
}

type p256Public struct {
	signsOnly
	key *ecdsa.PublicKey
}

func generateP256() (Bytes, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Bytes{}, nil, err
	}
	return marshalStandard(key, key.Public())
}

func parseP256Private(pkcs8 []byte) (privateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errOtherKind
	}
	return p256Private{key: key}, nil
}

func parseP256Public(spki []byte) (publicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errOtherKind
	}
	return p256Public{key: key}, nil
}

func (k p256Private) sign(_ Algorithm, digest []byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, k.key, digest)
}

func (k p256Public) verify(_ Algorithm, digest, signature []byte) bool {
	return ecdsa.VerifyASN1(k.key, digest, signature)
}

type p256kPrivate struct {
	signsOnly
	key *secp256k1.PrivateKey
}

type p256kPublic struct {
	signsOnly
	key *secp256k1.PublicKey
}

func generateP256K() (Bytes, []byte, error) {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return Bytes{}, nil, err
	}
	defer key.Zero()
	return marshalCurve(oidP256K, NewBytes(key.Serialize()), key.PubKey().SerializeUncompressed())
}

func parseP256KPrivate(pkcs8 []byte) (privateKey, error) {
	secret, point, err := parseCurvePrivate(oidP256K, pkcs8)
	if err != nil {
		return nil, err
	}
	defer secret.Zero()
	var scalar secp256k1.ModNScalar
	if overflow := scalar.SetByteSlice(secret.Expose()); overflow || scalar.IsZero() {
		return nil, errScalar
	}
	key := secp256k1.NewPrivateKey(&scalar)
	return p256kPrivate{key: key}, checkPoint(point, key.PubKey().SerializeUncompressed())
}

func parseP256KPublic(spki []byte) (publicKey, error) {
	point, err := parseCurvePublic(oidP256K, spki)
	if err != nil {
		return nil, err
	}
	key, err := secp256k1.ParsePubKey(point) // refuses points off the curve; infinity has no such encoding
	if err != nil {
		return nil, err
	}
	return p256kPublic{key: key}, nil
}

func (k p256kPrivate) sign(_ Algorithm, digest []byte) ([]byte, error) {
	return k1ecdsa.Sign(k.key, digest).Serialize(), nil
}

func (k p256kPublic) verify(_ Algorithm, digest, signature []byte) bool {
	parsed, err := k1ecdsa.ParseDERSignature(signature)
	return err == nil && parsed.Verify(digest, k.key)
}

// PKCS#8 (RFC 5208), ECPrivateKey (RFC 5915) and SubjectPublicKeyInfo (RFC 5480)
// for the two curves that package x509 does not know. Both are named curves of 256
// bits; only the object identifier differs.

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidP256K       = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
	oidSM2         = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}
)

var (
	errScalar = errors.New("the private number is out of range")
	errPoint  = errors.New("the public point does not belong to the private number")
)

const (
	scalarSize        = 32
	pointSize         = 65
	uncompressedPoint = 0x04
)

type curveAlgorithm struct {
	Algorithm asn1.ObjectIdentifier
	Curve     asn1.ObjectIdentifier
}

type curvePKCS8 struct {
	Version    int
	Algorithm  curveAlgorithm
	PrivateKey []byte
}

type curveSecret struct {
	Version int
	Secret  []byte
	Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	Point   asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

type curveSPKI struct {
	Algorithm curveAlgorithm
	Point     asn1.BitString
}

// marshalCurve encodes a key pair and erases secret.
func marshalCurve(curve asn1.ObjectIdentifier, secret Bytes, point []byte) (Bytes, []byte, error) {
	defer secret.Zero()
	bits := asn1.BitString{Bytes: point, BitLength: 8 * len(point)}
	algorithm := curveAlgorithm{Algorithm: oidECPublicKey, Curve: curve}
	inner, err := asn1.Marshal(curveSecret{Version: 1, Secret: secret.Expose(), Point: bits})
	if err != nil {
		return Bytes{}, nil, err
	}
	defer clear(inner)
	pkcs8, err := asn1.Marshal(curvePKCS8{Algorithm: algorithm, PrivateKey: inner})
	if err != nil {
		return Bytes{}, nil, err
	}
	spki, err := asn1.Marshal(curveSPKI{Algorithm: algorithm, Point: bits})
	if err != nil {
		return Bytes{}, nil, err
	}
	return NewBytes(pkcs8), spki, nil
}

// parseCurvePrivate answers the private number, of 32 bytes, and the public point
// if the encoding has one. Neither is checked against the curve.
func parseCurvePrivate(curve asn1.ObjectIdentifier, der []byte) (secret Bytes, point []byte, err error) {
	var outer curvePKCS8
	if err := unmarshalExactly(der, &outer); err != nil {
		return Bytes{}, nil, err
	}
	defer clear(outer.PrivateKey)
	var inner curveSecret
	if err := unmarshalExactly(outer.PrivateKey, &inner); err != nil {
		return Bytes{}, nil, err
	}
	secret = NewBytes(inner.Secret)
	otherCurve := inner.Curve != nil && !inner.Curve.Equal(curve)
	if otherCurve || !outer.Algorithm.is(curve) {
		secret.Zero()
		return Bytes{}, nil, errOtherKind
	}
	if secret.Len() != scalarSize {
		secret.Zero()
		return Bytes{}, nil, errScalar
	}
	return secret, bytes.Clone(inner.Point.RightAlign()), nil // the original is in outer.PrivateKey
}

// parseCurvePublic answers the public point, uncompressed, of 65 bytes. It is not checked against the curve.
func parseCurvePublic(curve asn1.ObjectIdentifier, der []byte) ([]byte, error) {
	var spki curveSPKI
	if err := unmarshalExactly(der, &spki); err != nil {
		return nil, err
	}
	if !spki.Algorithm.is(curve) {
		return nil, errOtherKind
	}
	point := spki.Point.RightAlign()
	if len(point) != pointSize || point[0] != uncompressedPoint {
		return nil, errors.New("the public point is not in uncompressed form")
	}
	return point, nil
}

// checkPoint holds the point that an encoding carried, if any, against the real one.
func checkPoint(encoded, actual []byte) error {
	if len(encoded) != 0 && !bytes.Equal(encoded, actual) {
		return errPoint
	}
	return nil
}

func (a curveAlgorithm) is(curve asn1.ObjectIdentifier) bool {
	return a.Algorithm.Equal(oidECPublicKey) && a.Curve.Equal(curve)
}

func unmarshalExactly(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return errors.New("there are bytes after the encoded key")
	}
	return nil
}
