package agent

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/material"
)

// partsOf answers the parts of a value: the members of a JSON object of strings, which
// is what rotations write, or else the whole text as the one part [delivery.ValuePart].
func partsOf(value material.Bytes) (map[string]api.SecretText, error) {
	var object map[string]*string
	if json.Unmarshal(value.Expose(), &object) == nil && len(object) > 0 {
		parts := make(map[string]api.SecretText, len(object))
		for name, text := range object {
			if text == nil {
				return map[string]api.SecretText{delivery.ValuePart: api.SecretText(value.Expose())}, nil
			}
			parts[name] = api.SecretText(*text)
		}
		return parts, nil
	}
	if !utf8.Valid(value.Expose()) {
		return nil, errors.New("the value is no text: only text can be delivered")
	}
	return map[string]api.SecretText{delivery.ValuePart: api.SecretText(value.Expose())}, nil
}
