package secret

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// policyName is what the one policy of a secret is called.
const policyName = "default"

// A Policy is the document of a secret's own policy, which may let users of the account in
// beside their identity policies, and keep them out in spite of these.
type Policy struct {
	Account  string
	Secret   string // id of the secret
	Document string
	Rev      int64
}

// terms are what policies of secrets may say. Nothing of a secret is given to other accounts.
var terms = authz.Terms{
	Kind:  "secret",
	Guard: "kms:SetSecretPolicy",
	Administer: []string{
		"kms:List*", "kms:Describe*", "kms:PutSecretValue", "kms:Update*", "kms:DeleteSecret", "kms:RestoreSecret", "kms:RotateSecret",
		"kms:TagResource", "kms:UntagResource", "kms:GetSecretPolicy", "kms:SetSecretPolicy",
	},
}

// A held is a secret with its policy, as they are cached.
type held struct {
	Secret
	document string
	policy   *authz.ResourcePolicy // nil for the default, by which identity policies decide alone
}

// load reads a secret with its policy.
func (o Options) load(ctx context.Context, r secretRef) (held, error) {
	s, err := o.Store.Secret(ctx, r.account, r.name)
	if err != nil {
		return held{}, err
	}
	p, err := o.Store.SecretPolicy(ctx, s.Account, s.ID)
	if fault.Is(err, fault.ResourceNotFound) || err == nil && p.Document == terms.Default(s.Account) {
		return held{Secret: s}, nil
	}
	if err != nil {
		return held{}, err
	}
	compiled, err := terms.Compile(s.Account, []byte(p.Document))
	return held{Secret: s, document: p.Document, policy: compiled}, err
}

// GetPolicy answers the document of a secret's policy. A name other than that of the one
// policy, or none, is [fault.ResourceNotFound].
func (s *Service) GetPolicy(ctx context.Context, c *authz.Call, name, policy string) (document string, err error) {
	err = s.do(ctx, c, "kms:GetSecretPolicy", func(rec *audit.Record) error {
		found, err := s.hold(ctx, c, rec, name)
		if err != nil {
			return err
		}
		if document = found.document; document == "" {
			document = terms.Default(c.Account)
		}
		return checkPolicyName(policy)
	})
	return audit.Kept(document, err)
}

// SetPolicy gives a secret another policy, which is in force for every call that begins
// after it; an empty document is the default. One that would keep the caller from setting
// the next is refused.
func (s *Service) SetPolicy(ctx context.Context, c *authz.Call, name, policy, document string) error {
	return s.do(ctx, c, "kms:SetSecretPolicy", func(rec *audit.Record) error {
		found, err := s.hold(ctx, c, rec, name)
		if err != nil {
			return err
		}
		if err := checkPolicyName(policy); err != nil {
			return err
		}
		if document, err = s.checkPolicy(ctx, c, found.Secret, document); err != nil {
			return err
		}
		p, err := s.policies.SecretPolicy(ctx, c.Account, found.ID)
		if err != nil && !fault.Is(err, fault.ResourceNotFound) {
			return err
		}
		p.Account, p.Secret, p.Document = c.Account, found.ID, document
		return s.policies.SaveSecretPolicy(ctx, rec, &p)
	})
}

// firstPolicy answers the policy that a secret is created with, nil for the default. It takes the
// same permission as setting it later.
func (s *Service) firstPolicy(ctx context.Context, c *authz.Call, rec *audit.Record, of Secret, document string) (*Policy, error) {
	if document == "" {
		return nil, nil //nolint:nilnil // the default is wanted, which is no error
	}
	d, err := c.Check(authz.Request{Action: terms.Guard, Resource: rec.Resource, Attributes: attributes(of.Tags)})
	if err != nil {
		rec.Decision = d.String()
		return nil, err
	}
	document, err = s.checkPolicy(ctx, c, of, document)
	return &Policy{Account: of.Account, Secret: of.ID, Document: document}, err
}

// checkPolicy answers a document as it is stored, if the secret may have it.
func (s *Service) checkPolicy(ctx context.Context, c *authz.Call, of Secret, document string) (string, error) {
	if document == "" || document == terms.Default(c.Account) {
		return terms.Default(c.Account), nil
	}
	policy, err := terms.Compile(c.Account, []byte(document))
	if err != nil {
		return "", err
	}
	if err := s.keys.CheckPolicy(ctx, c.Account, policy); err != nil {
		return "", err
	}
	next := c.Decide(authz.Request{Action: terms.Guard, Resource: s.ARN(c.Account, of.Name), Attributes: attributes(of.Tags), Policy: policy})
	if next.Reason == authz.ByDeny {
		return "", fault.InvalidParameter.New("the secret policy would deny %s to %s, who sets it; have somebody else set it, or leave that action out of the statement %s", terms.Guard, c.ARN(), next.Statement)
	}
	return document, nil
}

func checkPolicyName(name string) error {
	if name != "" && name != policyName {
		return fault.ResourceNotFound.New("a secret has one policy, whose name is %s", policyName)
	}
	return nil
}
