package seal

import (
	"context"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/shamir"
)

const (
	secretSize       = 32 // of the root key, master secrets, tenant keys and what shares share
	fingerprintLabel = "kms/root-fp/v1"
	masterLabel      = "kms/master-wrap/v1"

	// MaxEnvelopes is how many root envelopes a store may have: each costs a derivation
	// at unsealing.
	MaxEnvelopes = 16
)

// Found creates root key, first epoch and the first envelope, stores them and answers
// the keyring, unsealed, and the envelope's shares, if it has any. A passphrase needs at
// least 12 characters (InvalidParameter fault); a store that was initialised before is
// left as it is (ResourceExists fault).
func Found(ctx context.Context, store Store, p Protection, now time.Time) (*Keyring, []shamir.Share, error) {
	root := &Root{key: material.Random(secretSize), masters: map[uint32]material.Bytes{}}
	defer root.Close()
	envelope, shares, err := root.NewEnvelope(p, now)
	if err != nil {
		return nil, nil, fmt.Errorf("making the root envelope: %w", err)
	}
	epoch, err := root.NewEpoch(now)
	if err != nil {
		return nil, nil, fmt.Errorf("making the first epoch: %w", err)
	}
	keyring, err := root.Keyring()
	if err != nil {
		return nil, nil, err
	}
	if err := store.Initialize(ctx, envelope, epoch); err != nil {
		keyring.Close()
		return nil, nil, fmt.Errorf("storing the root envelope: %w", err)
	}
	return keyring, shares, nil
}

// WithPassphrase tries the passphrase on each envelope for passphrases, one derivation each.
func WithPassphrase(passphrase material.Bytes) Opener {
	return func(envelopes []Envelope) (material.Bytes, Envelope, error) {
		var unreadable error
		tried := 0
		for _, envelope := range envelopes {
			if envelope.Provider != passphraseProvider {
				continue
			}
			params, err := parseParams(envelope.Params)
			if err != nil {
				unreadable = err
				continue
			}
			tried++
			key := params.key(passphrase)
			root, err := envelope.open(key)
			key.Zero()
			if err == nil {
				return root, envelope, nil
			}
		}
		switch {
		case unreadable != nil:
			return material.Bytes{}, Envelope{}, fault.StateConflict.Wrap(unreadable, "a root envelope has unreasonable parameters; nothing was changed; restore it from a backup")
		case tried == 0:
			return material.Bytes{}, Envelope{}, fault.StateConflict.New("no root envelope of the store opens with a passphrase; use the shares")
		default:
			return material.Bytes{}, Envelope{}, fault.WrongPassphrase.New("the passphrase is wrong, or the root envelope was damaged; nothing was changed")
		}
	}
}
