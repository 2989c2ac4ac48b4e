// Package keystore is the keystore of hardware keys: it has the token generate them, use
// them and destroy them.
//
// A key's versions are objects in the token, each labelled with the key's id and
// identified by its version's. What the database keeps of a version is, of a key pair, the
// public half, and of a symmetric key a probe: something that only that key decrypts. When
// a version is opened it must prove that it is the one that was generated: whoever may
// write to the token can exchange a key, but not unnoticed.
//
// Every signature is verified with the stored public half before it leaves: what a faulty
// or exchanged token signs is an error, never an answer.
//
// A version is generated before its row is stored. One whose row never came is destroyed
// by [Keystore.Run], which remembers what this process generated and nothing else: a row
// that is missing may be in a database that was restored from an old backup, or in that of
// another keyward with the same token, and then its key must stay.
package keystore

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
)

const (
	labelPrefix = "keyward/"
	referenceV1 = 1 // the first byte of Version.Wrapped
	probeSize   = 16
	tagSize     = 16               // of AES-GCM
	settled     = 10 * time.Minute // after so long a row that is not there will not come
	maxSweep    = 10_000           // versions that are remembered until then
	maxProofs   = 4                // of a key, for one encryption
)

// Options says what a Keystore is made of.
type Options struct {
	Client *hsm.Client
	Now    func() time.Time
	// Stored answers a version, or a KeyNotFound or KeyVersionNotFound fault.
	Stored func(ctx context.Context, account string, k key.ID, v key.VersionID) (key.Version, error)
}

// A Keystore implements [key.Keystore].
type Keystore struct {
	Options

	mu        sync.Mutex // guards generated
	generated map[key.VersionID]birth
}

// A birth is a version whose row may not be stored yet.
type birth struct {
	account string
	key     key.ID
	at      time.Time
}

// New makes a Keystore.
func New(o Options) *Keystore {
	return &Keystore{Options: o, generated: map[key.VersionID]birth{}}
}

// Offers implements [key.Keystore].
func (s *Keystore) Offers(ctx context.Context, k key.Key) error {
	if k.Origin != key.OriginKMS {
		return fault.UnsupportedOperation.New("A hardware key is generated in the token and cannot be imported; leave Origin or ProtectionLevel out.")
	}
	status, err := s.Client.Status(ctx)
	if err != nil {
		return faultOf(err)
	}
	if status.State != hsm.Ready {
		return fault.KeyUnavailable.New("The hardware token cannot be used now: %s.", status.Trouble())
	}
	if reason := status.Reason(k.Spec); reason.String() != "" {
		return fault.UnsupportedOperation.New("The hardware token makes no keys of spec %s: %s. Use another spec, or a software key.", k.Spec, reason)
	}
	return nil
}

// Generate implements [key.Keystore].
func (s *Keystore) Generate(ctx context.Context, k key.Key, v *key.Version) error {
	o, err := object(k, *v)
	if err != nil {
		return err
	}
	if err := s.remember(*v); err != nil {
		return err
	}
	if v.Public, err = s.Client.Generate(ctx, o, purpose(k)); err != nil {
		return faultOf(err)
	}
	v.Wrapped = []byte{referenceV1}
	if k.Spec.Symmetric() {
		iv, ciphertext, err := s.Client.Encrypt(ctx, o, make([]byte, probeSize), []byte(o.Label))
		if err != nil {
			return faultOf(err)
		}
		v.Wrapped = append(v.Wrapped, hsm.JoinIV(iv, ciphertext)...)
	}
	_, err = s.Open(ctx, k, *v) // it works before anybody relies on it
	return err
}

// remember notes a version that Run must look after.
func (s *Keystore) remember(v key.Version) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.generated) >= maxSweep {
		return fault.Unavailable.New("too many hardware keys are being created; try again in some minutes")
	}
	s.generated[v.ID] = birth{v.Account, v.Key, s.Now()}
	return nil
}

// Run destroys, until ctx ends, what was generated for rows that never came.
func (s *Keystore) Run(ctx context.Context) error {
	tick := time.NewTicker(settled / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.Sweep(ctx)
		}
	}
}

