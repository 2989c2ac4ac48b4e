package vectors_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/emmansun/gmsm/sm2"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/material"
)

// A signed digest, with the two numbers of its signature as 32 bytes each.
type signed struct{ digest, signature, r, s []byte }

// shape says which of the numbers begin with a set bit, and so have a zero byte before them.
func (s signed) shape() [2]bool { return [2]bool{s.r[0] >= 0x80, s.s[0] >= 0x80} }

// numbers reads a DER signature whose numbers have 32 bytes.
func numbers(digest, signature []byte) (signed, bool) {
	var pair pairRS
	rest, err := asn1.Unmarshal(signature, &pair)
	if err != nil || len(rest) != 0 || pair.R.Sign() <= 0 || pair.S.Sign() <= 0 || (pair.R.BitLen()+7)/8 != 32 || (pair.S.BitLen()+7)/8 != 32 {
		return signed{}, false
	}
	return signed{digest, signature, pair.R.Bytes(), pair.S.Bytes()}, true
}

// genuine answers a signature of the server for each shape that it makes: on secp256k1 S is low.
func genuine(t *testing.T, key remote, a material.Algorithm) map[[2]bool]signed {
	t.Helper()
	byShape, want := map[[2]bool]signed{}, map[bool]int{true: 2, false: 4}[key.spec == material.P256K]
	for n := 0; n < 500 && len(byShape) < want; n++ {
		digest := digestOf(n)
		if s, ok := numbers(digest, key.sign(t, a, digest)); ok {
			byShape[s.shape()] = s
		}
	}
	if len(byShape) != want {
		t.Fatalf("the server's signatures have %d shapes, want %d", len(byShape), want)
	}
	return byShape
}

// ecdsaProbes carries what is wrong with a vector over to a signature of the server: the
// numbers of the valid signature that the vector was made from are replaced, where they
// stand in it, by the server's, of the same shape. Other vectors are sent as they are.
func ecdsaProbes(t *testing.T, key remote, files string) (carried, asIs []probe) {
	t.Helper()
	own := genuine(t, key, material.ECDSASHA256)
	sent := map[string]bool{}
	for _, g := range groups(t, files) {
		var originals []signed
		for _, c := range g.Tests {
			if s, ok := numbers(nil, c.Sig); ok && c.Result == "valid" {
				originals = append(originals, s)
			}
		}
		for _, c := range g.Tests {
			i := slices.IndexFunc(originals, func(o signed) bool {
				_, possible := own[o.shape()]
				return possible && (bytes.Contains(c.Sig, o.r) || bytes.Contains(c.Sig, o.s))
			})
			name := fmt.Sprintf("%s, case %d (%s)", g.Sha, c.ID, c.Comment)
			if i < 0 || strings.Contains(g.Type, "P1363") {
				asIs = append(asIs, key.verifying(name, material.ECDSASHA256, digestOf(0), c.Sig, false))
				continue
			}
			o, s := originals[i], own[originals[i].shape()]
			signature := bytes.ReplaceAll(bytes.ReplaceAll(c.Sig, o.r, s.r), o.s, s.s)
			if !sent[string(signature)] { // many vectors have no flaw but their own key
				carried = append(carried, key.verifying(name, material.ECDSASHA256, s.digest, signature, bytes.Equal(signature, s.signature)))
			}
			sent[string(signature)] = true
		}
	}
	return carried, asIs
}

// order answers the order and the prime of the spec's curve.
func order(spec material.Spec) (n, p *big.Int) {
	switch spec {
	case material.P256K:
		return secp256k1.Params().N, secp256k1.Params().P
	case material.SM2:
		return sm2.P256().Params().N, sm2.P256().Params().P
	default:
		return elliptic.P256().Params().N, elliptic.P256().Params().P
	}
}

