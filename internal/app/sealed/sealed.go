// Package sealed makes and opens what callers carry around and cannot read: tokens of pages and
// detections, the tickets of sessions, and the transactions of logins. All are sealed under the
// keyring's token key, each bound to its purpose, so that one kind is never taken for another.
//
// Who may call: package app, which hands them to those who declare what they need of them.
package sealed

import (
	"encoding/base64"

	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// Pages seals tokens of the Alibaba Cloud API with the keyring.
type Pages struct{ Keyring *seal.Keyring }

// What they are bound to.
var (
	pageBinding    = material.Binding("keyward-page-token/v1")
	sessionBinding = material.Binding("keyward-session/v1")
	loginBinding   = material.Binding("keyward-login/v1")
)

// SealToken implements alibaba.Tokens.
func (t Pages) SealToken(plain string) (string, error) {
	b, err := t.Keyring.SealBytes(seal.Token, pageBinding, material.NewBytes([]byte(plain)))
	return base64.RawURLEncoding.EncodeToString(b), err
}

// OpenToken implements alibaba.Tokens.
func (t Pages) OpenToken(sealed string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return "", err
	}
	plain, err := t.Keyring.OpenBytes(seal.Token, pageBinding, b)
	return string(plain.Expose()), err
}

// Tickets seals the tickets of sessions with the keyring.
type Tickets struct{ Keyring *seal.Keyring }

// Seal implements role.Sealer.
func (t Tickets) Seal(ticket material.Bytes) ([]byte, error) {
	return t.Keyring.SealBytes(seal.Token, sessionBinding, ticket)
}

// Open implements role.Sealer.
func (t Tickets) Open(sealed []byte) (material.Bytes, error) {
	return t.Keyring.OpenBytes(seal.Token, sessionBinding, sealed)
}

// Logins seals the transactions of logins with the keyring.
type Logins struct{ Keyring *seal.Keyring }

// Seal implements federation.Sealer.
func (l Logins) Seal(transaction material.Bytes) ([]byte, error) {
	return l.Keyring.SealBytes(seal.Token, loginBinding, transaction)
}

// Open implements federation.Sealer.
func (l Logins) Open(sealed []byte) (material.Bytes, error) {
	return l.Keyring.OpenBytes(seal.Token, loginBinding, sealed)
}
