package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"

	"github.com/keyward/keyward/internal/erase"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// A Keyring holds the master secret of each epoch and answers what is computed
// with keys derived from them. It is safe for concurrent use. After Close every
// method that can fail answers a Sealed fault, and so do the wrappers of
// [Keyring.Tenant].
type Keyring struct {
	mu       sync.RWMutex   // guards all below
	slots    map[uint32]int // epoch → index of its master secret in memory
	newest   uint32         // epoch that wraps and seals; later ones only open
	weakness error
	memory   []byte // locked pages with the master secrets, nil after Close
}

// newKeyring copies the master secrets into locked pages.
func newKeyring(masters map[uint32]material.Bytes) (*Keyring, error) {
	if len(masters) == 0 {
		return nil, fault.StateConflict.New("the store has no epoch; restore it from a backup")
	}
	memory, weakness, err := newPages(len(masters) * secretSize)
	if err != nil {
		return nil, err
	}
	k := &Keyring{slots: make(map[uint32]int, len(masters)), weakness: weakness, memory: memory}
	for epoch, master := range masters {
		k.put(epoch, master)
		k.newest = max(k.newest, epoch)
	}
	return k, nil
}

// put keeps a master secret; there is room for it.
func (k *Keyring) put(epoch uint32, master material.Bytes) {
	slot, known := k.slots[epoch]
	if !known {
		slot = len(k.slots)
		k.slots[epoch] = slot
	}
	copy(k.memory[slot*secretSize:], master.Expose())
}

// Learn has the keyring open what is under any epoch of the root; [Keyring.Use] makes
// it wrap and seal under a new one. A root whose epochs are not those that the keyring
// has is refused without change: somebody replaced the database.
func (k *Keyring) Learn(r *Root) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.unsealed(); err != nil {
		return err
	}
	for epoch, slot := range k.slots {
		if epoch > k.newest { // it was learnt, but never used
			continue
		}
		master, there := r.masters[epoch]
		if !there || r.stored < k.newest {
			return fault.Changed.New("a new epoch began meanwhile; try again")
		}
		have := k.memory[slot*secretSize:][:secretSize]
		if subtle.ConstantTimeCompare(have, master.Expose()) != 1 {
			return fmt.Errorf("epoch %d of the store is not that of this keyring: the database was changed behind keyward's back", epoch)
		}
	}
	if size := (len(k.slots) + len(r.masters)) * secretSize; size > len(k.memory) {
		memory, weakness, err := newPages(size)
		if err != nil {
			return err
		}
		copy(memory, k.memory)
		freePages(k.memory)
		k.memory, k.weakness = memory, errors.Join(k.weakness, weakness)
	}
	for epoch, master := range r.masters { // one that was never used may be another one now
		k.put(epoch, master)
	}
	return nil
}

// Use makes an epoch that the keyring has learnt the one that wraps and seals, unless a
// later one does. Call it when the epoch is stored: what is sealed needs it for ever.
func (k *Keyring) Use(epoch uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.slots[epoch]; known {
		k.newest = max(k.newest, epoch)
	}
}

// Epoch answers the number of the newest epoch, the one that wraps and seals.
func (k *Keyring) Epoch() uint32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.newest
}

// MemoryWarning answers which protection of the master secrets' memory the system
// refused, nil if it granted all. The server logs it; the keyring works all the same.
func (k *Keyring) MemoryWarning() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.weakness
}

// Close erases the master secrets. It waits for running operations and may be called twice.
func (k *Keyring) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.memory == nil {
		return
	}
	freePages(k.memory)
	k.memory = nil
}

// RowMAC answers HMAC-SHA256 of data under the row key of the epoch that the row
// names. An epoch that the keyring does not have is an error.
func (k *Keyring) RowMAC(epoch uint32, data []byte) ([]byte, error) {
	return k.mac(epoch, rowLabel, data)
}

// HMAC answers HMAC-SHA256 of data under the newest epoch's key for [AuditHMAC], [Lookup] or [Link].
func (k *Keyring) HMAC(label Label, data []byte) ([]byte, error) {
	if label != AuditHMAC && label != Lookup && label != Link {
		return nil, fmt.Errorf("computing an HMAC: label %q is for something else", label)
	}
	return k.mac(k.Epoch(), label, data)
}

func (k *Keyring) mac(epoch uint32, label Label, data []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if err := k.unsealed(); err != nil {
		return nil, err
	}
	return erase.AfterWith(func() ([]byte, error) {
		key, err := k.key(epoch, label)
		if err != nil {
			return nil, err
		}
		defer key.Zero()
		mac := hmac.New(sha256.New, key.Expose())
		mac.Write(data)
		return mac.Sum(nil), nil
	})
}

// NewTenantKey makes a tenant key and answers it wrapped under the newest epoch,
// to be stored in the row that binding names. Deleting every copy of the answer
// destroys all that the tenant key protects.
func (k *Keyring) NewTenantKey(binding []byte) (wrapped []byte, err error) {
	tenantKey := material.Random(secretSize)
	defer tenantKey.Zero()
	return k.sealBlob(tenantKind, tenantLabel, binding, tenantKey)
}

// Rewrap answers a tenant key wrapped under the newest epoch; old tells whether it was
// under an older one, and so whether the answer must be stored.
func (k *Keyring) Rewrap(binding, wrapped []byte) (renewed []byte, old bool, err error) {
	return k.renew(tenantKind, tenantLabel, binding, wrapped)
}

