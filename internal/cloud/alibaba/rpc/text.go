package rpc

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text of a service fit to be shown: valid UTF-8 without control and format
// characters, which could move a cursor or turn the direction of writing, and of at most
// limit bytes.
func Clean(s string, limit int) string {
	if len(s) > 4*limit {
		s = s[:4*limit] // what is far too long need not be read to its end
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) {
			return -1
		}
		return r
	}, s)
	for len(s) > limit {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}
