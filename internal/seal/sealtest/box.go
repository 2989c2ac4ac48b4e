package sealtest

import (
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// A Box seals with a keyring what leaves in callers' hands, as package app has it.
type Box struct{ Keyring *seal.Keyring }

// Seal implements role.Sealer.
func (b Box) Seal(content material.Bytes) ([]byte, error) {
	return b.Keyring.SealBytes(seal.Token, []byte("box"), content)
}

// Open implements role.Sealer.
func (b Box) Open(sealed []byte) (material.Bytes, error) {
	return b.Keyring.OpenBytes(seal.Token, []byte("box"), sealed)
}
