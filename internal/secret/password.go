package secret

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/erase"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// The limits of random passwords, in characters, as Alibaba Cloud KMS documents them.
const (
	MinPassword     = 8
	MaxPassword     = 128
	usualPassword   = 32
	maxExcluded     = 128 // characters that can be named as not wanted
	minimalAlphabet = 2   // of one character there is only one password
)

// A PasswordInput says what a random password is like. The zero value asks for 32
// characters, at least one of them a small letter, a capital, a digit and a punctuation mark.
type PasswordInput struct {
	Length        int    // 8 to 128; 0 means 32
	Exclude       string // characters that do not occur
	NoLower       bool   // abcdefghijklmnopqrstuvwxyz do not occur
	NoUpper       bool   // ABCDEFGHIJKLMNOPQRSTUVWXYZ do not
	NoDigits      bool   // 0123456789 do not
	NoPunctuation bool   // !"#$%&'()*+,-./:;<=>?@[\]^_`{|}~ do not
	Any           bool   // not each kind of character that may occur must
}

// RandomPassword makes a password, each that fits the input being as likely as any other.
// It is stored nowhere. The caller erases it when it is not needed any more.
func (s *Service) RandomPassword(ctx context.Context, c *authz.Call, in PasswordInput) (out material.Bytes, err error) {
	err = s.do(ctx, c, "kms:GetRandomPassword", func(rec *audit.Record) error {
		if err := s.may(c, rec, s.container(c.Account)); err != nil {
			return err
		}
		kinds, err := in.kinds()
		if err != nil {
			return err
		}
		out, err = erase.With(func() (material.Bytes, error) { return in.draw(kinds), nil })
		return err
	})
	if err != nil {
		out.Zero()
		return material.Bytes{}, err
	}
	return out, nil
}

// kinds answers the characters that may occur, by their kind.
func (in *PasswordInput) kinds() (kinds []string, err error) {
	if in.Length == 0 {
		in.Length = usualPassword
	}
	if in.Length < MinPassword || in.Length > MaxPassword {
		return nil, fault.InvalidParameter.New("The specified parameter PasswordLength is not valid. It must be between %d and %d.", MinPassword, MaxPassword)
	}
	if len(in.Exclude) > maxExcluded || !utf8.ValidString(in.Exclude) {
		return nil, fault.InvalidParameter.New("The specified parameter ExcludeCharacters is not valid. It may have %d bytes of UTF-8.", maxExcluded)
	}
	total := 0
	for _, k := range []struct {
		without bool
		chars   string
	}{
		{in.NoLower, "abcdefghijklmnopqrstuvwxyz"}, {in.NoUpper, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
		{in.NoDigits, "0123456789"}, {in.NoPunctuation, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"},
	} {
		if k.without {
			continue
		}
		left := strings.Map(func(r rune) rune {
			if strings.ContainsRune(in.Exclude, r) {
				return -1
			}
			return r
		}, k.chars)
		if left == "" && !in.Any {
			return nil, fault.InvalidParameter.New("The specified parameter ExcludeCharacters is not valid. It leaves nothing of %s; exclude this kind as a whole, or do not require each kind.", k.chars)
		}
		kinds, total = append(kinds, left), total+len(left)
	}
	if total < minimalAlphabet {
		return nil, fault.InvalidParameter.New("The specified parameter ExcludeCharacters is not valid. Too few characters are left to choose from.")
	}
	return kinds, nil
}

// draw makes one password after another until one has each kind that it must have.
func (in *PasswordInput) draw(kinds []string) material.Bytes {
	alphabet := strings.Join(kinds, "")
	password := make([]byte, in.Length)
	for {
		for i := range password {
			password[i] = alphabet[below(len(alphabet))]
		}
		fits := true
		for _, kind := range kinds {
			fits = fits && (in.Any || bytes.ContainsAny(password, kind))
		}
		if fits {
			return material.NewBytes(password)
		}
	}
}

// below answers a random number from 0 to n-1, n being at most 256.
func below(n int) int {
	var b [1]byte
	for {
		rand.Read(b[:]) // never fails: crypto/rand ends the process instead
		if int(b[0]) < 256-256%n {
			return int(b[0]) % n
		}
	}
}
