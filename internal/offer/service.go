package offer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/xks"
)

const maxCached = 10_000 // offers with their secrets that stay in memory

// Options says what a Service is made of. All fields are required.
type Options struct {
	Store  Store
	Users  Users
	Keys   Keys
	Log    *audit.Log
	Region string           // of the ARNs
	Now    func() time.Time // clock
	Fresh  func() bool      // whether cached values may be used
	// Version is keyward's own, for the other side's health checks.
	Version string
}

// A Service offers the operations on offers. Its methods may be called concurrently.
type Service struct {
	o     Options
	known *cache.Cache[place, open]
}

type place struct{ account, name string }

// An open offer has its secrets, by the credentials' ids.
type open struct {
	Offer
	secrets map[string]material.Bytes
}

// New makes a Service.
func New(o Options) *Service {
	s := &Service{o: o}
	s.known = cache.New(maxCached, o.Fresh, s.load)
	return s
}

func (s *Service) load(ctx context.Context, p place) (open, error) {
	o, err := s.o.Store.Offer(ctx, p.account, p.name)
	if err != nil {
		return open{}, err
	}
	tenant, err := s.o.Users.Tenant(ctx, p.account)
	if err != nil {
		return open{}, err
	}
	secrets, err := o.open(tenant)
	return open{o, secrets}, err
}

// Changed forgets what the service has cached of a row that was changed; table "" means
// everything. The store's change feed calls it.
func (s *Service) Changed(table, id string) {
	switch account, name, _ := strings.Cut(id, "/"); table {
	case "", "iam_account": // its tenant key may be gone
		s.known.Clear()
	case "xks_offer":
		s.known.Forget(place{account, name})
	}
}

// Age drops the secrets that were not used since the last call and answers of how many offers.
func (s *Service) Age() int { return s.known.Age() }

// ARN answers the name of an offer as policies know it.
func (s *Service) ARN(account, name string) string {
	return "acs:keyward:" + s.o.Region + ":" + account + ":xks-offer/" + name
}

// do runs one operation of a person that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, name string, fn func(*audit.Record) error) error {
	return s.o.Log.Perform(ctx, c, action, s.ARN(c.Account, name), fn)
}

// change reads an offer, has edit change it and stores it, again if it was changed meanwhile.
func (s *Service) change(ctx context.Context, c *authz.Call, action, name string, edit func(*audit.Record, *Offer) error) (out Offer, err error) {
	err = s.do(ctx, c, action, name, func(rec *audit.Record) error {
		return rec.Again(func() error {
			if out, err = s.o.Store.Offer(ctx, c.Account, name); err != nil {
				return err
			}
			if err = edit(rec, &out); err != nil {
				return err
			}
			return s.o.Store.UpdateOffer(ctx, rec, &out)
		})
	})
	return audit.Kept(out, err)
}

// Create makes an offer without keys, whose other side acts as a user, and answers its first
// credential. Whoever makes it must be allowed to make an access key of that user.
func (s *Service) Create(ctx context.Context, c *authz.Call, name, user string) (out Offer, first xks.Credential, err error) {
	err = s.do(ctx, c, "keyward:CreateXksOffer", name, func(rec *audit.Record) error {
		if !namePattern().MatchString(name) {
			return fault.InvalidParameter.New("the name of an offer has lower-case letters, digits and hyphens, at most 63")
		}
		rec.Param("UserName", user)
		if err := s.o.Users.Delegate(ctx, c, rec, user); err != nil {
			return err
		}
		have, err := s.o.Store.Offers(ctx, c.Account)
		if err != nil {
			return err
		}
		if len(have) >= MaxOffers {
			return fault.LimitExceeded.New("the account has %d offers, which is the limit", MaxOffers)
		}
		var id [16]byte
		rand.Read(id[:])
		out = Offer{Account: c.Account, Name: name, ID: hex.EncodeToString(id[:]), User: user, CreatedAt: s.o.Now().UTC().Truncate(time.Microsecond)}
		if first, err = s.addCredential(ctx, rec, &out, map[string]material.Bytes{}); err != nil {
			return err
		}
		return s.o.Store.CreateOffer(ctx, rec, &out)
	})
	if err != nil {
		return Offer{}, xks.Credential{}, err
	}
	return out, first, nil
}

func (s *Service) addCredential(ctx context.Context, rec *audit.Record, o *Offer, secrets map[string]material.Bytes) (xks.Credential, error) {
	tenant, err := s.o.Users.Tenant(ctx, o.Account)
	if err != nil {
		return xks.Credential{}, err
	}
	made := xks.NewCredential()
	rec.Param("AccessKeyId", made.ID)
	secrets[made.ID] = made.Secret
	return made, o.seal(tenant, secrets)
}

// List answers all offers of the account, by name.
func (s *Service) List(ctx context.Context, c *authz.Call) (out []Offer, err error) {
	err = s.do(ctx, c, "keyward:ListXksOffers", "*", func(*audit.Record) error {
		out, err = s.o.Store.Offers(ctx, c.Account)
		return err
	})
	return audit.Kept(out, err)
}

