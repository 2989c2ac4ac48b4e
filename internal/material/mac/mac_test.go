package mac_test

import (
	"bytes"
	"encoding/hex"
	"sync"
	"testing"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/mac"
)

// key answers a key whose bytes are 1, 2, 3, …
func key(t testing.TB, spec material.Spec) *mac.Key {
	t.Helper()
	b := make([]byte, spec.KeySize())
	for i := range b {
		b[i] = byte(i + 1)
	}
	k, err := mac.New(spec, material.NewBytes(b))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Each spec's MAC of one message, as OpenSSL 3.0 makes it with `openssl dgst -mac HMAC`.
func TestKnownAnswers(t *testing.T) {
	for spec, want := range map[material.Spec]string{
		material.HMAC224: "5ade3841ea4a409c0b97174881d6c2a3ad271266c25993b7d46e979b",
		material.HMAC256: "2c3622be37c8f280cc6d9ea9926c9fd531a835c7d7a813d0239aa76109aae748",
		material.HMAC384: "eede8fc911c094c132897cc4f8a1fbb67591a6e267b600cc2c87c47c9ef3ac0cd40fd232818e9f411ae20d4c5eae5af0",
		material.HMAC512: "d2bd0fca8656e19ae2e9a5099927c54c0db2a09b043576e2eb9dfb373bddd7b4401efc8df6e3f4e1056962944a9e97457beac676fe9324503eb240f4955d40b2",
		material.HMACSM3: "01c0ec9a1b372699762dd794e8948e1c9de3aab79ddff6bfae942929dfee4a85",
	} {
		if !spec.Valid() || !spec.MAC() || spec.Symmetric() || spec.Asymmetric() {
			t.Errorf("%s is no spec of HMAC keys", spec)
		}
		k := key(t, spec)
		if have := hex.EncodeToString(k.Sum([]byte("message"))); have != want {
			t.Errorf("%s: %s, want %s", spec, have, want)
		}
	}
}

// Only the whole MAC of exactly the message is valid.
func TestVerify(t *testing.T) {
	for _, spec := range []material.Spec{material.HMAC224, material.HMAC256, material.HMAC384, material.HMAC512, material.HMACSM3} {
		k, message := key(t, spec), []byte("message")
		sum := k.Sum(message)
		if len(sum) != spec.KeySize() || !k.Verify(message, sum) {
			t.Errorf("%s: its own MAC of %d bytes is not valid", spec, len(sum))
		}
		for i := range sum {
			changed := bytes.Clone(sum)
			changed[i] ^= 1
			if k.Verify(message, changed) || k.Verify(message, sum[:i]) {
				t.Errorf("%s: a MAC that was changed or cut at %d is valid", spec, i)
			}
		}
		if k.Verify(message, append(sum, 0)) || k.Verify([]byte("messagf"), sum) || k.Verify(nil, sum) {
			t.Errorf("%s: the MAC of something else is valid", spec)
		}
	}
}

func TestKeysOfOtherKindsAreRefused(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := mac.New(material.HMAC256, material.Random(n)); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
	for _, spec := range []material.Spec{material.AES256, material.P256, "", "HMAC_MD5"} {
		if _, err := mac.New(spec, material.Random(32)); !fault.Is(err, fault.UnsupportedOperation) {
			t.Errorf("spec %s: %v", spec, err)
		}
	}
}

// The caller's bytes may be erased, and a key is used by many at once.
func TestKeysAreCopiedAndShared(t *testing.T) {
	b := material.Random(32)
	k, err := mac.New(material.HMAC256, b)
	if err != nil {
		t.Fatal(err)
	}
	want := k.Sum([]byte("message"))
	b.Zero()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if !k.Verify([]byte("message"), want) {
					t.Error("the MAC changed")
				}
				k.Sum([]byte("another"))
			}
		})
	}
	group.Wait()
}
