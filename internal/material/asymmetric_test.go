package material_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"
	"sync"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/emmansun/gmsm/smx509"
	"github.com/google/go-cmp/cmp"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// A pair is both halves of one key, opened and encoded.
type pair struct {
	private *material.Private
	public  *material.Public
	pkcs8   material.Bytes
	spki    []byte
}

// pairs makes one key of every asymmetric spec for all tests of the package.
var pairs = sync.OnceValues(func() (map[material.Spec]pair, error) {
	all := map[material.Spec]pair{}
	for _, spec := range material.Specs() {
		if !spec.Asymmetric() {
			continue
		}
		var p pair
		var err error
		if p.pkcs8, p.spki, err = material.Generate(spec); err != nil {
			return nil, err
		}
		if p.private, err = material.OpenPrivate(spec, p.pkcs8); err != nil {
			return nil, err
		}
		if p.public, err = material.OpenPublic(spec, p.spki); err != nil {
			return nil, err
		}
		all[spec] = p
	}
	return all, nil
})

func allPairs(t testing.TB) map[material.Spec]pair {
	t.Helper()
	all, err := pairs()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	signing    = []material.Algorithm{material.PSSSHA256, material.PKCS1SHA256, material.ECDSASHA256, material.SM2DSA}
	encryption = []material.Algorithm{material.OAEPSHA256, material.OAEPSHA1, material.SM2PKE}
)

func TestSpecTable(t *testing.T) {
	wantSymmetric := []material.Spec{"Aliyun_AES_256", "Aliyun_AES_192", "Aliyun_AES_128", "Aliyun_SM4"}
	wantAsymmetric := []material.Spec{"RSA_2048", "RSA_3072", "RSA_4096", "EC_P256", "EC_P256K", "EC_SM2"}
	wantMAC := []material.Spec{"HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512", "HMAC_SM3"}
	if diff := cmp.Diff(slices.Concat(wantSymmetric, wantAsymmetric, wantMAC), material.Specs()); diff != "" {
		t.Error(diff)
	}
	for _, spec := range material.Specs() {
		have := []bool{spec.Valid(), spec.Symmetric(), spec.Asymmetric(), spec.MAC()}
		want := []bool{true, slices.Contains(wantSymmetric, spec), slices.Contains(wantAsymmetric, spec), slices.Contains(wantMAC, spec)}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: valid, symmetric, asymmetric, MAC: %s", spec, diff)
		}
	}
	for _, spec := range []material.Spec{"", "aliyun_aes_256", "EC_P384"} {
		if spec.Valid() || spec.Symmetric() || spec.Asymmetric() || spec.MAC() {
			t.Errorf("%q is valid", spec)
		}
	}
	limits := map[material.Spec][3]int{ // OAEP SHA-256, OAEP SHA-1, SM2PKE
		"RSA_2048": {190, 214, 0}, "RSA_3072": {318, 342, 0}, "RSA_4096": {446, 470, 0}, "EC_SM2": {0, 0, 6047},
	}
	for _, spec := range material.Specs() {
		got := [3]int{spec.MaxPlaintext(material.OAEPSHA256), spec.MaxPlaintext(material.OAEPSHA1), spec.MaxPlaintext(material.SM2PKE)}
		if diff := cmp.Diff(limits[spec], got); diff != "" {
			t.Errorf("%s: %s", spec, diff)
		}
	}
}

func TestGenerateSymmetric(t *testing.T) {
	for spec, size := range symmetricSpecs() {
		key, public, err := material.Generate(spec)
		if err != nil || public != nil || key.Len() != size {
			t.Errorf("%s: %d bytes, public %x, %v", spec, key.Len(), public, err)
		}
	}
	if _, _, err := material.Generate("EC_P521"); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("unknown spec: %v", err)
	}
}

