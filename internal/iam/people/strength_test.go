package people_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/people"
)

func TestPasswords(t *testing.T) {
	for password, want := range map[string]bool{
		"correct horse battery staple": true,
		"zK7#pq2!mmVx":                 true,
		"我的密码是一句很长很长的话":                true,
		"tr0ub4dor&3xyzw":              true,
		strings.Repeat("ab1;", 32):     true,

		"":                               false,
		"zK7#pq2!mmV":                    false, // eleven characters
		strings.Repeat("ab1;", 32) + "x": false,
		"123456789012":                   false,
		"aaaaaaaaaaaaaaaa":               false,
		"qwertyuiop[]":                   false,
		"abcdefghijklmnop":               false,
		"zyxwvutsrqponm":                 false,
		"password1234":                   false,
		"P@ssw0rd2026!":                  false,
		"Admin@123456":                   false,
		"woaini5201314":                  false,
		"1qaz2wsx3edc4rfv":               false,
		"dragonmonkeyfootball":           false,
		"alice.liddell":                  true,
		"alicealicealice":                false,
		"Alice123456!":                   false,
		"password\x00horse staple":       false,
		"pass\nword and more of it":      false,
		"correct horse \xff battery":     false,
	} {
		if err := people.CheckPassword(password, "alice"); (err == nil) != want || err != nil && !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// Whatever it is made of, more of it is no easier to guess.
func TestMoreIsNotEasier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zA-Z0-9 !@$]{0,40}`).Draw(t, "text")
		n := people.Pieces(text)
		if n > len(text) || n == 0 && text != "" {
			t.Fatalf("%q has %d pieces", text, n)
		}
		if more := people.Pieces(text + "\x01"); more < n {
			t.Fatalf("%q has %d pieces, and %d with more", text, n, more)
		}
	})
}

func FuzzPassword(f *testing.F) {
	for _, s := range []string{"", "password", "p@ssw0rd", "12", "123", "\xff\xfe", "日本語", "Ⱥ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { _ = people.CheckPassword(s, "alice") })
}
