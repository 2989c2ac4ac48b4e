// Package totp computes one-time codes as authenticator apps do: RFC 6238 with SHA-1, six
// digits and steps of thirty seconds, the only form that all apps know.
//
// It is pure. That a code serves only once, and that it cannot be guessed, is for the
// caller to see to, who keeps the newest step that was accepted and counts what was not.
package totp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/material"
)

const (
	seconds    = 30
	digits     = 6
	modulus    = 1_000_000
	secretSize = 20 // bytes, as RFC 4226 recommends
	skew       = 1  // steps that a clock may be off, both ways
)

// NewSecret makes a secret.
func NewSecret() material.Bytes { return material.Random(secretSize) }

// Step answers the number of the step that a time lies in.
func Step(t time.Time) int64 { return t.Unix() / seconds }

// Code answers the code of a step.
func Code(secret material.Bytes, step int64) string {
	mac := hmac.New(sha1.New, secret.Expose())
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", digits, number%modulus)
}

// WellFormed tells whether a text could be a code: exactly six ASCII digits.
func WellFormed(code string) bool {
	for i := range len(code) {
		if code[i] < '0' || code[i] > '9' {
			return false
		}
	}
	return len(code) == digits
}

// Match answers the step whose code it is, of the present one and its neighbours.
func Match(secret material.Bytes, code string, now time.Time) (step int64, found bool) {
	for s := Step(now) - skew; s <= Step(now)+skew; s++ {
		if subtle.ConstantTimeCompare([]byte(Code(secret, s)), []byte(code)) == 1 {
			step, found = s, true
		}
	}
	return step, found
}

// Text answers the secret as people type it into an app.
func Text(secret material.Bytes) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret.Expose())
}

// URI answers what apps read from a QR code: the secret with the names of who issued it and
// whose it is.
func URI(secret material.Bytes, issuer, holder string) string {
	q := url.Values{"secret": {Text(secret)}, "issuer": {issuer}}
	return "otpauth://totp/" + url.PathEscape(issuer+":"+holder) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20") // a plus sign apps would show
}
