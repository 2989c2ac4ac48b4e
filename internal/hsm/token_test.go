package hsm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/hsm/hsmtest"
	"github.com/keyward/keyward/internal/material"
)

func object(label string, spec material.Spec) hsm.Object {
	id := make([]byte, 16)
	rand.Read(id)
	return hsm.Object{Label: label, ID: id, Spec: spec}
}

// What SoftHSM offers, and why not what it does not.
func TestOffers(t *testing.T) {
	t.Parallel()
	s := hsmtest.Start(t).Await(hsm.Ready)
	for _, spec := range material.Specs() {
		reason := s.Reason(spec)
		if no := spec == material.SM4 || spec == material.SM2 || spec.MAC(); no != (reason.String() != "") || no && reason.Chinese() == reason.String() {
			t.Errorf("%s: %q, %q", spec, reason, reason.Chinese())
		}
	}
}

func TestSymmetricKeys(t *testing.T) {
	t.Parallel()
	w := hsmtest.Start(t)
	c, ctx := w.Client(), t.Context()
	for _, spec := range []material.Spec{material.AES256, material.AES192, material.AES128} {
		o := object("keyward/test "+string(spec), spec)
		if _, err := c.Generate(ctx, o, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Generate(ctx, o, ""); !errors.Is(err, hsm.ErrUnsupported) {
			t.Errorf("a second key of the name: %v", err)
		}
		for _, size := range []int{0, 1, 6144} {
			plaintext, additional := bytes.Repeat([]byte{7}, size), []byte("header and context")
			iv, ciphertext, err := c.Encrypt(ctx, o, plaintext, additional)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Decrypt(ctx, o, iv, ciphertext, additional)
			if err != nil || !bytes.Equal(got.Expose(), plaintext) {
				t.Errorf("%s, %d bytes: %v", spec, size, err)
			}
			for what, wrong := range map[string]func() (material.Bytes, error){
				"additional": func() (material.Bytes, error) { return c.Decrypt(ctx, o, iv, ciphertext, []byte("other")) },
				"iv": func() (material.Bytes, error) {
					return c.Decrypt(ctx, o, make([]byte, len(iv)), ciphertext, additional)
				},
				"length": func() (material.Bytes, error) { return c.Decrypt(ctx, o, iv, ciphertext[1:], additional) },
				"no tag": func() (material.Bytes, error) { return c.Decrypt(ctx, o, iv, ciphertext[:10], additional) },
			} {
				if b, err := wrong(); !errors.Is(err, hsm.ErrInvalid) || b.Len() > 0 {
					t.Errorf("another %s: %v", what, err)
				}
			}
		}
		if err := c.Destroy(ctx, o.Label, o.ID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Encrypt(ctx, o, nil, nil); !errors.Is(err, hsm.ErrMissing) {
			t.Errorf("a destroyed key: %v", err)
		}
	}
}

func TestAsymmetricKeys(t *testing.T) {
	t.Parallel()
	w := hsmtest.Start(t)
	c, ctx := w.Client(), t.Context()
	digest := sha256.Sum256([]byte("a message"))
	for _, spec := range []material.Spec{material.RSA2048, material.RSA3072, material.RSA4096, material.P256, material.P256K} {
		o := object("keyward/sign", spec)
		spki, err := c.Generate(ctx, o, hsm.ForSigning)
		if err != nil {
			t.Fatal(err)
		}
		public, err := material.OpenPublic(spec, spki)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range spec.SigningAlgorithms() {
			for range 4 { // an s on secp256k1 is high every second time
				signature, err := c.Sign(ctx, o, a, digest[:])
				if err != nil {
					t.Fatalf("%s %s: %v", spec, a, err)
				}
				if ok, err := public.Verify(a, digest[:], signature); err != nil || !ok {
					t.Errorf("%s %s: valid %v, %v", spec, a, ok, err)
				}
			}
		}
		if _, err := c.Unwrap(ctx, o, material.OAEPSHA256, make([]byte, 256)); err == nil {
			t.Errorf("%s: a key for signing decrypted", spec)
		}
		if spec != material.RSA2048 { // larger ones decrypt as well, and take long to generate
			continue
		}
		d := object("keyward/decrypt", spec)
		if spki, err = c.Generate(ctx, d, hsm.ForDecryption); err != nil {
			t.Fatal(err)
		}
		if public, err = material.OpenPublic(spec, spki); err != nil {
			t.Fatal(err)
		}
		for _, a := range spec.EncryptionAlgorithms() {
			for _, plaintext := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte{1}, spec.MaxPlaintext(a))} {
				ciphertext, err := public.Encrypt(a, plaintext)
				if err != nil {
					t.Fatal(err)
				}
				got, err := c.Unwrap(ctx, d, a, ciphertext)
				if err != nil || !bytes.Equal(got.Expose(), plaintext) {
					t.Errorf("%s %s, %d bytes: %v", spec, a, len(plaintext), err)
				}
				ciphertext[len(ciphertext)-1] ^= 1
				if _, err := c.Unwrap(ctx, d, a, ciphertext); !errors.Is(err, hsm.ErrInvalid) {
					t.Errorf("%s %s, altered: %v", spec, a, err)
				}
			}
		}
		if _, err := c.Sign(ctx, d, material.PSSSHA256, digest[:]); err == nil {
			t.Errorf("%s: a key for decryption signed", spec)
		}
	}
	if _, err := c.Generate(ctx, object("keyward/sm2", material.SM2), hsm.ForSigning); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("SM2: %v", err)
	}
}

