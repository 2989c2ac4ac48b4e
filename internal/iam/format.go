package iam

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/keyward/keyward/internal/material"
)

// The formats of ids and secrets let a scanner find a leaked one in any text without
// asking a server, and nearly without false alarms. docs/design/access-keys.md
// specifies them, with test vectors.
//
//	id      KWAK  + 18 characters [A-Z2-7]     (90 random bits)  + 6 of checksum
//	secret  kwsk_ + 43 characters [0-9A-Za-z] (256 random bits)  + 6 of checksum
//
// Both checksums are the CRC-32 (IEEE) of all characters before them.
const (
	idPrefix       = "KWAK"
	sessionPrefix  = "KWST" // of temporary credentials
	idRandom       = 18
	idChecksum     = 6
	secretPrefix   = "kwsk_"
	secretRandom   = 43
	secretChecksum = 6

	base32Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// ValidAccessKeyID tells whether id has the form of an access key id and the right
// checksum. Whatever has not was never issued, which is known without a database.
func ValidAccessKeyID(id string) bool { return validID(idPrefix, id) }

// ValidSessionKeyID tells the same of the id of temporary credentials.
func ValidSessionKeyID(id string) bool { return validID(sessionPrefix, id) }

func validID(prefix, id string) bool {
	length := len(prefix) + idRandom + idChecksum
	if len(id) != length || !strings.HasPrefix(id, prefix) || strings.Trim(id[len(prefix):], base32Digits) != "" {
		return false
	}
	body := length - idChecksum
	return checksum32(id[:body]) == id[body:]
}

func newAccessKeyID() string { return newID(idPrefix) }

// NewSessionKey makes the id and the secret of temporary credentials.
func NewSessionKey() (id string, secret material.Bytes) { return newID(sessionPrefix), newSecret() }

func newID(prefix string) string {
	body := string(appendRandom([]byte(prefix), idRandom, base32Digits))
	return body + checksum32(body)
}

func newSecret() material.Bytes {
	// One allocation: growing would leave copies of the secret behind.
	b := make([]byte, 0, len(secretPrefix)+secretRandom+secretChecksum)
	b = appendRandom(append(b, secretPrefix...), secretRandom, base62Digits)
	return material.NewBytes(appendChecksum62(b))
}

// checksum32 writes the low 30 bits of the CRC-32 as six base32 digits, highest first.
func checksum32(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	b := binary.BigEndian.AppendUint32(nil, sum<<2) // base32 takes bits from the top
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)[:idChecksum]
}

// appendChecksum62 appends the CRC-32 of b as six base62 digits, highest first.
func appendChecksum62(b []byte) []byte {
	sum := crc32.ChecksumIEEE(b)
	var digits [secretChecksum]byte
	for i := secretChecksum - 1; i >= 0; i-- {
		digits[i] = base62Digits[sum%62]
		sum /= 62
	}
	return append(b, digits[:]...)
}

// appendRandom appends n random digits, each equally likely.
func appendRandom(b []byte, n int, digits string) []byte {
	fair := 256 - 256%len(digits) // bytes from here on would favour the first digits
	var random [1]byte
	for n > 0 {
		rand.Read(random[:]) // never fails: crypto/rand ends the process instead
		if int(random[0]) < fair {
			b = append(b, digits[int(random[0])%len(digits)])
			n--
		}
	}
	return b
}
