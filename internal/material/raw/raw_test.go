package raw_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"math/big"
	"testing"

	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/raw"
)

func TestOpenOAEP(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	bare := func(ciphertext []byte) []byte { // as a token does with CKM_RSA_X_509
		return new(big.Int).Exp(new(big.Int).SetBytes(ciphertext), key.D, key.N).FillBytes(make([]byte, key.Size()))
	}
	for a, h := range map[material.Algorithm]hash.Hash{material.OAEPSHA256: sha256.New(), material.OAEPSHA1: sha1.New()} {
		for size := range material.RSA2048.MaxPlaintext(a) + 1 {
			plaintext := bytes.Repeat([]byte{byte(size % 3)}, size) // zeros and ones, too
			ciphertext, err := rsa.EncryptOAEP(h, rand.Reader, &key.PublicKey, plaintext, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := raw.OpenOAEP(a, bare(ciphertext)); err != nil || !bytes.Equal(got.Expose(), plaintext) {
				t.Fatalf("%s, %d bytes: %v", a, size, err)
			}
			if size%40 != 0 {
				continue
			}
			for n := range 1 + 2*h.Size() + 1 {
				block := bare(ciphertext)
				block[n] ^= 0x10
				if _, err := raw.OpenOAEP(a, block); err == nil {
					t.Errorf("%s: byte %d altered: not detected", a, n)
				}
			}
		}
	}
	for _, block := range [][]byte{nil, make([]byte, 10), make([]byte, 256)} {
		if _, err := raw.OpenOAEP(material.OAEPSHA256, block); err == nil {
			t.Errorf("a block of %d zeros is accepted", len(block))
		}
	}
}

func FuzzOpenOAEP(f *testing.F) {
	f.Add(make([]byte, 256))
	f.Fuzz(func(_ *testing.T, block []byte) {
		_, _ = raw.OpenOAEP(material.OAEPSHA256, block) // it must only not panic
	})
}

func TestCurves(t *testing.T) {
	for _, spec := range []material.Spec{material.P256, material.P256K} {
		_, spki, err := material.Generate(spec)
		if err != nil {
			t.Fatal(err)
		}
		point := spki[len(spki)-65:]
		if got, err := raw.CurvePublicKey(spec, point); err != nil || !bytes.Equal(got, spki) {
			t.Errorf("%s: %x, %v", spec, got, err)
		}
		point = bytes.Clone(point)
		point[64] ^= 1
		if _, err := raw.CurvePublicKey(spec, point); err == nil {
			t.Errorf("%s: a point that is not on the curve is accepted", spec)
		}
	}
	if _, err := raw.CurvePublicKey(material.SM2, nil); err == nil {
		t.Error("a point on another curve is accepted")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := raw.CurveSignature(material.P256, append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], der) {
		t.Errorf("the signature: %v", err)
	}
	if _, err := raw.CurveSignature(material.P256, make([]byte, 63)); err == nil {
		t.Error("a short signature is accepted")
	}
}

func TestRSAPublicKey(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := raw.RSAPublicKey(key.N.Bytes(), []byte{1, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := material.OpenPublic(material.RSA2048, spki); err != nil {
		t.Error(err)
	}
	if _, err := raw.RSAPublicKey(key.N.Bytes(), bytes.Repeat([]byte{1}, 9)); err == nil {
		t.Error("a huge exponent is accepted")
	}
}
