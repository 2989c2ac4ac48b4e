package material_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
	"github.com/google/go-cmp/cmp"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// vectorsFile is public: it lets a stranger check an implementation of the format.
var vectorsFile = filepath.Join("..", "..", "docs", "design", "ciphertext-vectors.json")

// A vector is one ciphertext with every value on the way to it, in hexadecimal.
type vector struct {
	Name       string            `json:"name"`
	Spec       material.Spec     `json:"spec"`
	Key        string            `json:"key"`
	KeyID      string            `json:"keyId"`
	VersionID  string            `json:"versionId"`
	Context    map[string]string `json:"context"`
	Additional string            `json:"contextEncoding"`
	Plaintext  string            `json:"plaintext"`
	Salt       string            `json:"salt"`
	Derived    string            `json:"derived"` // Kenc ‖ Kcom
	Nonce      string            `json:"nonce"`
	Ciphertext string            `json:"ciphertext"`
}

// A refusal is a change of the first vector's ciphertext that must not open.
type refusal struct {
	Name       string `json:"name"`
	Ciphertext string `json:"ciphertext"`
}

type vectors struct {
	Comment string    `json:"comment"`
	Valid   []vector  `json:"valid"`
	Invalid []refusal `json:"invalid"`
}

// primitives answers what a suite is made of, from the libraries' plain functions.
func primitives(t *testing.T, suite byte, key, info []byte) (derived []byte, gcm cipher.AEAD) {
	t.Helper()
	newHash := func() hash.Hash { return sha256.New() }
	if suite == 3 {
		newHash = sm3.New
	}
	derived, err := hkdf.Expand(newHash, key, string(info), 64)
	if err != nil {
		t.Fatal(err)
	}
	var block cipher.Block
	if suite == 3 {
		block, err = sm4.NewCipher(derived[:16])
	} else {
		block, err = aes.NewCipher(derived[:32])
	}
	if err != nil {
		t.Fatal(err)
	}
	if gcm, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	return derived, gcm
}

