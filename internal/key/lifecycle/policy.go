package lifecycle

import (
	"context"

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
			document = authz.KeyTerms().Default(e.Key.Account)
		}
		return checkPolicyName(policy)
	})
	return kept(document, err)
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
	return kept(names, err)
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
		if document, err = s.checkPolicy(c, e, document); err != nil {
			return err
		}
		return s.edit(ctx, rec, e, func(k *key.Key) error {
			k.Policy = document
			return nil
		})
	})
}

// firstPolicy answers the policy that a key is created with. It takes the same permission
// as setting it later.
func (s *Service) firstPolicy(c *authz.Call, rec *audit.Record, k key.Key, document string) (string, error) {
	if document == "" {
		return "", nil
	}
	e := &keyring.Entry{Key: k, ARN: s.ring.ARN(k)}
	ask := keyring.Ask{Call: c, Record: rec, Action: "kms:SetKeyPolicy", Attributes: e.Attributes(nil)}
	if err := s.ring.May(ask, e.ARN); err != nil {
		return "", err
	}
	return s.checkPolicy(c, e, document)
}

// checkPolicy answers a document as it is stored, if the key may have it.
func (s *Service) checkPolicy(c *authz.Call, e *keyring.Entry, document string) (string, error) {
	terms := authz.KeyTerms()
	if document == "" || document == terms.Default(e.Key.Account) {
		return "", nil
	}
	policy, err := terms.Compile(e.Key.Account, []byte(document))
	if err != nil {
		return "", err
	}
	next := c.Decide(authz.Request{Action: terms.Guard, Resource: e.ARN, Attributes: e.Attributes(nil), Policy: policy})
	if next.Reason == authz.ByDeny {
		return "", fault.InvalidParameter.New("the key policy would deny %s to %s, who sets it; have somebody else set it, or leave that action out of the statement %s", terms.Guard, c.ARN(), next.Statement)
	}
	return document, nil
}

func checkPolicyName(name string) error {
	if name != "" && name != policyName {
		return fault.ResourceNotFound.New("a key has one policy, whose name is %s", policyName)
	}
	return nil
}
