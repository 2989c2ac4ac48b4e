// Package mac authenticates messages with HMAC keys (RFC 2104, FIPS 198-1; with SM3 as
// GB/T 15852.2 has it).
//
// A [Key] is prepared once from secret bytes of the length that its [material.Spec] says, and
// makes whole MACs: it neither makes nor takes shortened ones, which are easier to guess. What
// compares MACs does it in constant time. The package stores nothing.
package mac

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"sync"

	"github.com/emmansun/gmsm/sm3"

	"github.com/keyward/keyward/internal/erase"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// hashes are what the MAC of each spec is made with.
var hashes = map[material.Spec]func() hash.Hash{
	material.HMAC224: sha256.New224,
	material.HMAC256: sha256.New,
	material.HMAC384: sha512.New384,
	material.HMAC512: sha512.New,
	material.HMACSM3: sm3.New,
}

// A Key makes MACs. It is safe for concurrent use.
type Key struct {
	macs sync.Pool // of hash.Hash, each holding the key
}

// New prepares a key of an HMAC spec; the bytes are copied. A key of another length than the
// spec's is an InvalidParameter fault, another spec an UnsupportedOperation fault.
func New(spec material.Spec, key material.Bytes) (*Key, error) {
	newHash := hashes[spec]
	if newHash == nil {
		return nil, fault.UnsupportedOperation.New("a key of spec %s makes no MACs", spec)
	}
	if key.Len() != spec.KeySize() {
		return nil, fault.InvalidParameter.New("the key has %d bytes; spec %s needs %d", key.Len(), spec, spec.KeySize())
	}
	k := &Key{}
	erase.Do(func() {
		secret := append([]byte(nil), key.Expose()...)
		k.macs.New = func() any { return hmac.New(newHash, secret) }
	})
	return k, nil
}

// Sum answers the MAC of a message.
func (k *Key) Sum(message []byte) (sum []byte) {
	erase.Do(func() {
		h := k.macs.Get().(hash.Hash)
		defer k.macs.Put(h)
		h.Reset()
		h.Write(message)
		sum = h.Sum(nil)
	})
	return sum
}

// Verify tells, in constant time, whether mac is the whole MAC of a message.
func (k *Key) Verify(message, mac []byte) bool { return hmac.Equal(k.Sum(message), mac) }