// A key that somebody else put there under the right name is not used.
func TestPlantedKeys(t *testing.T) {
	t.Parallel()
	w := hsmtest.Start(t)
	c, ctx := w.Client(), t.Context()
	w.Tool("pkcs11-tool", "--module", w.Module, "--token-label", hsmtest.Label, "--login", "--pin", hsmtest.PIN,
		"--keygen", "--key-type", "AES:32", "--label", "keyward/planted", "--id", strings.Repeat("61", 16), "--extractable")
	o := hsm.Object{Label: "keyward/planted", ID: []byte(strings.Repeat("a", 16)), Spec: material.AES256}
	if _, _, err := c.Encrypt(ctx, o, []byte("x"), nil); !errors.Is(err, hsm.ErrUntrusted) {
		t.Errorf("an extractable key: %v", err)
	}
	if _, err := c.Generate(ctx, o, ""); !errors.Is(err, hsm.ErrUntrusted) {
		t.Errorf("generating in its place: %v", err)
	}
}

// Nothing of a key ever leaves the token in the clear or wrapped.
func TestKeysStay(t *testing.T) {
	t.Parallel()
	w := hsmtest.Start(t)
	o := object("keyward/stays", material.P256)
	if _, err := w.Client().Generate(t.Context(), o, hsm.ForSigning); err != nil {
		t.Fatal(err)
	}
	out := w.Tool("pkcs11-tool", "--module", w.Module, "--token-label", hsmtest.Label, "--login", "--pin", hsmtest.PIN, "--list-objects")
	if !strings.Contains(out, "sensitive, always sensitive, never extractable, local") || strings.Contains(out, "Public Key Object") {
		t.Errorf("the token has:\n%s", out)
	}
}

