// Package credential turns a key's credential into what secrets keep, and back: one JSON object
// of texts, by the names of its parts.
//
// Who may call: package engine. What is stored: nothing. What is trusted: nothing that a secret
// holds, whose value no error tells.
package credential

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// Encode makes one JSON object of a credential's parts, which is how secrets keep them.
func Encode(parts map[string]material.Bytes) (material.Bytes, error) {
	plain := make(map[string]string, len(parts))
	for name, part := range parts {
		plain[name] = string(part.Expose())
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return material.Bytes{}, fmt.Errorf("encoding a credential: %w", err)
	}
	return material.NewBytes(text), nil
}

// errNone never tells what a secret holds instead.
var errNone = errors.New("the value is no JSON object of texts")

// Decode answers the parts of a credential.
func Decode(data material.Bytes) (map[string]material.Bytes, error) {
	var plain map[string]string
	if json.Unmarshal(data.Expose(), &plain) != nil || len(plain) == 0 {
		return nil, fault.InvalidParameter.Wrap(errNone, `the secret does not hold a credential that keyward can replace; put it as one JSON object of texts, such as {"access_key_id":"…","access_key_secret":"…"}`)
	}
	parts := make(map[string]material.Bytes, len(plain))
	for name, text := range plain {
		parts[name] = material.NewBytes([]byte(text))
	}
	return parts, nil
}

// Spoil answers a credential that is wrong: each letter and digit of its longest part is another one.
// Ids are shorter than what proves that they are one's own, and stay.
func Spoil(parts map[string]material.Bytes) map[string]material.Bytes {
	longest := 0
	for _, part := range parts {
		longest = max(longest, part.Len())
	}
	out := map[string]material.Bytes{}
	for name, part := range parts {
		b := slices.Clone(part.Expose())
		if len(b) == longest {
			for n, c := range b {
				b[n] = other(c)
			}
		}
		out[name] = material.NewBytes(b)
	}
	return out
}

// other answers another character of the same sort.
func other(c byte) byte {
	switch {
	case c >= '0' && c < '9', c >= 'a' && c < 'z', c >= 'A' && c < 'Z':
		return c + 1
	case c == '9':
		return '0'
	case c == 'z':
		return 'a'
	case c == 'Z':
		return 'A'
	}
	return c
}