// Sweep looks once at what was generated ten minutes ago or earlier. What cannot be told
// or done now is left for the next time.
func (s *Keystore) Sweep(ctx context.Context) {
	s.mu.Lock()
	due := map[key.VersionID]birth{}
	for id, b := range s.generated {
		if s.Now().Sub(b.at) >= settled {
			due[id] = b
		}
	}
	s.mu.Unlock()
	for id, b := range due {
		_, err := s.Stored(ctx, b.account, b.key, id)
		if fault.Is(err, fault.KeyNotFound) || fault.Is(err, fault.KeyVersionNotFound) {
			bytes, _ := id.Bytes() // it was made here
			err = s.Client.Destroy(ctx, label(b.key), bytes[:])
		}
		if err != nil {
			continue
		}
		s.mu.Lock()
		delete(s.generated, id)
		s.mu.Unlock()
	}
}

// Open implements [key.Keystore].
func (s *Keystore) Open(ctx context.Context, k key.Key, v key.Version) (key.Material, error) {
	o, err := object(k, v)
	if err != nil {
		return key.Material{}, err
	}
	if len(v.Wrapped) == 0 || v.Wrapped[0] != referenceV1 {
		return key.Material{}, fmt.Errorf("opening version %s of key %s: it is not a hardware key's", v.ID, k.ID)
	}
	t := token{client: s.Client, object: o}
	if k.Spec.Symmetric() {
		if err := t.prove(ctx, v.Wrapped[1:]); err != nil {
			return key.Material{}, err
		}
		id, _ := k.ID.Bytes() // object has looked at them
		version, _ := v.ID.Bytes()
		header := material.Header{Suite: material.SuiteToken, Key: id, Version: version}
		return key.Material{Cipher: &cipher{token: t, header: header, probe: v.Wrapped[1:]}}, nil
	}
	public, err := material.OpenPublic(k.Spec, v.Public)
	if err != nil {
		return key.Material{}, err
	}
	p := private{t, public, k.Usage}
	return key.Material{Private: p, Public: public}, p.prove(ctx)
}

// Destroy implements [key.Keystore].
func (s *Keystore) Destroy(ctx context.Context, k key.Key) error {
	return faultOf(s.Client.Destroy(ctx, label(k.ID), nil))
}

// purpose answers what a key pair is generated for.
func purpose(k key.Key) string {
	switch {
	case k.Spec.Symmetric():
		return ""
	case len(k.More) > 0:
		return hsm.ForBoth
	case k.Usage == key.SignVerify:
		return hsm.ForSigning
	}
	return hsm.ForDecryption
}

func label(k key.ID) string { return labelPrefix + string(k) }

// object answers what a version is called in the token.
func object(k key.Key, v key.Version) (hsm.Object, error) {
	_, okKey := k.ID.Bytes()
	id, okVersion := v.ID.Bytes()
	if !okKey || !okVersion {
		return hsm.Object{}, fmt.Errorf("naming version %s of key %s: malformed id", v.ID, k.ID)
	}
	return hsm.Object{Label: label(k.ID), ID: id[:], Spec: k.Spec}, nil
}

// errExchanged says that the token has another key in the place of the one that it generated.
var errExchanged = errors.New("the key in the token is not the one that was generated there")

// A token is one version in the token.
type token struct {
	client *hsm.Client
	object hsm.Object
}

// prove tells whether the token has the key that made the probe.
func (t token) prove(ctx context.Context, probe []byte) error {
	iv, ciphertext, ok := hsm.SplitIV(probe)
	if !ok {
		return fmt.Errorf("opening a hardware key: the probe has %d bytes", len(probe))
	}
	_, err := t.client.Decrypt(ctx, t.object, iv, ciphertext, []byte(t.object.Label))
	if errors.Is(err, hsm.ErrInvalid) {
		return errExchanged
	}
	return faultOf(err)
}

// A cipher encrypts with a symmetric version. A ciphertext is
//
//	header (36) ‖ length of the IV (1) ‖ IV ‖ ciphertext ‖ tag (16)
//
// with the header and SHA-256 of the context as additional data: tokens take little of it.
type cipher struct {
	token
	header material.Header
	probe  []byte
	proved atomic.Value // the hsm.Sighting of the key that opened the probe
}

func (c *cipher) additional(of material.Context) ([]byte, error) {
	encoded, err := of.Encode()
	sum := sha256.Sum256(encoded)
	return append(c.header.Append(nil), sum[:]...), err
}

// Seal implements [key.Cipher]. What is encrypted with a key that was exchanged since it was
// proved would be lost with that key, so each sighting is proved before its work leaves: it
// is the same before the proof and after it.
func (c *cipher) Seal(ctx context.Context, plaintext []byte, of material.Context) ([]byte, error) {
	additional, err := c.additional(of)
	if err != nil {
		return nil, err
	}
	var before hsm.Sighting
	for range maxProofs {
		iv, ciphertext, seen, err := c.client.EncryptSeen(ctx, c.object, plaintext, additional)
		if err != nil {
			return nil, faultOf(err)
		}
		if seen == before {
			c.proved.Store(seen)
		}
		if c.proved.Load() == seen {
			return append(c.header.Append(nil), hsm.JoinIV(iv, ciphertext)...), nil
		}
		if err := c.prove(ctx, c.probe); err != nil {
			return nil, err
		}
		before = seen
	}
	return nil, faultOf(fmt.Errorf("%w: it changes all the time", hsm.ErrAway))
}

