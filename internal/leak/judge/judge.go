// Package judge decides about strings that look like credentials: whether a checksum
// holds, whether what is encoded is what the issuer encodes, whether a key parses – and
// whether it is only a placeholder, a word or a path.
//
// Everything here is a pure function of some bytes, knows nothing of files and rules, and
// is bounded by the length of its argument. Where a format has a proof (a checksum, a
// structure), the proof decides; where it has none, the filters of text.go say what no
// generator of credentials would have made.
package judge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"math"
)

const (
	digits62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

// checksum62 answers c as six digits of base 62.
func checksum62(c uint32) []byte {
	out := make([]byte, 6)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = digits62[c%62]
		c /= 62
	}
	return out
}

// CRC62 tells whether the last six characters are the CRC-32 of what stands between the
// prefix and them, to base 62: GitHub's and npm's tokens.
func CRC62(token []byte, prefix int) bool {
	end := len(token) - 6
	return end > prefix && bytes.Equal(token[end:], checksum62(crc32.ChecksumIEEE(token[prefix:end])))
}

// WithCRC62 answers the token that has this prefix and random part.
func WithCRC62(prefix, random string) string {
	return prefix + random + string(checksum62(crc32.ChecksumIEEE([]byte(random))))
}

// KeywardID tells whether an id of keyward's own access keys has its checksum;
// docs/design/access-keys.md has the format.
func KeywardID(id []byte) bool {
	if len(id) != 28 {
		return false
	}
	c := crc32.ChecksumIEEE(id[:22])
	for i := len(id) - 1; i >= 22; i-- {
		if id[i] != digits32[c%32] {
			return false
		}
		c /= 32
	}
	return true
}

// KeywardSecret tells whether a secret of keyward's own access keys has its checksum.
func KeywardSecret(secret []byte) bool {
	return len(secret) == 54 && bytes.Equal(secret[48:], checksum62(crc32.ChecksumIEEE(secret[:48])))
}

// Volcengine tells whether an id behind its prefix is base64 of 32 lower-case hexadecimal
// digits, as Volcengine makes them. Kingsoft's ids have the same prefix and are not.
func Volcengine(id []byte) bool {
	if len(id) != 47 {
		return false
	}
	decoded, err := base64.RawStdEncoding.DecodeString(string(id[4:]))
	return err == nil && len(decoded) == 32 && Hex(decoded)
}

// JWT tells whether a string is a signed JSON Web Token: its header is a JSON object that
// names an algorithm other than none, and its payload is a JSON object.
func JWT(token []byte) bool {
	parts := bytes.SplitN(token, []byte("."), 4)
	if len(parts) != 3 || len(parts[2]) < 20 {
		return false
	}
	var header struct {
		Alg string `json:"alg"`
	}
	var payload map[string]json.RawMessage
	return segment(parts[0], &header) && header.Alg != "" && header.Alg != "none" && segment(parts[1], &payload) && len(payload) > 0
}

func segment(encoded []byte, into any) bool {
	decoded, err := base64.RawURLEncoding.DecodeString(string(encoded))
	return err == nil && json.Unmarshal(decoded, into) == nil
}

// Entropy answers Shannon's entropy of the bytes, in bits for each.
func Entropy(s []byte) float64 {
	if len(s) == 0 {
		return 0
	}
	var count [256]int
	for _, c := range s {
		count[c]++
	}
	sum := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(s))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

// Hex tells whether all characters are lower-case hexadecimal digits.
func Hex(s []byte) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// A Mix counts the kinds of characters of a string.
type Mix struct{ Lower, Upper, Digit, Other, Distinct int }

// MixOf answers the kinds of characters.
func MixOf(s []byte) (m Mix) {
	var seen [256]bool
	for _, c := range s {
		switch {
		case 'a' <= c && c <= 'z':
			m.Lower++
		case 'A' <= c && c <= 'Z':
			m.Upper++
		case '0' <= c && c <= '9':
			m.Digit++
		default:
			m.Other++
		}
		if !seen[c] {
			seen[c] = true
			m.Distinct++
		}
	}
	return m
}

// Random tells whether a string of letters and digits can be the work of a generator: it
// mixes them as chance does, and repeats few. Of random strings of 24 characters and more
// it takes all but one in some thousands.
func Random(s []byte) bool {
	m := MixOf(s)
	n := len(s)
	if n < 12 {
		return false
	}
	least := n / 3
	if hexadecimal := m.Upper == 0 && m.Other == 0 && Hex(s); hexadecimal || n > 40 {
		least = min(n/4, 15)
		if hexadecimal {
			least = min(n/5, 8)
		}
	}
	if m.Distinct < least || longestRun(s) > 4 || sequences(s) > n/3 {
		return false
	}
	if m.Digit == n || m.Digit+m.Upper+m.Lower == 0 {
		return false // a number
	}
	if m.Lower > 0 && m.Upper+m.Digit > 0 && changes(s) < n/6 {
		return false // a name with a number in it
	}
	return !Words(s)
}

// changes counts the places where the kind of character changes: chance does it at every
// second place, names at few.
func changes(s []byte) (n int) {
	kind := func(c byte) int {
		switch {
		case isUpper(c):
			return 1
		case isLetter(c):
			return 2
		case '0' <= c && c <= '9':
			return 3
		}
		return 4
	}
	for i := 1; i < len(s); i++ {
		if kind(s[i]) != kind(s[i-1]) {
			n++
		}
	}
	return n
}

// longestRun answers how often the same character stands in a row at most.
func longestRun(s []byte) int {
	longest, run := 0, 0
	for i, c := range s {
		if i > 0 && s[i-1] == c {
			run++
		} else {
			run = 1
		}
		longest = max(longest, run)
	}
	return longest
}

// sequences counts the characters that follow their predecessor in the alphabet or among
// the digits, upwards or downwards, where at least four do in a row.
func sequences(s []byte) int {
	total := 0
	for _, step := range []int{1, -1} {
		run := 0
		for i := 1; i <= len(s); i++ {
			if i < len(s) && int(s[i])-int(s[i-1]) == step {
				run++
				continue
			}
			if run >= 3 {
				total += run + 1
			}
			run = 0
		}
	}
	return total
}