// oddPairs replaces r, s or both of genuine signatures by every odd value, and encodes the
// genuine ones in other ways.
func oddPairs(t *testing.T, key remote, a material.Algorithm) (probes []probe) {
	t.Helper()
	n, p := order(key.spec)
	byShape := genuine(t, key, a)
	for _, shape := range [][2]bool{{false, false}, {true, false}} {
		s := byShape[shape]
		r0, s0 := new(big.Int).SetBytes(s.r), new(big.Int).SetBytes(s.s)
		add := func(name string, signature []byte, want bool) {
			probes = append(probes, key.verifying(name, a, s.digest, signature, want))
		}
		odd := func(x *big.Int) []*big.Int {
			values := []*big.Int{new(big.Int).Neg(x), new(big.Int).Add(x, n), new(big.Int).Sub(x, n), new(big.Int).Sub(n, x), new(big.Int).Lsh(x, 8), new(big.Int).Rsh(x, 8),
				new(big.Int).Add(x, p), new(big.Int).Lsh(big.NewInt(1), 256), new(big.Int).Lsh(big.NewInt(1), 2048), new(big.Int).Xor(x, big.NewInt(1))}
			for _, base := range []*big.Int{new(big.Int), n, p, new(big.Int).Neg(n)} {
				for d := int64(-2); d <= 2; d++ {
					values = append(values, new(big.Int).Add(base, big.NewInt(d)))
				}
			}
			return values
		}
		encode := func(r, s *big.Int) []byte {
			der, err := asn1.Marshal(pairRS{r, s})
			if err != nil {
				t.Fatal(err)
			}
			return der
		}
		otherS := new(big.Int).Sub(n, s0)
		for _, x := range odd(r0) {
			add(fmt.Sprintf("r = %x", x), encode(x, s0), false)
			for _, y := range odd(s0) {
				add(fmt.Sprintf("r = %x, s = %x", x, y), encode(x, y), false)
			}
		}
		for _, y := range odd(s0) {
			// (r, n-s) is as valid an ECDSA signature as (r, s); for SM2 it is none.
			add(fmt.Sprintf("s = %x", y), encode(r0, y), a == material.ECDSASHA256 && y.Cmp(otherS) == 0)
		}
		add("genuine", s.signature, true)
		add("swapped", encode(s0, r0), false)
		probes = append(probes, mangled(key, a, s)...)
	}
	return probes
}

// mangled cuts, lengthens and re-encodes a genuine signature.
func mangled(key remote, a material.Algorithm, s signed) (probes []probe) {
	add := func(name string, signature []byte) {
		probes = append(probes, key.verifying(name, a, s.digest, signature, false))
	}
	body := s.signature[2:]
	length := byte(len(body))
	add("raw", slices.Concat(s.r, s.s))
	add("long form of the length", slices.Concat([]byte{0x30, 0x81, length}, body))
	add("longer form of the length", slices.Concat([]byte{0x30, 0x82, 0, length}, body))
	add("indefinite length", slices.Concat([]byte{0x30, 0x80}, body, []byte{0, 0}))
	add("a set", slices.Concat([]byte{0x31, length}, body))
	add("a third number", slices.Concat([]byte{0x30, length + 3}, body, []byte{2, 1, 1}))
	add("twice", slices.Concat(s.signature, s.signature))
	add("a byte after it", append(bytes.Clone(s.signature), 0))
	for i := range s.signature {
		if i > 0 {
			add(fmt.Sprintf("the first %d bytes", i), s.signature[:i])
		}
		flipped := bytes.Clone(s.signature)
		flipped[i] ^= 1
		add(fmt.Sprintf("byte %d changed", i), flipped)
	}
	return probes
}

func rsaPublic(t *testing.T, key remote) *rsa.PublicKey {
	t.Helper()
	public, err := x509.ParsePKIXPublicKey(key.spki)
	if err != nil {
		t.Fatal(err)
	}
	return public.(*rsa.PublicKey)
}

