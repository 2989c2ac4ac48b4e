// Package decode finds what is encoded within a text: base64 and hexadecimal digits,
// percent and unicode escapes, quoted-printable mail, values of Kubernetes' Secrets. What it decodes is text or a
// container; anything else is a digest, a key or a picture, in which others look.
//
// The encoded stretches are found without looking at every byte of the text, since a run of
// so many characters of an alphabet is met wherever one looks often enough. What comes out
// is never longer than what went in.
package decode

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io"
	"mime/quotedprintable"
	"unicode/utf8"
)

// A Stretch is an encoded part of a text.
type Stretch struct {
	Start, End int    // in the text
	How        string // "base64", "hex", "percent", "escapes", "quoted-printable"
	Data       []byte
	// Whole says that Data has all that stands there, so that nobody has to look at the text
	// itself; Lines that each of its lines is one of the text.
	Whole, Lines bool
}

const (
	minRun    = 24 // characters of base64 and of hexadecimal digits
	maxRun    = 1 << 20
	maxEscape = 32 << 10 // of a stretch with escapes
)

// set answers the membership of a set's bytes.
func set(members string) (s [256]bool) {
	for _, c := range []byte(members) {
		s[c] = true
	}
	return s
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

var (
	digits64  = set(alphabet + "+/-_")
	linkChars = set(alphabet + "%+/-_.~&=:;@,!*?#[]{}|$")
)

// Find calls with each encoded stretch of a text, those that are [Stretch.Whole] first. secrets
// tells whether it has Secrets of Kubernetes, which package leak knows.
func Find(text []byte, secrets bool, with func(Stretch)) {
	if secrets {
		kubernetes(text, with)
	}
	printable(text, with)
	runs(text, with)
	escapes(text, '%', percent, with)
	escapes(text, '\\', unicode, with)
}

// runs finds base64 and hexadecimal digits. A run of [minRun] has two whole words of eight
// bytes, one behind the other, of which one is the first of a pair: so every second word is
// looked at, and most are ruled out by a few operations.
func runs(text []byte, with func(Stretch)) {
	const word = 8
	passed := 0
	for at := 0; at+word <= len(text); at += 2 * word {
		if foreign(binary.LittleEndian.Uint64(text[at:])) != 0 || at < passed {
			continue
		}
		end := at
		for end < len(text) && digits64[text[end]] {
			end++
		}
		if end-at < word {
			continue
		}
		start := at
		for start > passed && digits64[text[start-1]] {
			start--
		}
		passed = end
		if end-start >= minRun {
			s, ok := run(text, start, end)
			if passed = max(end, s.End); ok { // what is none is passed as well, with the lines that would belong to it
				with(s)
			}
		}
	}
}

// foreign is not 0 if a byte of a word is below or above all digits of base64: it does not
// know those that are between them. A carry comes only out of a byte that is foreign itself.
func foreign(word uint64) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	below := (word - '+'*ones) &^ word
	above := word + (0x80-'z'-1)*ones | word
	return (below | above) & tops
}

// run decodes the run at text[start:end], with the lines after it that go on with it.
func run(text []byte, start, end int) (Stretch, bool) {
	if (end-start)%2 == 0 && isHex(text[start:start+16]) {
		var first [8]byte // whether it may be text is known soon
		if _, err := hex.Decode(first[:], text[start:start+16]); err != nil || !Readable(first[:]) {
			return Stretch{}, false
		}
		data := make([]byte, (end-start)/2)
		if n, err := hex.Decode(data, text[start:end]); err == nil && Readable(data[:n]) {
			return Stretch{Start: start, End: end, How: "hex", Data: data[:n]}, true
		}
		return Stretch{}, false
	}
	if first := first64([16]byte(text[start:])); !Readable(first[:]) && !packed(first[:]) && !wide(first[:]) {
		return Stretch{}, false
	}
	clean := append([]byte(nil), text[start:end]...)
	for line := start; end < len(text) && end-line >= 60 && len(clean) < maxRun; { // lines of mail and PEM, of which the last is shorter
		next := end
		for next < len(text) && next-end < 40 && (text[next] == '\r' || text[next] == '\n' || text[next] == ' ' || text[next] == '\t') {
			next++
		}
		stop := next
		for stop < len(text) && digits64[text[stop]] {
			stop++
		}
		if next == end || stop == next || bytes.IndexByte(text[end:next], '\n') < 0 || bytes.HasPrefix(text[next:], []byte("--")) || bytes.IndexByte(text[stop:min(len(text), stop+2)], ':') >= 0 {
			break
		}
		clean = append(clean, text[next:stop]...)
		line, end = next, stop
	}
	data := make([]byte, len(clean)*3/4+3)
	n, err := decode64(data, clean)
	for end < len(text) && text[end] == '=' {
		end++
	}
	data = data[:n]
	if wide(data) {
		data = narrow(data)
	}
	if !packed(data) {
		data = data[:readable(data)]
	}
	return Stretch{Start: start, End: end, How: "base64", Data: data}, (err == nil || n > 0) && len(data) >= 12
}

// decode64 decodes base64 of either alphabet, without padding.
func decode64(into, text []byte) (int, error) {
	if len(text)%4 == 1 {
		text = text[:len(text)-1]
	}
	if bytes.ContainsAny(text, "-_") {
		return base64.RawURLEncoding.Decode(into, text)
	}
	return base64.RawStdEncoding.Decode(into, text)
}

