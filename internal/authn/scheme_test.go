package authn_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/authn"
)

// Keys and texts of every size, on both sides of what stays on the stack.
func TestMACIsHMAC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "prefix")
		key := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "key")
		text := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "text")
		mac := hmac.New(sha256.New, key)
		mac.Write(text)
		if diff := cmp.Diff(mac.Sum(prefix), authn.AppendMAC256(prefix, key, text)); diff != "" {
			t.Error(diff)
		}
	})
}