// Reseal is [Keyring.Rewrap] for what SealBytes made.
func (k *Keyring) Reseal(label Label, binding, blob []byte) (renewed []byte, old bool, err error) {
	kind, ok := sealingKinds[label]
	if !ok {
		return nil, false, fmt.Errorf("sealing anew: label %q is for something else", label)
	}
	return k.renew(kind, label, binding, blob)
}

func (k *Keyring) renew(kind kind, label Label, binding, blob []byte) ([]byte, bool, error) {
	m, err := k.openBlob(kind, label, binding, blob)
	if err != nil {
		return nil, false, fmt.Errorf("opening what is to be sealed anew: %w", err)
	}
	defer m.Zero()
	epoch, err := kind.epoch(blob)
	if err != nil {
		return nil, false, err
	}
	if epoch >= k.Epoch() {
		return blob, false, nil
	}
	renewed, err := k.sealBlob(kind, label, binding, m)
	return renewed, true, err
}

// Tenant opens a tenant key. What was not made by NewTenantKey with this binding
// is an error without a kind: an operator must look.
func (k *Keyring) Tenant(binding, wrapped []byte) (material.Wrapper, error) {
	tenantKey, err := k.openBlob(tenantKind, tenantLabel, binding, wrapped)
	if err != nil {
		return nil, fmt.Errorf("opening a tenant key: %w", err)
	}
	defer tenantKey.Zero()
	aead, err := material.NewAEAD(material.SuiteAES, tenantKey)
	if err != nil {
		return nil, fmt.Errorf("opening a tenant key: %w", err)
	}
	return &tenant{keyring: k, aead: aead}, nil
}

// SealBytes seals m for the purpose of the label under the newest epoch. Binding
// names where it belongs or what it is for.
func (k *Keyring) SealBytes(label Label, binding []byte, m material.Bytes) ([]byte, error) {
	kind, ok := sealingKinds[label]
	if !ok {
		return nil, fmt.Errorf("sealing: label %q is for something else", label)
	}
	return k.sealBlob(kind, label, binding, m)
}

// OpenBytes opens what SealBytes made with this label and binding, in any epoch;
// anything else is an InvalidCiphertext fault.
func (k *Keyring) OpenBytes(label Label, binding, blob []byte) (material.Bytes, error) {
	kind, ok := sealingKinds[label]
	if !ok {
		return material.Bytes{}, fmt.Errorf("opening: label %q is for something else", label)
	}
	m, err := k.openBlob(kind, label, binding, blob)
	if err != nil && !fault.Is(err, fault.Sealed) {
		return material.Bytes{}, fault.InvalidCiphertext.Wrap(err, "the sealed value was altered or was made for another purpose; ask for a new one")
	}
	return m, err
}

func (k *Keyring) sealBlob(kind kind, label Label, binding []byte, m material.Bytes) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if err := k.unsealed(); err != nil {
		return nil, err
	}
	return erase.With(func() ([]byte, error) {
		key, err := k.key(k.newest, label)
		if err != nil {
			return nil, err
		}
		defer key.Zero()
		return kind.seal(key, k.newest, binding, m)
	})
}

func (k *Keyring) openBlob(kind kind, label Label, binding, blob []byte) (material.Bytes, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if err := k.unsealed(); err != nil {
		return material.Bytes{}, err
	}
	epoch, err := kind.epoch(blob)
	if err != nil {
		return material.Bytes{}, err
	}
	return erase.With(func() (material.Bytes, error) {
		key, err := k.key(epoch, label)
		if err != nil {
			return material.Bytes{}, err
		}
		defer key.Zero()
		return kind.open(key, binding, blob)
	})
}

// unsealed answers a Sealed fault after Close. The caller holds mu.
func (k *Keyring) unsealed() error {
	if k.memory == nil {
		return fault.Sealed.New("the server is sealed; run: keyward operator unseal")
	}
	return nil
}

// key derives the key of an epoch for one purpose; the caller holds mu and erases it.
func (k *Keyring) key(epoch uint32, label Label) (material.Bytes, error) {
	slot, ok := k.slots[epoch]
	if !ok {
		return material.Bytes{}, fmt.Errorf("the keyring has no epoch %d", epoch)
	}
	return derive(k.memory[slot*secretSize:][:secretSize], label)
}

// derive answers HKDF-Expand (RFC 5869, SHA-256) of a uniformly random secret.
func derive(secret []byte, label Label) (material.Bytes, error) {
	key, err := hkdf.Expand(sha256.New, secret, string(label), secretSize)
	if err != nil {
		return material.Bytes{}, fmt.Errorf("deriving %s: %w", label, err)
	}
	return material.NewBytes(key), nil
}

// A tenant wraps material under one tenant key.
type tenant struct {
	keyring *Keyring
	aead    *material.AEAD
}

// Wrap implements material.Wrapper.
func (t *tenant) Wrap(binding []byte, m material.Bytes) ([]byte, error) {
	t.keyring.mu.RLock()
	defer t.keyring.mu.RUnlock()
	if err := t.keyring.unsealed(); err != nil {
		return nil, err
	}
	return erase.With(func() ([]byte, error) { return materialKind.sealWith(t.aead, 0, binding, m) })
}

// Unwrap implements material.Wrapper.
func (t *tenant) Unwrap(binding, wrapped []byte) (material.Bytes, error) {
	t.keyring.mu.RLock()
	defer t.keyring.mu.RUnlock()
	if err := t.keyring.unsealed(); err != nil {
		return material.Bytes{}, err
	}
	m, err := erase.With(func() (material.Bytes, error) { return materialKind.openWith(t.aead, binding, wrapped) })
	if err != nil {
		return material.Bytes{}, fmt.Errorf("unwrapping material: %w", err)
	}
	return m, nil
}
