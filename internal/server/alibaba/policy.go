package alibaba

import (
	"context"

	"github.com/keyward/keyward/internal/authz"
)

type policyReply struct {
	reply
	Policy string
}

func getKeyPolicy(d *Dialect, c *authz.Call, v *values) act {
	id, policy := v.need("KeyId"), v.text("PolicyName")
	return func(ctx context.Context) (response, error) {
		document, err := d.Keys.GetPolicy(ctx, c, id, policy)
		return &policyReply{Policy: document}, err
	}
}

func setKeyPolicy(d *Dialect, c *authz.Call, v *values) act {
	id, policy, document := v.need("KeyId"), v.text("PolicyName"), v.need("Policy")
	return func(ctx context.Context) (response, error) {
		return done(d.Keys.SetPolicy(ctx, c, id, policy, document))
	}
}

// listKeyPolicies answers a list of one name: no SDK knows the action, and no key has more.
func listKeyPolicies(d *Dialect, c *authz.Call, v *values) act {
	id, p := v.need("KeyId"), v.page()
	return func(ctx context.Context) (response, error) {
		names, err := d.Keys.ListPolicies(ctx, c, id)
		out := &struct {
			reply
			paged
			PolicyNames struct{ PolicyName []string }
		}{paged: paged{p.Number, p.Size, len(names)}}
		out.PolicyNames.PolicyName = names
		if p.Number > 1 {
			out.PolicyNames.PolicyName = []string{}
		}
		return out, err
	}
}
