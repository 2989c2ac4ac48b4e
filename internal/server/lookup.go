package server

import (
	"context"

	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/iam/role"
)

// Lookup answers what all dialects find credentials with: those of permanent and temporary
// access keys, each with what the account wants approved by others.
func Lookup(roles *role.Service, approvals *approval.Service) authn.Lookup {
	return func(ctx context.Context, id, token string) (authn.Credential, error) {
		c, err := roles.Credential(ctx, id, token)
		if err == nil {
			c.Principal.Approval, err = approvals.For(ctx, c.Principal)
		}
		return authn.Credential{Secret: c.Secret, Principal: c.Principal, Refusal: c.Refusal}, err
	}
}
