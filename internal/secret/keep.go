package secret

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// Keep puts what a person entered into a secret, which it makes if it is not there, as a
// part of another operation of the same caller. The parts become one JSON object, as text.
func (s *Service) Keep(ctx context.Context, c *authz.Call, name string, parts map[string]material.Bytes) error {
	own := *c
	own.Nonce = nil // the request's own record claims it
	plain := make(map[string]string, len(parts))
	for part, value := range parts {
		plain[part] = string(value.Expose())
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
