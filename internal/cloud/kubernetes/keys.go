package kubernetes

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/target"
)

// A dataKey is one entry of a Secret's data, and where it comes from.
type dataKey struct {
	name     string
	fallback bool   // from the fallback version, instead of the primary one
	part     string // of its value; "" for all of it
}

const (
	primary  = "primary"
	fallback = "fallback"
	maxKeys  = 50
)

var dataName = lazy.Regexp(`^[A-Za-z0-9._-]{1,253}$`)

// parseKeys reads the setting keys: NAME=primary[.PART] and NAME=fallback[.PART], with commas.
func parseKeys(text string) ([]dataKey, error) {
	if text == "" {
		return []dataKey{{name: primary}, {name: fallback, fallback: true}}, nil
	}
	var out []dataKey
	for entry := range strings.SplitSeq(text, ",") {
		name, from, _ := strings.Cut(strings.TrimSpace(entry), "=")
		version, part, parted := strings.Cut(from, ".")
		if !dataName().MatchString(name) || version != primary && version != fallback || parted && part == "" {
			return nil, fault.InvalidParameter.New("the field keys has entries such as id=primary.access_key_id, separated by commas")
		}
		if slices.ContainsFunc(out, func(k dataKey) bool { return k.name == name }) {
			return nil, fault.InvalidParameter.New("the field keys has %s twice", name)
		}
		out = append(out, dataKey{name, version == fallback, part})
	}
	if len(out) > maxKeys {
		return nil, fault.InvalidParameter.New("the field keys has at most %d entries", maxKeys)
	}
	return out, nil
}

// render answers the data of a Secret. What comes from a fallback that there is not is left
// out. The caller erases it.
func render(keys []dataKey, d target.Delivery) (map[string][]byte, error) {
	out := make(map[string][]byte, len(keys))
	for _, k := range keys {
		value := d.Primary
		if k.fallback {
			value = d.Fallback
		}
		if k.fallback && d.Due.Generation.Fallback == "" {
			continue
		}
		piece, err := k.of(value)
		if err != nil {
			erase(out)
			return nil, err
		}
		out[k.name] = piece
	}
	return out, nil
}

// of answers what an entry takes of a value.
func (k dataKey) of(value material.Bytes) ([]byte, error) {
	if k.part == "" {
		return slices.Clone(value.Expose()), nil
	}
	var parts map[string]string
	if json.Unmarshal(value.Expose(), &parts) != nil {
		return nil, fault.StateConflict.New("the secret's value is no JSON object of texts, so that %s cannot take a part of it; change the target's keys", k.name)
	}
	part, ok := parts[k.part]
	if !ok {
		return nil, fault.StateConflict.New("the secret's value has no part %q for %s; it has %s", k.part, k.name, strings.Join(slices.Sorted(maps.Keys(parts)), ", "))
	}
	return []byte(part), nil
}

// erase overwrites the data of a Secret.
func erase(data map[string][]byte) {
	for _, value := range data {
		clear(value)
	}
}
