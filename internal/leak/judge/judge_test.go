package judge_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak/judge"
)

// docs/design/access-keys.md has the vectors.
func TestKeywardKeys(t *testing.T) {
	for id, want := range map[string]bool{"KWAKAAAAAAAAAAAAAAAAAANV4WA6": true, "KWAKFAKEFAKEFAKEFAKEFADD64LT": true, "KWAKFAKEFAKEFAKEFAKEFADD64LU": false, "KWAKFAKEFAKEFAKEFAKEFADD64L": false, "": false} {
		if judge.KeywardID([]byte(id)) != want {
			t.Errorf("%s: not %v", id, want)
		}
	}
	for secret, want := range map[string]bool{"kwsk_" + strings.Repeat("0", 42) + "4Ymbr3": false, "kwsk_FakeFakeFakeFakeFakeFakeFakeFakeFakeFakeKey0IDPTc": true, "kwsk_FakeFakeFakeFakeFakeFakeFakeFakeFakeFakeKey0IDPTd": false} {
		if judge.KeywardSecret([]byte(secret)) != want {
			t.Errorf("%s: not %v", secret, want)
		}
	}
}

func TestCRC62(t *testing.T) {
	token := judge.WithCRC62("xyz_", strings.Repeat("aB3", 10))
	if !judge.CRC62([]byte(token), 4) {
		t.Errorf("%s has its checksum", token)
	}
	for i := 4; i < len(token); i++ {
		b := []byte(token)
		b[i] ^= 1
		if judge.CRC62(b, 4) {
			t.Errorf("%s has not", b)
		}
	}
}

func TestVolcengine(t *testing.T) {
	made := "AK" + "LT" + base64.RawStdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	if !judge.Volcengine([]byte(made)) || judge.Volcengine([]byte(made[:46]+"A")) || judge.Volcengine([]byte(made[:40])) {
		t.Error("the decoding does not decide")
	}
}

func TestJWT(t *testing.T) {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	signature := "." + strings.Repeat("a", 43)
	for token, want := range map[string]bool{
		part(`{"alg":"HS256"}`) + "." + part(`{"sub":"1"}`) + signature: true,
		part(`{"alg":"none"}`) + "." + part(`{"sub":"1"}`) + signature:  false,
		part(`{"typ":"JWT"}`) + "." + part(`{"sub":"1"}`) + signature:   false,
		part(`{"alg":"HS256"}`) + "." + part(`{}`) + signature:          false,
		part(`{"alg":"HS256"}`) + "." + part(`{"sub":"1"}`) + ".a":      false,
		"": false,
	} {
		if judge.JWT([]byte(token)) != want {
			t.Errorf("%s: not %v", token, want)
		}
	}
}

func TestPassword(t *testing.T) {
	for value, want := range map[string]bool{
		"Zx9#kLm2pQ7!vB": true, "hunter7Q": true, "abcde@1357": true, "Qx71#mLk": true,
		"password": false, "changeme": false, "${DB_PASSWORD}": false, "your-password": false, "config.db.password": false, "/run/secrets/db": false,
		"123456": false, "aaaaaa1": false, "getPassword()": false, "********": false, "user.password": false, "Passw0rd": false, "short": false, "%DB_PASS%": false,
	} {
		if judge.Password([]byte(value)) != want {
			t.Errorf("%s: not %v", value, want)
		}
	}
}

// Of what a generator makes nearly all is random; names and numbers are not.
func TestRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, set := range map[string]string{"base 62": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "hexadecimal": "0123456789abcdef", "base 32": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"} {
		const n = 20_000
		missed := 0
		for range n {
			b := make([]byte, 32)
			for i := range b {
				b[i] = set[r.IntN(len(set))]
			}
			if !judge.Random(b) {
				missed++
			}
		}
		if missed*200 > n {
			t.Errorf("%s: %d of %d are refused", name, missed, n)
		}
	}
	for _, s := range []string{"secretKeyParameterName", "testServer2048PrivateKey", "abcdefghijklmnopqrstuvwxyz012345", "00000000000000000000000000000001", "12345678901234567890", "internationalization", "my-company-access-token-name", "aaaaaaaabbbbbbbbccccccccdddddddd"} {
		if judge.Random([]byte(s)) {
			t.Errorf("%s is taken for random", s)
		}
	}
}

// A key that was seen before is the same key, also when more were seen than are remembered.
func TestKeysAreRemembered(t *testing.T) {
	var keys judge.Keys
	ders := make([][]byte, 1100)
	first := make([]judge.PrivateKey, len(ders))
	for round := range 2 {
		for i := range ders {
			if round == 0 {
				k, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				if ders[i], err = x509.MarshalPKCS8PrivateKey(k); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				got, ok := keys.DER(append(slices.Clone(ders[i]), "what follows"...))
				if !ok {
					t.Fatalf("key %d is none", i)
				}
				if first[i].Identity == nil {
					first[i] = got
				}
				if diff := cmp.Diff(first[i], got); diff != "" {
					t.Fatalf("key %d (-before +now):\n%s", i, diff)
				}
			}
			if i > 0 && bytes.Equal(first[i].Identity, first[i-1].Identity) {
				t.Fatalf("keys %d and %d are the same", i-1, i)
			}
		}
	}
}

func FuzzKeys(f *testing.F) {
	var keys judge.Keys
	f.Add([]byte("MIIB"), "RSA ")
	f.Add([]byte{0x30, 0x82, 1, 0, 2, 1, 3}, "")
	f.Fuzz(func(t *testing.T, data []byte, kind string) {
		for _, parse := range []func() (judge.PrivateKey, bool){
			func() (judge.PrivateKey, bool) { return keys.DER(data) },
			func() (judge.PrivateKey, bool) { return keys.Base64DER(data) },
			func() (judge.PrivateKey, bool) { return keys.PEM(kind, data) },
		} {
			if k, ok := parse(); ok && (len(k.Identity) == 0 || k.Algorithm == "") {
				t.Errorf("a key without identity: %+v", k)
			}
		}
		judge.PKCS12(data)
		judge.Password(data)
		judge.Random(data)
		judge.JWT(data)
	})
}