// Show answers one offer.
func (s *Service) Show(ctx context.Context, c *authz.Call, name string) (out Offer, err error) {
	err = s.do(ctx, c, "keyward:GetXksOffer", name, func(*audit.Record) error {
		out, err = s.o.Store.Offer(ctx, c.Account, name)
		return err
	})
	return audit.Kept(out, err)
}

// Remove forgets an offer: from then on nobody reaches a key through it.
func (s *Service) Remove(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:RemoveXksOffer", name, func(rec *audit.Record) error {
		o, err := s.o.Store.Offer(ctx, c.Account, name)
		if err != nil {
			return err
		}
		return s.o.Store.DeleteOffer(ctx, rec, &o)
	})
}

// Publish has an offer publish a key under an external id, or changes for what. Under an id
// that stands for another key nothing can be published before that one is withdrawn.
func (s *Service) Publish(ctx context.Context, c *authz.Call, name string, k Key) (Offer, error) {
	return s.change(ctx, c, "keyward:PublishXksKey", name, func(rec *audit.Record, o *Offer) error {
		if !xks.ValidKey(k.ID) {
			return fault.InvalidParameter.New("an external id has 1 to 128 letters, digits and characters of . _ -, and not dots alone")
		}
		if !slices.Contains(Uses(), k.Use) {
			return fault.InvalidParameter.New("a key is published for one of %v", Uses())
		}
		have, err := s.o.Keys.DescribeFor(ctx, c, rec, string(k.Key))
		if err != nil {
			return err
		}
		if have.Spec != material.AES256 {
			return fault.UnsupportedOperation.New("the protocol knows keys of the spec %s only", material.AES256)
		}
		if have.Origin == key.OriginManager {
			return fault.UnsupportedOperation.New("the key %s is another manager's, too, and cannot be published", have.ID)
		}
		k.Key = have.ID
		rec.Param("XksKeyId", k.ID)
		rec.Param("Use", string(k.Use))
		i, there := o.find(k.ID)
		switch {
		case there && o.Keys[i].Key != k.Key:
			return fault.ResourceExists.New("another key is published under the id %s; withdraw it first: what was encrypted under that id would not decrypt any more", k.ID)
		case there:
			o.Keys[i] = k
		case len(o.Keys) >= MaxKeys:
			return fault.LimitExceeded.New("the offer publishes %d keys, which is the limit", MaxKeys)
		default:
			o.Keys = slices.Insert(o.Keys, i, k)
		}
		return nil
	})
}

// Withdraw has an offer publish nothing under an external id any more.
func (s *Service) Withdraw(ctx context.Context, c *authz.Call, name, id string) (Offer, error) {
	return s.change(ctx, c, "keyward:WithdrawXksKey", name, func(rec *audit.Record, o *Offer) error {
		i, there := o.find(id)
		if !there {
			return fault.ResourceNotFound.New("nothing is published under this id")
		}
		rec.Param("XksKeyId", id)
		o.Keys = slices.Delete(o.Keys, i, i+1)
		return nil
	})
}

// AddCredential makes a second credential, beside which the first one goes on serving.
func (s *Service) AddCredential(ctx context.Context, c *authz.Call, name string) (Offer, xks.Credential, error) {
	var made xks.Credential
	out, err := s.change(ctx, c, "keyward:AddXksCredential", name, func(rec *audit.Record, o *Offer) error {
		if len(o.Credentials) >= MaxCredentials {
			return fault.LimitExceeded.New("the offer has %d credentials, which is the limit; remove the one that is not used any more", MaxCredentials)
		}
		if err := s.o.Users.Delegate(ctx, c, rec, o.User); err != nil {
			return err
		}
		secrets, err := s.secrets(ctx, *o)
		if err == nil {
			made, err = s.addCredential(ctx, rec, o, secrets)
		}
		return err
	})
	if err != nil {
		return Offer{}, xks.Credential{}, err
	}
	return out, made, nil
}

// RemoveCredential has a credential refused from now on.
func (s *Service) RemoveCredential(ctx context.Context, c *authz.Call, name, id string) (Offer, error) {
	return s.change(ctx, c, "keyward:RemoveXksCredential", name, func(rec *audit.Record, o *Offer) error {
		secrets, err := s.secrets(ctx, *o)
		if err != nil {
			return err
		}
		if _, there := secrets[id]; !there {
			return fault.ResourceNotFound.New("the offer has no such credential")
		}
		rec.Param("AccessKeyId", id)
		delete(secrets, id)
		tenant, err := s.o.Users.Tenant(ctx, o.Account)
		if err != nil {
			return err
		}
		return o.seal(tenant, secrets)
	})
}

func (s *Service) secrets(ctx context.Context, o Offer) (map[string]material.Bytes, error) {
	tenant, err := s.o.Users.Tenant(ctx, o.Account)
	if err != nil {
		return nil, err
	}
	return o.open(tenant)
}

// Inspect tells whether the stored secrets of an offer open. It is for the scrub: nothing
// is kept of them.
func (s *Service) Inspect(ctx context.Context, o Offer) error {
	secrets, err := s.secrets(ctx, o)
	for _, secret := range secrets {
		secret.Zero()
	}
	return err
}
