package material_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

func detachedCipher(t testing.TB, fill byte, id, version byte) *material.Cipher {
	t.Helper()
	c, err := material.NewCipher(material.AES256, material.NewBytes(bytes.Repeat([]byte{fill}, 32)), [16]byte{id}, [16]byte{version})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A message is what docs/design/ciphertext.md says, read here by the libraries' plain functions.
func TestDetachedIsAsSpecified(t *testing.T) {
	c := detachedCipher(t, 7, 1, 2)
	d, err := c.SealDetached([]byte("plaintext"), []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	version := append([]byte{2}, make([]byte, 15)...)
	info := slices.Concat([]byte("kms/enc/v1KX\x01\x01\x01"), make([]byte, 15), version, d.IV)
	okm, err := hkdf.Expand(sha256.New, bytes.Repeat([]byte{7}, 32), string(info), 64)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(okm[:32])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	metadata := append([]byte{1}, version...)
	aad := slices.Concat([]byte{0, 4}, []byte("data"), []byte{17}, metadata)
	plain, err := gcm.Open(nil, make([]byte, 12), append(d.Ciphertext, d.Tag...), aad)
	if err != nil || string(plain) != "plaintext" || !bytes.Equal(d.Metadata, metadata) || len(d.Ciphertext) != len(plain) {
		t.Errorf("%q, %v: %+v", plain, err, d)
	}
}

// What was changed anywhere, or is another key's or version's, does not open.
func TestDetachedOpensOnlyItself(t *testing.T) {
	c := detachedCipher(t, 7, 1, 2)
	d, err := c.SealDetached([]byte("plaintext"), []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := c.OpenDetached(d, []byte("data"))
	if err != nil || string(plain.Expose()) != "plaintext" {
		t.Fatalf("%q, %v", plain.Expose(), err)
	}
	for name, open := range map[string]func(material.Detached) error{
		"other data": func(d material.Detached) error { _, err := c.OpenDetached(d, []byte("date")); return err },
		"no data":    func(d material.Detached) error { _, err := c.OpenDetached(d, nil); return err },
		"large data": func(d material.Detached) error { _, err := c.OpenDetached(d, make([]byte, 8193)); return err },
		"another key": func(d material.Detached) error {
			_, err := detachedCipher(t, 8, 1, 2).OpenDetached(d, []byte("data"))
			return err
		},
		"another id": func(d material.Detached) error {
			_, err := detachedCipher(t, 7, 9, 2).OpenDetached(d, []byte("data"))
			return err
		},
		"another version": func(d material.Detached) error {
			_, err := detachedCipher(t, 7, 1, 3).OpenDetached(d, []byte("data"))
			return err
		},
	} {
		if err := open(d); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, part := range map[string]func(*material.Detached) *[]byte{
		"metadata": func(d *material.Detached) *[]byte { return &d.Metadata }, "iv": func(d *material.Detached) *[]byte { return &d.IV },
		"ciphertext": func(d *material.Detached) *[]byte { return &d.Ciphertext }, "tag": func(d *material.Detached) *[]byte { return &d.Tag },
	} {
		whole := *part(&d)
		for i := range whole {
			changed := d
			*part(&changed) = slices.Clone(whole)
			(*part(&changed))[i] ^= 1
			if _, err := c.OpenDetached(changed, []byte("data")); !fault.Is(err, fault.InvalidCiphertext) {
				t.Errorf("byte %d of the %s: %v", i, name, err)
			}
		}
		for _, cut := range [][]byte{nil, whole[1:], append(slices.Clone(whole), 0)} {
			changed := d
			*part(&changed) = cut
			if _, err := c.OpenDetached(changed, []byte("data")); !fault.Is(err, fault.InvalidCiphertext) {
				t.Errorf("%d bytes of %s: %v", len(cut), name, err)
			}
		}
	}
	if _, err := c.SealDetached(nil, make([]byte, 8193)); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("large data is sealed: %v", err)
	}
}

func FuzzOpenDetached(f *testing.F) {
	c := detachedCipher(f, 7, 1, 2)
	d, err := c.SealDetached([]byte("plaintext"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(d.Metadata, d.IV, d.Ciphertext, []byte{}, []byte("other"))
	f.Fuzz(func(t *testing.T, metadata, iv, ciphertext, tag, data []byte) {
		if _, err := c.OpenDetached(material.Detached{Metadata: metadata, IV: iv, Ciphertext: ciphertext, Tag: tag}, data); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("have %v", err)
		}
	})
}
