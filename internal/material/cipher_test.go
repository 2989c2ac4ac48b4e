package material_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files that are missing and the public vectors")

var (
	testKey     = [16]byte{0xA0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	testVersion = [16]byte{0xB0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
)

// fakeKey answers n bytes that are obviously no real key.
func fakeKey(first byte, n int) material.Bytes {
	key := make([]byte, n)
	for i := range key {
		key[i] = first + byte(i)
	}
	return material.NewBytes(key)
}

func symmetricSpecs() map[material.Spec]int {
	return map[material.Spec]int{material.AES256: 32, material.AES192: 24, material.AES128: 16, material.SM4: 16}
}

func newCipher(t testing.TB, spec material.Spec, key material.Bytes) *material.Cipher {
	t.Helper()
	c, err := material.NewCipher(spec, key, testKey, testVersion)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCipherRoundTrip(t *testing.T) {
	for spec, size := range symmetricSpecs() {
		c := newCipher(t, spec, material.Random(size))
		rapid.Check(t, func(t *rapid.T) {
			plaintext := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "plaintext")
			ctx := material.Context(rapid.MapOfN(rapid.String(), rapid.String(), 0, 4).Draw(t, "context"))
			sealed, err := c.Seal(plaintext, ctx)
			if err != nil {
				t.Fatal(err)
			}
			if want := len(plaintext) + 128; len(sealed) != want {
				t.Fatalf("%d bytes, want %d", len(sealed), want)
			}
			header, err := material.ParseHeader(sealed)
			if err != nil || header.Key != testKey || header.Version != testVersion {
				t.Fatalf("header %x, %v", header, err)
			}
			opened, err := c.Open(sealed, ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(opened.Expose(), plaintext) {
				t.Fatalf("opened %x, want %x", opened.Expose(), plaintext)
			}

			other := rapid.MapOfN(rapid.String(), rapid.String(), 0, 4).Draw(t, "other context")
			if cmp.Equal(other, map[string]string(ctx)) {
				return
			}
			if _, err := c.Open(sealed, other); !fault.Is(err, fault.InvalidCiphertext) {
				t.Fatalf("another context: %v", err)
			}
		})
	}
}

func TestCipherRefusesEveryChange(t *testing.T) {
	ctx := material.Context{"a": "b", "c": "d"}
	for spec, size := range symmetricSpecs() {
		c := newCipher(t, spec, material.Random(size))
		sealed, err := c.Seal([]byte("plaintext"), ctx)
		if err != nil {
			t.Fatal(err)
		}
		refuse := func(what string, ciphertext []byte, ctx material.Context) {
			t.Helper()
			opened, err := c.Open(ciphertext, ctx)
			if !fault.Is(err, fault.InvalidCiphertext) || opened.Len() != 0 {
				t.Errorf("%s, %s: %v", spec, what, err)
			}
		}
		for bit := range len(sealed) * 8 {
			changed := bytes.Clone(sealed)
			changed[bit/8] ^= 1 << (bit % 8)
			refuse(fmt.Sprintf("bit %d", bit), changed, ctx)
		}
		for n := range len(sealed) {
			refuse(fmt.Sprintf("cut to %d", n), sealed[:n], ctx)
		}
		refuse("trailing byte", append(bytes.Clone(sealed), 0), ctx)
		refuse("no context", sealed, nil)
		refuse("one pair less", sealed, material.Context{"a": "b"})
		refuse("one pair more", sealed, material.Context{"a": "b", "c": "d", "": ""})
		refuse("values swapped", sealed, material.Context{"a": "d", "c": "b"})
		refuse("pairs joined", sealed, material.Context{"a": "bcd"})
		if _, err := c.Open(sealed, ctx); err != nil {
			t.Errorf("%s: the original: %v", spec, err)
		}
	}
}

func TestCipherIsBoundToKeyAndVersion(t *testing.T) {
	key := material.Random(32)
	sealed, err := newCipher(t, material.AES256, key).Seal([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := material.NewCipher(material.AES256, key, testVersion, testVersion)
	if err != nil {
		t.Fatal(err)
	}
	otherVersion, err := material.NewCipher(material.AES256, key, testKey, testKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*material.Cipher{
		"key id": otherKey, "version id": otherVersion, "material": newCipher(t, material.AES256, material.Random(32)),
	} {
		if _, err := c.Open(sealed, nil); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	// Even a header rewritten to name the other key is refused: it is authenticated.
	copy(sealed[4:20], testVersion[:])
	if _, err := otherKey.Open(sealed, nil); !fault.Is(err, fault.InvalidCiphertext) {
		t.Errorf("rewritten header: %v", err)
	}
}

func TestNewCipherRefuses(t *testing.T) {
	for spec, size := range symmetricSpecs() {
		for _, wrong := range []int{0, size - 1, size + 1, 64} {
			if _, err := material.NewCipher(spec, material.Random(wrong), testKey, testVersion); !fault.Is(err, fault.InvalidParameter) {
				t.Errorf("%s with %d bytes: %v", spec, wrong, err)
			}
		}
	}
	for _, spec := range []material.Spec{material.RSA2048, material.P256, material.SM2, "", "Aliyun_AES_512"} {
		if _, err := material.NewCipher(spec, material.Random(32), testKey, testVersion); !fault.Is(err, fault.UnsupportedOperation) {
			t.Errorf("%q: %v", spec, err)
		}
	}
}

func TestCipherRefusesContextThatIsNotUnicode(t *testing.T) {
	c := newCipher(t, material.AES256, material.Random(32))
	for _, ctx := range []material.Context{{"\xff": "a"}, {"a": "\xff"}} {
		if _, err := c.Seal(nil, ctx); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("Seal: %v", err)
		}
		if _, err := c.Open(nil, ctx); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("Open: %v", err)
		}
	}
}

func TestCipherIsSafeForConcurrentUse(t *testing.T) {
	c := newCipher(t, material.AES256, material.Random(32))
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			plaintext := bytes.Repeat([]byte{byte(worker)}, 100)
			for range 200 {
				sealed, err := c.Seal(plaintext, material.Context{"worker": fmt.Sprint(worker)})
				if err != nil {
					t.Error(err)
					return
				}
				opened, err := c.Open(sealed, material.Context{"worker": fmt.Sprint(worker)})
				if err != nil || !bytes.Equal(opened.Expose(), plaintext) {
					t.Errorf("worker %d: %v", worker, err)
					return
				}
			}
		})
	}
	workers.Wait()
}

// TestGoldenCiphertexts opens ciphertexts that were made when the format was
// released. They must open for ever, so -update only writes what is missing.
func TestGoldenCiphertexts(t *testing.T) {
	want := []byte("golden plaintext of the released format")
	ctx := goldenContext()
	for name, spec := range map[string]material.Spec{"suite1": material.AES256, "suite1-aes128": material.AES128, "suite3": material.SM4} {
		c := newCipher(t, spec, fakeKey(0x10, symmetricSpecs()[spec]))
		opened, err := c.Open(golden(t, name, func() ([]byte, error) { return c.Seal(want, ctx) }), ctx)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(string(want), string(opened.Expose())); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func goldenContext() material.Context {
	return material.Context{"purpose": "golden", "用途": "样本"}
}

// golden answers the bytes of a released file.
func golden(t testing.TB, name string, create func() ([]byte, error)) []byte {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) && *update {
		if content, err = create(); err == nil {
			err = os.WriteFile(path, content, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// FuzzOpen holds that the only ciphertexts that open are those that were sealed.
func FuzzOpen(f *testing.F) {
	ciphers := map[material.Suite]*material.Cipher{
		material.SuiteAES: newCipher(f, material.AES256, fakeKey(0x10, 32)),
		material.SuiteSM4: newCipher(f, material.SM4, fakeKey(0x10, 16)),
	}
	sealed := map[string]bool{}
	for _, name := range []string{"suite1", "suite3"} {
		s := golden(f, name, nil)
		sealed[string(s)] = true
		f.Add(s)
		f.Add(s[:len(s)-1])
		f.Add(append(s[:3:3], s[4:]...))
	}
	f.Add([]byte(strings.Repeat("KC\x01\x01", 40)))
	f.Fuzz(func(t *testing.T, ciphertext []byte) {
		header, err := material.ParseHeader(ciphertext)
		if err != nil {
			if !fault.Is(err, fault.InvalidCiphertext) {
				t.Fatalf("not the documented fault: %v", err)
			}
			return
		}
		c, known := ciphers[header.Suite]
		if !known {
			t.Fatalf("suite %d passed", header.Suite)
		}
		if _, err := c.Open(ciphertext, goldenContext()); (err == nil) != sealed[string(ciphertext)] {
			t.Fatalf("opening %x: %v", ciphertext, err)
		}
	})
}

func BenchmarkCipher(b *testing.B) {
	plaintext := make([]byte, 1024)
	for _, spec := range []material.Spec{material.AES256, material.SM4} {
		c := newCipher(b, spec, material.Random(symmetricSpecs()[spec]))
		b.Run("Seal/"+string(spec), func(b *testing.B) {
			b.SetBytes(1024)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Seal(plaintext, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		sealed, err := c.Seal(plaintext, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("Open/"+string(spec), func(b *testing.B) {
			b.SetBytes(1024)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Open(sealed, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