// sextets are the values of base64's digits, of either alphabet.
var sextets = func() (s [256]uint32) {
	for i, c := range []byte(alphabet + "+/") {
		s[c] = uint32(i)
	}
	s['-'], s['_'] = 62, 63
	return s
}()

// first64 decodes the first digits of a run, which are most of what is ever decoded.
func first64(digits [16]byte) (out [12]byte) {
	for i := range 4 {
		d := digits[4*i:]
		v := sextets[d[0]]<<18 | sextets[d[1]]<<12 | sextets[d[2]]<<6 | sextets[d[3]]
		out[3*i], out[3*i+1], out[3*i+2] = byte(v>>16), byte(v>>8), byte(v)
	}
	return out
}

func isHex(s []byte) bool {
	for _, c := range s {
		if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
			return false
		}
	}
	return true
}

// Readable tells whether bytes are text: whole characters, and no controls beside space.
// A character that is cut off at the end is forgiven.
func Readable(data []byte) bool { return len(data) > 0 && readable(data) == len(data) }

// readable answers how many of the first bytes are text.
func readable(data []byte) int {
	for i := 0; i < len(data); {
		c := data[i]
		if c < utf8.RuneSelf {
			if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && len(data)-i >= utf8.UTFMax {
			return i
		}
		i += n
	}
	return len(data)
}

// packed tells whether bytes begin as a compressed stream or an archive does.
func packed(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\x1f\x8b\x08")) || bytes.HasPrefix(data, []byte("PK\x03\x04")) || bytes.HasPrefix(data, []byte("\x28\xb5\x2f\xfd"))
}

// wide tells whether bytes are ASCII in UTF-16, as in commands for PowerShell.
func wide(data []byte) bool {
	if len(data) < 8 {
		return false
	}
	for i := range len(data) / 2 {
		if data[2*i+1] != 0 || data[2*i] < '\t' || data[2*i] > '~' {
			return false
		}
	}
	return true
}

func narrow(data []byte) []byte {
	out := make([]byte, len(data)/2)
	for i := range out {
		out[i] = data[2*i]
	}
	return out
}

// escapes finds stretches with escapes that begin with a mark.
func escapes(text []byte, mark byte, decode func([]byte) (Stretch, bool), with func(Stretch)) {
	for at := 0; at < len(text); {
		i := bytes.IndexByte(text[at:], mark)
		if i < 0 {
			return
		}
		i += at
		at = i + 1
		if i+4 > len(text) || mark == '%' && !isHex(text[i+1:i+3]) || mark == '\\' && text[i+1] != 'u' && text[i+1] != 'x' {
			continue
		}
		start := i
		for start > 0 && i-start < maxEscape && linkChars[text[start-1]] {
			start--
		}
		end := i
		for end < len(text) && end-start < maxEscape && (linkChars[text[end]] || text[end] == mark) {
			end++
		}
		at = max(end, at)
		if s, ok := decode(text[start:end]); ok {
			s.Start, s.End = start, end
			with(s)
		}
	}
}

// percent decodes a stretch of a URL, if any escape stands for more than a blank, which forms
// write as "+" where it is not escaped.
func percent(text []byte) (Stretch, bool) {
	out, meant := make([]byte, 0, len(text)), false
	form := !bytes.Contains(text, []byte("%20"))
	for i := 0; i < len(text); i++ {
		if text[i] == '+' && form {
			out = append(out, ' ')
			continue
		}
		if text[i] == '%' && i+3 <= len(text) && isHex(text[i+1:i+3]) {
			c := unhex(text[i+1])<<4 | unhex(text[i+2])
			meant = meant || c > ' ' && c != 0x7f || c == '\n'
			out = append(out, c)
			i += 2
			continue
		}
		out = append(out, text[i])
	}
	return Stretch{How: "percent", Data: out}, meant && Readable(out)
}

// unicode decodes \u0041 and \x41, if there are several.
func unicode(text []byte) (Stretch, bool) {
	out, n := make([]byte, 0, len(text)), 0
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+4 <= len(text) && text[i+1] == 'x' && isHex(text[i+2:i+4]) {
			out = append(out, unhex(text[i+2])<<4|unhex(text[i+3]))
			i, n = i+3, n+1
			continue
		}
		if text[i] == '\\' && i+6 <= len(text) && text[i+1] == 'u' && isHex(text[i+2:i+6]) {
			r := rune(unhex(text[i+2]))<<12 | rune(unhex(text[i+3]))<<8 | rune(unhex(text[i+4]))<<4 | rune(unhex(text[i+5]))
			out = utf8.AppendRune(out, r)
			i, n = i+5, n+1
			continue
		}
		out = append(out, text[i])
	}
	return Stretch{How: "escapes", Data: out}, n >= 4 && Readable(out)
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// printable finds bodies of mail in quoted-printable. What is none to its end, because
// something else follows, is decoded as far as it is one.
func printable(text []byte, with func(Stretch)) {
	mark, part := []byte("quoted-printable"), []byte("\n--")
	for at := 0; ; {
		i := bytes.Index(text[at:], mark)
		if i < 0 {
			return
		}
		start := at + i + len(mark)
		end := len(text)
		if next := bytes.Index(text[start:], mark); next >= 0 {
			end = start + next
		}
		for at = start; at < end; {
			stop := end
			if next := bytes.Index(text[at:end], part); next >= 0 {
				stop = at + next + len(part)
			}
			data, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(text[at:stop])))
			if len(data) > 0 {
				with(Stretch{Start: at, End: stop, How: "quoted-printable", Data: data, Whole: err == nil})
			}
			at = stop
		}
	}
}
