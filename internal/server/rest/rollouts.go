package rest

import (
	"context"
	"strings"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func rolloutRoutes() []route {
	return []route{
		{"POST", "/v1/node-tokens", "CreateNodeToken", "keyward:CreateNodeToken", "Makes a token with which machines join; its text is never shown again.", takes((*dialect).createNodeToken)},
		{"GET", "/v1/node-tokens", "ListNodeTokens", "keyward:ListNodeTokens", "Answers the tokens that can still be used, the newest first.", takes((*dialect).listNodeTokens)},
		{"DELETE", "/v1/node-tokens/{token}", "RevokeNodeToken", "keyward:RevokeNodeToken", "Makes a token useless; nodes that joined with it stay.", takes((*dialect).revokeNodeToken)},
		{"GET", "/v1/nodes", "ListNodes", "keyward:ListNodes", "Answers one page of the account's nodes that fit, by name.", takes((*dialect).listNodes)},
		{"GET", "/v1/nodes/{node}", "GetNode", "keyward:GetNode", "Answers a node with what it has.", takes((*dialect).getNode)},
		{"PUT", "/v1/nodes/{node}/labels", "LabelNode", "keyward:LabelNode", "Replaces the labels of a node, and so what is delivered to it.", takes((*dialect).labelNode)},
		{"POST", "/v1/nodes/{node}/drain", "DrainNode", "keyward:DrainNode", "Takes a node out of all rollouts: it holds nothing any more.", takes((*dialect).drainNode)},
		{"POST", "/v1/nodes/{node}/undrain", "UndrainNode", "keyward:UndrainNode", "Puts a node back into the rollouts that its labels are for.", takes((*dialect).undrainNode)},
		{"DELETE", "/v1/nodes/{node}", "RemoveNode", "keyward:RemoveNode", "Forgets a node: nothing that it says is believed from then on.", takes((*dialect).removeNode)},
		{"POST", "/v1/rollouts", "CreateRollout", "keyward:CreateRollout", "Makes a rollout and publishes the secret's current version to it.", takes((*dialect).createRollout)},
		{"GET", "/v1/rollouts", "ListRollouts", "keyward:ListRollouts", "Answers all rollouts of the account, by name.", takes((*dialect).listRollouts)},
		{"GET", "/v1/rollouts/{rollout}", "GetRollout", "keyward:GetRollout", "Answers one rollout.", takes((*dialect).getRollout)},
		{"PUT", "/v1/rollouts/{rollout}", "UpdateRollout", "keyward:UpdateRollout", "Changes who the members of a rollout are, its waves and its level.", takes((*dialect).updateRollout)},
		{"POST", "/v1/rollouts/{rollout}/publish", "PublishRollout", "keyward:PublishRollout", "Gives all waves of a rollout a version of its secret at once.", takes((*dialect).publishRollout)},
		{"GET", "/v1/rollouts/{rollout}/coverage", "GetRolloutCoverage", "keyward:GetRolloutCoverage", "Answers how a rollout stands, with one page of its members.", takes((*dialect).getRolloutCoverage)},
		{"DELETE", "/v1/rollouts/{rollout}", "RemoveRollout", "keyward:RemoveRollout", "Ends a rollout: its nodes keep nothing of the secret.", takes((*dialect).removeRollout)},
	}
}

func (d *dialect) createNodeToken(ctx context.Context, q request, in api.CreateNodeTokenRequest) (api.IssuedNodeToken, error) {
	life, err := words.Duration(&in.Life)
	if err != nil {
		return api.IssuedNodeToken{}, d.refuse(ctx, q.call, "keyward:CreateNodeToken", err)
	}
	t, text, err := d.Rollouts.CreateToken(ctx, q.call, rollout.TokenInput{Node: in.Node, Labels: words.Pairs(in.Labels), Uses: in.Uses, Life: *life})
	return api.IssuedNodeToken{Info: nodeToken(t), Token: api.SecretText(text.Expose())}, err
}

func (d *dialect) listNodeTokens(ctx context.Context, q request, _ none) (api.NodeTokenList, error) {
	all, err := d.Rollouts.Tokens(ctx, q.call)
	return api.NodeTokenList{Tokens: words.Each(all, nodeToken)}, err
}

func (d *dialect) revokeNodeToken(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Rollouts.RevokeToken(ctx, q.call, q.vars["token"])
}

func (d *dialect) listNodes(ctx context.Context, q request, in api.ListNodesRequest) (api.NodeList, error) {
	f := rollout.NodeFilter{State: rollout.State(in.State)}
	for _, l := range in.Labels {
		name, value, _ := strings.Cut(l, "=")
		f.Labels = append(f.Labels, form.Pair{Name: name, Value: value})
	}
	p := page(in.Limit, in.Cursor)
	nodes, total, err := d.Rollouts.Nodes(ctx, q.call, f, p)
	return api.NodeList{Nodes: words.Each(nodes, d.node(q)), Total: total, Next: next(p, total)}, err
}

func (d *dialect) getNode(ctx context.Context, q request, _ none) (api.NodeStatus, error) {
	st, holds, err := d.Rollouts.Describe(ctx, q.call, q.vars["node"])
	out := api.NodeStatus{Node: d.node(q)(st)}
	out.Rollouts = words.Each(holds, func(h rollout.Holding) api.RolloutMember { return member(h.Rollout, q.call.Time)(h.Member) })
	return out, err
}

func (d *dialect) labelNode(ctx context.Context, q request, in api.LabelNodeRequest) (api.Node, error) {
	n, err := d.Rollouts.Relabel(ctx, q.call, q.vars["node"], words.Pairs(in.Labels))
	return d.node(q)(rollout.Standing{Node: n}), err
}

func (d *dialect) drainNode(ctx context.Context, q request, _ none) (api.Node, error) {
	n, err := d.Rollouts.Drain(ctx, q.call, q.vars["node"])
	return d.node(q)(rollout.Standing{Node: n}), err
}

func (d *dialect) undrainNode(ctx context.Context, q request, _ none) (api.Node, error) {
	n, err := d.Rollouts.Undrain(ctx, q.call, q.vars["node"])
	return d.node(q)(rollout.Standing{Node: n}), err
}

func (d *dialect) removeNode(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Rollouts.RemoveNode(ctx, q.call, q.vars["node"])
}

func (d *dialect) createRollout(ctx context.Context, q request, in api.CreateRolloutRequest) (api.Rollout, error) {
	r, err := d.Rollouts.Create(ctx, q.call, in.Name, rollout.Draft{
		Secret: in.Secret, Members: words.Pairs(in.Members), Waves: waves(in.Waves), Level: rollout.Level(in.Level),
	})
	return d.rollout(r), err
}

func (d *dialect) listRollouts(ctx context.Context, q request, _ none) (api.RolloutList, error) {
	all, err := d.Rollouts.Rollouts(ctx, q.call)
	return api.RolloutList{Rollouts: words.Each(all, d.rollout)}, err
}

func (d *dialect) getRollout(ctx context.Context, q request, _ none) (api.Rollout, error) {
	r, err := d.Rollouts.Rollout(ctx, q.call, q.vars["rollout"])
	return d.rollout(r), err
}

func (d *dialect) updateRollout(ctx context.Context, q request, in api.UpdateRolloutRequest) (api.Rollout, error) {
	r, err := d.Rollouts.Update(ctx, q.call, q.vars["rollout"], rollout.Draft{
		Members: words.Pairs(in.Members), Waves: waves(in.Waves), Level: rollout.Level(in.Level),
	})
	return d.rollout(r), err
}

func (d *dialect) publishRollout(ctx context.Context, q request, in api.PublishRolloutRequest) (api.Rollout, error) {
	r, err := d.Rollouts.Publish(ctx, q.call, q.vars["rollout"], in.Version)
	return d.rollout(r), err
}

func (d *dialect) getRolloutCoverage(ctx context.Context, q request, in api.PageRequest) (api.RolloutCoverage, error) {
	p := page(in.Limit, in.Cursor)
	c, err := d.Rollouts.Coverage(ctx, q.call, q.vars["rollout"], p)
	out := api.RolloutCoverage{
		Rollout: d.rollout(c.Rollout), Waves: []api.WaveCoverage{}, Members: words.Each(c.Members, member(c.Rollout, q.call.Time)), Total: c.Total, Next: next(p, c.Total),
	}
	for i, w := range c.Waves {
		out.Waves = append(out.Waves, api.WaveCoverage{
			Wave: c.Rollout.Waves[i].Name, Members: w.Members, There: w.There, Behind: append([]string{}, w.Behind...), Lost: w.Lost, LastAck: w.LastAck,
			UsedAt: w.UsedAt, OldUseAt: w.OldUseAt, Fallbacks: w.Fallbacks, Refused: w.Refused, Errors: append([]string{}, w.Errors...),
		})
	}
	return out, err
}

func (d *dialect) removeRollout(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Rollouts.Remove(ctx, q.call, q.vars["rollout"])
}

func waves(in []api.RolloutWave) []rollout.Wave {
	var out []rollout.Wave
	for _, w := range in {
		out = append(out, rollout.Wave{Name: w.Name, Labels: words.Pairs(w.Labels), Percent: w.Percent})
	}
	return out
}

func nodeToken(t rollout.Token) api.NodeToken {
	return api.NodeToken{ID: t.ID, Node: t.Node, Labels: words.Settings(t.Labels), Uses: t.Uses, ExpiresAt: t.ExpiresAt, CreatedAt: t.CreatedAt}
}

// node answers how to word a node as the API does.
func (d *dialect) node(q request) func(rollout.Standing) api.Node {
	return func(s rollout.Standing) api.Node {
		n := s.Node
		out := api.Node{
			Name: n.Name, ARN: d.Rollouts.ARN(n.Account, "node", n.Name), Kind: string(n.Kind), State: string(s.State(q.call.Time)), Labels: words.Settings(n.Labels),
			JoinedAt: n.JoinedAt, SeenAt: s.Presence.SeenAt, Agent: s.Presence.Version, Trouble: s.Presence.Trouble,
		}
		if s.Presence.Skew != 0 {
			out.Skew = s.Presence.Skew.String()
		}
		return out
	}
}

// rollout answers a rollout as the API words it.
func (d *dialect) rollout(r rollout.Rollout) api.Rollout {
	out := api.Rollout{
		Name: r.Name, ARN: d.Rollouts.ARN(r.Account, "rollout", r.Name), Secret: r.Secret, Members: words.Settings(r.Members), Waves: []api.RolloutWave{},
		Level: string(r.Level), Owner: r.Owner, CreatedAt: r.CreatedAt, ChangedAt: r.ChangedAt,
	}
	for i, w := range r.Waves {
		now := api.Generation(r.Now[i])
		out.Waves = append(out.Waves, api.RolloutWave{Name: w.Name, Labels: words.Settings(w.Labels), Percent: w.Percent, Now: &now})
	}
	return out
}

// member answers how to word a member of a rollout at a time.
func member(r rollout.Rollout, now time.Time) func(rollout.Member) api.RolloutMember {
	return func(m rollout.Member) api.RolloutMember {
		return api.RolloutMember{
			Rollout: r.Name, Node: m.Node.Name, State: string(rollout.Standing{Node: m.Node, Presence: m.Presence}.State(now)), Wave: r.Waves[m.Wave].Name,
			Target: m.Target.Number, Acknowledged: m.Ack.Generation, Level: string(m.Ack.Level), There: m.There(r.Level), At: m.Ack.At,
			UsedAt: m.Ack.UsedAt, FallbackAt: m.Ack.FallbackAt, Fallbacks: m.Ack.Fallbacks, Refused: m.Ack.Refused, Error: m.Ack.Error, Trouble: m.Presence.Trouble,
		}
	}
}
