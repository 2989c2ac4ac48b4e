package key

import (
	"context"

	"github.com/keyward/keyward/internal/material"
)

// A Keystore is where the material of keys lives: wrapped in the database, in a hardware
// token, at an external manager. Which one a key has is decided when it is made, for ever.
//
// Methods may be called concurrently and may wait for a device or the network until ctx
// ends. A keystore that cannot be reached is [fault.KeyUnavailable]; then nothing has changed.
type Keystore interface {
	// Offers answers nil if a key such as k, which need not exist, can be kept here, and
	// otherwise a [fault.UnsupportedOperation] that says why not.
	Offers(ctx context.Context, k Key) error
	// Generate makes the material of a new version of which all else is set: it fills in
	// Wrapped, which will be stored in a bound row, and Public. The row is stored
	// afterwards: what was generated for a row that never came is the keystore's to remove.
	Generate(ctx context.Context, k Key, v *Version) error
	// Open makes a stored version ready for use.
	Open(ctx context.Context, k Key, v Version) (Material, error)
	// Destroy removes, for ever, what the keystore keeps of a key outside of the database.
	// It may be called again.
	Destroy(ctx context.Context, k Key) error
}

// An Importer is a Keystore that takes material from outside, too.
type Importer interface {
	Keystore
	// Import makes m, as [material.Generate] would have made it, the material of a version
	// whose Public is set: it fills in Wrapped.
	Import(ctx context.Context, k Key, v *Version, m material.Bytes) error
}

// Material is the material of a version, ready for use and safe for concurrent use.
// Symmetric keys have a Cipher, HMAC keys a MAC; asymmetric ones have Private and Public,
// so that verifying and public-key encryption ask no keystore.
type Material struct {
	Cipher  Cipher
	MAC     MAC
	Private Private
	Public  *material.Public
}

// A Cipher encrypts and decrypts with one version of a symmetric key. Its ciphertexts
// begin with a [material.Header] that names key and version, and are bound to it and to
// the context.
type Cipher interface {
	// Seal encrypts up to [MaxPlaintext] bytes.
	Seal(ctx context.Context, plaintext []byte, of material.Context) ([]byte, error)
	// Open decrypts what Seal made. All that does not decrypt is one [fault.InvalidCiphertext].
	Open(ctx context.Context, ciphertext []byte, of material.Context) (material.Bytes, error)
}

// A MAC makes message authentication codes with one version of an HMAC key.
type MAC interface {
	// Sum answers the whole MAC of up to [MaxMessage] bytes.
	Sum(ctx context.Context, message []byte) ([]byte, error)
	// Verify tells, in constant time, whether mac is the whole MAC of a message.
	Verify(ctx context.Context, message, mac []byte) (bool, error)
}

// A Private is the private half of one version of an asymmetric key. Its faults are
// those of [material.Private].
type Private interface {
	// Sign signs a digest of 32 bytes. ECDSA and SM2 signatures are ASN.1 DER.
	Sign(ctx context.Context, a material.Algorithm, digest []byte) ([]byte, error)
	// Decrypt decrypts what the public half encrypted.
	Decrypt(ctx context.Context, a material.Algorithm, ciphertext []byte) (material.Bytes, error)
}
