package iam_test

import (
	"fmt"
	"hash/crc32"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/iam"
)

const fakeID = "KWAKAAAAAAAAAAAAAAAAAANV4WA6"

// digits writes n as count digits, highest first.
func digits(n uint32, count int, alphabet string) string {
	s := ""
	for range count {
		s = string(alphabet[n%uint32(len(alphabet))]) + s
		n /= uint32(len(alphabet))
	}
	return s
}

const (
	base32Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// wellFormedID and wellFormedSecret follow docs/design/access-keys.md, written a second time.
func wellFormedID(s string) bool {
	if !regexp.MustCompile(`^KWAK[A-Z2-7]{24}$`).MatchString(s) {
		return false
	}
	return s[22:] == digits(crc32.ChecksumIEEE([]byte(s[:22]))&(1<<30-1), 6, base32Digits)
}

func wellFormedSecret(s string) bool {
	if !regexp.MustCompile(`^kwsk_[0-9A-Za-z]{49}$`).MatchString(s) {
		return false
	}
	return s[48:] == digits(crc32.ChecksumIEEE([]byte(s[:48])), 6, base62Digits)
}

// TestFormatVectors holds the vectors of docs/design/access-keys.md against the code.
func TestFormatVectors(t *testing.T) {
	doc, err := os.ReadFile("../../docs/design/access-keys.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (id|secret) \\| (valid|invalid)").FindAllStringSubmatch(string(doc), -1)
	if len(rows) < 8 {
		t.Fatalf("found %d vectors", len(rows))
	}
	for _, row := range rows {
		text, want := row[1], row[3] == "valid"
		have := wellFormedSecret(text)
		if row[2] == "id" {
			if have = wellFormedID(text); iam.ValidAccessKeyID(text) != have {
				t.Errorf("ValidAccessKeyID(%q) is not %t", text, have)
			}
		}
		if have != want {
			t.Errorf("%s is well-formed: %t, want %t", text, have, want)
		}
	}
}

func TestIssuedFormat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := map[string]bool{}
	for i := range 50 {
		key := w.user(t, fmt.Sprint("user", i))
		id, secret := key.AccessKey.ID, secretOf(key.Secret)
		if !wellFormedID(id) || !iam.ValidAccessKeyID(id) || !wellFormedSecret(secret) {
			t.Errorf("malformed access key %q", id)
		}
		if seen[id] || seen[secret] {
			t.Errorf("%q or its secret was issued twice", id)
		}
		seen[id], seen[secret] = true, true
	}
}

// TestOneCharacter holds that the checksum finds every change of one character, every
// exchange of neighbours and every truncation.
func TestOneCharacter(t *testing.T) {
	if !iam.ValidAccessKeyID(fakeID) {
		t.Fatal("the vector is invalid")
	}
	var wrong []string
	for i := range fakeID {
		for c := range 256 {
			wrong = append(wrong, fakeID[:i]+string([]byte{byte(c)})+fakeID[i+1:])
		}
		if i > 0 {
			wrong = append(wrong, fakeID[:i-1]+fakeID[i:i+1]+fakeID[i-1:i]+fakeID[i+1:])
		}
		wrong = append(wrong, fakeID[:i], fakeID[i:], fakeID+fakeID[i:])
	}
	for _, id := range append(wrong, strings.ToLower(fakeID), " "+fakeID, fakeID+"\n", "") {
		if id != fakeID && iam.ValidAccessKeyID(id) {
			t.Errorf("%q is accepted", id)
		}
	}
}

func FuzzValidAccessKeyID(f *testing.F) {
	for _, seed := range []string{fakeID, "", "KWAK", fakeID[:27], fakeID + "A", "KWAK" + strings.Repeat("é", 12)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if have, want := iam.ValidAccessKeyID(id), wellFormedID(id); have != want {
			t.Errorf("ValidAccessKeyID(%q) = %t, want %t", id, have, want)
		}
	})
}
