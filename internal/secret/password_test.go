package secret_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/storetest"
)

// characters are the kinds of characters of a password, as the documentation lists them.
var characters = []string{"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"}

// A password has what was asked for and nothing else, whatever that is.
func TestRandomPassword(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	rapid.Check(t, func(rt *rapid.T) {
		in := secret.PasswordInput{
			Length: rapid.IntRange(0, 130).Draw(rt, "length"), Exclude: rapid.StringOfN(rapid.RuneFrom([]rune("aZ5!\"字")), 0, 6, -1).Draw(rt, "exclude"),
			NoLower: rapid.Bool().Draw(rt, "no lower"), NoUpper: rapid.Bool().Draw(rt, "no upper"),
			NoDigits: rapid.Bool().Draw(rt, "no digits"), NoPunctuation: rapid.Bool().Draw(rt, "no punctuation"), Any: rapid.Bool().Draw(rt, "any"),
		}
		without := []bool{in.NoLower, in.NoUpper, in.NoDigits, in.NoPunctuation}
		out, err := w.RandomPassword(t.Context(), root(account), in)
		if in.Length != 0 && (in.Length < 8 || in.Length > 128) || in.NoLower && in.NoUpper && in.NoDigits && in.NoPunctuation {
			want(t, err, fault.InvalidParameter)
			return
		}
		check(t, err)
		password, length := string(out.Expose()), in.Length
		if length == 0 {
			length = 32
		}
		if len(password) != length || strings.ContainsAny(password, in.Exclude) {
			rt.Errorf("%q does not fit", password)
		}
		for i, kind := range characters {
			has := strings.ContainsAny(password, kind)
			if has && without[i] || !has && !without[i] && !in.Any {
				rt.Errorf("%q and %s", password, kind)
			}
			password = strings.Map(func(r rune) rune {
				if strings.ContainsRune(kind, r) {
					return -1
				}
				return r
			}, password)
		}
		if password != "" {
			rt.Errorf("nobody asked for %q", password)
		}
	})
	_, err := w.RandomPassword(t.Context(), root(account), secret.PasswordInput{Exclude: "0123456789"})
	want(t, err, fault.InvalidParameter)
	_, err = w.RandomPassword(t.Context(), user(t, `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:ListSecrets","Resource":"*"}]}`), secret.PasswordInput{})
	want(t, err, fault.NoPermission)
}

// Of a small alphabet each password is as likely as any other.
func TestRandomPasswordIsUniform(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	counts, in := [5]int{}, secret.PasswordInput{Length: 128, NoLower: true, NoUpper: true, NoPunctuation: true, Exclude: "56789"}
	const rounds = 50
	for range rounds {
		for _, c := range must(w.RandomPassword(t.Context(), root(account), in))(t).Expose() {
			counts[c-'0']++
		}
	}
	for digit, n := range counts { // 1,280 are expected, with a deviation of 32
		if n < 1280-6*32 || n > 1280+6*32 {
			t.Errorf("%d occurs %d times of %d", digit, n, rounds*128)
		}
	}
}
