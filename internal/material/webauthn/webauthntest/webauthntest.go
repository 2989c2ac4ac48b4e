// Package webauthntest is a security key in software, with the browser in front of it, for
// tests: what it answers is right, but for what a test changes of it.
package webauthntest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/keyward/keyward/internal/material/webauthn"
)

// Flags are those of authenticator data.
const (
	Present  = 1 << 0
	Verified = 1 << 2
	Eligible = 1 << 3
	BackedUp = 1 << 4
)

// A Key is a security key with one credential, in a browser.
type Key struct {
	ID        []byte
	Algorithm int
	Host      string         // that the credential is bound to
	Origin    string         // of the page that asks
	Flags     byte           // of each answer
	Counter   uint32         // of the next answer; counts on by itself unless it is 0
	More      map[string]any // members that the browser adds to its client data
	signer    crypto.Signer
}

// New makes a key whose user is verified, at a server.
func New(t testing.TB, p webauthn.Party, algorithm int) *Key {
	t.Helper()
	k := &Key{ID: make([]byte, 32), Algorithm: algorithm, Host: p.ID, Origin: p.Origin, Flags: Present | Verified, Counter: 1}
	rand.Read(k.ID)
	var err error
	switch algorithm {
	case webauthn.ES256:
		k.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case webauthn.EdDSA:
		_, k.signer, err = ed25519.GenerateKey(rand.Reader)
	case webauthn.RS256:
		k.signer, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// client answers what the browser says.
func (k *Key) client(kind string, challenge []byte) []byte {
	c := map[string]any{"type": kind, "challenge": base64.RawURLEncoding.EncodeToString(challenge), "origin": k.Origin, "crossOrigin": false}
	for name, value := range k.More {
		c[name] = value
	}
	out, _ := json.Marshal(c) // of what tests write
	return out
}

// data answers authenticator data with what follows.
func (k *Key) data(flags byte, rest []byte) []byte {
	host := sha256.Sum256([]byte(k.Host))
	out := binary.BigEndian.AppendUint32(append(host[:], flags), k.Counter)
	if k.Counter != 0 {
		k.Counter++
	}
	return append(out, rest...)
}

// Register answers navigator.credentials.create.
func (k *Key) Register(challenge []byte) webauthn.Registration {
	attested := binary.BigEndian.AppendUint16(make([]byte, 16), uint16(len(k.ID)))
	attested = append(append(attested, k.ID...), 0xa0) // where the key stands in COSE, which nobody reads
	public, _ := x509.MarshalPKIXPublicKey(k.signer.Public())
	return webauthn.Registration{ID: k.ID, AuthenticatorData: k.data(k.Flags|1<<6, attested), ClientData: k.client("webauthn.create", challenge), PublicKey: public, Algorithm: k.Algorithm}
}

// Approve answers navigator.credentials.get.
func (k *Key) Approve(challenge []byte) webauthn.Assertion {
	a := webauthn.Assertion{ID: k.ID, AuthenticatorData: k.data(k.Flags, nil), ClientData: k.client("webauthn.get", challenge)}
	sum := sha256.Sum256(a.ClientData)
	message, opts := append(append([]byte{}, a.AuthenticatorData...), sum[:]...), crypto.SignerOpts(crypto.SHA256)
	if k.Algorithm == webauthn.EdDSA {
		opts = crypto.Hash(0)
	} else {
		digest := sha256.Sum256(message)
		message = digest[:]
	}
	a.Signature, _ = k.signer.Sign(rand.Reader, message, opts) // fails for no key of New
	return a
}
