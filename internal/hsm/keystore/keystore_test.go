package keystore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/hsm/hsmtest"
	"github.com/keyward/keyward/internal/hsm/keystore"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
)

// A world is a keystore on a token, and the rows that a store would have.
type world struct {
	*keystore.Keystore
	token *hsmtest.World
	now   time.Time
	rows  map[key.VersionID]key.Version
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{token: hsmtest.Start(t), now: time.Unix(1_700_000_000, 0), rows: map[key.VersionID]key.Version{}}
	w.Keystore = keystore.New(keystore.Options{
		Client: w.token.Client(), Now: func() time.Time { return w.now },
		Stored: func(_ context.Context, _ string, _ key.ID, id key.VersionID) (key.Version, error) {
			v, ok := w.rows[id]
			if !ok {
				return v, fault.KeyVersionNotFound.New("there is no such version")
			}
			return v, nil
		},
	})
	return w
}

func newKey(spec material.Spec, usage key.Usage) key.Key {
	return key.Key{Account: "1", ID: key.NewID(), Spec: spec, Usage: usage, Origin: key.OriginKMS, ProtectionLevel: key.LevelHSM}
}

// version generates a version of a key and stores its row.
func (w *world) version(t *testing.T, k key.Key) key.Version {
	t.Helper()
	v := key.Version{Account: k.Account, Key: k.ID, ID: key.NewVersionID()}
	if err := w.Generate(t.Context(), k, &v); err != nil {
		t.Fatal(err)
	}
	w.rows[v.ID] = v
	return v
}

func (w *world) open(t *testing.T, k key.Key, v key.Version) key.Material {
	t.Helper()
	m, err := w.Open(t.Context(), k, v)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSymmetricKey(t *testing.T) {
	w, ctx := start(t), t.Context()
	k := newKey(material.AES256, key.EncryptDecrypt)
	first, second := w.version(t, k), w.version(t, k)
	c, other := w.open(t, k, first).Cipher, w.open(t, k, second).Cipher
	of := material.Context{"app": "billing", "large": strings.Repeat("x", 8000)}
	for _, size := range []int{0, 1, key.MaxPlaintext} {
		plaintext := bytes.Repeat([]byte{9}, size)
		blob, err := c.Seal(ctx, plaintext, of)
		if err != nil {
			t.Fatal(err)
		}
		h, err := material.ParseHeader(blob)
		if id, _ := k.ID.Bytes(); err != nil || h.Suite != material.SuiteToken || h.Key != id {
			t.Errorf("the header is %+v, %v", h, err)
		}
		got, err := c.Open(ctx, blob, of)
		if err != nil || !bytes.Equal(got.Expose(), plaintext) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, err := c.Open(ctx, blob, material.Context{"app": "other"}); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("another context: %v", err)
		}
		if _, err := other.Open(ctx, blob, of); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("another version: %v", err)
		}
		step := max(1, len(blob)/40)
		for n := 0; n < len(blob); n += step {
			altered := bytes.Clone(blob)
			altered[n] ^= 1
			if _, err := c.Open(ctx, altered, of); !fault.Is(err, fault.InvalidCiphertext) {
				t.Errorf("byte %d altered: %v", n, err)
			}
			if _, err := c.Open(ctx, blob[:n], of); !fault.Is(err, fault.InvalidCiphertext) {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
		if _, err := c.Open(ctx, append(bytes.Clone(blob), make([]byte, 40_000)...), of); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("extended beyond a frame: %v", err)
		}
	}
}

