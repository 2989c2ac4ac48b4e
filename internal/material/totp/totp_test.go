package totp_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/totp"
)

// secret is that of the test vectors of RFC 6238, appendix B.
func secret() material.Bytes { return material.NewBytes([]byte("12345678901234567890")) }

// The vectors have eight digits; six are their end.
func TestVectors(t *testing.T) {
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if code := totp.Code(secret(), totp.Step(time.Unix(at, 0))); code != want {
			t.Errorf("at %d the code is %s, want %s", at, code, want)
		}
	}
}

func TestMatch(t *testing.T) {
	now := time.Unix(1_800_000_015, 0)
	for off, want := range map[int64]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		step := totp.Step(now) + off
		got, found := totp.Match(secret(), totp.Code(secret(), step), now)
		if found != want || found && got != step {
			t.Errorf("the code of step %+d: %d, %t", off, got-totp.Step(now), found)
		}
	}
}

func TestWellFormed(t *testing.T) {
	for code, want := range map[string]bool{
		"123456": true, "000000": true, "": false, "12345": false, "1234567": false, "12345a": false, " 12345": false, "123456 ": false, "+12345": false, "１２３４５６": false, "١٢٣٤٥٦": false, "12 456": false,
	} {
		if totp.WellFormed(code) != want {
			t.Errorf("%q: %t", code, !want)
		}
	}
}

func TestURI(t *testing.T) {
	u, err := url.Parse(totp.URI(secret(), "keyward 1234", "a b@c"))
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/keyward 1234:a b@c" || u.Query().Get("secret") != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" || u.Query().Get("issuer") != "keyward 1234" {
		t.Errorf("the URI is %s", u)
	}
}
