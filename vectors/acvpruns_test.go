package vectors_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/keyward/keyward/internal/material"
)

var errDiffers = errors.New("what comes out is not what is expected")

func equal(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return errDiffers
	}
	return nil
}

// judge compares an answer with whether the case passes; a case that does not say passes.
func judge(a answer, want acvpCase) error {
	if a.wrong != "" {
		return errors.New(a.wrong)
	}
	if a.accepted != (want.Passed == nil || *want.Passed) {
		return fmt.Errorf("keyward accepts it: %v", a.accepted)
	}
	return nil
}

func acvpGCM(g acvpGroup, c acvpCase, _ acvpGroup, want acvpCase) (string, error) {
	if g.TagLength != 128 {
		return "keyward's GCM tags have 128 bits", nil
	}
	m := message{prefix: []byte("acvp"), nonce: c.IV, plaintext: c.PT, additional: c.AAD}
	ciphertext := slices.Concat(want.CT, want.Tag)
	if g.Direction == "decrypt" {
		m.plaintext, ciphertext = want.PT, slices.Concat(c.CT, c.Tag)
	}
	if want.Passed != nil { // it must not open: encrypting the ciphertext once more decrypts it
		gcm, err := aesSuite.gcm(c.Key)
		if err != nil {
			return "", err
		}
		m.plaintext = gcm.Seal(nil, c.IV, c.CT, nil)[:len(c.CT)]
	}
	a, err := aesSuite.open(c.Key, m, ciphertext)
	if err != nil {
		return "", err
	}
	return "", judge(a, want)
}

func acvpHMAC(_ acvpGroup, c acvpCase, _ acvpGroup, want acvpCase) (string, error) {
	if len(c.Key) >= 16 && len(c.Key) <= 64 {
		if err := aesSuite.derives(c.Key, c.Msg); err != nil {
			return "", err
		}
	}
	mac := hmac.New(sha256.New, c.Key)
	mac.Write(c.Msg)
	return "", equal(mac.Sum(nil)[:len(want.MAC)], want.MAC)
}

// acvpSHA256 runs single messages and the Monte Carlo test: 100 times 1,000 digests, each
// of the three before it.
func acvpSHA256(g acvpGroup, c acvpCase, _ acvpGroup, want acvpCase) (string, error) {
	if g.Type == "AFT" {
		return "", equal(digests["SHA-256"](c.Msg[:c.Len/8]), want.MD)
	}
	seed := []byte(c.Msg)
	for _, result := range want.Results {
		last := [3][]byte{seed, seed, seed}
		for range 1000 {
			next := digests["SHA-256"](slices.Concat(last[0], last[1], last[2]))
			last = [3][]byte{last[1], last[2], next}
		}
		if seed = last[2]; !bytes.Equal(seed, result.MD) {
			return "", errDiffers
		}
	}
	if len(want.Results) != 100 {
		return "", fmt.Errorf("%d results are expected", len(want.Results))
	}
	return "", nil
}

// acvpDigests has the hashes of at least 256 bits by the names that ACVP gives them.
var acvpDigests = map[string]func([]byte) []byte{
	"SHA2-256": digests["SHA-256"], "SHA2-512": digests["SHA-512"], "SHA3-256": digests["SHA3-256"], "SHA3-512": digests["SHA3-512"],
	"SHA2-384":     func(m []byte) []byte { d := sha512.Sum384(m); return d[:32] },
	"SHA2-512/256": func(m []byte) []byte { d := sha512.Sum512_256(m); return d[:] },
	"SHA3-384":     func(m []byte) []byte { d := sha3.Sum384(m); return d[:32] },
}

// acvpECDSA runs checks of keys, of signatures, and of deterministic signatures, which
// keyward does not make but must accept.
func acvpECDSA(g acvpGroup, c acvpCase, wantGroup acvpGroup, want acvpCase) (string, error) {
	if g.Curve != "P-256" {
		return "keyward offers no keys on this curve", nil
	}
	x, y := c.QX, c.QY
	if len(wantGroup.QX) > 0 {
		x, y = wantGroup.QX, wantGroup.QY
	}
	point := append([]byte{4}, slices.Concat(make([]byte, 32-len(x)), x, make([]byte, 32-len(y)), y)...)
	spki, err := pointSPKI(point)
	if err != nil {
		return "", err
	}
	public, err := material.OpenPublic(material.P256, spki)
	if g.Hash == "" {
		return "", judge(answer{accepted: err == nil}, want)
	}
	if err != nil {
		return "", err
	}
	digest := acvpDigests[g.Hash]
	if digest == nil {
		return "keyward signs digests of 256 bits, or the first 256 bits of longer ones", nil
	}
	pair := pairRS{new(big.Int).SetBytes(c.R), new(big.Int).SetBytes(c.S)}
	if len(c.R) == 0 {
		pair = pairRS{new(big.Int).SetBytes(want.R), new(big.Int).SetBytes(want.S)}
	}
	signature, err := asn1.Marshal(pair)
	if err != nil {
		return "", err
	}
	return "", judge(verify(public, material.ECDSASHA256, digest(c.Message), signature), want)
}

func acvpRSA(g acvpGroup, c acvpCase, _ acvpGroup, want acvpCase) (string, error) {
	if g.Hash != "SHA2-256" {
		return otherHash, nil
	}
	algorithm := material.PKCS1SHA256
	if g.Signature == "pss" {
		algorithm = material.PSSSHA256
	}
	e := int(new(big.Int).SetBytes(g.E).Int64())
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(g.N), E: e})
	if err != nil {
		return "", err
	}
	public, err := material.OpenPublic(rsaSpec(g.Modulus), spki)
	if err != nil {
		return "", err
	}
	return "", judge(verify(public, algorithm, digests["SHA-256"](c.Message), c.Signature), want)
}

func acvpOAEP(g acvpGroup, c acvpCase, _ acvpGroup, want acvpCase) (string, error) {
	if g.Role != "responder" {
		return "the case needs a key of the other side, which draws random numbers", nil
	}
	if g.KTS.Hash != "SHA2-256" {
		return "keyward's OAEP has SHA-256 or SHA-1", nil
	}
	number := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: number(c.N), E: int(number(c.E).Int64())},
		D:         number(c.D), Primes: []*big.Int{number(c.P), number(c.Q)},
	}
	key.Precompute()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	private, err := material.OpenPrivate(material.RSA2048, material.NewBytes(pkcs8))
	if err != nil {
		return "", err
	}
	plaintext, err := private.Decrypt(material.OAEPSHA256, c.C)
	if err != nil {
		return "", err
	}
	return "", equal(plaintext.Expose(), want.DKM)
}