func TestAsymmetricKeys(t *testing.T) {
	w, ctx := start(t), t.Context()
	digest := sha256.Sum256([]byte("a message"))
	for _, spec := range []material.Spec{material.RSA2048, material.P256, material.P256K} {
		k := newKey(spec, key.SignVerify)
		m := w.open(t, k, w.version(t, k))
		for _, a := range spec.SigningAlgorithms() {
			signature, err := m.Private.Sign(ctx, a, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			if valid, err := m.Public.Verify(a, digest[:], signature); err != nil || !valid {
				t.Errorf("%s: %v, %v", a, valid, err)
			}
		}
		if _, err := m.Private.Sign(ctx, material.SM2DSA, digest[:]); !fault.Is(err, fault.UnsupportedOperation) {
			t.Errorf("another algorithm: %v", err)
		}
		if _, err := m.Private.Sign(ctx, spec.SigningAlgorithms()[0], digest[:31]); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("a short digest: %v", err)
		}
	}
	k := newKey(material.RSA2048, key.EncryptDecrypt)
	m := w.open(t, k, w.version(t, k))
	for _, a := range k.Spec.EncryptionAlgorithms() {
		ciphertext, err := m.Public.Encrypt(a, []byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Private.Decrypt(ctx, a, ciphertext)
		if err != nil || string(got.Expose()) != "hello" {
			t.Errorf("%s: %v", a, err)
		}
		if _, err := m.Private.Decrypt(ctx, a, ciphertext[1:]); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("%s, cut: %v", a, err)
		}
	}
	if _, err := m.Private.Decrypt(ctx, material.SM2PKE, nil); !fault.Is(err, fault.UnsupportedOperation) {
		t.Errorf("another algorithm: %v", err)
	}
}

func TestOffers(t *testing.T) {
	w, ctx := start(t), t.Context()
	if err := w.Offers(ctx, newKey(material.P256, key.SignVerify)); err != nil {
		t.Error(err)
	}
	if err := w.Offers(ctx, newKey(material.SM2, key.SignVerify)); !fault.Is(err, fault.UnsupportedOperation) || !strings.Contains(fault.Message(err), "PKCS#11") {
		t.Errorf("SM2: %v", err)
	}
	imported := newKey(material.AES256, key.EncryptDecrypt)
	imported.Origin = "EXTERNAL"
	if err := w.Offers(ctx, imported); !fault.Is(err, fault.UnsupportedOperation) {
		t.Errorf("an imported key: %v", err)
	}
	w.token.Kill()
	if err := w.Offers(ctx, newKey(material.P256, key.SignVerify)); !fault.Is(err, fault.KeyUnavailable) {
		t.Errorf("without a helper: %v", err)
	}
	v := key.Version{ID: key.NewVersionID()}
	if err := w.Generate(ctx, newKey(material.P256, key.SignVerify), &v); !fault.Is(err, fault.KeyUnavailable) {
		t.Errorf("generating without a helper: %v", err)
	}
}