func TestSignAndVerify(t *testing.T) {
	digest, other := sha256.Sum256([]byte("message")), sha256.Sum256([]byte("another"))
	for spec, p := range allPairs(t) {
		for _, algorithm := range signing {
			signature, err := p.private.Sign(algorithm, digest[:])
			if !slices.Contains(spec.SigningAlgorithms(), algorithm) {
				_, verifyErr := p.public.Verify(algorithm, digest[:], nil)
				if !fault.Is(err, fault.UnsupportedOperation) || !fault.Is(verifyErr, fault.UnsupportedOperation) {
					t.Errorf("%s with %s: %v, %v", spec, algorithm, err, verifyErr)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s with %s: %v", spec, algorithm, err)
				continue
			}
			verify := func(what string, digest, signature []byte, want bool) {
				t.Helper()
				if got, err := p.public.Verify(algorithm, digest, signature); err != nil || got != want {
					t.Errorf("%s with %s, %s: %v, %v", spec, algorithm, what, got, err)
				}
			}
			verify("the signature", digest[:], signature, true)
			verify("another digest", other[:], signature, false)
			verify("cut", digest[:], signature[:len(signature)-1], false)
			verify("extended", digest[:], append(slices.Clone(signature), 0), false)
			verify("empty", digest[:], nil, false)
			changed := slices.Clone(signature)
			changed[len(changed)-1] ^= 1
			verify("changed", digest[:], changed, false)
			for _, size := range []int{0, 31, 33, 64} {
				_, signErr := p.private.Sign(algorithm, make([]byte, size))
				_, verifyErr := p.public.Verify(algorithm, make([]byte, size), signature)
				if !fault.Is(signErr, fault.InvalidParameter) || !fault.Is(verifyErr, fault.InvalidParameter) {
					t.Errorf("%s with %s, digest of %d bytes: %v, %v", spec, algorithm, size, signErr, verifyErr)
				}
			}
		}
	}
}

func TestEncryptAndDecrypt(t *testing.T) {
	for spec, p := range allPairs(t) {
		for _, algorithm := range encryption {
			if !slices.Contains(spec.EncryptionAlgorithms(), algorithm) {
				_, encryptErr := p.public.Encrypt(algorithm, []byte("x"))
				_, decryptErr := p.private.Decrypt(algorithm, []byte("x"))
				if !fault.Is(encryptErr, fault.UnsupportedOperation) || !fault.Is(decryptErr, fault.UnsupportedOperation) {
					t.Errorf("%s with %s: %v, %v", spec, algorithm, encryptErr, decryptErr)
				}
				continue
			}
			most := spec.MaxPlaintext(algorithm)
			for _, size := range []int{1, most} {
				plaintext := bytes.Repeat([]byte{0x5A}, size)
				sealed, err := p.public.Encrypt(algorithm, plaintext)
				if err != nil {
					t.Errorf("%s with %s, %d bytes: %v", spec, algorithm, size, err)
					continue
				}
				opened, err := p.private.Decrypt(algorithm, sealed)
				if err != nil || !bytes.Equal(opened.Expose(), plaintext) {
					t.Errorf("%s with %s, %d bytes: %v", spec, algorithm, size, err)
				}
				changed := slices.Clone(sealed)
				changed[len(changed)/2] ^= 1
				for what, damaged := range map[string][]byte{
					"changed": changed, "cut": sealed[:len(sealed)-1], "extended": append(slices.Clone(sealed), 0), "empty": nil, "zeros": make([]byte, len(sealed)),
				} {
					if _, err := p.private.Decrypt(algorithm, damaged); !fault.Is(err, fault.InvalidCiphertext) {
						t.Errorf("%s with %s, %s: %v", spec, algorithm, what, err)
					}
				}
			}
			if _, err := p.public.Encrypt(algorithm, make([]byte, most+1)); !fault.Is(err, fault.InvalidParameter) {
				t.Errorf("%s with %s, %d bytes: %v", spec, algorithm, most+1, err)
			}
		}
	}
	if _, err := allPairs(t)[material.SM2].public.Encrypt(material.SM2PKE, nil); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("empty SM2 plaintext: %v", err)
	}
	rsa2048 := allPairs(t)[material.RSA2048]
	sealed, err := rsa2048.public.Encrypt(material.OAEPSHA256, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rsa2048.private.Decrypt(material.OAEPSHA1, sealed); !fault.Is(err, fault.InvalidCiphertext) {
		t.Errorf("OAEP with the other hash: %v", err)
	}
}

// TestEncodingsAreStandard opens our keys with other implementations' parsers and theirs with ours.
func TestEncodingsAreStandard(t *testing.T) {
	for spec, p := range allPairs(t) {
		block, rest := pem.Decode([]byte(p.public.PEM()))
		if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 || !bytes.Equal(block.Bytes, p.spki) {
			t.Errorf("%s: PEM %q", spec, p.public.PEM())
		}
		if spec == material.P256K {
			continue // no other parser knows the curve
		}
		private, err := smx509.ParsePKCS8PrivateKey(p.pkcs8.Expose())
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		public, err := smx509.ParsePKIXPublicKey(p.spki)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		own := private.(crypto.Signer).Public().(interface{ Equal(crypto.PublicKey) bool })
		if !own.Equal(public) {
			t.Errorf("%s: the public half is another key's", spec)
		}
		again, err := smx509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := material.OpenPrivate(spec, material.NewBytes(again)); err != nil {
			t.Errorf("%s encoded by another implementation: %v", spec, err)
		}
		again, err = smx509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.spki, again); diff != "" {
			t.Errorf("%s: %s", spec, diff)
		}
	}
}

