package alibaba

import (
	"context"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

type policyReply struct {
	rpc.Reply
	Policy string
}

func getKeyPolicy(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, policy := v.Need("KeyId"), v.Text("PolicyName")
	return func(ctx context.Context) (rpc.Response, error) {
		document, err := d.Keys.GetPolicy(ctx, c, id, policy)
		return &policyReply{Policy: document}, err
	}
}

func setKeyPolicy(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, policy, document := v.Need("KeyId"), v.Text("PolicyName"), v.Need("Policy")
	return func(ctx context.Context) (rpc.Response, error) {
		return done(d.Keys.SetPolicy(ctx, c, id, policy, document))
	}
}

// listKeyPolicies answers a list of one name: no SDK knows the action, and no key has more.
func listKeyPolicies(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, p := v.Need("KeyId"), v.Page()
	return func(ctx context.Context) (rpc.Response, error) {
		names, err := d.Keys.ListPolicies(ctx, c, id, p)
		out := &struct {
			rpc.Reply
			paged
			PolicyNames struct{ PolicyName []string }
		}{paged: paged{p.Number, p.Size, 1}}
		out.PolicyNames.PolicyName = names
		return out, err
	}
}
