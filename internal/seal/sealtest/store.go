// Package sealtest has what tests of other packages need of package seal: a store
// in memory that keeps the contract, and a keyring that costs no time.
package sealtest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// Passphrase opens what this package initialises.
const Passphrase = "fake passphrase for tests"

// Cost makes unsealing take microseconds.
func Cost() seal.Cost { return seal.Cost{MemoryKiB: 8, Time: 1, Threads: 1} }

// Keyring answers an unsealed keyring of its own, which is closed when the test ends.
func Keyring(t testing.TB) *seal.Keyring {
	t.Helper()
	options := Options{Now: time.Unix(1_700_000_000, 0), Cost: Cost()}
	keyring, err := Initialize(t.Context(), NewStore(), material.NewBytes([]byte(Passphrase)), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keyring.Close)
	return keyring
}

// Options are the choices at initialisation.
type Options struct {
	Now  time.Time
	Cost seal.Cost // zero means production's
}

// Initialize founds a hierarchy in one envelope, which the passphrase opens.
func Initialize(ctx context.Context, store seal.Store, passphrase material.Bytes, o Options) (*seal.Keyring, error) {
	keyring, _, err := seal.Found(ctx, store, seal.Protection{Name: "passphrase", Passphrase: passphrase, Cost: o.Cost}, o.Now)
	return keyring, err
}

// Unseal opens a hierarchy with a passphrase.
func Unseal(ctx context.Context, store seal.Store, passphrase material.Bytes) (*seal.Keyring, error) {
	root, err := seal.Open(ctx, store, seal.WithPassphrase(passphrase))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Keyring()
}

// Store is a seal.Store in memory.
type Store struct {
	mu        sync.Mutex
	envelopes []seal.Envelope // guarded by mu
	epochs    []seal.Epoch    // guarded by mu
}

// NewStore answers an empty store.
func NewStore() *Store { return &Store{} }

// Envelopes implements seal.Store.
func (s *Store) Envelopes(context.Context) ([]seal.Envelope, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := slices.Clone(s.envelopes)
	for i, e := range answer {
		answer[i] = copyEnvelope(e)
	}
	return answer, nil
}

// Epochs implements seal.Store.
func (s *Store) Epochs(context.Context) ([]seal.Epoch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := slices.Clone(s.epochs)
	for i, e := range answer {
		answer[i] = copyEpoch(e)
	}
	return answer, nil
}

// Initialize implements seal.Store.
func (s *Store) Initialize(_ context.Context, envelope seal.Envelope, epoch seal.Epoch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.envelopes) != 0 || len(s.epochs) != 0 {
		return fault.ResourceExists.New("the store is initialised already; unseal it instead")
	}
	s.envelopes = append(s.envelopes, copyEnvelope(envelope))
	s.epochs = append(s.epochs, copyEpoch(epoch))
	return nil
}

func copyEnvelope(e seal.Envelope) seal.Envelope {
	e.Params, e.Wrapped, e.Fingerprint = bytes.Clone(e.Params), bytes.Clone(e.Wrapped), bytes.Clone(e.Fingerprint)
	return e
}

func copyEpoch(e seal.Epoch) seal.Epoch {
	e.Wrapped = bytes.Clone(e.Wrapped)
	return e
}