func TestOpenRefusesKeysOfAnotherSpec(t *testing.T) {
	all := allPairs(t)
	for spec := range all {
		for other, p := range all {
			if other == spec {
				continue
			}
			if _, err := material.OpenPrivate(spec, p.pkcs8); err == nil {
				t.Errorf("private key of %s opened as %s", other, spec)
			}
			if _, err := material.OpenPublic(spec, p.spki); err == nil {
				t.Errorf("public key of %s opened as %s", other, spec)
			}
		}
	}
	for _, spec := range []material.Spec{material.AES256, material.SM4, "", "EC_P384"} {
		_, privateErr := material.OpenPrivate(spec, material.Random(32))
		_, publicErr := material.OpenPublic(spec, nil)
		if !fault.Is(privateErr, fault.UnsupportedOperation) || !fault.Is(publicErr, fault.UnsupportedOperation) {
			t.Errorf("%q: %v, %v", spec, privateErr, publicErr)
		}
	}
}

func TestOpenRefusesBadPoints(t *testing.T) {
	for spec, p := range allPairs(t) {
		if len(spec.SigningAlgorithms()) != 1 {
			continue // RSA
		}
		prefix := p.spki[:len(p.spki)-65]
		point := p.spki[len(p.spki)-65:]
		offCurve := slices.Clone(point)
		offCurve[64] ^= 1
		for what, bad := range map[string][]byte{
			"off the curve":       offCurve,
			"zeros":               append([]byte{4}, make([]byte, 64)...),
			"hybrid":              append([]byte{6 | point[64]&1}, point[1:]...),
			"coordinate too high": append([]byte{4}, bytes.Repeat([]byte{0xFF}, 64)...),
			"cut":                 point[:64],
		} {
			if _, err := material.OpenPublic(spec, slices.Concat(prefix, bad)); err == nil {
				t.Errorf("%s: a point %s is accepted", spec, what)
			}
		}
		// Infinity, one zero byte, and a compressed point need their own lengths.
		for what, bad := range map[string][]byte{"at infinity": {0}, "compressed": append([]byte{2 | point[64]&1}, point[1:33]...)} {
			if _, err := material.OpenPublic(spec, reencode(t, p.spki, bad)); err == nil {
				t.Errorf("%s: a point %s is accepted", spec, what)
			}
		}
		if _, err := material.OpenPublic(spec, append(slices.Clone(p.spki), 0)); err == nil {
			t.Errorf("%s: trailing bytes are accepted", spec)
		}
	}
}

