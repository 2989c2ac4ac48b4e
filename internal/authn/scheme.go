package authn

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"slices"

	"github.com/emmansun/gmsm/sm3"
)

// A scheme is the arithmetic of a way to sign: which hash, which key, how the
// signature is written.
type scheme struct {
	name   string
	mac    func(b, key, text []byte) []byte // appends the HMAC of text
	key    func(secret []byte, scope []string) []byte
	encode func(b, mac []byte) []byte // appends the text of the signature
	scoped bool                       // the credential names a scope, and the key is derived for it
}

// emptySum is the SHA-256 of nothing, which is what most bodies are.
const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// appendSum appends the hash of data in hexadecimal.
func (s *scheme) appendSum(b, data []byte) []byte {
	if s != &acs3SM3 {
		if len(data) == 0 {
			return append(b, emptySum...)
		}
		sum := sha256.Sum256(data)
		return hex.AppendEncode(b, sum[:])
	}
	sum := sm3.Sum(slices.Clone(data)) // a copy, because data may lie on the caller's stack
	return hex.AppendEncode(b, sum[:])
}

// rpc10 is the scheme of RPC 1.0. SHA-1 is weak where collisions matter, which they do
// not in an HMAC.
var rpc10 = scheme{
	name: "HMAC-SHA1",
	mac:  func(b, key, text []byte) []byte { return appendMAC(b, sha1.New, key, text) },
	key: func(secret []byte, _ []string) []byte {
		return slices.Concat(secret, []byte("&"))
	},
	encode: base64.StdEncoding.AppendEncode,
}

// acs3 is the scheme of the REST dialect, and the one that Alibaba Cloud's clients use by default.
var acs3 = scheme{name: "ACS3-HMAC-SHA256", mac: appendMAC256, key: secretKey, encode: hex.AppendEncode}

var acs3SM3 = scheme{
	name:   "ACS3-HMAC-SM3",
	mac:    func(b, key, text []byte) []byte { return appendMAC(b, sm3.New, key, text) },
	key:    secretKey,
	encode: hex.AppendEncode,
}

// acsSchemes are those of the Authorization header, by name.
var acsSchemes = map[string]*scheme{
	"ACS3-HMAC-SHA256": &acs3,
	"ACS3-HMAC-SM3":    &acs3SM3,
	"ACS4-HMAC-SHA256": {name: "ACS4-HMAC-SHA256", mac: appendMAC256, key: derivedKey, encode: hex.AppendEncode, scoped: true},
}

func appendMAC(b []byte, hash func() hash.Hash, key, text []byte) []byte {
	mac := hmac.New(hash, key)
	mac.Write(text)
	return mac.Sum(b)
}

// appendMAC256 appends the HMAC-SHA256 (RFC 2104) of text. Keys and texts of the usual
// size stay on the stack: package hmac makes five allocations for each request, and leaves
// copies of the secret in them.
func appendMAC256(b, key, text []byte) []byte {
	const block, usual = sha256.BlockSize, 128
	if len(key) > block || len(text) > usual {
		return appendMAC(b, sha256.New, key, text)
	}
	var inner [block + usual]byte
	var outer [block + sha256.Size]byte
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range block {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	sum := sha256.Sum256(append(inner[:block], text...))
	copy(outer[block:], sum[:])
	sum = sha256.Sum256(outer[:])
	return append(b, sum[:]...)
}

func secretKey(secret []byte, _ []string) []byte { return secret }

// derivedKey walks down the scope, so that a key that leaks serves one day, region and product only.
func derivedKey(secret []byte, scope []string) []byte {
	key := slices.Concat([]byte("aliyun_v4"), secret)
	for _, part := range scope {
		key = appendMAC256(nil, key, []byte(part))
	}
	return key
}
