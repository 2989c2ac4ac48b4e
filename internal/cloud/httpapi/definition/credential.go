package definition

import (
	"encoding/json"
	"strings"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// ReadVars reads variables out of one JSON object: a string is a value, anything else
// stands for its JSON. "" has none.
func ReadVars(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, fault.InvalidParameter.New(`vars must be one JSON object, such as {"account":"123"}`)
	}
	out := map[string]string{}
	for name, raw := range values {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			s = string(raw)
		}
		out[name] = s
	}
	return out, nil
}

// ReadCredential splits a credential into the parts that the definition names: the whole
// of it, without a final line break, if there is one part, else a line NAME=VALUE for each.
func (d *Definition) ReadCredential(whole material.Bytes) (map[string]material.Bytes, error) {
	text := strings.TrimRight(string(whole.Expose()), "\r\n") // parts of it become texts of headers
	out := map[string]material.Bytes{}
	if len(d.Credential) == 1 {
		for name := range d.Credential {
			out[name] = material.NewBytes([]byte(text))
		}
		return out, nil
	}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if _, known := d.Credential[name]; !ok || !known || out[name].Len() > 0 {
			return nil, fault.InvalidParameter.New("the credential must have one line NAME=VALUE for each of %s", list(d.Credential))
		}
		out[name] = material.NewBytes([]byte(value))
	}
	return out, nil
}