// reference computes the ciphertext as docs/design/ciphertext.md says, independently
// of the package under test, and fills in what lies on the way.
func reference(t *testing.T, v vector) vector {
	t.Helper()
	suite := byte(1)
	if v.Spec == material.SM4 {
		suite = 3
	}
	head := slices.Concat([]byte{'K', 'C', 1, suite}, unhex(t, v.KeyID), unhex(t, v.VersionID), unhex(t, v.Salt))
	derived, gcm := primitives(t, suite, unhex(t, v.Key), append([]byte("kms/enc/v1"), head...))
	head = append(head, derived[32:]...)

	var fields []string
	for _, name := range slices.Sorted(maps.Keys(v.Context)) {
		fields = append(fields, name, v.Context[name])
	}
	encoding := material.Binding(fields...)
	sealed := gcm.Seal(nil, unhex(t, v.Nonce), unhex(t, v.Plaintext), slices.Concat(head, encoding))

	v.Additional, v.Derived = hex.EncodeToString(encoding), hex.EncodeToString(derived)
	v.Ciphertext = hex.EncodeToString(slices.Concat(head, unhex(t, v.Nonce), sealed))
	return v
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// counting answers n bytes in hexadecimal that count up from first.
func counting(first byte, n int) string { return hex.EncodeToString(fakeKey(first, n).Expose()) }

func makeVectors(t *testing.T) vectors {
	t.Helper()
	base := vector{
		KeyID: counting(0xA0, 16), VersionID: counting(0xB0, 16), Salt: counting(0xC0, 32), Nonce: counting(0xE0, 12),
		Plaintext: hex.EncodeToString([]byte("attack at dawn")),
	}
	all := vectors{Comment: "Public test vectors for ciphertext.md; bytes in hexadecimal. Each ciphertext under invalid is a change of the first valid one and must be refused."}
	add := func(name string, spec material.Spec, size int, context map[string]string, plaintext string) {
		v := base
		v.Name, v.Spec, v.Key, v.Context, v.Plaintext = name, spec, counting(0x10, size), context, hex.EncodeToString([]byte(plaintext))
		all.Valid = append(all.Valid, reference(t, v))
	}
	pairs := map[string]string{"b": "2", "a": "1", "部门": "财务", "empty": ""}
	add("suite 1, 256-bit key, no context", material.AES256, 32, map[string]string{}, "attack at dawn")
	add("suite 1, 192-bit key, context", material.AES192, 24, pairs, "attack at dawn")
	add("suite 1, 128-bit key, empty plaintext", material.AES128, 16, pairs, "")
	add("suite 3, no context", material.SM4, 16, map[string]string{}, "attack at dawn")
	add("suite 3, context, two blocks and a byte", material.SM4, 16, pairs, "0123456789abcdef0123456789abcdef0")

	original := unhex(t, all.Valid[0].Ciphertext)
	change := func(name string, offset int) {
		changed := bytes.Clone(original)
		changed[offset] ^= 1
		all.Invalid = append(all.Invalid, refusal{name, hex.EncodeToString(changed)})
	}
	for i, name := range []string{"magic", "magic, second byte", "format version", "suite", "key id"} {
		change(name+" changed", i)
	}
	change("key version id changed", 20)
	change("salt changed", 36)
	change("commitment changed", 68)
	change("nonce changed", 100)
	change("ciphertext changed", 112)
	change("tag changed", len(original)-1)
	all.Invalid = append(all.Invalid,
		refusal{"last byte missing", hex.EncodeToString(original[:len(original)-1])},
		refusal{"trailing byte", hex.EncodeToString(append(bytes.Clone(original), 0))},
		refusal{"commitment missing", hex.EncodeToString(slices.Concat(original[:68], original[100:]))},
		refusal{"commitment of another key", hex.EncodeToString(recommitted(t, all.Valid[0]))})
	return all
}

// recommitted carries, under a valid tag, the commitment of another key: what a
// decryptor that only checks the tag would accept.
func recommitted(t *testing.T, v vector) []byte {
	t.Helper()
	head := unhex(t, v.Ciphertext)[:68]
	info := append([]byte("kms/enc/v1"), head...)
	_, gcm := primitives(t, 1, unhex(t, v.Key), info)
	other, _ := primitives(t, 1, unhex(t, counting(0x50, 32)), info)
	head = slices.Concat(head, other[32:])
	return slices.Concat(head, unhex(t, v.Nonce), gcm.Seal(nil, unhex(t, v.Nonce), unhex(t, v.Plaintext), head))
}

func TestPublicVectors(t *testing.T) {
	computed := makeVectors(t)
	if *update {
		content, err := json.MarshalIndent(computed, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorsFile, append(content, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var published vectors
	if err := json.Unmarshal(content, &published); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(published, computed); diff != "" {
		t.Errorf("the published vectors are not what the document says: %s", diff)
	}
	for _, v := range published.Valid {
		opened, err := vectorCipher(t, v, v.Key).Open(unhex(t, v.Ciphertext), v.Context)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if got := hex.EncodeToString(opened.Expose()); got != v.Plaintext {
			t.Errorf("%s: opened %s, want %s", v.Name, got, v.Plaintext)
		}
	}
	first := published.Valid[0]
	for _, r := range published.Invalid {
		if _, err := vectorCipher(t, first, first.Key).Open(unhex(t, r.Ciphertext), first.Context); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
}

func vectorCipher(t *testing.T, v vector, key string) *material.Cipher {
	t.Helper()
	c, err := material.NewCipher(v.Spec, material.NewBytes(unhex(t, key)), [16]byte(unhex(t, v.KeyID)), [16]byte(unhex(t, v.VersionID)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestL21TwoKeyCiphertextIsRefused builds ciphertexts whose GCM part is valid under the
// message keys of two different keys, which plain GCM allows. The commitment must leave
// each of them valid under one key only.
func TestL21TwoKeyCiphertextIsRefused(t *testing.T) {
	for suite, v := range map[byte]vector{1: {Spec: material.AES256}, 3: {Spec: material.SM4}} {
		v.KeyID, v.VersionID = counting(0xA0, 16), counting(0xB0, 16)
		size := map[byte]int{1: 32, 3: 16}[suite]
		keys := []string{counting(0x10, size), counting(0x50, size)}
		for committed, other := range []int{1, 0} {
			crafted := twoKeyCiphertext(t, suite, v, [2]string{keys[committed], keys[other]})
			if _, err := vectorCipher(t, v, keys[committed]).Open(crafted, nil); err != nil {
				t.Errorf("%s, under the committed key %d: %v", v.Spec, committed, err)
			}
			if _, err := vectorCipher(t, v, keys[other]).Open(crafted, nil); !fault.Is(err, fault.InvalidCiphertext) {
				t.Errorf("%s, under the other key %d: %v", v.Spec, other, err)
			}
		}
	}
}

// twoKeyCiphertext commits to the first key and is, but for that, valid under both.
func twoKeyCiphertext(t *testing.T, suite byte, v vector, keys [2]string) []byte {
	t.Helper()
	salt, nonce := unhex(t, counting(0xC0, 32)), unhex(t, counting(0xE0, 12))
	prefix := slices.Concat([]byte{'K', 'C', 1, suite}, unhex(t, v.KeyID), unhex(t, v.VersionID), salt)
	info := append([]byte("kms/enc/v1"), prefix...)

	var gcms [2]cipher.AEAD
	var blocks [2]cipher.Block
	var commitments [2][]byte
	for i, key := range keys {
		derived, gcm := primitives(t, suite, unhex(t, key), info)
		var err error
		if suite == 3 {
			blocks[i], err = sm4.NewCipher(derived[:16])
		} else {
			blocks[i], err = aes.NewCipher(derived[:32])
		}
		if err != nil {
			t.Fatal(err)
		}
		gcms[i], commitments[i] = gcm, derived[32:]
	}
	head := slices.Concat(prefix, commitments[0])
	body := collide(blocks, head, nonce)
	for i, gcm := range gcms {
		if _, err := gcm.Open(nil, nonce, body, head); err != nil {
			t.Fatalf("the construction is wrong: plain GCM refuses key %d: %v", i, err)
		}
	}
	return slices.Concat(head, nonce, body)
}

// collide answers two blocks and a tag that both ciphers authenticate. The tag is
// GHASH(head, c1, c2) + E(J0), linear in c2 with the factor H²; equating the tags
// of both ciphers gives c2 = (difference of the rest) / (H₁² + H₂²).
func collide(blocks [2]cipher.Block, head, nonce []byte) []byte {
	c1 := bytes.Repeat([]byte{0x42}, 16)
	tag := func(block cipher.Block, c2 *big.Int) (tag, square *big.Int) {
		h, mask := make([]byte, 16), make([]byte, 16)
		block.Encrypt(h, h)
		block.Encrypt(mask, slices.Concat(nonce, []byte{0, 0, 0, 1}))
		padded := append(bytes.Clone(head), make([]byte, (16-len(head)%16)%16)...)
		lengths := new(big.Int).Lsh(big.NewInt(int64(len(head)*8)), 64)
		lengths.Or(lengths, big.NewInt(32*8))
		factor, sum := element(h), new(big.Int)
		for _, word := range slices.Collect(slices.Chunk(append(padded, c1...), 16)) {
			sum = multiply(sum.Xor(sum, element(word)), factor)
		}
		sum = multiply(sum.Xor(sum, c2), factor)
		sum = multiply(sum.Xor(sum, element(lengths.FillBytes(make([]byte, 16)))), factor)
		return sum.Xor(sum, element(mask)), multiply(factor, factor)
	}
	t1, s1 := tag(blocks[0], new(big.Int))
	t2, s2 := tag(blocks[1], new(big.Int))
	c2 := multiply(new(big.Int).Xor(t1, t2), invert(new(big.Int).Xor(s1, s2)))
	final, _ := tag(blocks[0], c2)
	return slices.Concat(c1, word(c2), word(final))
}

// element reads a block as GCM does, lowest power first, into a polynomial with bit i for x^i.
func element(block []byte) *big.Int {
	e := new(big.Int)
	for i := range 128 {
		e.SetBit(e, i, uint(block[i/8]>>(7-i%8)&1))
	}
	return e
}

// word is the inverse of element.
func word(e *big.Int) []byte {
	block := make([]byte, 16)
	for i := range 128 {
		block[i/8] |= byte(e.Bit(i)) << (7 - i%8)
	}
	return block
}

// multiply multiplies modulo x^128 + x^7 + x^2 + x + 1.
func multiply(a, b *big.Int) *big.Int {
	modulus := new(big.Int).SetBit(big.NewInt(0x87), 128, 1)
	product := new(big.Int)
	for i := 127; i >= 0; i-- {
		product.Lsh(product, 1)
		if product.Bit(128) == 1 {
			product.Xor(product, modulus)
		}
		if a.Bit(i) == 1 {
			product.Xor(product, b)
		}
	}
	return product
}

// invert raises to the power 2^128 - 2.
func invert(a *big.Int) *big.Int {
	result, square := big.NewInt(1), a
	for range 127 {
		square = multiply(square, square)
		result = multiply(result, square)
	}
	return result
}
