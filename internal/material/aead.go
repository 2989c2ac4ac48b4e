package material

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash"
	"sync"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"

	"github.com/keyward/keyward/internal/erase"
)

// A Suite is a set of primitives for an [AEAD]; its number is the suite byte of a ciphertext.
type Suite byte

// The released suites. Numbers 2 (XAES-256-GCM), 4 (plain AES-GCM) and 5 are reserved.
const (
	SuiteAES Suite = 1 // HKDF-SHA256 and AES-256-GCM
	SuiteSM4 Suite = 3 // HKDF-SM3 and SM4-GCM
)

// The suites of ciphertexts that no [AEAD] makes.
const (
	SuiteToken    Suite = 6 // AES-GCM in a hardware token
	SuiteExternal Suite = 7 // an external key manager works for them, too
)

const (
	derivationLabel = "kms/enc/v1"

	saltSize       = 32 // N
	commitmentSize = 32 // C
	gcmOverhead    = 12 + 16
	derivedSize    = 64 // Kenc ‖ Kcom
	sm4KeySize     = 16

	// Overhead is by how many bytes a sealed message exceeds prefix plus plaintext.
	Overhead = saltSize + commitmentSize + gcmOverhead
)

// An AEAD encrypts messages under keys derived from one key. Each message has its
// own key, derived with a random 256-bit salt, so the number of messages has no
// practical limit, and carries a commitment to that key, so no ciphertext opens
// under two keys. A sealed message is
//
//	prefix ‖ salt (32) ‖ commitment (32) ‖ GCM nonce (12) ‖ ciphertext ‖ GCM tag (16)
//
// where the prefix is the caller's and stays readable. An AEAD is safe for concurrent use.
type AEAD struct {
	suite    Suite
	derivers sync.Pool // of *deriver, each holding the key
}

// NewAEAD prepares the key, of 16 to 64 uniformly random bytes; it is copied.
func NewAEAD(suite Suite, key Bytes) (*AEAD, error) {
	if n := key.Len(); n < 16 || n > 64 {
		return nil, fmt.Errorf("preparing an AEAD: a key of %d bytes", n)
	}
	newHash := sha256.New
	switch suite {
	case SuiteAES:
	case SuiteSM4:
		newHash = sm3.New
	default:
		return nil, fmt.Errorf("preparing an AEAD: unknown suite %d", suite)
	}
	a := &AEAD{suite: suite}
	erase.Do(func() {
		prk := append([]byte(nil), key.Expose()...)
		a.derivers.New = func() any { return &deriver{mac: hmac.New(newHash, prk)} }
	})
	return a, nil
}

// Seal encrypts plaintext. Both the prefix, which begins the answer, and the
// additional data, which must be known again to open it, are authenticated.
func (a *AEAD) Seal(prefix, plaintext, additional []byte) ([]byte, error) {
	head := len(prefix) + saltSize + commitmentSize
	message := make([]byte, head, len(prefix)+Overhead+len(plaintext))
	copy(message, prefix)
	salted := message[:len(prefix)+saltSize]
	rand.Read(salted[len(prefix):])

	d := a.derive(salted)
	defer a.release(d)
	copy(message[len(salted):], d.commitment())
	gcm, err := a.gcm(d)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(message, nil, plaintext, authenticated(message, additional)), nil
}

// Open decrypts a message whose prefix has prefixSize bytes. It answers false for
// a message that is not exactly as sealed, with this key and this additional data;
// by design it does not say what differs. A wrong key, prefix, commitment,
// ciphertext, tag or additional data all cost the same work.
func (a *AEAD) Open(prefixSize int, message, additional []byte) (Bytes, bool) {
	if len(message) < prefixSize+Overhead {
		return Bytes{}, false
	}
	salted := message[:prefixSize+saltSize]
	head := message[:len(salted)+commitmentSize]

	d := a.derive(salted)
	defer a.release(d)
	committed := subtle.ConstantTimeCompare(d.commitment(), head[len(salted):]) == 1
	gcm, err := a.gcm(d)
	if err != nil {
		return Bytes{}, false
	}
	// Decrypting even when the commitment differs keeps the work equal.
	plaintext, err := gcm.Open(nil, nil, message[len(head):], authenticated(head, additional))
	opened := NewBytes(plaintext)
	if err != nil || !committed {
		opened.Zero()
		return Bytes{}, false
	}
	return opened, true
}

// derive answers a deriver that holds the message's keys. What touches the AEAD's own
// key is inside [erase.Do]; the cipher of one message is not, because its two
// allocations there would cost a fifth of Seal.
func (a *AEAD) derive(salted []byte) (d *deriver) {
	erase.Do(func() {
		d = a.derivers.Get().(*deriver)
		d.derive(salted)
	})
	return d
}

func (a *AEAD) release(d *deriver) {
	clear(d.derived[:])
	a.derivers.Put(d)
}

// gcm answers the message's GCM, which makes the nonce and puts it in front.
func (a *AEAD) gcm(d *deriver) (cipher.AEAD, error) {
	if a.suite == SuiteAES {
		block, err := aes.NewCipher(d.encryptionKey())
		if err != nil {
			return nil, fmt.Errorf("preparing AES: %w", err)
		}
		return cipher.NewGCMWithRandomNonce(block)
	}
	block, err := sm4.NewCipher(d.encryptionKey()[:sm4KeySize])
	if err != nil {
		return nil, fmt.Errorf("preparing SM4: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("preparing SM4-GCM: %w", err)
	}
	return randomNonceGCM{gcm}, nil
}

// authenticated answers head ‖ additional without copying when there is nothing to add.
func authenticated(head, additional []byte) []byte {
	if len(additional) == 0 {
		return head
	}
	return append(head[:len(head):len(head)], additional...)
}

// A deriver computes HKDF-Expand (RFC 5869) with the AEAD's key as pseudorandom
// key, for exactly two blocks of 32 bytes: the encryption key and the commitment.
// It exists because the standard function prepares the HMAC anew for each call.
type deriver struct {
	mac     hash.Hash
	info    []byte
	derived [derivedSize]byte
}

func (d *deriver) encryptionKey() []byte { return d.derived[:32] }
func (d *deriver) commitment() []byte    { return d.derived[32:] }

// derive fills derived from the prefix and salt of a message.
func (d *deriver) derive(salted []byte) {
	d.info = append(append(d.info[:0], derivationLabel...), salted...)

	d.mac.Reset()
	d.info = append(d.info, 1)
	d.mac.Write(d.info)
	d.mac.Sum(d.derived[:0])

	d.mac.Reset()
	d.info[len(d.info)-1] = 2
	d.mac.Write(d.derived[:32])
	d.mac.Write(d.info)
	d.mac.Sum(d.derived[:32])
}

// randomNonceGCM does for SM4 what cipher.NewGCMWithRandomNonce does for AES.
type randomNonceGCM struct{ cipher.AEAD }

func (g randomNonceGCM) Seal(dst, _, plaintext, additional []byte) []byte {
	nonce := len(dst)
	dst = append(dst, make([]byte, g.NonceSize())...)
	rand.Read(dst[nonce:])
	return g.AEAD.Seal(dst, dst[nonce:], plaintext, additional)
}

func (g randomNonceGCM) Open(dst, _, ciphertext, additional []byte) ([]byte, error) {
	nonce := ciphertext[:g.NonceSize()]
	return g.AEAD.Open(dst, nonce, ciphertext[g.NonceSize():], additional)
}
