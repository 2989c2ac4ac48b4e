package answer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Scissors cut secrets out of texts.
type Scissors []string

// shortest is how short a secret may be that is still looked for: shorter ones are parts
// of any word.
const shortest = 4

// And answers scissors that cut these secrets, too.
func (s Scissors) And(secrets ...string) Scissors {
	out := append(Scissors(nil), s...)
	for _, secret := range secrets {
		if len(secret) >= shortest {
			out = append(out, secret)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) }) // a secret may be the beginning of another
	return out
}

// Finds tells whether a secret stands in a text.
func (s Scissors) Finds(text string) bool {
	for _, secret := range s {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return false
}

// Clean cuts the secrets out of a text, makes control characters visible and the text at
// most so many characters long.
func (s Scissors) Clean(text string, most int) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '\uFFFD'
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
