package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/shamir"
)

// A Protection says what a new root envelope opens with: a passphrase, or shares if
// Shares is not 0, or a hardware token.
type Protection struct {
	Name       string // at most 64 letters, digits and . _ -
	Recovery   bool   // kept for the day when nothing else opens
	Passphrase material.Bytes
	Cost       Cost      // of the passphrase's derivation; zero means ProductionCost
	Threshold  int       // how many shares open it, at least 2
	Shares     int       // at most 16
	Device     bool      // a hardware token opens it, with a key that it makes
	deviceKey  deviceKey // of Device, once the envelope is to be made; see WithKey
}

// firstName is what the envelope of the first release goes by, which had no name.
const firstName = "passphrase"

// Title answers the name by which an operator calls the envelope.
func (e Envelope) Title() string {
	if e.Name == "" {
		return firstName
	}
	return e.Name
}

// Check answers an InvalidParameter fault if no envelope can be made of p.
func (p Protection) Check() error {
	if p.Device && (p.Passphrase.Len() > 0 || p.Shares != 0 || p.Threshold != 0) {
		return fault.InvalidParameter.New("a root envelope of the hardware token has neither a passphrase nor shares")
	}
	if !validName(p.Name) {
		return fault.InvalidParameter.New("a root envelope needs a name of at most 64 letters, digits and . _ -")
	}
	if p.Shares != 0 || p.Threshold != 0 {
		if err := shamir.Check(p.Threshold, p.Shares); err != nil {
			return fault.InvalidParameter.Wrap(err, "at least 2 shares must be needed, and at most as many as there are, of which there are at most %d", shamir.MaxShares)
		}
		return nil
	}
	if p.Device {
		return nil
	}
	if err := checkPassphrase(p.Passphrase); err != nil {
		return err
	}
	return p.cost().check()
}

func (p Protection) cost() Cost {
	if p.Cost == (Cost{}) {
		return ProductionCost()
	}
	return p.Cost
}

func validName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// newEnvelope puts the root key into an envelope, and answers the shares if there are any.
func newEnvelope(root material.Bytes, p Protection, createdAt time.Time) (Envelope, []shamir.Share, error) {
	if err := p.Check(); err != nil {
		return Envelope{}, nil, err
	}
	e := Envelope{
		ID: rand.Text(), Name: p.Name, Recovery: p.Recovery, RootEpoch: 1,
		Fingerprint: fingerprint(root), CreatedAt: createdAt.UTC().Truncate(time.Microsecond),
	}
	var params any
	var key material.Bytes
	var shares []shamir.Share
	switch {
	case p.Device:
		key = p.deviceKey.key
		e.ID, e.Provider, params = p.deviceKey.name, deviceProvider, deviceParams{deviceAlgorithm, p.deviceKey.wrapped}
	case p.Shares > 0:
		key = material.Random(secretSize)
		var err error
		if shares, err = shamir.Split(key, p.Threshold, p.Shares); err != nil {
			return Envelope{}, nil, err
		}
		e.Provider, params = shareProvider, shareParamsOf(shares)
	default:
		how := newPassphraseParams(p.cost())
		key = how.key(p.Passphrase)
		e.Provider, params = passphraseProvider, how
	}
	defer key.Zero()
	var err error
	if e.Params, err = json.Marshal(params); err != nil {
		return Envelope{}, nil, err
	}
	e.Wrapped, err = rootKind.seal(key, 0, e.binding(), root)
	return e, shares, err
}

// readParams reads Envelope.Params of one provider: one JSON object without unknown members.
func readParams[P any](document []byte) (p P, err error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, fmt.Errorf("reading the parameters: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return p, errors.New("reading the parameters: there is more than one value")
	}
	return p, nil
}

// open answers the root key if key is the one that the envelope was made with.
func (e Envelope) open(key material.Bytes) (material.Bytes, error) {
	root, err := rootKind.open(key, e.binding(), e.Wrapped)
	if err != nil {
		return material.Bytes{}, err
	}
	if !hmac.Equal(fingerprint(root), e.Fingerprint) {
		root.Zero()
		return material.Bytes{}, errors.New("the fingerprint is another root key's")
	}
	return root, nil
}

// binding covers every field that the blob and the fingerprint do not. Version 1 is
// that of the first release, whose envelopes had neither name nor purpose.
func (e Envelope) binding() []byte {
	version, more := "kms-root-envelope/v1", []string(nil)
	if e.Name != "" || e.Recovery {
		version, more = "kms-root-envelope/v2", []string{e.Name, strconv.FormatBool(e.Recovery)}
	}
	fields := []string{version, e.ID, e.Provider, string(e.Params),
		strconv.FormatUint(uint64(e.RootEpoch), 10), strconv.FormatInt(e.CreatedAt.UnixMicro(), 10)}
	return material.Binding(append(fields, more...)...)
}

// Digest answers SHA-256 of all that the envelope is, for the audit log.
func (e Envelope) Digest() []byte {
	sum := sha256.Sum256(material.Binding("kms-root-envelope-digest/v1", string(e.binding()), string(e.Wrapped), string(e.Fingerprint)))
	return sum[:]
}

func fingerprint(root material.Bytes) []byte {
	mac := hmac.New(sha256.New, root.Expose())
	mac.Write([]byte(fingerprintLabel))
	return mac.Sum(nil)
}
