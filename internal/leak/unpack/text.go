package unpack

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// FromGBK answers a text in UTF-8 that is in GBK, as Chinese Windows writes it.
func FromGBK(text []byte) []byte {
	out, _ := simplifiedchinese.GBK.NewDecoder().Bytes(text) // never fails: what is none becomes U+FFFD
	return out
}

// memberName answers the name of a member, which archives from Chinese Windows have in GBK.
func memberName(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return string(FromGBK([]byte(name)))
}

// isUTF16 tells whether something is text in UTF-16: by its mark, or by every second byte
// being zero.
func isUTF16(head []byte) bool {
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return len(head) >= 4 && !bytes.HasPrefix(head, []byte{0xff, 0xfe, 0, 0})
	}
	if len(head) < 32 || bytes.IndexByte(head, 0) < 0 {
		return false
	}
	zeros := [2]int{}
	for i, c := range head[:len(head)/2*2] {
		if c == 0 {
			zeros[i%2]++
		}
	}
	half := len(head) / 2
	return zeros[0] == 0 && zeros[1] > half*7/10 || zeros[1] == 0 && zeros[0] > half*7/10
}

// unutf16 visits the text in UTF-8.
func unutf16(s Source, visit Visit) error {
	big := s.Head[0] == 0xfe || s.Head[0] == 0
	return visit(Member{Reader: &utf16Reader{r: bufio.NewReader(s.Reader), big: big}})
}

type utf16Reader struct {
	r    *bufio.Reader
	big  bool
	rest []byte // of a character, for the next call
}

func (u *utf16Reader) unit() (rune, error) {
	var b [2]byte
	if _, err := io.ReadFull(u.r, b[:]); err != nil {
		return 0, io.EOF // half a character at the end is none
	}
	if u.big {
		return rune(b[0])<<8 | rune(b[1]), nil
	}
	return rune(b[1])<<8 | rune(b[0]), nil
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	for n < len(p) {
		c, err := u.unit()
		if err != nil {
			if n == 0 {
				return 0, err
			}
			return n, nil
		}
		if utf16.IsSurrogate(c) {
			low, err := u.unit()
			if err == nil {
				c = utf16.DecodeRune(c, low)
			}
		}
		if c == 0xfeff {
			continue
		}
		var buffer [utf8.UTFMax]byte
		encoded := utf8.AppendRune(buffer[:0], c)
		k := copy(p[n:], encoded)
		n += k
		u.rest = append(u.rest[:0], encoded[k:]...)
	}
	return n, nil
}
