package cryptography

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keyring"
	"github.com/keyward/keyward/internal/material"
)

// MACInput is what the operations with HMAC keys take.
type MACInput struct {
	Key       string             // id, alias or ARN
	Algorithm material.Algorithm // the one that the key has; empty stands for it
	Message   material.Bytes     // 1 to [key.MaxMessage] bytes
	DryRun    bool
}

// A MAC is what GenerateMAC answers.
type MAC struct {
	Key       key.ID
	Version   key.VersionID
	Algorithm material.Algorithm
	Value     []byte // as long as the algorithm's hash
}

// GenerateMAC makes the message authentication code of a message.
func (s *Service) GenerateMAC(ctx context.Context, c *authz.Call, in MACInput) (out MAC, err error) {
	err = s.do(ctx, c, "kms:GenerateMac", func(rec *audit.Record) error {
		e, v, err := s.authenticator(ctx, c, rec, in)
		if err != nil {
			return err
		}
		if in.DryRun {
			return errDryRun()
		}
		value, err := v.MAC.Sum(ctx, in.Message.Expose())
		if err != nil {
			return err
		}
		s.used(c, rec.Action, &e.Key, v.ID, nil)
		out = MAC{Key: e.Key.ID, Version: v.ID, Algorithm: material.Algorithm(e.Key.Spec), Value: value}
		return nil
	})
	return audit.Kept(out, err)
}

// A MACVerification is what VerifyMAC answers.
type MACVerification struct {
	Key       key.ID
	Version   key.VersionID
	Algorithm material.Algorithm
	Valid     bool
}

// VerifyMAC tells whether mac is the message authentication code of a message, whole: one that
// was shortened is not valid.
func (s *Service) VerifyMAC(ctx context.Context, c *authz.Call, in MACInput, mac []byte) (out MACVerification, err error) {
	err = s.do(ctx, c, "kms:VerifyMac", func(rec *audit.Record) error {
		e, v, err := s.authenticator(ctx, c, rec, in)
		if err != nil {
			return err
		}
		if len(mac) == 0 {
			return fault.MissingParameter.New("Mac is mandatory for this action.")
		}
		if in.DryRun {
			return errDryRun()
		}
		valid, err := v.MAC.Verify(ctx, in.Message.Expose(), mac)
		if err != nil {
			return err
		}
		s.used(c, rec.Action, &e.Key, v.ID, nil)
		out = MACVerification{Key: e.Key.ID, Version: v.ID, Algorithm: material.Algorithm(e.Key.Spec), Valid: valid}
		return nil
	})
	return audit.Kept(out, err)
}

// authenticator answers the one version of an HMAC key that may be used as wanted.
func (s *Service) authenticator(ctx context.Context, c *authz.Call, rec *audit.Record, in MACInput) (*keyring.Entry, *keyring.Version, error) {
	e, err := s.ring.Resolve(ctx, keyring.Ask{Call: c, Record: rec, Action: rec.Action, Name: in.Key})
	if err != nil {
		return nil, nil, err
	}
	switch n := in.Message.Len(); {
	case !e.Key.Spec.MAC():
		return nil, nil, fault.UnsupportedOperation.New("Unsupported operation. Key %s has the spec %s, which makes no MACs.", e.Key.ID, e.Key.Spec)
	case in.Algorithm != "" && in.Algorithm != material.Algorithm(e.Key.Spec):
		return nil, nil, fault.UnsupportedOperation.New("Unsupported operation. Key %s makes MACs with %s only.", e.Key.ID, e.Key.Spec)
	case n < 1 || n > key.MaxMessage:
		return nil, nil, fault.InvalidParameter.New("The specified parameter Message is not valid. It must have 1 to %d bytes before base64; make the MAC of a digest of what is longer.", key.MaxMessage)
	}
	if err := e.Key.Allow(key.ActUse); err != nil {
		return nil, nil, err
	}
	rec.Param("Algorithm", string(e.Key.Spec))
	rec.Version = string(e.Key.Primary)
	v, err := s.ring.Version(ctx, e, e.Key.Primary)
	return e, v, err
}

// Random answers random bytes from the operating system's generator, 1 to [key.MaxRandom].
func (s *Service) Random(ctx context.Context, c *authz.Call, size int) (out material.Bytes, err error) {
	err = s.do(ctx, c, "kms:GenerateRandom", func(rec *audit.Record) error {
		if err := s.ring.May(keyring.Ask{Call: c, Record: rec, Action: rec.Action}, s.ring.Name(c.Account, "key")); err != nil {
			return err
		}
		if size < 1 || size > key.MaxRandom {
			return fault.InvalidParameter.New("The specified parameter NumberOfBytes is not valid. It must be between 1 and %d.", key.MaxRandom)
		}
		out = material.Random(size)
		return nil
	})
	return audit.Kept(out, err)
}