// rsaChanged changes genuine signatures of both kinds.
func rsaChanged(t *testing.T, key remote) (probes []probe) {
	t.Helper()
	n := rsaPublic(t, key).N
	size := n.BitLen() / 8
	kinds := []material.Algorithm{material.PSSSHA256, material.PKCS1SHA256}
	for i, a := range kinds {
		digest := digestOf(i)
		signature := key.sign(t, a, digest)
		add := func(name string, signature []byte, want bool) {
			probes = append(probes, key.verifying(fmt.Sprintf("%s, %s", a, name), a, digest, signature, want))
		}
		add("genuine", signature, true)
		probes = append(probes, key.verifying("as the other kind", kinds[1-i], digest, signature, false), key.verifying("of another digest", a, digestOf(9), signature, false))
		for value, x := range map[string]*big.Int{"0": new(big.Int), "1": big.NewInt(1), "n-1": new(big.Int).Sub(n, big.NewInt(1)), "n": n, "n-s": new(big.Int).Sub(n, new(big.Int).SetBytes(signature))} {
			add(value, x.FillBytes(make([]byte, size)), false)
		}
		add("s+n", new(big.Int).Add(n, new(big.Int).SetBytes(signature)).Bytes(), false)
		add("a zero byte before it", slices.Concat([]byte{0}, signature), false)
		add("a zero byte after it", append(bytes.Clone(signature), 0), false)
		for i := range signature {
			flipped := bytes.Clone(signature)
			flipped[i] ^= 0x80
			add(fmt.Sprintf("byte %d changed", i), flipped, false)
			if i > 0 && i%16 == 0 {
				add(fmt.Sprintf("the first %d bytes", i), signature[:i], false)
			}
		}
	}
	return probes
}

// rsaAsIs sends the signatures of the vectors, which are of other keys.
func rsaAsIs(t *testing.T, key remote) (probes []probe) {
	t.Helper()
	for pattern, a := range map[string]material.Algorithm{"rsa_signature_*": material.PKCS1SHA256, "rsa_pss_*": material.PSSSHA256} {
		for _, g := range groups(t, pattern) {
			if rsaSpec(g.KeySize) != key.spec {
				continue
			}
			for _, c := range g.Tests {
				probes = append(probes, key.verifying(fmt.Sprintf("%s, %s, case %d", pattern, g.Sha, c.ID), a, digestOf(0), c.Sig, false))
			}
		}
	}
	return probes
}

// oaepProbes opens the vectors' ciphertexts with the vectors' keys, without looking at the
// padding, and encrypts what is in them for the server's key. What is no ciphertext under
// the vector's key, or not one under the server's, is sent as it is.
func oaepProbes(t *testing.T, key remote) (probes []probe) {
	t.Helper()
	public := rsaPublic(t, key)
	size := public.Size()
	for _, g := range groups(t, "rsa_oaep_*") {
		if rsaSpec(g.KeySize) != key.spec {
			continue
		}
		parsed, err := x509.ParsePKCS8PrivateKey(g.PrivatePKCS8)
		if err != nil {
			t.Fatal(err)
		}
		private := parsed.(*rsa.PrivateKey)
		for _, c := range g.Tests {
			ciphertext := []byte(c.CT)
			number := new(big.Int).SetBytes(c.CT)
			padded := new(big.Int).Exp(number, private.D, private.N)
			carried := len(c.CT) == size && number.Cmp(private.N) < 0 && padded.Cmp(public.N) < 0
			if carried {
				ciphertext = new(big.Int).Exp(padded, big.NewInt(int64(public.E)), public.N).FillBytes(make([]byte, size))
			}
			for hash, a := range map[string]material.Algorithm{"SHA-1": material.OAEPSHA1, "SHA-256": material.OAEPSHA256} {
				var plaintext []byte
				if carried && c.Result == "valid" && g.Sha == hash && g.MgfSha == hash && len(c.Label) == 0 {
					plaintext = append([]byte{}, c.Msg...)
				}
				probes = append(probes, key.decrypting(fmt.Sprintf("%s with MGF1 of %s, case %d (%s), as %s", g.Sha, g.MgfSha, c.ID, c.Comment, a), a, ciphertext, plaintext))
			}
		}
	}
	return probes
}

