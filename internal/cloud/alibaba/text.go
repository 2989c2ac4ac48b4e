package alibaba

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Texts of the cloud are cut to these many bytes.
const (
	maxName   = 256
	maxRemark = 512
)

// clean makes text of a provider fit to be shown: valid UTF-8 without control and format
// characters, which could move a cursor or turn the direction of writing, and of at most
// limit bytes.
func clean(s string, limit int) string {
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

// moment reads a time of the service, which is always written with its zone. What is no
// time is the zero time: "", "-", "N/A".
func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
