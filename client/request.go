package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// at makes a path of its segments. In a path the slashes of a name, such as those of an
// alias, are written "~": proxies do not agree on what an encoded slash is.
func at(segments ...string) string {
	b := []byte("/v1")
	for _, s := range segments {
		b = appendEscaped(append(b, '/'), strings.ReplaceAll(s, "/", "~"))
	}
	return string(b)
}

// encode puts in where the method has it: into the query or into the body.
func encode(method, target string, in any) (string, []byte, error) {
	if in == nil {
		return target, nil, nil
	}
	body, err := json.Marshal(in)
	if err != nil {
		return "", nil, fmt.Errorf("encoding the request: %w", err)
	}
	if method != http.MethodGet && method != http.MethodDelete {
		return target, body, nil
	}
	query, err := queryOf(body)
	if err != nil || query == "" {
		return target, nil, err
	}
	return target + "?" + query, nil, nil
}

// queryOf writes the members of a flat JSON object as a query, in the order and in the
// spelling that signatures cover.
func queryOf(object []byte) (string, error) {
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		return "", fmt.Errorf("encoding the request: %w", err)
	}
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value, err := queryValue(members[name])
		if err != nil {
			return "", fmt.Errorf("encoding %s: %w", name, err)
		}
		if len(b) > 0 {
			b = append(b, '&')
		}
		b = appendEscaped(append(appendEscaped(b, name), '='), value)
	}
	return string(b), nil
}

func queryValue(v any) (string, error) {
	list, ok := v.([]any)
	if !ok {
		if v == nil {
			return "", nil
		}
		return fmt.Sprint(v), nil
	}
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = fmt.Sprint(item)
		if strings.Contains(texts[i], ",") {
			return "", errors.New("an entry of the list has a comma")
		}
	}
	return strings.Join(texts, ","), nil
}

// appendEscaped percent-encodes all but the unreserved characters of RFC 3986.
func appendEscaped(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}