type spki struct {
	Algorithm asn1.RawValue
	Point     asn1.BitString
}

func reencode(t *testing.T, der, point []byte) []byte {
	t.Helper()
	var key spki
	if _, err := asn1.Unmarshal(der, &key); err != nil {
		t.Fatal(err)
	}
	key.Point = asn1.BitString{Bytes: point, BitLength: 8 * len(point)}
	encoded, err := asn1.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestOpenRefusesBadScalars(t *testing.T) {
	p256kOrder := secp256k1.Params().N
	sm2Order, _ := new(big.Int).SetString("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123", 16)
	for spec, order := range map[material.Spec]*big.Int{material.P256K: p256kOrder, material.SM2: sm2Order} {
		pkcs8 := allPairs(t)[spec].pkcs8.Expose()
		// The scalar follows the inner version: 02 01 01 04 20.
		at := bytes.Index(pkcs8, []byte{2, 1, 1, 4, 32}) + 5
		if at < 5 {
			t.Fatalf("%s: the encoding has another form", spec)
		}
		for what, scalar := range map[string]*big.Int{"zero": new(big.Int), "the order": order, "another key's": big.NewInt(7)} {
			bad := slices.Clone(pkcs8)
			scalar.FillBytes(bad[at : at+32])
			if _, err := material.OpenPrivate(spec, material.NewBytes(bad)); err == nil {
				t.Errorf("%s: %s is accepted as the private number", spec, what)
			}
		}
	}
}

func TestPSSSaltHas32Bytes(t *testing.T) {
	p := allPairs(t)[material.RSA2048]
	parsed, err := x509.ParsePKCS8PrivateKey(p.pkcs8.Expose())
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.(*rsa.PrivateKey)
	digest := sha256.Sum256([]byte("message"))
	signature, err := p.private.Sign(material.PSSSHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: 32}); err != nil {
		t.Errorf("our salt: %v", err)
	}
	for _, salt := range []int{20, 31, 33} {
		signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		if valid, err := p.public.Verify(material.PSSSHA256, digest[:], signature); err != nil || valid {
			t.Errorf("a salt of %d bytes: %v, %v", salt, valid, err)
		}
	}
}

type signaturePair struct{ R, S *big.Int }

func TestSecp256k1EmitsLowSAndAcceptsBoth(t *testing.T) {
	p := allPairs(t)[material.P256K]
	order := secp256k1.Params().N
	half := new(big.Int).Rsh(order, 1)
	for message := range 64 {
		digest := sha256.Sum256([]byte{byte(message)})
		signature, err := p.private.Sign(material.ECDSASHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		var numbers signaturePair
		if rest, err := asn1.Unmarshal(signature, &numbers); err != nil || len(rest) != 0 {
			t.Fatalf("not DER: %v", err)
		}
		if numbers.S.Cmp(half) > 0 {
			t.Fatalf("message %d has a high S", message)
		}
		numbers.S.Sub(order, numbers.S)
		high, err := asn1.Marshal(numbers)
		if err != nil {
			t.Fatal(err)
		}
		if valid, err := p.public.Verify(material.ECDSASHA256, digest[:], high); err != nil || !valid {
			t.Fatalf("message %d with a high S: %v, %v", message, valid, err)
		}
	}
}

func TestP256SignatureIsStandard(t *testing.T) {
	p := allPairs(t)[material.P256]
	parsed, err := x509.ParsePKIXPublicKey(p.spki)
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.(*ecdsa.PublicKey)
	digest := sha256.Sum256([]byte("message"))
	signature, err := p.private.Sign(material.ECDSASHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if key.Curve != elliptic.P256() || !ecdsa.VerifyASN1(key, digest[:], signature) {
		t.Error("the standard library refuses the signature")
	}
}

func TestPrivateZero(t *testing.T) {
	encoded, _, err := material.Generate(material.SM2)
	if err != nil {
		t.Fatal(err)
	}
	key, err := material.OpenPrivate(material.SM2, encoded)
	if err != nil {
		t.Fatal(err)
	}
	digest := make([]byte, 32)
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for range 20 {
				if _, err := key.Sign(material.SM2DSA, digest); err != nil && !fault.Is(err, fault.Unavailable) {
					t.Error(err)
				}
			}
		})
	}
	key.Zero()
	users.Wait()
	if _, err := key.Sign(material.SM2DSA, digest); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Sign: %v", err)
	}
	if _, err := key.Decrypt(material.SM2PKE, nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Decrypt: %v", err)
	}
}

