package offer

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/xks"
)

// Known is what is known about who would have signed a request to an offer.
type Known struct {
	Offer     Offer
	Secret    material.Bytes // that a signature must prove; empty if there is no such offer or credential
	Principal authz.Principal
	// Refusal is why the request is refused although its signature is right, or nil. Only
	// who has proved to hold the secret may learn of it.
	Refusal error
}

// Recognize answers what is known about a credential of an offer.
func (s *Service) Recognize(ctx context.Context, account, name, credential string) (Known, error) {
	o, err := s.known.Get(ctx, place{account, name})
	if fault.Is(err, fault.ResourceNotFound) {
		return Known{}, nil
	}
	if err != nil {
		return Known{}, err
	}
	k := Known{Offer: o.Offer, Secret: o.secrets[credential]}
	k.Principal, err = s.o.Users.Acting(ctx, account, o.User)
	if fault.Is(err, fault.AccessKeyInactive) {
		k.Refusal, err = err, nil
	}
	k.Principal.AccessKey = credential
	return k, err
}

// serve runs one operation of the other side that ends in one record. What decides is asked
// by what it does with a key.
func (s *Service) serve(ctx context.Context, c *authz.Call, o Offer, action string, m xks.RequestMetadata, fn func(*audit.Record) error) error {
	rec := audit.NewRecord(c, action)
	rec.Resource = s.ARN(o.Account, o.Name)
	rec.Param("KmsRequestId", m.RequestID)
	rec.Param("KmsOperation", m.Operation)
	rec.Param("AwsPrincipalArn", m.Principal)
	rec.Param("KmsKeyArn", m.Key)
	rec.Param("KmsViaService", m.ViaService)
	return s.o.Log.Do(ctx, rec, func() error { return fn(rec) })
}

// A Request is one use of a published key by the other side.
type Request struct {
	Offer    Offer
	Key      string // external id
	Metadata xks.RequestMetadata
}

// work is serve for one key.
func (s *Service) work(ctx context.Context, c *authz.Call, r Request, action string, fn func(*audit.Record, Key) error) error {
	return s.serve(ctx, c, r.Offer, action, r.Metadata, func(rec *audit.Record) error {
		k, err := r.Offer.published(r.Key)
		if err != nil {
			return err
		}
		rec.Param("XksKeyId", k.ID)
		return fn(rec, k)
	})
}

// Describe answers what a published key is and may be used for.
func (s *Service) Describe(ctx context.Context, c *authz.Call, r Request) (out xks.MetadataResponse, err error) {
	err = s.work(ctx, c, r, "keyward:XksGetKeyMetadata", func(rec *audit.Record, k Key) error {
		have, err := s.o.Keys.DescribeFor(ctx, c, rec, string(k.Key))
		if err != nil {
			return err
		}
		out = xks.MetadataResponse{Spec: xks.KeySpec, Usage: k.Use.words(), Status: xks.Disabled}
		if have.State == key.Enabled {
			out.Status = xks.Enabled
		}
		return nil
	})
	return out, err
}

// Encrypt encrypts with a published key. If the other side wants to be assured that the
// answer decrypts, it is decrypted before it is answered, which takes the right to do so.
func (s *Service) Encrypt(ctx context.Context, c *authz.Call, r Request, in xks.EncryptRequest) (out xks.EncryptResponse, err error) {
	err = s.work(ctx, c, r, "keyward:XksEncrypt", func(rec *audit.Record, k Key) error {
		assured := in.CDIVAlgorithm != ""
		if !k.Use.encrypts() || assured && !k.Use.decrypts() {
			return errUsage()
		}
		if in.TooLarge() {
			return errTooLarge()
		}
		plain := material.NewBytes(in.Plaintext)
		d, err := s.o.Keys.EncryptDetachedFor(ctx, c, rec, cryptography.DetachedInput{Key: string(k.Key), Plaintext: plain, Data: in.Data})
		if err != nil {
			return err
		}
		out = xks.EncryptResponse{Ciphertext: d.Ciphertext, CiphertextMetadata: d.Metadata, IV: d.IV, Tag: d.Tag}
		if !assured {
			return nil
		}
		out.CDIV = out.Integrity(in.Data) // before it is decrypted, so that it tells of what was
		back, err := s.o.Keys.DecryptDetachedFor(ctx, c, rec, cryptography.DetachedInput{Key: string(k.Key), Message: d, Data: in.Data})
		defer back.Zero()
		if err == nil && subtle.ConstantTimeCompare(back.Expose(), in.Plaintext) != 1 {
			err = errors.New("assuring a ciphertext: it decrypts to something else")
		}
		return err
	})
	return audit.Kept(out, err)
}

// Decrypt decrypts with a published key.
func (s *Service) Decrypt(ctx context.Context, c *authz.Call, r Request, in xks.DecryptRequest) (out material.Bytes, err error) {
	err = s.work(ctx, c, r, "keyward:XksDecrypt", func(rec *audit.Record, k Key) error {
		if !k.Use.decrypts() {
			return errUsage()
		}
		if in.TooLarge() {
			return errTooLarge()
		}
		out, err = s.o.Keys.DecryptDetachedFor(ctx, c, rec, cryptography.DetachedInput{Key: string(k.Key), Data: in.Data, Message: material.Detached{
			Metadata: in.CiphertextMetadata, IV: in.IV, Ciphertext: in.Ciphertext, Tag: in.Tag,
		}})
		return err
	})
	if err != nil {
		out.Zero()
		return material.Bytes{}, err
	}
	return out, nil
}

func errUsage() error {
	return fault.UnsupportedOperation.New("the key is not published for this")
}

func errTooLarge() error {
	return fault.TooLarge.New("at most %d bytes are encrypted and decrypted, with at most %d of additional data", xks.MaxPlaintext, xks.MaxData)
}

// Health tells the other side whether an operation would succeed now: it wraps and unwraps
// something under the account's tenant key, and its record proves that records are kept.
func (s *Service) Health(ctx context.Context, c *authz.Call, o Offer, m xks.RequestMetadata) (out xks.HealthResponse, err error) {
	err = s.serve(ctx, c, o, "keyward:XksGetHealthStatus", m, func(*audit.Record) error {
		tenant, err := s.o.Users.Tenant(ctx, o.Account)
		if err != nil {
			return err
		}
		probe, binding := material.Random(32), material.Binding("keyward-xks-health/v1", o.Account)
		defer probe.Zero()
		wrapped, err := tenant.Wrap(binding, probe)
		if err != nil {
			return err
		}
		back, err := tenant.Unwrap(binding, wrapped)
		back.Zero()
		return err
	})
	if err != nil {
		return xks.HealthResponse{}, err
	}
	model := "keyward " + s.o.Version
	return xks.HealthResponse{
		FleetSize: 1, Vendor: "keyward", Model: model, EKMVendor: "keyward",
		Fleet: []xks.Manager{{ID: s.o.Log.Origin(), Model: model, Health: xks.Active}},
	}, nil
}
