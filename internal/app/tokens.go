package app

import (
	"encoding/base64"

	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// pageTokens seals page tokens with the keyring.
type pageTokens struct{ keyring *seal.Keyring }

// What tokens in callers' hands are bound to: one kind is never taken for another.
var (
	pageBinding    = material.Binding("keyward-page-token/v1")
	sessionBinding = material.Binding("keyward-session/v1")
)

// SealToken implements alibaba.Tokens.
func (t pageTokens) SealToken(plain string) (string, error) {
	b, err := t.keyring.SealBytes(seal.Token, pageBinding, material.NewBytes([]byte(plain)))
	return base64.RawURLEncoding.EncodeToString(b), err
}

// OpenToken implements alibaba.Tokens.
func (t pageTokens) OpenToken(sealed string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return "", err
	}
	plain, err := t.keyring.OpenBytes(seal.Token, pageBinding, b)
	return string(plain.Expose()), err
}

// tickets seals the tickets of sessions with the keyring.
type tickets struct{ keyring *seal.Keyring }

// Seal implements role.Sealer.
func (t tickets) Seal(ticket material.Bytes) ([]byte, error) {
	return t.keyring.SealBytes(seal.Token, sessionBinding, ticket)
}

// Open implements role.Sealer.
func (t tickets) Open(sealed []byte) (material.Bytes, error) {
	return t.keyring.OpenBytes(seal.Token, sessionBinding, sealed)
}
