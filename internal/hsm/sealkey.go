package hsm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// sealLabel begins the labels of the keys that open root envelopes.
const sealLabel = "keyward/seal/"

// SealKeys makes and uses keys that open root envelopes; it is a seal.Device.
type SealKeys struct{ Client *Client }

// sealKey answers the object of a name.
func sealKey(name string) Object {
	id := sha256.Sum256([]byte(sealLabel + name))
	return Object{Label: sealLabel + name, ID: id[:16], Spec: material.AES256}
}

// NewSealKey makes an AES-256 key of that name.
func (s SealKeys) NewSealKey(ctx context.Context, name string) error {
	_, err := s.Client.Generate(ctx, sealKey(name), "")
	return sealFault(err)
}

// WrapRoot encrypts a secret with the key of that name. The answer is the length of the
// IV, the IV, the ciphertext and its tag.
func (s SealKeys) WrapRoot(ctx context.Context, name string, secret material.Bytes) ([]byte, error) {
	iv, ciphertext, err := s.Client.Encrypt(ctx, sealKey(name), secret.Expose(), []byte(sealLabel+name))
	if err != nil {
		return nil, sealFault(err)
	}
	return JoinIV(iv, ciphertext), nil
}

// UnwrapRoot decrypts what WrapRoot answered.
func (s SealKeys) UnwrapRoot(ctx context.Context, name string, wrapped []byte) (material.Bytes, error) {
	iv, ciphertext, ok := SplitIV(wrapped)
	if !ok {
		return material.Bytes{}, fault.StateConflict.New("a root envelope of the hardware token is damaged; restore it from a backup")
	}
	secret, err := s.Client.Decrypt(ctx, sealKey(name), iv, ciphertext, []byte(sealLabel+name))
	return secret, sealFault(err)
}

// JoinIV answers the length of an IV in a byte, the IV and the ciphertext.
func JoinIV(iv, ciphertext []byte) []byte {
	return append(append([]byte{byte(len(iv))}, iv...), ciphertext...)
}

// SplitIV takes apart what JoinIV joined; false for what it cannot have been.
func SplitIV(joined []byte) (iv, ciphertext []byte, ok bool) {
	if len(joined) == 0 || len(joined) < 1+int(joined[0]) {
		return nil, nil, false
	}
	n := 1 + int(joined[0])
	return joined[1:n], joined[n:], true
}

// cause answers why a token is away, without saying again that it is.
func cause(err error) string { return strings.ReplaceAll(err.Error(), ErrAway.Error()+": ", "") }

// sealFault says what an operator does about an error.
func sealFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrAway):
		return fault.Unavailable.Wrap(err, "the hardware token cannot be reached: %s; look after it with: keyward operator hsm", cause(err))
	case errors.Is(err, ErrMissing), errors.Is(err, ErrUntrusted), errors.Is(err, ErrInvalid):
		return fault.StateConflict.Wrap(err, "the token does not have the key of the root envelope, or not as keyward made it; use the passphrase or the shares")
	case errors.Is(err, ErrUnsupported):
		return fault.UnsupportedOperation.Wrap(err, "%v", err)
	}
	return fmt.Errorf("using the seal key in the token: %w", err)
}
