// Package cosign makes and verifies cosignatures: a witness's statement that, at a
// certain second, the largest consistent head of a log that it had seen was this one.
//
// The format is c2sp.org/tlog-cosignature, version cosignature/v1: an Ed25519 signature
// over the checkpoint's text behind two lines that name the format and the time, written
// as one more signature line of the checkpoint (c2sp.org/signed-note, signature type
// 0x04). The ML-DSA-44 version (type 0x06) is not made: the standard library has no
// ML-DSA yet. A verifier passes over it, as over every signature of an unknown key.
//
// A private key is text like that of golang.org/x/mod/sumdb/note, with the type 0x04 in
// it, so that neither can be taken for the other. The caller keeps it.
package cosign

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

const (
	algorithm     = 0x04 // signature type of timestamped Ed25519 cosignatures
	privatePrefix = "PRIVATE+KEY+"
	timeSize      = 8 // bytes of a signature that are its time
)

// GenerateKey makes the key pair of a witness. The name should be a URL without a
// scheme, which need not lead anywhere. The private key is a secret.
func GenerateKey(name string) (private, public string, err error) {
	if name == "" || !utf8.ValidString(name) || strings.ContainsRune(name, '+') || strings.ContainsFunc(name, unicode.IsSpace) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", "", fmt.Errorf("generating cosigner key: the name %q is empty, or holds a space or a plus", name)
	}
	key, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("generating cosigner key: %w", err)
	}
	private = privatePrefix + encodeKey(name, keyHash(name, key), secret.Seed())
	return private, encodeKey(name, keyHash(name, key), key), nil
}

// encodeKey writes a key as both forms end: name, hash, type and material.
func encodeKey(name string, hash uint32, key []byte) string {
	return fmt.Sprintf("%s+%08x+%s", name, hash, base64.StdEncoding.EncodeToString(append([]byte{algorithm}, key...)))
}

func keyHash(name string, public ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), append([]byte{algorithm}, public...)...))
	return binary.BigEndian.Uint32(sum[:])
}

// decodeKey reads what encodeKey wrote. Its errors do not hold the text.
func decodeKey(text string) (name string, hash uint32, key []byte, err error) {
	name, rest, _ := strings.Cut(text, "+")
	hexHash, encoded, ok := strings.Cut(rest, "+")
	h, hashErr := strconv.ParseUint(hexHash, 16, 32)
	key, keyErr := base64.StdEncoding.DecodeString(encoded)
	if !ok || name == "" || len(hexHash) != 8 || hashErr != nil || keyErr != nil || len(key) != 1+ed25519.SeedSize ||
		base64.StdEncoding.EncodeToString(key) != encoded { // decoding passes over line ends
		return "", 0, nil, errors.New("it is malformed")
	}
	if key[0] != algorithm {
		return "", 0, nil, fmt.Errorf("its type is %d, that of a cosigner's key is %d", key[0], algorithm)
	}
	return name, uint32(h), key[1:], nil
}

// A Signer cosigns with one key. It may be used concurrently.
type Signer struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
}

// NewSigner reads a private key that [GenerateKey] made.
func NewSigner(private string) (*Signer, error) {
	text, ok := strings.CutPrefix(private, privatePrefix)
	if !ok {
		return nil, errors.New("reading cosigner key: it is no private key")
	}
	name, hash, seed, err := decodeKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading cosigner key: %w", err)
	}
	s := &Signer{name: name, hash: hash, key: ed25519.NewKeyFromSeed(seed)}
	if keyHash(name, s.public()) != hash {
		return nil, errors.New("reading cosigner key: it was changed: its hash is not that of its name and key")
	}
	return s, nil
}

func (s *Signer) public() ed25519.PublicKey { return s.key.Public().(ed25519.PublicKey) }

// PublicKey answers the verifier key that belongs to it.
func (s *Signer) PublicKey() string { return encodeKey(s.name, s.hash, s.public()) }

// At answers a note.Signer that cosigns as of a time, to the second, which must be
// after the epoch.
func (s *Signer) At(t time.Time) note.Signer { return at{s, t.Unix()} }

type at struct {
	*Signer
	seconds int64
}

// Name implements note.Signer.
func (a at) Name() string { return a.name }

// KeyHash implements note.Signer.
func (a at) KeyHash() uint32 { return a.hash }

// Sign implements note.Signer.
func (a at) Sign(text []byte) ([]byte, error) {
	if a.seconds <= 0 {
		return nil, errors.New("cosigning: the clock stands before 1970")
	}
	sig := binary.BigEndian.AppendUint64(nil, uint64(a.seconds))
	return append(sig, ed25519.Sign(a.key, message(text, uint64(a.seconds)))...), nil
}

func message(text []byte, seconds uint64) []byte {
	return append([]byte("cosignature/v1\ntime "+strconv.FormatUint(seconds, 10)+"\n"), text...)
}

// A Verifier knows the cosignatures of one witness. It implements note.Verifier and may
// be used concurrently.
type Verifier struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// NewVerifier reads a verifier key: name, hash, and the key with its type in base64.
func NewVerifier(public string) (*Verifier, error) {
	name, hash, key, err := decodeKey(public)
	if err == nil && keyHash(name, key) != hash {
		err = errors.New("its hash is not that of its name and key")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the witness's public key %q: %w; it looks like name+0123abcd+BA…", public, err)
	}
	return &Verifier{name, hash, key}, nil
}

// Name implements note.Verifier.
func (v *Verifier) Name() string { return v.name }

// KeyHash implements note.Verifier.
func (v *Verifier) KeyHash() uint32 { return v.hash }

// Verify implements note.Verifier. A cosignature without a time is not accepted.
func (v *Verifier) Verify(text, sig []byte) bool {
	if len(sig) != timeSize+ed25519.SignatureSize {
		return false
	}
	seconds := binary.BigEndian.Uint64(sig)
	return seconds > 0 && seconds < 1<<62 && ed25519.Verify(v.key, message(text, seconds), sig[timeSize:])
}

// Time answers when the witness cosigned the checkpoint. It fails if it did not, or if
// its signature line has a second spelling.
func (v *Verifier) Time(checkpoint []byte) (time.Time, error) {
	n, err := note.Open(checkpoint, note.VerifierList(v))
	if err != nil {
		return time.Time{}, fmt.Errorf("verifying the cosignature of %s: %w", v.name, err)
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil {
		return time.Time{}, fmt.Errorf("verifying the cosignature of %s: it has two spellings: %w", v.name, err)
	}
	return time.Unix(int64(binary.BigEndian.Uint64(sig[4:])), 0).UTC(), nil // behind the key's hash
}