// A destroyed key is gone from the token with all its versions, and others stay.
func TestDestroy(t *testing.T) {
	w, ctx := start(t), t.Context()
	k, stays := newKey(material.AES256, key.EncryptDecrypt), newKey(material.AES256, key.EncryptDecrypt)
	first, second, other := w.version(t, k), w.version(t, k), w.version(t, stays)
	for range 2 { // it may be called again
		if err := w.Destroy(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []key.Version{first, second} {
		if _, err := w.Open(ctx, k, v); !fault.Is(err, fault.KeyUnavailable) || !errors.Is(err, hsm.ErrMissing) {
			t.Errorf("a destroyed version: %v", err)
		}
	}
	w.open(t, stays, other)
}

// Of two keys whose objects were exchanged in the token, neither opens.
func TestExchangedKeys(t *testing.T) {
	w, ctx := start(t), t.Context()
	for _, k := range []key.Key{newKey(material.AES256, key.EncryptDecrypt), newKey(material.P256, key.SignVerify), newKey(material.RSA2048, key.EncryptDecrypt)} {
		v := w.version(t, k)
		client := w.token.Client()
		id, _ := v.ID.Bytes()
		o := hsm.Object{Label: "keyward/" + string(k.ID), ID: id[:], Spec: k.Spec}
		if err := client.Destroy(ctx, o.Label, o.ID); err != nil {
			t.Fatal(err)
		}
		purpose := map[key.Usage]string{key.SignVerify: hsm.ForSigning, key.EncryptDecrypt: hsm.ForDecryption}[k.Usage]
		if k.Spec.Symmetric() {
			purpose = ""
		}
		if _, err := client.Generate(ctx, o, purpose); err != nil { // a key of the token, of the right name, but another one
			t.Fatal(err)
		}
		if _, err := w.Open(ctx, k, v); !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "not the one") {
			t.Errorf("%s: %v", k.Spec, err)
		}
	}
}

// A key that is exchanged after it was opened is not used either: nothing is encrypted with
// it, and what it does not decrypt is not called a bad ciphertext.
func TestExchangedWhileOpen(t *testing.T) {
	w, ctx := start(t), t.Context()
	client := w.token.Client()
	exchange := func(k key.Key, v key.Version, purpose string) {
		t.Helper()
		id, _ := v.ID.Bytes()
		o := hsm.Object{Label: "keyward/" + string(k.ID), ID: id[:], Spec: k.Spec}
		if err := client.Destroy(ctx, o.Label, o.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Generate(ctx, o, purpose); err != nil {
			t.Fatal(err)
		}
	}
	exchanged := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "not the one") {
			t.Errorf("%s: %v", what, err)
		}
	}

	k := newKey(material.AES256, key.EncryptDecrypt)
	v := w.version(t, k)
	c := w.open(t, k, v).Cipher
	blob, err := c.Seal(ctx, []byte("before"), nil)
	if err != nil {
		t.Fatal(err)
	}
	exchange(k, v, "")
	_, err = c.Seal(ctx, []byte("after"), nil)
	exchanged("encrypting", err)
	_, err = c.Open(ctx, blob, nil)
	exchanged("decrypting", err)

	pair := newKey(material.RSA2048, key.EncryptDecrypt)
	v = w.version(t, pair)
	m := w.open(t, pair, v)
	sealed, err := m.Public.Encrypt(material.OAEPSHA256, []byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	exchange(pair, v, hsm.ForDecryption)
	_, err = m.Private.Decrypt(ctx, material.OAEPSHA256, sealed)
	exchanged("decrypting with a private key", err)

	signer := newKey(material.P256, key.SignVerify)
	v = w.version(t, signer)
	m = w.open(t, signer, v)
	exchange(signer, v, hsm.ForSigning)
	_, err = m.Private.Sign(ctx, material.ECDSASHA256, make([]byte, 32))
	exchanged("signing", err)
}

// A key pair with a usage beside its first does both in the token.
func TestAdditionalUsages(t *testing.T) {
	w, ctx := start(t), t.Context()
	k := newKey(material.RSA2048, key.SignVerify)
	k.More = []key.Usage{key.EncryptDecrypt}
	pair := w.open(t, k, w.version(t, k))
	if _, err := pair.Private.Sign(ctx, material.PSSSHA256, make([]byte, 32)); err != nil {
		t.Errorf("signing: %v", err)
	}
	sealed, err := pair.Public.Encrypt(material.OAEPSHA256, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := pair.Private.Decrypt(ctx, material.OAEPSHA256, sealed); err != nil || string(plain.Expose()) != "hello" {
		t.Errorf("it decrypts to %q: %v", plain.Expose(), err)
	}
}

// What was generated for a row that never came is destroyed, and what has a row is not.
func TestSweep(t *testing.T) {
	w, ctx := start(t), t.Context()
	k := newKey(material.AES256, key.EncryptDecrypt)
	kept, orphan := w.version(t, k), w.version(t, k)
	delete(w.rows, orphan.ID)
	w.Sweep(ctx) // too early
	w.open(t, k, orphan)
	w.now = w.now.Add(10 * time.Minute)
	w.token.Kill()
	w.Sweep(ctx) // the token is away: later
	w.token.Run()
	w.token.Await(hsm.Ready)
	w.open(t, k, orphan)
	w.Sweep(ctx)
	if _, err := w.Open(ctx, k, orphan); !errors.Is(err, hsm.ErrMissing) {
		t.Errorf("the orphan: %v", err)
	}
	w.open(t, k, kept)
}

// The token goes while versions are open, and they work when it is back.
func TestTokenReturns(t *testing.T) {
	w, ctx := start(t), t.Context()
	k := newKey(material.AES256, key.EncryptDecrypt)
	c := w.open(t, k, w.version(t, k)).Cipher
	blob, err := c.Seal(ctx, []byte("before"), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := w.token.TokenDir()
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	w.token.Await(hsm.Searching)
	if _, err := c.Seal(ctx, []byte("x"), nil); !fault.Is(err, fault.KeyUnavailable) {
		t.Errorf("without the token: %v", err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	w.token.Await(hsm.Ready)
	if got, err := c.Open(ctx, blob, nil); err != nil || string(got.Expose()) != "before" {
		t.Errorf("with the token again: %v", err)
	}
}
