// Package shamir shares a secret among n people so that any k of them can put it
// together again and fewer learn nothing of it.
//
// Each byte of the secret is the value at 0 of a random polynomial of degree k-1 over
// GF(2^8); a share has the values of all of them at one point, its index (A. Shamir,
// "How to Share a Secret", 1979). The arithmetic has no tables and no branches that
// depend on a value (field.go).
//
// A [Share] tells beside its values what set it belongs to, how many are needed, and a
// fingerprint of the secret, so that shares that do not belong together are told apart
// and a wrong result is never answered. Its text (text.go) has a checksum, so that a
// slip of the pen is found before anything is computed.
//
// What is trusted: nothing of a share. Whoever combines shares learns the secret, and
// so does whoever made them: the caller erases it. Package seal uses this for root
// envelopes that open with k of n shares.
package shamir

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// The bounds: k is at least MinThreshold, n at most MaxShares; secrets have Size bytes.
const (
	MinThreshold = 2
	MaxShares    = 16
	Size         = 32
)

const fingerprintSize = 8

// A SetID names the shares that were made together; it is random.
type SetID [8]byte

// A Share is one of the parts of a secret. It is as secret as its share of the power.
type Share struct {
	Set         SetID
	Threshold   int                   // how many are needed, k
	Index       int                   // from 1
	fingerprint [fingerprintSize]byte // of the secret
	value       material.Bytes        // Size bytes
}

// What is wrong with shares that cannot be combined. The errors of [Combine] and
// [Share.Joins] wrap one of them.
var (
	ErrForeign   = errors.New("the share is of another set")
	ErrDuplicate = errors.New("the share was given already")
	ErrWrong     = errors.New("one of the shares is not genuine")
)

// Split makes n shares of a secret of Size bytes, any k of which combine.
func Split(secret material.Bytes, k, n int) ([]Share, error) {
	if err := Check(k, n); err != nil {
		return nil, err
	}
	if secret.Len() != Size {
		return nil, fmt.Errorf("sharing a secret: it has %d bytes instead of %d", secret.Len(), Size)
	}
	var set SetID
	rand.Read(set[:])
	coefficients := make([][]byte, k-1) // of x, x², …
	for i := range coefficients {
		coefficients[i] = make([]byte, Size)
		rand.Read(coefficients[i])
	}
	shares := make([]Share, n)
	for i := range shares {
		x := byte(i + 1)
		y := make([]byte, Size)
		for d := k - 2; d >= 0; d-- { // Horner
			step(y, coefficients[d], x)
		}
		step(y, secret.Expose(), x)
		shares[i] = Share{Set: set, Threshold: k, Index: i + 1, fingerprint: fingerprint(set, k, secret), value: material.NewBytes(y)}
	}
	for _, c := range coefficients {
		clear(c)
	}
	return shares, nil
}

// Check answers an error unless 2 ≤ k ≤ n ≤ 16.
func Check(k, n int) error {
	if k < MinThreshold || k > n || n > MaxShares {
		return fmt.Errorf("%d of %d shares: at least %d must be needed, at most as many as there are, of which there are at most %d", k, n, MinThreshold, MaxShares)
	}
	return nil
}

// step replaces y by y·x + c.
func step(y, c []byte, x byte) {
	for i := range y {
		y[i] = mul(y[i], x) ^ c[i]
	}
}

// Joins tells whether the share may be added to others, which belong together:
// ErrForeign if it is of another set, ErrDuplicate if its index is there.
func (s Share) Joins(others []Share) error {
	for _, o := range others {
		if o.Set != s.Set || o.Threshold != s.Threshold || o.fingerprint != s.fingerprint {
			return fmt.Errorf("share %d of set %x beside one of set %x: %w", s.Index, s.Set, o.Set, ErrForeign)
		}
	}
	for _, o := range others {
		if o.Index == s.Index {
			return fmt.Errorf("share %d: %w", s.Index, ErrDuplicate)
		}
	}
	return nil
}

// Combine answers the secret of which these are shares; more than are needed may be
// given, and all are used. Too few are a StateConflict fault; otherwise the error wraps
// ErrForeign, ErrDuplicate or ErrWrong. A secret that is answered is the one that was
// shared, unless somebody forged the fingerprint of every share.
func Combine(shares []Share) (material.Bytes, error) {
	k := MinThreshold
	for i, s := range shares {
		if err := s.Joins(shares[:i]); err != nil {
			return material.Bytes{}, err
		}
		k = s.Threshold
	}
	if n := len(shares); n < k {
		return material.Bytes{}, fault.StateConflict.New("%d of %d shares are there, %d more are needed", n, k, k-n)
	}
	sum := make([]byte, Size)
	for i, s := range shares {
		weight := weightAtZero(shares, i)
		for j, y := range s.value.Expose() {
			sum[j] ^= mul(weight, y)
		}
	}
	secret := material.NewBytes(sum)
	got := fingerprint(shares[0].Set, shares[0].Threshold, secret)
	if subtle.ConstantTimeCompare(got[:], shares[0].fingerprint[:]) != 1 {
		secret.Zero()
		return material.Bytes{}, ErrWrong
	}
	return secret, nil
}

// weightAtZero is the Lagrange coefficient of share i at 0: ∏ x_j / (x_j - x_i). The
// indices are public.
func weightAtZero(shares []Share, i int) byte {
	weight := byte(1)
	for j, s := range shares {
		if j != i {
			x := byte(s.Index)
			weight = mul(weight, mul(x, inverse(x^byte(shares[i].Index))))
		}
	}
	return weight
}

// fingerprint tells a secret from every other one without telling anything of it,
// because it is 256 random bits.
func fingerprint(set SetID, k int, secret material.Bytes) (out [fingerprintSize]byte) {
	h := sha256.New()
	h.Write([]byte("keyward-share-set/v1\x00"))
	h.Write(set[:])
	h.Write([]byte{byte(k)})
	h.Write(secret.Expose())
	copy(out[:], h.Sum(nil))
	return out
}

// Digest answers a hash by which the share is recognised; it tells nothing of it.
func (s Share) Digest() []byte {
	h := sha256.New()
	h.Write([]byte("keyward-share/v1\x00"))
	raw := s.encode()
	defer clear(raw)
	h.Write(raw)
	return h.Sum(nil)
}

// Zero erases the share and all its copies.
func (s Share) Zero() { s.value.Zero() }
