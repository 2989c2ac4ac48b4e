package seal

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/shamir"
)

const shareProvider = "shamir"

// shareParams is Envelope.Params of an envelope that opens with shares. What is shared
// is the envelope's own random key, so that new shares need a new envelope only.
type shareParams struct {
	Algorithm string   `json:"algorithm"` // "shamir-gf256"
	Set       string   `json:"set"`       // set id, hexadecimal
	Threshold int      `json:"threshold"`
	Digests   [][]byte `json:"digests"` // of each share, by index: a wrong share is known at once
}

const (
	shareAlgorithm = "shamir-gf256"
	digestSize     = 32
)

func shareParamsOf(shares []shamir.Share) shareParams {
	p := shareParams{Algorithm: shareAlgorithm, Set: hex.EncodeToString(shares[0].Set[:]), Threshold: shares[0].Threshold}
	for _, s := range shares {
		p.Digests = append(p.Digests, s.Digest())
	}
	return p
}

// parseShareParams reads and bounds the parameters of an envelope.
func parseShareParams(document []byte) (shareParams, error) {
	p, err := readParams[shareParams](document)
	if err != nil {
		return p, err
	}
	if p.Algorithm != shareAlgorithm {
		return p, errors.New("the parameters name an unknown algorithm")
	}
	for _, d := range p.Digests {
		if len(d) != digestSize {
			return p, fmt.Errorf("the parameters have a digest of %d bytes", len(d))
		}
	}
	return p, shamir.Check(p.Threshold, len(p.Digests))
}

// Shares answers how many shares open the envelope and how many there are; both are 0
// if it opens with something else or its parameters are unreasonable.
func (e Envelope) Shares() (threshold, shares int) {
	if e.Provider != shareProvider {
		return 0, 0
	}
	p, err := parseShareParams(e.Params)
	if err != nil {
		return 0, 0
	}
	return p.Threshold, len(p.Digests)
}

// EnvelopeOf answers the envelope that the share is of, and only if the share is a
// genuine one of it. The others, if any, are those that were accepted before. Each thing
// that may be wrong with a share has its own InvalidParameter fault; one that was not
// mistyped is wrong for ever.
func EnvelopeOf(envelopes []Envelope, s shamir.Share, others []shamir.Share) (Envelope, error) {
	if err := s.Joins(others); errors.Is(err, shamir.ErrDuplicate) {
		return Envelope{}, fault.InvalidParameter.Wrap(err, "share %d was given already; another holder's share is needed", s.Index)
	} else if err != nil {
		return Envelope{}, fault.InvalidParameter.Wrap(err, "the share belongs to another set (%x) than those that were given before (%x)", s.Set, others[0].Set)
	}
	for _, e := range envelopes {
		if e.Provider != shareProvider {
			continue
		}
		p, err := parseShareParams(e.Params)
		if err != nil || p.Set != hex.EncodeToString(s.Set[:]) {
			continue
		}
		if p.Threshold != s.Threshold || s.Index > len(p.Digests) || subtle.ConstantTimeCompare(p.Digests[s.Index-1], s.Digest()) != 1 {
			return Envelope{}, fault.InvalidParameter.New("the share says it is number %d of the set %x, but it is not genuine; find the right one", s.Index, s.Set)
		}
		return e, nil
	}
	return Envelope{}, fault.InvalidParameter.New(
		"the share is of the set %x, which opens no root envelope of this server; it is another server's, or its envelope was removed", s.Set)
}

// WithShares opens an envelope with its shares. Too few of them are a StateConflict
// fault that says how many are missing.
func WithShares(shares []shamir.Share) Opener {
	return func(envelopes []Envelope) (material.Bytes, Envelope, error) {
		var envelope Envelope
		for i, s := range shares {
			var err error
			if envelope, err = EnvelopeOf(envelopes, s, shares[:i]); err != nil {
				return material.Bytes{}, Envelope{}, err
			}
		}
		key, err := shamir.Combine(shares)
		if fault.Is(err, fault.StateConflict) {
			return material.Bytes{}, Envelope{}, err
		}
		if err != nil {
			return material.Bytes{}, Envelope{}, fault.InvalidParameter.Wrap(err, "the shares do not belong together")
		}
		defer key.Zero()
		root, err := envelope.open(key)
		if err != nil {
			return material.Bytes{}, Envelope{}, fault.StateConflict.Wrap(err, "the shares are right, but the root envelope was damaged; restore it from a backup")
		}
		return root, envelope, nil
	}
}
