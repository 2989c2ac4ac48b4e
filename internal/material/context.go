package material

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
)

// MaxContextSize is the greatest length in bytes of an encryption context as JSON.
const MaxContextSize = 8192

// A Context is an encryption context: pairs that a caller names when encrypting and
// must name again, in any order, when decrypting. A nil and an empty Context are equal.
type Context map[string]string

// ParseContext reads a context from JSON. Anything but one object from strings to
// strings, with distinct names and valid Unicode, of at most [MaxContextSize]
// bytes, is an InvalidParameter fault.
func ParseContext(document []byte) (Context, error) {
	if len(document) > MaxContextSize {
		return nil, fault.InvalidParameter.New("the encryption context has %d bytes; at most %d are allowed", len(document), MaxContextSize)
	}
	// Package json replaces what is not Unicode silently, which would make
	// different contexts equal.
	if !utf8.Valid(document) || !pairedSurrogates(document) {
		return nil, fault.InvalidParameter.New("the encryption context is not valid Unicode")
	}
	shape := fault.InvalidParameter.New(`the encryption context must be one JSON object of strings, such as {"app":"billing"}`)
	decoder := json.NewDecoder(bytes.NewReader(document))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, shape
	}
	ctx := Context{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, shape
		}
		value, err := decoder.Token()
		if err != nil {
			return nil, shape
		}
		key, isString := name.(string)
		text, isText := value.(string)
		if !isString || !isText {
			return nil, shape
		}
		if _, twice := ctx[key]; twice {
			return nil, fault.InvalidParameter.New("the encryption context names one of its keys twice")
		}
		ctx[key] = text
	}
	if token, err := decoder.Token(); err != nil || token != json.Delim('}') {
		return nil, shape
	}
	if len(bytes.TrimLeft(document[decoder.InputOffset():], " \t\r\n")) != 0 {
		return nil, shape
	}
	return ctx, nil
}

// pairedSurrogates tells whether every \uXXXX escape that is a surrogate is half of a pair.
func pairedSurrogates(document []byte) bool {
	for i := 0; i < len(document); i++ {
		if document[i] != '\\' {
			continue
		}
		unit, ok := escapedUnit(document[i:])
		if !ok {
			i++ // a short escape such as \n or \\
			continue
		}
		i += 5
		if !utf16.IsSurrogate(unit) {
			continue
		}
		low, ok := escapedUnit(document[i+1:])
		if !ok || utf16.DecodeRune(unit, low) == utf8.RuneError {
			return false
		}
		i += 6
	}
	return true
}

// escapedUnit reads \uXXXX at the start of b.
func escapedUnit(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(unit), err == nil
}

// Encode answers the canonical form: names and values in ascending byte order of
// the names, each preceded by its length as a big-endian uint32. It is what
// Binding does with the flattened pairs. The empty context has an empty encoding.
func (c Context) Encode() ([]byte, error) {
	if len(c) == 0 {
		return nil, nil
	}
	size := 0
	for name, value := range c {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, fault.InvalidParameter.New("the encryption context is not valid Unicode")
		}
		size += 8 + len(name) + len(value)
	}
	if text := size - 8*len(c); text > MaxContextSize { // whichever way it came; as JSON it is longer still
		return nil, fault.InvalidParameter.New("the encryption context has %d bytes; at most %d are allowed", text, MaxContextSize)
	}
	encoded := make([]byte, 0, size)
	for _, name := range slices.Sorted(maps.Keys(c)) {
		encoded = appendField(appendField(encoded, name), c[name])
	}
	return encoded, nil
}