// Open implements [key.Cipher].
func (c *cipher) Open(ctx context.Context, ciphertext []byte, of material.Context) (material.Bytes, error) {
	additional, err := c.additional(of)
	if err != nil {
		return material.Bytes{}, err
	}
	header, err := material.ParseHeader(ciphertext)
	if err != nil {
		return material.Bytes{}, err
	}
	iv, sealed, ok := hsm.SplitIV(ciphertext[material.HeaderSize:])
	if header != c.header || !ok || len(sealed) > key.MaxPlaintext+tagSize {
		return material.Bytes{}, errInvalid()
	}
	plaintext, err := c.client.Decrypt(ctx, c.object, iv, sealed, additional)
	if errors.Is(err, hsm.ErrInvalid) { // the ciphertext's fault only if the key is the right one
		err = cmp.Or(c.prove(ctx, c.probe), err)
	}
	return plaintext, faultOf(err)
}

// A private is the private half of a version.
type private struct {
	token
	public *material.Public
	usage  key.Usage // the first, which it is proved with
}

// Sign implements [key.Private].
func (p private) Sign(ctx context.Context, a material.Algorithm, digest []byte) ([]byte, error) {
	if _, err := p.public.Verify(a, digest, nil); err != nil { // algorithm and digest are not of this key
		return nil, err
	}
	signature, err := p.client.Sign(ctx, p.object, a, digest)
	if err != nil {
		return nil, faultOf(err)
	}
	if valid, err := p.public.Verify(a, digest, signature); err != nil || !valid {
		return nil, errors.Join(errExchanged, err)
	}
	return signature, nil
}

// Decrypt implements [key.Private].
func (p private) Decrypt(ctx context.Context, a material.Algorithm, ciphertext []byte) (material.Bytes, error) {
	if p.object.Spec.MaxPlaintext(a) == 0 {
		return material.Bytes{}, fault.UnsupportedOperation.New("a key of spec %s does not decrypt with this algorithm; use one of %v", p.object.Spec, p.object.Spec.EncryptionAlgorithms())
	}
	plaintext, err := p.client.Unwrap(ctx, p.object, a, ciphertext)
	if errors.Is(err, hsm.ErrInvalid) { // the ciphertext's fault only if the key is the right one
		err = cmp.Or(p.prove(ctx), err)
	}
	return plaintext, faultOf(err)
}

// prove tells whether the token has the private half of the stored public one.
func (p private) prove(ctx context.Context) error {
	challenge := make([]byte, sha256.Size)
	rand.Read(challenge) // never fails
	if p.usage == key.SignVerify {
		_, err := p.Sign(ctx, p.object.Spec.SigningAlgorithms()[0], challenge)
		return err
	}
	a := p.object.Spec.EncryptionAlgorithms()[0]
	ciphertext, err := p.public.Encrypt(a, challenge)
	if err != nil {
		return err
	}
	got, err := p.client.Unwrap(ctx, p.object, a, ciphertext)
	if errors.Is(err, hsm.ErrInvalid) || err == nil && !got.Equal(material.NewBytes(challenge)) {
		return errExchanged
	}
	return faultOf(err)
}

func errInvalid() error {
	return fault.InvalidCiphertext.New("the ciphertext is not valid for this key and encryption context; " +
		"check that it is complete and that the context is the one it was encrypted with")
}

// faultOf says what a caller is told of an error of the token.
func faultOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hsm.ErrAway):
		return fault.KeyUnavailable.Wrap(err, "The hardware token that has the key cannot be reached now; try again, and tell the operator if it stays so.")
	case errors.Is(err, hsm.ErrMissing):
		return fault.KeyUnavailable.Wrap(err, "The hardware token that is connected does not have the key; tell the operator.")
	case errors.Is(err, hsm.ErrUnsupported):
		return fault.UnsupportedOperation.Wrap(err, "The hardware token cannot do that: %v.", err)
	case errors.Is(err, hsm.ErrInvalid):
		return errInvalid()
	}
	return fmt.Errorf("using a hardware key: %w", err)
}
