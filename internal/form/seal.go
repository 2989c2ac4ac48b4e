package form

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/keyward/keyward/internal/material"
)

// A Pair is a named value.
type Pair struct{ Name, Value string }

// Pairs answers a map as a list in the order of its names, without empty values.
func Pairs(m map[string]string) []Pair {
	var out []Pair
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] != "" {
			out = append(out, Pair{name, m[name]})
		}
	}
	return out
}

// Seal wraps a credential, its parts as one JSON object, bound to what the fields name
// and to the settings: who can change a row of the database cannot have the credential
// sent somewhere else.
func Seal(w material.Wrapper, settings []Pair, credential map[string]material.Bytes, fields ...string) ([]byte, error) {
	plain := make(map[string][]byte, len(credential))
	for name, part := range credential {
		plain[name] = part.Expose()
	}
	encoded, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("encoding a credential: %w", err)
	}
	secret := material.NewBytes(encoded)
	defer secret.Zero()
	return w.Wrap(binding(settings, fields), secret)
}

// Open unwraps what Seal wrapped, with the same settings and fields. Whoever is done with
// the credential erases it ([Filling.Erase]).
func Open(w material.Wrapper, settings []Pair, sealed []byte, fields ...string) (Filling, error) {
	secret, err := w.Unwrap(binding(settings, fields), sealed)
	if err != nil {
		return Filling{}, err
	}
	defer secret.Zero()
	var plain map[string][]byte
	if err := json.Unmarshal(secret.Expose(), &plain); err != nil {
		return Filling{}, fmt.Errorf("decoding a credential: %w", err)
	}
	f := Filling{Settings: make(map[string]string, len(settings)), Credential: make(map[string]material.Bytes, len(plain))}
	for _, p := range settings {
		f.Settings[p.Name] = p.Value
	}
	for name, part := range plain {
		f.Credential[name] = material.NewBytes(part)
	}
	return f, nil
}

func binding(settings []Pair, fields []string) []byte {
	fields = slices.Clone(fields)
	for _, p := range settings {
		fields = append(fields, p.Name, p.Value)
	}
	return material.Binding(fields...)
}

// Erase overwrites the credential.
func (f Filling) Erase() {
	for _, part := range f.Credential {
		part.Zero()
	}
}
