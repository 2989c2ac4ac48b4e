package material_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"slices"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
	"github.com/emmansun/gmsm/smx509"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

type nationalExamples struct {
	Sign struct {
		D, UID, Msg, ZA, E, R, S string
	} `json:"sm2_sign_GBT32918.5"`
	PKE struct {
		D, C1, C3, C2, PT string
	} `json:"sm2_pke_GBT32918.5"`
	SM3 []struct{ Msg, Hash string }
	SM4 struct {
		Key, PT, CT, Million string
	} `json:"sm4_ecb"`
}

func readNationalExamples(t *testing.T) nationalExamples {
	t.Helper()
	content, err := os.ReadFile("testdata/sm-national-examples.json")
	if err != nil {
		t.Fatal(err)
	}
	var examples nationalExamples
	if err := json.Unmarshal(content, &examples); err != nil {
		t.Fatal(err)
	}
	return examples
}

// sm2Pair opens the key of an example through our own parsers.
func sm2Pair(t *testing.T, d string) (*sm2.PrivateKey, *material.Private, *material.Public) {
	t.Helper()
	key, err := sm2.NewPrivateKey(unhex(t, d))
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := smx509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := smx509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := material.OpenPrivate(material.SM2, material.NewBytes(pkcs8))
	if err != nil {
		t.Fatal(err)
	}
	public, err := material.OpenPublic(material.SM2, spki)
	if err != nil {
		t.Fatal(err)
	}
	return key, private, public
}

func TestNationalExampleSM2Signature(t *testing.T) {
	example := readNationalExamples(t).Sign
	key, private, public := sm2Pair(t, example.D)
	za, err := sm2.CalculateZA(&key.PublicKey, []byte(example.UID))
	if err != nil || hex.EncodeToString(za) != example.ZA {
		t.Errorf("Z_A is %x, %v", za, err)
	}
	number := func(s string) *big.Int { return new(big.Int).SetBytes(unhex(t, s)) }
	signature, err := asn1.Marshal(signaturePair{number(example.R), number(example.S)})
	if err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[string]bool{example.UID: true, "another user": false} {
		digest, err := sm2.CalculateSM2Hash(&key.PublicKey, []byte(example.Msg), []byte(uid))
		if err != nil {
			t.Fatal(err)
		}
		if printed := hex.EncodeToString(digest); (printed == example.E) != want {
			t.Errorf("for user %q the digest is %s", uid, printed)
		}
		if got, err := public.Verify(material.SM2DSA, digest, signature); err != nil || got != want {
			t.Errorf("for user %q: %v, %v", uid, got, err)
		}
		own, err := private.Sign(material.SM2DSA, digest)
		if err != nil {
			t.Fatal(err)
		}
		if !sm2.VerifyASN1WithSM2(&key.PublicKey, []byte(uid), []byte(example.Msg), own) {
			t.Errorf("for user %q: our signature is not one of the message", uid)
		}
	}
}

