// Package answer reads what a service said: JSON through pointers, moments out of whatever
// way a service writes them, and texts with every secret cut out.
//
// Who may call: package httpapi. Nothing is kept. Nothing that is read is trusted: a value
// that is not what a definition says of it is an error, and none of the errors holds it.
package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Decode reads exactly one JSON value. Numbers keep their digits.
func Decode(text []byte, into *any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return errors.New("it is not JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// Lookup follows a JSON pointer (RFC 6901); found is false if it leads nowhere.
func Lookup(v any, pointer string) (value any, found bool) {
	for pointer != "" {
		name, rest, more := strings.Cut(pointer[1:], "/")
		if more {
			rest = "/" + rest
		}
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
		switch at := v.(type) {
		case map[string]any:
			if v, found = at[name]; !found {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) || strconv.Itoa(i) != name {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
		pointer = rest
	}
	return v, true
}

// Text writes a string, a number or a truth as text; ok is false for anything else.
func Text(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
