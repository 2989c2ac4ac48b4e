package material

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
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
