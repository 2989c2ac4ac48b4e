// Package webauthn verifies what security keys answer (W3C Web Authentication, Level 2): USB
// keys, and the authenticators that are built into computers and telephones.
//
// A [Party] is the server as the keys know it: a host name, to which a key binds each of its
// credentials, and the one origin whose pages may use them. A browser makes a key answer a
// challenge twice in its life with the server: once when a credential is made, which
// [Party.Register] reads, and then whenever the person approves something, which
// [Party.Verify] proves.
//
// Every answer must say that the person was verified (by a PIN, a finger, a face) and not only
// present, must come from the very origin and not from a page framed in another one, and must
// answer the very challenge. Attestation, by which makers vouch for their models, is not asked
// for and not read: nothing here depends on the model, and it would identify people's devices.
// So nothing of a registration is signed, and the public key may come as the browser spells it
// out (SubjectPublicKeyInfo), which is what every browser offers so that servers need no reader
// of CBOR. Extensions are not asked for; what authenticators add unasked is signed over, and
// ignored.
//
// Trusted is the browser in which a credential is made. The package keeps nothing.
package webauthn

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// The algorithms that are accepted, by their numbers in COSE (RFC 9053): each browser can spell
// out a public key of these three.
const (
	ES256 = -7   // ECDSA on P-256 with SHA-256
	EdDSA = -8   // Ed25519
	RS256 = -257 // RSASSA-PKCS1-v1_5 with SHA-256
)

// Algorithms answers them, what is preferred first.
func Algorithms() []int { return []int{ES256, EdDSA, RS256} }

// MaxID is how many bytes the id of a credential has at most (§ 4 of the specification).
const MaxID = 1023

// The flags of authenticator data (§ 6.1).
const (
	flagPresent  = 1 << 0
	flagVerified = 1 << 2
	flagEligible = 1 << 3
	flagBackedUp = 1 << 4
	flagAttested = 1 << 6
)

const (
	dataSize  = 37 // of authenticator data: hash, flags, counter
	modelSize = 16
	minRSA    = 2048 // bits
	maxRSA    = 4096
)

// What is wrong with an answer. None of the texts holds anything of the caller's.
var (
	ErrMalformed  = errors.New("the answer is not one of a security key")
	ErrOrigin     = errors.New("the answer was given to another site, or in a page framed by one")
	ErrChallenge  = errors.New("the answer is one to another challenge")
	ErrParty      = errors.New("the answer is one of a key that belongs to another host")
	ErrUnverified = errors.New("the security key did not verify who used it; set a PIN or a finger on it")
	ErrAlgorithm  = errors.New("the security key has a kind of key that is not accepted")
	ErrSignature  = errors.New("the security key's signature does not match")
	ErrCounter    = errors.New("the security key counted backwards, as a copy of it would")
)

// A Party is a server as security keys know it.
type Party struct {
	ID     string // its host name
	Origin string // scheme, host and port of its pages
}

// NewParty answers the party of the server that people reach at a URL without a path, none for
// none. Browsers offer security keys to https and, without it, to localhost, and never to a
// bare address.
func NewParty(base string) (Party, error) {
	if base == "" {
		return Party{}, nil
	}
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" {
		return Party{}, errors.New("security keys need a public_url such as https://keyward.example.com")
	}
	host := strings.ToLower(u.Hostname())
	if _, err := netip.ParseAddr(host); err == nil {
		return Party{}, errors.New("security keys belong to a host name: public_url has an address; use a name, or localhost")
	}
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return Party{}, errors.New("browsers use security keys over https only: public_url must begin with https://")
	}
	origin := u.Scheme + "://" + host
	if port := u.Port(); port != "" && port != map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		origin += ":" + port
	}
	return Party{ID: host, Origin: origin}, nil
}

// A Key is a credential that a security key holds for the server.
type Key struct {
	ID        []byte
	PublicKey []byte // DER of SubjectPublicKeyInfo
	Algorithm int
	Counter   uint32 // as of the last answer; 0 of keys that do not count
	Model     string // the maker's id of the model, in hexadecimal; zeros where it is withheld
	Eligible  bool   // it may be copied to other devices of the person's
	BackedUp  bool   // it was, as of the last answer
}

// A Registration is what a browser answers who made a credential.
type Registration struct {
	ID, AuthenticatorData, ClientData, PublicKey []byte
	Algorithm                                    int
}

