package seal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

const (
	deviceProvider  = "pkcs11"
	deviceAlgorithm = "aes-256-gcm"
	maxDeviceBlob   = 256 // bytes
)

// A Device is a hardware token that keeps keys which never leave it. Its methods block
// until it has answered or ctx ends; one that cannot be reached is an Unavailable fault.
type Device interface {
	// NewSealKey makes an AES-256 key of that name.
	NewSealKey(ctx context.Context, name string) error
	// WrapRoot encrypts a secret of 32 bytes with the key of that name.
	WrapRoot(ctx context.Context, name string, secret material.Bytes) ([]byte, error)
	// UnwrapRoot decrypts what WrapRoot answered.
	UnwrapRoot(ctx context.Context, name string, wrapped []byte) (material.Bytes, error)
}

// deviceParams is Envelope.Params of an envelope that opens with a key in a token. As with
// shares it is the envelope's own random key that the token opens: the root key itself
// never goes there. The token's key has the name of the envelope.
type deviceParams struct {
	Algorithm string `json:"algorithm"` // "aes-256-gcm"
	Key       []byte `json:"key"`       // the envelope's key, as the token wrapped it
}

// A deviceKey is the key of an envelope to be, and how a token wrapped it.
type deviceKey struct {
	name    string // of the envelope and the token's key
	key     material.Bytes
	wrapped []byte
}

// WithKey answers p with a key that the token makes if it is to open with one. There may
// be no token: then that is an UnsupportedOperation fault. If the envelope is never stored
// the token's key is of no use to anybody.
func (p Protection) WithKey(ctx context.Context, d Device) (Protection, error) {
	if !p.Device {
		return p, nil
	}
	if d == nil {
		return p, errNoDevice()
	}
	var err error
	p.deviceKey, err = newDeviceKey(ctx, d)
	return p, err
}

func errNoDevice() error {
	return fault.UnsupportedOperation.New("this server has no hardware token; name its helper in the section pkcs11 of the configuration")
}

// newDeviceKey makes a key in the token, and has it wrap the key of an envelope.
func newDeviceKey(ctx context.Context, d Device) (deviceKey, error) {
	k := deviceKey{name: rand.Text(), key: material.Random(secretSize)}
	err := d.NewSealKey(ctx, k.name)
	if err == nil {
		k.wrapped, err = d.WrapRoot(ctx, k.name, k.key)
	}
	if err != nil {
		k.key.Zero()
		return deviceKey{}, fmt.Errorf("making a seal key in the token: %w", err)
	}
	return k, nil
}

// parseDeviceParams reads and bounds the parameters of an envelope.
func parseDeviceParams(document []byte) (deviceParams, error) {
	p, err := readParams[deviceParams](document)
	if err != nil {
		return p, err
	}
	if p.Algorithm != deviceAlgorithm {
		return p, errors.New("the parameters name an unknown algorithm")
	}
	if len(p.Key) > maxDeviceBlob {
		return p, fmt.Errorf("the parameters have a key of %d bytes", len(p.Key))
	}
	return p, nil
}

// OpensWithDevice tells whether one of the envelopes is a token's.
func OpensWithDevice(envelopes []Envelope) bool {
	for _, e := range envelopes {
		if e.Provider == deviceProvider {
			return true
		}
	}
	return false
}

// WithDevice has the token, which may be nil, open the keys of the envelopes that are its,
// and answers what opens one of them, once. A store without such an envelope is a
// StateConflict fault, and so is a damaged one; otherwise the fault is the token's for the
// last envelope.
func WithDevice(ctx context.Context, store Store, d Device) (Opener, error) {
	if d == nil {
		return nil, errNoDevice()
	}
	envelopes, err := store.Envelopes(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading root envelopes: %w", err)
	}
	err = fault.StateConflict.New("no root envelope of the store opens with the hardware token; use the passphrase or the shares")
	keys := map[string]material.Bytes{}
	for _, e := range envelopes {
		if e.Provider != deviceProvider {
			continue
		}
		var p deviceParams
		if p, err = parseDeviceParams(e.Params); err != nil {
			err = fault.StateConflict.Wrap(err, "a root envelope has unreasonable parameters; nothing was changed; restore it from a backup")
			continue
		}
		var key material.Bytes
		if key, err = d.UnwrapRoot(ctx, e.ID, p.Key); err == nil {
			keys[e.ID] = key
		}
	}
	if len(keys) == 0 {
		return nil, err
	}
	return func(envelopes []Envelope) (root material.Bytes, of Envelope, err error) {
		defer func() {
			for _, key := range keys {
				key.Zero()
			}
		}()
		err = fault.StateConflict.New("the root envelopes of the token were changed meanwhile; try again")
		for _, e := range envelopes {
			key := keys[e.ID]
			if key.Len() == 0 { // another's, or erased
				continue
			}
			if root, err = e.open(key); err == nil {
				return root, e, nil
			}
			err = fault.StateConflict.Wrap(err, "the token opened its key, but the root envelope was damaged; restore it from a backup")
		}
		return material.Bytes{}, Envelope{}, err
	}, nil
}
