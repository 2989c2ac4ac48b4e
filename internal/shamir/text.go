package shamir

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// The text of a share is "kwshare1-" and then, in base 32 (RFC 4648, lower case, no
// padding) with a dash after every fourth digit:
//
//	off  len  field
//	0    8    set id
//	8    1    k
//	9    1    index
//	10   8    fingerprint of the secret
//	18   32   values
//	50   5    checksum: the first bytes of SHA-256("keyward-share-text/v1" ‖ 0 ‖ bytes 0 to 49)
//
// 88 digits. When it is read, case does not matter, nor do blanks, line breaks and dashes.
const (
	prefix       = "kwshare1"
	rawSize      = 50
	checksumSize = 5
	digits       = (rawSize + checksumSize) * 8 / 5
	group        = 4

	// MaxText is how many bytes a share may have when it is read, blanks included.
	MaxText = 512
)

// What is wrong with the text of a share, said to who typed it: each is an InvalidParameter
// fault. None quotes the text.
var (
	ErrNoShare  = fault.InvalidParameter.New(`this is no share; one begins with "kwshare1-"`)
	ErrLength   = fault.InvalidParameter.New("the share has too few or too many characters; part of it is missing, or something was added")
	ErrLetter   = fault.InvalidParameter.New("the share has a character that no share has; shares are written with the letters a to z and the digits 2 to 7")
	ErrMistyped = fault.InvalidParameter.New("the share is mistyped: its checksum does not fit; read it again")
)

// Text writes the share down.
func (s Share) Text() material.Bytes {
	raw := s.encode()
	raw = append(raw, checksum(raw)...)
	defer clear(raw)
	text := make([]byte, 0, len(prefix)+digits+digits/group)
	text = append(text, prefix...)
	var bits uint32
	var held, written int
	for _, b := range raw {
		bits, held = bits<<8|uint32(b), held+8
		for ; held >= 5; held -= 5 {
			if written%group == 0 {
				text = append(text, '-')
			}
			text = append(text, letter(byte(bits>>(held-5))&31))
			written++
		}
	}
	return material.NewBytes(text)
}

// Parse reads what Text wrote. The error is one of this package's and tells which kind
// of slip it was.
func Parse(text []byte) (Share, error) {
	if len(text) > MaxText {
		return Share{}, ErrLength
	}
	bare := make([]byte, 0, len(text))
	defer func() { clear(bare[:cap(bare)]) }()
	for _, c := range text {
		if c != '-' && c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			bare = append(bare, c)
		}
	}
	if len(bare) < len(prefix) || !isPrefix(bare[:len(prefix)]) {
		return Share{}, ErrNoShare
	}
	if len(bare) != len(prefix)+digits {
		return Share{}, ErrLength
	}
	raw := make([]byte, 0, rawSize+checksumSize)
	defer func() { clear(raw[:cap(raw)]) }()
	var bits uint32
	var held int
	var wrong byte
	for _, c := range bare[len(prefix):] {
		v, bad := value(c)
		wrong |= bad
		bits, held = bits<<5|uint32(v), held+5
		if held >= 8 {
			held -= 8
			raw = append(raw, byte(bits>>held))
		}
	}
	if wrong != 0 {
		return Share{}, ErrLetter
	}
	if subtle.ConstantTimeCompare(checksum(raw[:rawSize]), raw[rawSize:]) != 1 {
		return Share{}, ErrMistyped
	}
	return decode(raw[:rawSize])
}

// isPrefix compares without regard to case; what it reads is public.
func isPrefix(b []byte) bool {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

func (s Share) encode() []byte {
	raw := make([]byte, 0, rawSize+checksumSize)
	raw = append(raw, s.Set[:]...)
	raw = append(raw, byte(s.Threshold), byte(s.Index))
	raw = append(raw, s.fingerprint[:]...)
	return append(raw, s.value.Expose()...)
}

func decode(raw []byte) (Share, error) {
	s := Share{Threshold: int(raw[8]), Index: int(raw[9])}
	if Check(s.Threshold, MaxShares) != nil || s.Index < 1 || s.Index > MaxShares {
		return Share{}, ErrMistyped // nobody but a forger writes such a checksum
	}
	copy(s.Set[:], raw)
	copy(s.fingerprint[:], raw[10:])
	s.value = material.NewBytes(append([]byte{}, raw[18:]...))
	return s, nil
}

func checksum(raw []byte) []byte {
	h := sha256.New()
	h.Write([]byte("keyward-share-text/v1\x00"))
	h.Write(raw)
	return h.Sum(nil)[:checksumSize]
}
