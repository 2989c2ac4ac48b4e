package material

import (
	"crypto/ecdsa"
	"crypto/rand"
	"errors"

	"github.com/emmansun/gmsm/sm2"
)

// sm2Overhead is the point C1 (65 bytes) and the hash C3 (32 bytes) around an SM2PKE plaintext.
const sm2Overhead = 65 + 32

// C1C3C2 is the layout that current standards prescribe; an older one has C2 before C3.
var (
	sm2EncrypterOptions = sm2.NewPlainEncrypterOpts(sm2.MarshalUncompressed, sm2.C1C3C2)
	sm2DecrypterOptions = sm2.NewPlainDecrypterOpts(sm2.C1C3C2)
)

var errSM2Form = errors.New("the ciphertext does not begin with an uncompressed point")

type sm2Private struct{ key *sm2.PrivateKey }

type sm2Public struct{ key *ecdsa.PublicKey }

func generateSM2() (Bytes, []byte, error) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		return Bytes{}, nil, err
	}
	raw, err := key.ECDH() // the way to the key's numbers as bytes
	if err != nil {
		return Bytes{}, nil, err
	}
	return marshalCurve(oidSM2, NewBytes(raw.Bytes()), raw.PublicKey().Bytes())
}

func parseSM2Private(pkcs8 []byte) (privateKey, error) {
	secret, point, err := parseCurvePrivate(oidSM2, pkcs8)
	if err != nil {
		return nil, err
	}
	defer secret.Zero()
	key, err := sm2.NewPrivateKey(secret.Expose()) // refuses what is not in [1, n-2]
	if err != nil {
		return nil, errScalar
	}
	raw, err := key.ECDH()
	if err != nil {
		return nil, err
	}
	return sm2Private{key}, checkPoint(point, raw.PublicKey().Bytes())
}

func parseSM2Public(spki []byte) (publicKey, error) {
	point, err := parseCurvePublic(oidSM2, spki)
	if err != nil {
		return nil, err
	}
	key, err := sm2.NewPublicKey(point) // refuses points off the curve and at infinity
	if err != nil {
		return nil, err
	}
	return sm2Public{key}, nil
}

func (k sm2Private) sign(_ Algorithm, digest []byte) ([]byte, error) {
	return sm2.SignASN1(rand.Reader, k.key, digest, nil) // no options: sign the digest as it is
}

func (k sm2Private) decrypt(_ Algorithm, ciphertext []byte) ([]byte, error) {
	// The library would also take compressed points and ASN.1, and so two
	// ciphertexts for one encryption.
	if len(ciphertext) == 0 || ciphertext[0] != uncompressedPoint {
		return nil, errSM2Form
	}
	return k.key.Decrypt(rand.Reader, ciphertext, sm2DecrypterOptions)
}

func (k sm2Public) verify(_ Algorithm, digest, signature []byte) bool {
	return sm2.VerifyASN1(k.key, digest, signature)
}

// encrypt works around a defect of gmsm v0.44.1: when the mask of a message is zero
// (1 of 256 messages of one byte, ever fewer of longer ones) it tries again with a public
// key that the first attempt has overwritten, and what it answers cannot be decrypted.
// A second attempt shows in the random numbers that it draws; its result is thrown away.
func (k sm2Public) encrypt(_ Algorithm, plaintext []byte) ([]byte, error) {
	const attempts = 100 // one in 256 fails at worst
	for range attempts {
		random := scalarCounter{}
		ciphertext, err := sm2.Encrypt(&random, k.key, plaintext, sm2EncrypterOptions)
		if err != nil || random.scalars == 1 {
			return ciphertext, err
		}
	}
	return nil, errors.New("the library draws its random numbers in a way that is not known here")
}

// A scalarCounter is the operating system's generator; it counts the scalars drawn.
type scalarCounter struct{ scalars int }

// Read implements io.Reader.
func (c *scalarCounter) Read(p []byte) (int, error) {
	if len(p) == sm2ScalarSize {
		c.scalars++
	}
	return rand.Read(p)
}

const sm2ScalarSize = 32 // bytes
