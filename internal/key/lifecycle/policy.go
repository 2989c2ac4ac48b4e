package lifecycle

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keyring"
)

// policyName is what the one policy of a key is called.
const policyName = "default"

// GetPolicy answers the document of a key's policy. A name other than that of the one
// policy, or none, is [fault.ResourceNotFound].
func (s *Service) GetPolicy(ctx context.Context, c *authz.Call, name, policy string) (document string, err error) {
	err = s.do(ctx, c, "kms:GetKeyPolicy", func(rec *audit.Record) error {
		e, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		document = e.Key.Policy
		if document == "" {
			document = e.Key.DefaultPolicy()
		}
		return checkPolicyName(policy)
	})
	return audit.Kept(document, err)
}

// ListPolicies answers one page of the names of a key's policies, of which there is one.
func (s *Service) ListPolicies(ctx context.Context, c *authz.Call, name string, p key.Page) (names []string, err error) {
	err = s.do(ctx, c, "kms:ListKeyPolicies", func(rec *audit.Record) error {
		if _, err := s.resolve(ctx, c, rec, name); err != nil {
			return err
		}
		names = []string{}
		if p.Number == 1 {
			names = append(names, policyName)
		}
		return p.Check()
	})
	return audit.Kept(names, err)
}

// SetPolicy gives a key another policy, which is in force for every call that begins
// after it; an empty document is the default. One that would keep the caller from setting
// the next is refused.
func (s *Service) SetPolicy(ctx context.Context, c *authz.Call, name, policy, document string) error {
	return s.do(ctx, c, "kms:SetKeyPolicy", func(rec *audit.Record) error {
		e, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		if err := checkPolicyName(policy); err != nil {
			return err
		}
		document, guests, err := s.checkPolicy(ctx, c, e, document)
		if err != nil {
			return err
		}
		return s.edit(ctx, rec, e, func(k *key.Key) error {
			k.Policy = document
			admit(k, guests, s.now())
			return nil
		})
	})
}

// firstPolicy answers the policy that a key is created with. It takes the permission to set
// that of any key: the new one has no name yet by which others could approve it.
func (s *Service) firstPolicy(ctx context.Context, c *authz.Call, rec *audit.Record, k *key.Key, document string) error {
	if document == "" {
		return nil
	}
	e := &keyring.Entry{Key: *k, ARN: s.ring.ARN(*k)}
	ask := keyring.Ask{Call: c, Record: rec, Action: "kms:SetKeyPolicy", Attributes: e.Attributes(nil)}
	if err := s.ring.May(ask, s.ring.Name(k.Account, "key/*")); err != nil {
		return err
	}
	document, guests, err := s.checkPolicy(ctx, c, e, document)
	if err != nil {
		return err
	}
	k.Policy = document
	admit(k, guests, s.now())
	return nil
}

// admit notes which other accounts the policy of a key lets in. Only instances count them.
func admit(k *key.Key, guests []string, now time.Time) {
	if k.Instance != "" {
		k.Access = key.Withdraw(k.Access, guests, now)
	}
}

// checkPolicy answers a document as it is stored and the other accounts that it lets in, if
// the key may have it and its instance admits them.
func (s *Service) checkPolicy(ctx context.Context, c *authz.Call, e *keyring.Entry, document string) (_ string, guests []string, err error) {
	terms := authz.KeyTerms()
	if document == "" || document == e.Key.DefaultPolicy() {
		return "", nil, nil
	}
	policy, err := e.Key.Compile(document)
	if err != nil {
		return "", nil, err
	}
	if err := s.CheckPolicy(ctx, e.Key.Account, policy); err != nil {
		return "", nil, err
	}
	next := c.Decide(authz.Request{Action: terms.Guard, Resource: e.ARN, Attributes: e.Attributes(nil), Policy: policy})
	if next.Reason == authz.ByDeny {
		return "", nil, fault.InvalidParameter.New("the key policy would deny %s to %s, who sets it; have somebody else set it, or leave that action out of the statement %s", terms.Guard, c.ARN(), next.Statement)
	}
	guests = e.Key.Guests(policy)
	return document, guests, s.instances.Admit(ctx, e.Key, guests)
}

func checkPolicyName(name string) error {
	if name != "" && name != policyName {
		return fault.ResourceNotFound.New("a key has one policy, whose name is %s", policyName)
	}
	return nil
}
