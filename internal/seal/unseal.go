package seal

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

const (
	secretSize       = 32 // of the root key, master secrets and tenant keys
	fingerprintLabel = "kms/root-fp/v1"
	masterLabel      = "kms/master-wrap/v1"
	maxEnvelopes     = 16 // each costs a derivation at unsealing
)

// Options are the choices at initialisation.
type Options struct {
	Now  time.Time
	Cost Cost // zero means ProductionCost
}

// Initialize creates root key, first epoch and the envelope that the passphrase
// opens, stores them and answers the keyring, unsealed. The passphrase needs at
// least 12 characters (InvalidParameter fault); a store that was initialised before
// is left as it is (ResourceExists fault).
func Initialize(ctx context.Context, store Store, passphrase material.Bytes, options Options) (*Keyring, error) {
	if err := checkPassphrase(passphrase); err != nil {
		return nil, err
	}
	if options.Cost == (Cost{}) {
		options.Cost = ProductionCost()
	}
	if err := options.Cost.check(); err != nil {
		return nil, err
	}
	root, master := material.Random(secretSize), material.Random(secretSize)
	defer root.Zero()
	defer master.Zero()
	createdAt := options.Now.UTC().Truncate(time.Microsecond)
	envelope, err := newEnvelope(root, passphrase, options.Cost, createdAt)
	if err != nil {
		return nil, fmt.Errorf("making the root envelope: %w", err)
	}
	epoch, err := newEpoch(root, master, 1, createdAt)
	if err != nil {
		return nil, fmt.Errorf("making the first epoch: %w", err)
	}
	keyring, err := newKeyring(map[uint32]material.Bytes{1: master})
	if err != nil {
		return nil, err
	}
	if err := store.Initialize(ctx, envelope, epoch); err != nil {
		keyring.Close()
		return nil, fmt.Errorf("storing the root envelope: %w", err)
	}
	return keyring, nil
}

// Unseal opens the stored hierarchy with the passphrase. It only reads. A wrong
// passphrase is a NoPermission fault, a store that was never initialised a
// StateConflict fault, as is an envelope whose parameters are unreasonable.
func Unseal(ctx context.Context, store Store, passphrase material.Bytes) (*Keyring, error) {
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
	root, err := openRoot(envelopes, passphrase)
	if err != nil {
		return nil, err
	}
	defer root.Zero()
	masters := make(map[uint32]material.Bytes, len(epochs))
	defer func() {
		for _, master := range masters {
			master.Zero()
		}
	}()
	for _, epoch := range epochs {
		master, err := openEpoch(root, epoch)
		if err != nil {
			return nil, fmt.Errorf("opening epoch %d: %w", epoch.Number, err)
		}
		masters[epoch.Number] = master
	}
	return newKeyring(masters)
}

// openRoot tries the passphrase on each envelope for passphrases.
func openRoot(envelopes []Envelope, passphrase material.Bytes) (material.Bytes, error) {
	if len(envelopes) > maxEnvelopes {
		return material.Bytes{}, fault.StateConflict.New("the store has %d root envelopes, more than keyward makes; restore it from a backup", len(envelopes))
	}
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
		root, err := envelope.open(params, passphrase)
		if err == nil {
			return root, nil
		}
	}
	switch {
	case unreadable != nil:
		return material.Bytes{}, fault.StateConflict.Wrap(unreadable, "a root envelope has unreasonable parameters; nothing was changed; restore it from a backup")
	case tried == 0:
		return material.Bytes{}, fault.StateConflict.New("no root envelope of the store opens with a passphrase; use its own unseal provider")
	default:
		return material.Bytes{}, fault.WrongPassphrase.New("the passphrase is wrong, or the root envelope was damaged; nothing was changed")
	}
}

func newEnvelope(root, passphrase material.Bytes, cost Cost, createdAt time.Time) (Envelope, error) {
	params := passphraseParams{Algorithm: "argon2id", MemoryKiB: cost.MemoryKiB, Time: cost.Time, Threads: cost.Threads, Salt: make([]byte, minSaltSize)}
	rand.Read(params.Salt)
	encoded, err := json.Marshal(params)
	if err != nil {
		return Envelope{}, err
	}
	e := Envelope{
		ID: rand.Text(), Provider: passphraseProvider, Params: encoded, RootEpoch: 1,
		Fingerprint: fingerprint(root), CreatedAt: createdAt,
	}
	key := params.key(passphrase)
	defer key.Zero()
	e.Wrapped, err = rootKind.seal(key, 0, e.binding(), root)
	return e, err
}

func (e Envelope) open(params passphraseParams, passphrase material.Bytes) (material.Bytes, error) {
	key := params.key(passphrase)
	defer key.Zero()
	root, err := rootKind.open(key, e.binding(), e.Wrapped)
	if err != nil {
		return material.Bytes{}, err
	}
	if !hmac.Equal(fingerprint(root), e.Fingerprint) {
		root.Zero()
		return material.Bytes{}, errors.New("the fingerprint is another root key's")
	}
	return root, nil
}

// binding covers every field that the blob and the fingerprint do not.
func (e Envelope) binding() []byte {
	return material.Binding("kms-root-envelope/v1", e.ID, e.Provider, string(e.Params),
		strconv.FormatUint(uint64(e.RootEpoch), 10), strconv.FormatInt(e.CreatedAt.UnixMicro(), 10))
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

func openEpoch(root material.Bytes, e Epoch) (material.Bytes, error) {
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

func fingerprint(root material.Bytes) []byte {
	mac := hmac.New(sha256.New, root.Expose())
	mac.Write([]byte(fingerprintLabel))
	return mac.Sum(nil)
}