// sm2Changed changes genuine ciphertexts.
func sm2Changed(t *testing.T, key remote) (probes []probe) {
	t.Helper()
	plaintext := []byte("encryption standard")
	out, err := key.AsymmetricEncrypt(t.Context(), api.AsymmetricEncryptRequest{Key: key.id, Version: key.version, Algorithm: string(material.SM2PKE), Plaintext: plaintext})
	if err != nil {
		t.Fatal(err)
	}
	c := out.Ciphertext
	c1, c3, c2 := c[:65], c[65:97], c[97:]
	add := func(name string, ciphertext, plaintext []byte) {
		probes = append(probes, key.decrypting(name, material.SM2PKE, ciphertext, plaintext))
	}
	_, p := order(material.SM2)
	add("genuine", c, plaintext)
	add("the old order", slices.Concat(c1, c2, c3), nil)
	add("a compressed point", slices.Concat([]byte{2 | c1[64]&1}, c1[1:33], c3, c2), nil)
	add("a hybrid point", slices.Concat([]byte{6 | c1[64]&1}, c1[1:], c3, c2), nil)
	add("infinity in one byte", slices.Concat([]byte{0}, c3, c2), nil)
	add("infinity in zeros", slices.Concat([]byte{4}, make([]byte, 64), c3, c2), nil)
	add("x = p", slices.Concat([]byte{4}, p.Bytes(), c1[33:], c3, c2), nil)
	add("y = p", slices.Concat(c1[:33], p.Bytes(), c3, c2), nil)
	add("no plaintext", slices.Concat(c1, c3), nil)
	add("a byte after it", append(bytes.Clone(c), 0), nil)
	for i := range c {
		flipped := bytes.Clone(c)
		flipped[i] ^= 1
		add(fmt.Sprintf("byte %d changed", i), flipped, nil)
		if i > 0 {
			add(fmt.Sprintf("the first %d bytes", i), c[:i], nil)
		}
	}
	return probes
}

// blobProbes carries the flaws of GCM vectors over to the tag of a genuine ciphertext, and
// changes it in every byte and length.
func blobProbes(t *testing.T, key remote) (probes []probe) {
	t.Helper()
	plaintext := []byte("attack at dawn")
	out, err := key.Encrypt(t.Context(), api.EncryptRequest{Key: key.id, Plaintext: plaintext})
	if err != nil {
		t.Fatal(err)
	}
	blob := out.Ciphertext
	add := func(name string, ciphertext, plaintext []byte) {
		probes = append(probes, key.opening(name, ciphertext, plaintext))
	}
	add("genuine", blob, plaintext)
	for file, p := range map[string]primitives{"aes_gcm": aesSuite, "aes_gmac": aesSuite, "sm4_gcm": sm4Suite} {
		for _, g := range groups(t, file) {
			for _, c := range g.Tests {
				if g.IVSize != 96 || c.Result != "invalid" {
					continue
				}
				msg, additional := []byte(c.Msg), []byte(c.AAD)
				if file == "aes_gmac" {
					msg, additional = nil, c.Msg
				}
				gcm, err := p.gcm(c.Key)
				if err != nil {
					t.Fatal(err)
				}
				right := gcm.Seal(nil, c.IV, msg, additional)
				flawed := bytes.Clone(blob)
				tag := flawed[len(flawed)-16:]
				subtle.XORBytes(tag, tag, right[len(right)-16:])
				subtle.XORBytes(tag, tag, c.Tag)
				add(fmt.Sprintf("%s, case %d (%s)", file, c.ID, c.Comment), flawed, nil)
			}
		}
	}
	for i := range blob {
		flipped := bytes.Clone(blob)
		flipped[i] ^= 1
		add(fmt.Sprintf("byte %d changed", i), flipped, nil)
		if i > 0 {
			add(fmt.Sprintf("the first %d bytes", i), blob[:i], nil)
		}
	}
	for _, more := range []int{1, 16, 1000} {
		add(fmt.Sprintf("%d bytes after it", more), append(bytes.Clone(blob), make([]byte, more)...), nil)
	}
	return probes
}
