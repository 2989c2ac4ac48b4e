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

// Options are the choices at initialisation.
type Options struct {
	Now  time.Time
	Cost Cost // zero means ProductionCost
}

// Initialize is [Found] with an envelope that the passphrase opens.
func Initialize(ctx context.Context, store Store, passphrase material.Bytes, options Options) (*Keyring, error) {
	keyring, _, err := Found(ctx, store, Protection{Name: firstName, Passphrase: passphrase, Cost: options.Cost}, options.Now)
	return keyring, err
}

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

// Unseal opens the stored hierarchy with the passphrase. It only reads. A wrong
// passphrase is a WrongPassphrase fault, a store that was never initialised a
// StateConflict fault, as is an envelope whose parameters are unreasonable.
func Unseal(ctx context.Context, store Store, passphrase material.Bytes) (*Keyring, error) {
	root, err := Open(ctx, store, WithPassphrase(passphrase))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Keyring()
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
