package authz

import (
	"bytes"
	"encoding/json"
	"io"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
)

// maxDepth bounds the nesting of a policy document; a valid one needs six levels.
const maxDepth = 16

// An object is a JSON object with its members in order and no name twice.
// encoding/json would take the last of two equal names and ignore the case of
// names; two readers of such a document could disagree on what it allows.
type object []member

type member struct {
	name  string
	value any // object, []any, string, json.Number, bool or nil
}

func (o object) get(name string) (any, bool) {
	for _, m := range o {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// parseDocument reads exactly one JSON value.
func parseDocument(document []byte) (any, error) {
	if !utf8.Valid(document) {
		return nil, fault.Say("the document is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(document))
	dec.UseNumber()
	v, err := parseValue(dec, 1)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fault.Say("more data follows the document at byte %d", dec.InputOffset())
	}
	return v, nil
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fault.Say("the document is nested deeper than %d levels", maxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, fault.Say("the document is not JSON at byte %d", dec.InputOffset())
	}
	switch token {
	case json.Delim('{'):
		return parseObject(dec, depth)
	case json.Delim('['):
		return parseArray(dec, depth)
	}
	return token, nil
}

func parseObject(dec *json.Decoder, depth int) (any, error) {
	o := object{}
	seen := make(map[string]bool)
	for dec.More() {
		name, err := parseValue(dec, depth)
		if err != nil {
			return nil, err
		}
		text, _ := name.(string) // the decoder refuses other names
		if seen[text] {
			return nil, fault.Say("%q appears twice in one object", text)
		}
		seen[text] = true
		v, err := parseValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		o = append(o, member{text, v})
	}
	return o, parseEnd(dec)
}

func parseArray(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := parseValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, parseEnd(dec)
}

func parseEnd(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return fault.Say("the document is not JSON at byte %d", dec.InputOffset())
	}
	return nil
}