// FuzzOpenKeys holds that no encoding of a key makes a parser panic, and that what
// opens can be used.
func FuzzOpenKeys(f *testing.F) {
	digest := make([]byte, 32)
	for spec, p := range allPairs(f) {
		f.Add(string(spec), p.pkcs8.Expose())
		f.Add(string(spec), p.spki)
	}
	f.Fuzz(func(t *testing.T, name string, der []byte) {
		spec := material.Spec(name)
		if private, err := material.OpenPrivate(spec, material.NewBytes(slices.Clone(der))); err == nil {
			if _, err := private.Sign(spec.SigningAlgorithms()[0], digest); err != nil {
				t.Errorf("an opened private key does not sign: %v", err)
			}
		}
		if public, err := material.OpenPublic(spec, der); err == nil {
			if valid, err := public.Verify(spec.SigningAlgorithms()[0], digest, der); err != nil || valid {
				t.Errorf("an opened public key verifies: %v, %v", valid, err)
			}
		}
	})
}

// FuzzVerify holds that no bytes make a verifier or decrypter panic or succeed.
func FuzzVerify(f *testing.F) {
	all := allPairs(f)
	digest := sha256.Sum256([]byte("fuzz"))
	for spec, p := range all {
		for _, algorithm := range spec.SigningAlgorithms() {
			other := sha256.Sum256([]byte("another"))
			signature, err := p.private.Sign(algorithm, other[:])
			if err != nil {
				f.Fatal(err)
			}
			f.Add(signature)
		}
	}
	f.Add([]byte{0x30, 0x06, 2, 1, 0, 2, 1, 0})
	f.Add([]byte{0x04})
	f.Fuzz(func(t *testing.T, input []byte) {
		for spec, p := range all {
			if spec == material.RSA3072 || spec == material.RSA4096 {
				continue // as RSA_2048, only slower
			}
			for _, algorithm := range spec.SigningAlgorithms() {
				if valid, err := p.public.Verify(algorithm, digest[:], input); err != nil || valid {
					t.Errorf("%s: %v, %v", algorithm, valid, err)
				}
			}
			for _, algorithm := range spec.EncryptionAlgorithms() {
				if _, err := p.private.Decrypt(algorithm, input); !fault.Is(err, fault.InvalidCiphertext) {
					t.Errorf("%s: %v", algorithm, err)
				}
			}
		}
	})
}

// A library that retries with a spoilt public key makes one of 256 ciphertexts of a
// single byte undecryptable.
func TestShortSM2PlaintextsAlwaysDecrypt(t *testing.T) {
	private, spki, err := material.Generate(material.SM2)
	if err != nil {
		t.Fatal(err)
	}
	opener, err := material.OpenPrivate(material.SM2, private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := material.OpenPublic(material.SM2, spki)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		ciphertext, err := public.Encrypt(material.SM2PKE, []byte{byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		plaintext, err := opener.Decrypt(material.SM2PKE, ciphertext)
		if err != nil || plaintext.Len() != 1 || plaintext.Expose()[0] != byte(i) {
			t.Fatalf("ciphertext %d of one byte does not decrypt: %v", i, err)
		}
	}
}