func TestHelperIsKilled(t *testing.T) {
	t.Parallel()
	w := hsmtest.Start(t)
	c, ctx := w.Client(), t.Context()
	o := object("keyward/kill", material.AES256)
	if _, err := c.Generate(ctx, o, ""); err != nil {
		t.Fatal(err)
	}
	iv, ciphertext, err := c.Encrypt(ctx, o, []byte("before"), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Kill()
	if _, _, err := c.Encrypt(ctx, o, []byte("x"), nil); !errors.Is(err, hsm.ErrAway) {
		t.Errorf("without a helper: %v", err)
	}
	w.Run()
	w.Await(hsm.Ready)
	got, err := c.Decrypt(ctx, o, iv, ciphertext, nil) // the same client, on a connection that died
	if err != nil || string(got.Expose()) != "before" {
		t.Errorf("after the kill: %v", err)
	}
}

func TestTokenGoesAndComesBack(t *testing.T) {
	t.Parallel()
	w := hsmtest.Start(t)
	c, ctx := w.Client(), t.Context()
	o := object("keyward/return", material.AES256)
	if _, err := c.Generate(ctx, o, ""); err != nil {
		t.Fatal(err)
	}
	iv, ciphertext, err := c.Encrypt(ctx, o, []byte("before"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(w.TokenDir(), w.TokenDir()+".away"); err != nil {
		t.Fatal(err)
	}
	s := w.Await(hsm.Searching)
	t.Log(s.Detail)
	if _, _, err := c.Encrypt(ctx, o, []byte("x"), nil); !errors.Is(err, hsm.ErrAway) {
		t.Errorf("without a token: %v", err)
	}
	if err := os.Rename(w.TokenDir()+".away", w.TokenDir()); err != nil {
		t.Fatal(err)
	}
	if s := w.Await(hsm.Ready); s.Lost != 1 {
		t.Errorf("lost %d times", s.Lost)
	}
	got, err := c.Decrypt(ctx, o, iv, ciphertext, nil)
	if err != nil || string(got.Expose()) != "before" {
		t.Errorf("after the return: %v", err)
	}
}

// Of two tokens of one label none is used, until the serial number tells which.
func TestTwoTokensOfOneLabel(t *testing.T) {
	t.Parallel()
	w := hsmtest.Start(t)
	serial := w.Await(hsm.Ready).Serial
	w.Kill()
	w.InitToken(hsmtest.Label)
	for _, x := range []struct{ serial, english, chinese string }{
		{"", "name the serial number", "请同时指定序列号"},
		{"none", "has the serial number none", "序列号为 none"},
	} {
		w.Run("--serial", x.serial)
		s := w.Await(hsm.Searching)
		for strings.Contains(s.Detail, "being connected") { // it has only begun
			s = w.Await(hsm.Searching)
		}
		if !strings.Contains(s.Detail, x.english) || !strings.Contains(s.DetailZh, x.chinese) {
			t.Errorf("with the serial number %q: %s, %s", x.serial, s.Detail, s.DetailZh)
		}
		w.Kill()
	}
	away := w.Client().Standing(t.Context())
	if away.State != hsm.Away || !strings.Contains(away.DetailZh, "keyward-pkcs11 是否在运行") {
		t.Errorf("without a helper: %+v", away)
	}
	w.Run("--serial", serial)
	w.Await(hsm.Ready)
}

// A wrong PIN is tried once, also over restarts, and the right one ends that.
func TestWrongPIN(t *testing.T) {
	t.Parallel()
	w := hsmtest.New(t)
	w.SetPIN("wrong-pin")
	w.Run()
	s := w.Await(hsm.Refused)
	if !strings.Contains(s.Detail, "tried once") || !strings.Contains(s.DetailZh, "不会再试") {
		t.Errorf("it says: %s, %s", s.Detail, s.DetailZh)
	}
	for range 2 {
		w.Kill()
		w.Run()
		w.Await(hsm.Refused)
	}
	if n := w.Logged("not logged in", "tried once"); n != 3 {
		t.Errorf("said %d times by 3 helpers", n)
	}
	if strings.Contains(w.Log(), "wrong-pin") {
		t.Error("the PIN is in the log")
	}
	w.SetPIN(hsmtest.PIN)
	w.Await(hsm.Ready)
	if _, err := os.Stat(w.Socket + ".pin"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the marker stays: %v", err)
	}
}

func TestSlowTokenHasTimeOuts(t *testing.T) {
	t.Parallel()
	w := hsmtest.Start(t)
	c := w.Client()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Generate(ctx, object("keyward/slow", material.RSA4096), hsm.ForSigning); !errors.Is(err, hsm.ErrAway) {
		t.Errorf("an RSA key within a millisecond: %v", err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}
