package secret

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// Keep puts what a person entered into a secret, which it makes if it is not there, as a
// part of another operation of the same caller. The parts become one JSON object, as text;
// what is no text is in Base64.
func (s *Service) Keep(ctx context.Context, c *authz.Call, name string, parts map[string]material.Bytes) error {
	own := *c
	own.Nonce = nil // the request's own record claims it
	plain := make(map[string]string, len(parts))
	for part, value := range parts {
		if plain[part] = string(value.Expose()); !utf8.ValidString(plain[part]) { // a file, such as a .pfx, which JSON would spoil
			plain[part] = base64.StdEncoding.EncodeToString(value.Expose())
		}
	}
	encoded, err := json.Marshal(plain)
	if err != nil {
		return fmt.Errorf("encoding what was entered: %w", err)
	}
	data := material.NewBytes(encoded)
	defer data.Zero()
	_, _, err = s.Put(ctx, &own, PutInput{Secret: name, Data: data})
	if fault.Is(err, fault.ResourceNotFound) {
		_, err = s.Create(ctx, &own, CreateInput{Name: name, Description: "entered by a person", Data: data})
	}
	return err
}