func TestNationalExampleSM2Encryption(t *testing.T) {
	example := readNationalExamples(t).PKE
	_, private, _ := sm2Pair(t, example.D)
	c1, c3, c2 := unhex(t, example.C1), unhex(t, example.C3), unhex(t, example.C2)
	opened, err := private.Decrypt(material.SM2PKE, slices.Concat(c1, c3, c2))
	if err != nil || string(opened.Expose()) != example.PT {
		t.Errorf("opened %q, %v", opened.Expose(), err)
	}
	offCurve := bytes.Clone(c1)
	offCurve[64] ^= 1
	compressed := append([]byte{2 | c1[64]&1}, c1[1:33]...)
	asASN1, err := sm2.PlainCiphertext2ASN1(slices.Concat(c1, c3, c2), sm2.C1C3C2)
	if err != nil {
		t.Fatal(err)
	}
	for what, ciphertext := range map[string][]byte{
		"the old order":         slices.Concat(c1, c2, c3),
		"a point off the curve": slices.Concat(offCurve, c3, c2),
		"a compressed point":    slices.Concat(compressed, c3, c2),
		"ASN.1":                 asASN1,
		"infinity in zeros":     slices.Concat([]byte{4}, make([]byte, 64), c3, c2),
		"infinity in one byte":  slices.Concat([]byte{0}, c3, c2),
		"x beyond the field":    slices.Concat([]byte{4}, bytes.Repeat([]byte{0xFF}, 32), c1[33:], c3, c2),
		"another C3":            slices.Concat(c1, make([]byte, 32), c2),
		"no plaintext":          slices.Concat(c1, c3),
	} {
		if _, err := private.Decrypt(material.SM2PKE, ciphertext); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestNationalExamplesOfTheSuite holds the library that suite 3 is made of.
func TestNationalExamplesOfTheSuite(t *testing.T) {
	examples := readNationalExamples(t)
	messages := map[string]string{"abc": "abc", "abcd x16": string(bytes.Repeat([]byte("abcd"), 16))}
	for _, example := range examples.SM3 {
		sum := sm3.Sum([]byte(messages[example.Msg]))
		if got := hex.EncodeToString(sum[:]); got != example.Hash {
			t.Errorf("SM3 of %s: %s", example.Msg, got)
		}
	}
	block, err := sm4.NewCipher(unhex(t, examples.SM4.Key))
	if err != nil {
		t.Fatal(err)
	}
	text := unhex(t, examples.SM4.PT)
	block.Encrypt(text, text)
	if got := hex.EncodeToString(text); got != examples.SM4.CT {
		t.Errorf("SM4: %s", got)
	}
	for range 1_000_000 - 1 {
		block.Encrypt(text, text)
	}
	if got := hex.EncodeToString(text); got != examples.SM4.Million {
		t.Errorf("SM4, a million times: %s", got)
	}
}

// TestL28SM2InvalidPointsAreRefused offers SM2 keys and ciphertexts whose point is not on
// the curve: infinity, points on no curve, of P-256, of the twist, and coordinates that are
// not reduced. A wrong answer to one of them gives the private key away piece by piece.
func TestL28SM2InvalidPointsAreRefused(t *testing.T) {
	example := readNationalExamples(t).PKE
	_, private, _ := sm2Pair(t, example.D)
	c1, c3, c2 := unhex(t, example.C1), unhex(t, example.C3), unhex(t, example.C2)
	curve := sm2.P256().Params()
	word := func(x *big.Int) []byte { return x.FillBytes(make([]byte, 32)) }
	x, y := new(big.Int).SetBytes(c1[1:33]), new(big.Int).SetBytes(c1[33:])
	points := map[string][]byte{
		"infinity in one byte": {0}, "infinity in zeros": append([]byte{4}, make([]byte, 64)...),
		"P-256's generator": slices.Concat([]byte{4}, elliptic.P256().Params().Gx.Bytes(), elliptic.P256().Params().Gy.Bytes()),
		"y = 0":             slices.Concat([]byte{4}, c1[1:33], make([]byte, 32)),
		"x = 0, y = 1":      slices.Concat([]byte{4}, make([]byte, 63), []byte{1}),
		"x = p":             slices.Concat([]byte{4}, word(curve.P), c1[33:]),
		"y = p":             slices.Concat([]byte{4}, c1[1:33], word(curve.P)),
		"y + 1":             slices.Concat([]byte{4}, c1[1:33], word(new(big.Int).Add(y, big.NewInt(1)))),
		"x and y exchanged": slices.Concat([]byte{4}, c1[33:], c1[1:33]),
	}
	for d := int64(1); d <= 64; d++ {
		points[fmt.Sprintf("x + %d", d)] = slices.Concat([]byte{4}, word(new(big.Int).Add(x, big.NewInt(d))), c1[33:])
	}
	for what, point := range points {
		if _, err := private.Decrypt(material.SM2PKE, slices.Concat(point, c3, c2)); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("a ciphertext with %s: %v", what, err)
		}
		key, err := asn1.Marshal(spkiOf(point))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := material.OpenPublic(material.SM2, key); err == nil {
			t.Errorf("a key with %s is accepted", what)
		}
	}
	key, err := asn1.Marshal(spkiOf(c1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := material.OpenPublic(material.SM2, key); err != nil {
		t.Errorf("the point that the others were made from: %v", err)
	}
}

// sm2SPKI is a public key on the curve of SM2.
type sm2SPKI struct {
	Algorithm []asn1.ObjectIdentifier
	Point     asn1.BitString
}

func spkiOf(point []byte) sm2SPKI {
	return sm2SPKI{
		[]asn1.ObjectIdentifier{{1, 2, 840, 10045, 2, 1}, {1, 2, 156, 10197, 1, 301}},
		asn1.BitString{Bytes: point, BitLength: 8 * len(point)},
	}
}
