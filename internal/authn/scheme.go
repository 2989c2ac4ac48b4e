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
	hash   func() hash.Hash
	key    func(secret []byte, scope []string) []byte
	encode func([]byte) string
	scoped bool // the credential names a scope, and the key is derived for it
}

// appendSum appends the hash of data in hexadecimal.
func (s *scheme) appendSum(b, data []byte) []byte {
	if s != &acs3SM3 {
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
	hash: sha1.New,
	key: func(secret []byte, _ []string) []byte {
		return slices.Concat(secret, []byte("&"))
	},
	encode: base64.StdEncoding.EncodeToString,
}

// acs3 is the scheme of the REST dialect, and the one that Alibaba Cloud's clients use by default.
var acs3 = scheme{name: "ACS3-HMAC-SHA256", hash: sha256.New, key: secretKey, encode: hex.EncodeToString}

var acs3SM3 = scheme{name: "ACS3-HMAC-SM3", hash: sm3.New, key: secretKey, encode: hex.EncodeToString}

// acsSchemes are those of the Authorization header, by name.
var acsSchemes = map[string]*scheme{
	"ACS3-HMAC-SHA256": &acs3,
	"ACS3-HMAC-SM3":    &acs3SM3,
	"ACS4-HMAC-SHA256": {name: "ACS4-HMAC-SHA256", hash: sha256.New, key: derivedKey, encode: hex.EncodeToString, scoped: true},
}

func secretKey(secret []byte, _ []string) []byte { return secret }

// derivedKey walks down the scope, so that a key that leaks serves one day, region and product only.
func derivedKey(secret []byte, scope []string) []byte {
	key := slices.Concat([]byte("aliyun_v4"), secret)
	for _, part := range scope {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return key
}
