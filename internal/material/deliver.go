package material

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"

	"github.com/keyward/keyward/internal/erase"
)

// ValidSignKey tells whether b is an Ed25519 public key, by its size: what is no point of
// the curve verifies nothing.
func ValidSignKey(b []byte) bool { return len(b) == ed25519.PublicKeySize }

// CheckSealKey refuses what is no public key for [SealTo].
func CheckSealKey(public []byte) error {
	_, err := hpke.MLKEM768X25519().NewPublicKey(public)
	return err
}

// SealTo encrypts a value so that only who has the private key of public can open it, and
// only with the same info: HPKE (RFC 9180, base mode, one message) with ML-KEM-768 and X25519,
// HKDF-SHA256 and AES-256-GCM. The answer is the encapsulated key and the ciphertext.
func SealTo(public, info []byte, value Bytes) ([]byte, error) {
	return erase.With(func() ([]byte, error) {
		key, err := hpke.MLKEM768X25519().NewPublicKey(public)
		if err != nil {
			return nil, fmt.Errorf("reading the key to seal to: %w", err)
		}
		sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, value.Expose())
		if err != nil {
			return nil, fmt.Errorf("sealing a value: %w", err)
		}
		return sealed, nil
	})
}

// proofKey begins what the key of a proof is the SHA-256 of; the value follows.
const proofKey = "keyward-proof-v1\n"

// Proof authenticates a message with a value, as only who holds the value can: HMAC-SHA256 under
// SHA-256 of a fixed line and the value.
func Proof(value Bytes, message []byte) (proof []byte) {
	erase.Do(func() {
		h := sha256.New()
		h.Write([]byte(proofKey))
		h.Write(value.Expose())
		mac := hmac.New(sha256.New, h.Sum(nil))
		mac.Write(message)
		proof = mac.Sum(nil)
	})
	return proof
}

// Proves tells, in constant time, whether proof is the [Proof] of a message with a value.
func Proves(value Bytes, message, proof []byte) bool {
	return hmac.Equal(Proof(value, message), proof)
}
