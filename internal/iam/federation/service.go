package federation

import (
	"cmp"
	"context"
	"crypto/rand"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/material"
)

// The operations' names in policies and in the audit log: RAM's where RAM has them.
const (
	ActionCreateProvider = "ram:CreateOIDCProvider"
	ActionGetProvider    = "ram:GetOIDCProvider"
	ActionListProviders  = "ram:ListOIDCProviders"
	ActionDeleteProvider = "ram:DeleteOIDCProvider"
	ActionLinkUser       = "keyward:LinkUser"
	ActionUnlinkUser     = "keyward:UnlinkUser"
)

// Options says what a Service is made of. All fields are required.
type Options struct {
	Store    Store
	Uses     people.Attempts // remembers which transactions were used
	IAM      *iam.Service
	People   *people.Service
	Protocol Protocol
	Sealer   Sealer
	Log      *audit.Log
	Refusals *refusal.Recorder
	Now      func() time.Time // clock
}

// A Service is the rules about who logs in through whom. Its methods may be called
// concurrently.
type Service struct{ Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// now answers the time as precisely as the store keeps it.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// A NewProvider says what a provider is to be like.
type NewProvider struct {
	Name     string
	Issuer   string
	ClientID string
	Secret   material.Bytes // of the client; empty for none
	Claim    string         // "" means sub
	MFA      string         // "amr", "acr=VALUE" or ""
}

// CreateProvider lets users of the account log in at a provider, as soon as they are linked.
// It reads the provider's configuration first, so that what cannot work is told at once.
func (s *Service) CreateProvider(ctx context.Context, call *authz.Call, in NewProvider) (Provider, error) {
	op := iam.Begin(s.Log, call, ActionCreateProvider)
	return iam.Perform(ctx, op, func() (Provider, error) {
		if err := op.Authorize(providerARN(call.Account, in.Name)); err != nil {
			return Provider{}, err
		}
		p := Provider{
			Account: call.Account, Name: in.Name, ID: rand.Text(), Issuer: in.Issuer, ClientID: in.ClientID, Claim: cmp.Or(in.Claim, "sub"), MFA: in.MFA, CreatedAt: s.now(),
		}
		if err := p.check(); err != nil {
			return Provider{}, err
		}
		op.Record.Param("Issuer", p.Issuer)
		op.Record.Param("Claim", p.Claim)
		if err := s.wrap(ctx, &p, in.Secret); err != nil {
			return Provider{}, err
		}
		if _, err := s.Protocol.Authorize(ctx, p, Request{}); err != nil {
			return Provider{}, err
		}
		return p, s.Store.CreateIdentityProvider(ctx, op.Record, &p)
	})
}

// wrap seals the secret of the client, if it has one.
func (s *Service) wrap(ctx context.Context, p *Provider, secret material.Bytes) error {
	if secret.Len() == 0 {
		return nil
	}
	if secret.Len() > maxSecret {
		return fault.InvalidParameter.New("the secret of a client has at most %d bytes", maxSecret)
	}
	tenant, err := s.IAM.Tenant(ctx, p.Account)
	if err == nil {
		p.Secret, err = tenant.Wrap(p.binding(), secret)
	}
	return err
}

func (s *Service) unwrap(ctx context.Context, p *Provider) (material.Bytes, error) {
	if len(p.Secret) == 0 {
		return material.Bytes{}, nil
	}
	tenant, err := s.IAM.Tenant(ctx, p.Account)
	if err != nil {
		return material.Bytes{}, err
	}
	return tenant.Unwrap(p.binding(), p.Secret)
}

// Inspect tells whether what is wrapped of a provider opens. It is for the scrub.
func (s *Service) Inspect(ctx context.Context, p Provider) error {
	secret, err := s.unwrap(ctx, &p)
	secret.Zero()
	return err
}

// Providers answers all identity providers of the caller's account, by name.
func (s *Service) Providers(ctx context.Context, call *authz.Call) ([]Provider, error) {
	op := iam.Begin(s.Log, call, ActionListProviders)
	return iam.Perform(ctx, op, func() ([]Provider, error) {
		if err := op.Authorize(providerARN(call.Account, "")); err != nil {
			return nil, err
		}
		return s.Store.IdentityProviders(ctx, call.Account)
	})
}

// Shown is a provider and whom it means.
type Shown struct {
	Provider Provider
	Links    []Link
}

// Show answers an identity provider and its links.
func (s *Service) Show(ctx context.Context, call *authz.Call, name string) (Shown, error) {
	op := iam.Begin(s.Log, call, ActionGetProvider)
	return iam.Perform(ctx, op, func() (out Shown, err error) {
		if err := op.Authorize(providerARN(call.Account, name)); err != nil {
			return Shown{}, err
		}
		if out.Provider, err = s.Store.IdentityProvider(ctx, call.Account, name); err != nil {
			return Shown{}, err
		}
		out.Links, err = s.Store.Links(ctx, call.Account, name)
		return out, err
	})
}

// DeleteProvider lets nobody log in at a provider any more. Its links are gone, and the
// sessions that were begun through it have ended.
func (s *Service) DeleteProvider(ctx context.Context, call *authz.Call, name string) error {
	op := iam.Begin(s.Log, call, ActionDeleteProvider)
	return op.Run(ctx, func() error {
		if err := op.Authorize(providerARN(call.Account, name)); err != nil {
			return err
		}
		return iam.Retry(func() error {
			p, err := s.Store.IdentityProvider(ctx, call.Account, name)
			if err != nil {
				return err
			}
			return s.Store.DeleteIdentityProvider(ctx, op.Record, &p)
		})
	})
}

// Link says that whom the provider calls value is the user. It needs what making an access
// key for the user needs: whoever has power over the provider can log in as the user.
func (s *Service) Link(ctx context.Context, call *authz.Call, provider, user, value string) (Link, error) {
	op := iam.Begin(s.Log, call, ActionLinkUser)
	return iam.Perform(ctx, op, func() (Link, error) {
		if err := op.AuthorizeChange(user); err != nil {
			return Link{}, err
		}
		if user == iam.RootName {
			return Link{}, fault.UnsupportedOperation.New("root does not log in: it is for setting up the account, with an access key; give a person a user of their own")
		}
		u, err := s.IAM.User(ctx, call.Account, user)
		if err != nil {
			return Link{}, err
		}
		if err := s.IAM.RequireOwnOrGrant(ctx, op, u); err != nil {
			return Link{}, err
		}
		if !legible(value) {
			return Link{}, fault.InvalidParameter.New("the value of a claim has 1 to %d bytes of text, without spaces around it", maxText)
		}
		if _, err := s.Store.IdentityProvider(ctx, call.Account, provider); err != nil {
			return Link{}, err
		}
		op.Record.Param("IdentityProvider", provider)
		op.Record.Param("Claim", value)
		l := Link{Account: call.Account, Provider: provider, User: u.Name, Value: value, CreatedAt: s.now()}
		return l, iam.Retry(func() error { return s.Store.CreateLink(ctx, op.Record, &l) })
	})
}

// Unlink takes back what Link said, and ends the sessions that the user began through the
// provider.
func (s *Service) Unlink(ctx context.Context, call *authz.Call, provider, user string) error {
	op := iam.Begin(s.Log, call, ActionUnlinkUser)
	return op.Run(ctx, func() error {
		if err := op.AuthorizeChange(user); err != nil {
			return err
		}
		if _, err := s.Store.IdentityProvider(ctx, call.Account, provider); err != nil {
			return err
		}
		op.Record.Param("IdentityProvider", provider)
		return iam.Retry(func() error {
			all, err := s.Store.Links(ctx, call.Account, provider)
			if err != nil {
				return err
			}
			for _, l := range all {
				if l.User == user {
					return s.Store.DeleteLink(ctx, op.Record, &l)
				}
			}
			return fault.ResourceNotFound.New("the user %q is not linked with the identity provider %q", user, provider)
		})
	})
}
