package material

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"
)

// errOtherKind reports a well-formed key that is not of the spec asked for.
var errOtherKind = errors.New("the encoded key is of another kind")

// pssOptions names the salt length explicitly: 0 would mean "any" to the library.
var pssOptions = rsa.PSSOptions{SaltLength: digestSize, Hash: crypto.SHA256}

type rsaPrivate struct{ key *rsa.PrivateKey }

type rsaPublic struct{ key *rsa.PublicKey }

func generateRSA(bits int) (Bytes, []byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return Bytes{}, nil, err
	}
	return marshalStandard(key, key.Public())
}

// marshalStandard encodes a key pair of a kind that package x509 knows.
func marshalStandard(private, public any) (Bytes, []byte, error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Bytes{}, nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Bytes{}, nil, err
	}
	return NewBytes(pkcs8), spki, nil
}

func parseRSAPrivate(bits int, pkcs8 []byte) (privateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errOtherKind
	}
	return rsaPrivate{key}, checkModulus(&key.PublicKey, bits)
}

func parseRSAPublic(bits int, spki []byte) (publicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errOtherKind
	}
	return rsaPublic{key}, checkModulus(key, bits)
}

func checkModulus(key *rsa.PublicKey, bits int) error {
	if key.N.BitLen() != bits {
		return fmt.Errorf("the modulus has %d bits instead of %d", key.N.BitLen(), bits)
	}
	return nil
}

func (k rsaPrivate) sign(a Algorithm, digest []byte) ([]byte, error) {
	if a == PSSSHA256 {
		return rsa.SignPSS(rand.Reader, k.key, crypto.SHA256, digest, &pssOptions)
	}
	return rsa.SignPKCS1v15(rand.Reader, k.key, crypto.SHA256, digest)
}

func (k rsaPrivate) decrypt(a Algorithm, ciphertext []byte) ([]byte, error) {
	return rsa.DecryptOAEP(oaepHash(a), rand.Reader, k.key, ciphertext, nil)
}

func (k rsaPublic) verify(a Algorithm, digest, signature []byte) bool {
	if a == PSSSHA256 {
		return rsa.VerifyPSS(k.key, crypto.SHA256, digest, signature, &pssOptions) == nil
	}
	return rsa.VerifyPKCS1v15(k.key, crypto.SHA256, digest, signature) == nil
}

func (k rsaPublic) encrypt(a Algorithm, plaintext []byte) ([]byte, error) {
	return rsa.EncryptOAEP(oaepHash(a), rand.Reader, k.key, plaintext, nil)
}

// oaepHash answers the hash for both the label and MGF1.
func oaepHash(a Algorithm) hash.Hash {
	if a == OAEPSHA1 {
		return sha1.New() // OAEP does not need collision resistance; existing clients ask for it
	}
	return sha256.New()
}