// Register answers the credential of a registration that answers the challenge.
func (p Party) Register(challenge []byte, r Registration) (Key, error) {
	if err := p.checkClient("webauthn.create", challenge, r.ClientData); err != nil {
		return Key{}, err
	}
	d, err := p.read(r.AuthenticatorData)
	if err != nil {
		return Key{}, err
	}
	if d.flags&flagAttested == 0 || len(d.rest) < modelSize+2 {
		return Key{}, ErrMalformed
	}
	size := int(binary.BigEndian.Uint16(d.rest[modelSize:]))
	id := d.rest[modelSize+2:]
	if size == 0 || size > MaxID || len(id) <= size || !bytes.Equal(id[:size], r.ID) {
		return Key{}, ErrMalformed
	}
	k := Key{
		ID: r.ID, PublicKey: r.PublicKey, Algorithm: r.Algorithm, Counter: d.counter, Model: hex.EncodeToString(d.rest[:modelSize]),
		Eligible: d.flags&flagEligible != 0, BackedUp: d.flags&flagBackedUp != 0,
	}
	_, err = k.public()
	return k, err
}

// An Assertion is what a browser answers whose user approved something with a credential.
type Assertion struct {
	ID, AuthenticatorData, ClientData, Signature []byte
}

// Verify proves that the holder of the key answered the challenge, and answers the key with
// what it said about itself: its counter, and whether it is backed up. ErrCounter says that
// everything else is right.
func (p Party) Verify(challenge []byte, k Key, a Assertion) (Key, error) {
	if !bytes.Equal(a.ID, k.ID) {
		return k, ErrMalformed
	}
	if err := p.checkClient("webauthn.get", challenge, a.ClientData); err != nil {
		return k, err
	}
	d, err := p.read(a.AuthenticatorData)
	if err != nil {
		return k, err
	}
	sum := sha256.Sum256(a.ClientData)
	if err := k.verify(append(bytes.Clone(a.AuthenticatorData), sum[:]...), a.Signature); err != nil {
		return k, err
	}
	if k.Eligible != (d.flags&flagEligible != 0) {
		return k, ErrMalformed // a credential is born with it
	}
	if (d.counter != 0 || k.Counter != 0) && d.counter <= k.Counter {
		return k, ErrCounter
	}
	k.Counter, k.BackedUp = d.counter, d.flags&flagBackedUp != 0
	return k, nil
}

// checkClient checks what the browser says about the page that asked (§ 5.8.1).
func (p Party) checkClient(kind string, challenge, clientData []byte) error {
	var c struct {
		Type        string  `json:"type"`
		Challenge   string  `json:"challenge"`
		Origin      string  `json:"origin"`
		CrossOrigin bool    `json:"crossOrigin"`
		TopOrigin   *string `json:"topOrigin"`
	}
	if json.Unmarshal(clientData, &c) != nil || c.Type != kind {
		return ErrMalformed
	}
	if c.Origin != p.Origin || c.CrossOrigin || c.TopOrigin != nil {
		return ErrOrigin
	}
	if len(challenge) == 0 || c.Challenge != base64.RawURLEncoding.EncodeToString(challenge) {
		return ErrChallenge
	}
	return nil
}

// data is authenticator data (§ 6.1).
type data struct {
	flags   byte
	counter uint32
	rest    []byte
}

// read reads authenticator data of this party whose user was verified.
func (p Party) read(raw []byte) (data, error) {
	if len(raw) < dataSize {
		return data{}, ErrMalformed
	}
	host := sha256.Sum256([]byte(p.ID))
	if !bytes.Equal(raw[:len(host)], host[:]) {
		return data{}, ErrParty
	}
	d := data{raw[len(host)], binary.BigEndian.Uint32(raw[len(host)+1:]), raw[dataSize:]}
	if d.flags&flagPresent == 0 || d.flags&flagVerified == 0 {
		return data{}, ErrUnverified
	}
	if d.flags&flagBackedUp != 0 && d.flags&flagEligible == 0 {
		return data{}, ErrMalformed
	}
	return d, nil
}

// public answers the public key, of the kind that the algorithm says.
func (k Key) public() (crypto.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(k.PublicKey)
	if err != nil {
		return nil, ErrAlgorithm
	}
	switch public := parsed.(type) {
	case *ecdsa.PublicKey:
		if k.Algorithm == ES256 && public.Curve == elliptic.P256() {
			return public, nil
		}
	case ed25519.PublicKey:
		if k.Algorithm == EdDSA {
			return public, nil
		}
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); k.Algorithm == RS256 && bits >= minRSA && bits <= maxRSA {
			return public, nil
		}
	}
	return nil, ErrAlgorithm
}

func (k Key) verify(message, signature []byte) error {
	parsed, err := k.public()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(message)
	right := false
	switch public := parsed.(type) {
	case *ecdsa.PublicKey:
		right = ecdsa.VerifyASN1(public, sum[:], signature)
	case ed25519.PublicKey:
		right = ed25519.Verify(public, message, signature)
	case *rsa.PublicKey:
		right = rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
	}
	if !right {
		return ErrSignature
	}
	return nil
}
