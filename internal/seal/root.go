package seal

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/erase"
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

// A Root is the root key while something is done with it, with every epoch that it
// opens. It is for one goroutine; Close erases it. That there is one proves that the
// envelope it was opened by, and all epochs, are whole.
type Root struct {
	key      material.Bytes
	masters  map[uint32]material.Bytes
	newest   uint32
	stored   uint32 // newest when it was opened
	envelope Envelope
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

// An Opener opens one of the envelopes and answers the root key and which one it was.
// [WithPassphrase], [WithShares] and [WithDevice] make them.
type Opener func(envelopes []Envelope) (material.Bytes, Envelope, error)

// Open opens the stored hierarchy. It only reads. Faults are the opener's, and
// StateConflict for a store that was never initialised or whose epochs were damaged.
func Open(ctx context.Context, store Store, with Opener) (*Root, error) {
	envelopes, err := store.Envelopes(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading root envelopes: %w", err)
	}
	epochs, err := store.Epochs(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading epochs: %w", err)
	}
	if len(envelopes) == 0 && len(epochs) == 0 {
		return nil, fault.StateConflict.New("the store is not initialised; run: keyward operator init")
	}
	if len(envelopes) > MaxEnvelopes {
		return nil, fault.StateConflict.New("the store has %d root envelopes, more than keyward makes; restore it from a backup", len(envelopes))
	}
	root := &Root{masters: make(map[uint32]material.Bytes, len(epochs))}
	erase.Do(func() { root.key, root.envelope, err = with(envelopes) })
	if err != nil {
		return nil, err
	}
	for _, epoch := range epochs {
		master, err := erase.With(func() (material.Bytes, error) { return epoch.open(root.key) })
		if err != nil {
			root.Close()
			return nil, fault.StateConflict.Wrap(err, "the root key is right, but epoch %d was damaged; restore it from a backup", epoch.Number)
		}
		root.masters[epoch.Number] = master
		root.newest = max(root.newest, epoch.Number)
	}
	root.stored = root.newest
	return root, nil
}

// Envelope answers the envelope that the root key was opened by.
func (r *Root) Envelope() Envelope { return r.envelope }

// Keyring answers a keyring of all epochs.
func (r *Root) Keyring() (*Keyring, error) {
	return erase.With(func() (*Keyring, error) { return newKeyring(r.masters) })
}

// NewEnvelope puts the root key into a further envelope, which is to be stored, and
// answers its shares, if it has any; they exist nowhere else.
func (r *Root) NewEnvelope(p Protection, now time.Time) (e Envelope, shares []shamir.Share, err error) {
	erase.Do(func() { e, shares, err = newEnvelope(r.key, p, now) })
	return e, shares, err
}

// NewEpoch makes the next epoch, which is to be stored, and which [Keyring.Learn] learns.
func (r *Root) NewEpoch(now time.Time) (Epoch, error) {
	master := material.Random(secretSize)
	epoch, err := erase.With(func() (Epoch, error) {
		return newEpoch(r.key, master, r.newest+1, now.UTC().Truncate(time.Microsecond))
	})
	if err != nil {
		master.Zero()
		return Epoch{}, err
	}
	r.newest = epoch.Number
	r.masters[epoch.Number] = master
	return epoch, nil
}

// Close erases the root key and the master secrets.
func (r *Root) Close() {
	r.key.Zero()
	for _, master := range r.masters {
		master.Zero()
	}
}

func newEpoch(root, master material.Bytes, number uint32, createdAt time.Time) (Epoch, error) {
	e := Epoch{Number: number, CreatedAt: createdAt}
	key, err := derive(root.Expose(), masterLabel)
	if err != nil {
		return Epoch{}, err
	}
	defer key.Zero()
	e.Wrapped, err = masterKind.seal(key, number, e.binding(), master)
	return e, err
}

func (e Epoch) open(root material.Bytes) (material.Bytes, error) {
	key, err := derive(root.Expose(), masterLabel)
	if err != nil {
		return material.Bytes{}, err
	}
	defer key.Zero()
	return masterKind.open(key, e.binding(), e.Wrapped)
}

func (e Epoch) binding() []byte {
	return material.Binding("kms-epoch/v1", strconv.FormatUint(uint64(e.Number), 10), strconv.FormatInt(e.CreatedAt.UnixMicro(), 10))
}
