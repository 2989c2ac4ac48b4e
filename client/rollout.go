package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// CreateNodeToken makes a token with which machines join. Its text is never shown again.
func (c *Client) CreateNodeToken(ctx context.Context, in api.CreateNodeTokenRequest) (api.IssuedNodeToken, error) {
	return call[api.IssuedNodeToken](ctx, c.server, "POST", at("node-tokens"), in)
}

// ListNodeTokens answers the tokens that can still be used, the newest first.
func (c *Client) ListNodeTokens(ctx context.Context) (api.NodeTokenList, error) {
	return call[api.NodeTokenList](ctx, c.server, "GET", at("node-tokens"), nil)
}

// RevokeNodeToken makes a token useless. Nodes that joined with it stay.
func (c *Client) RevokeNodeToken(ctx context.Context, id string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("node-tokens", id), nil)
	return err
}

// ListNodes answers one page of the account's nodes that fit, by name.
func (c *Client) ListNodes(ctx context.Context, in api.ListNodesRequest) (api.NodeList, error) {
	return call[api.NodeList](ctx, c.server, "GET", at("nodes"), in)
}

// GetNode answers a node with what it has.
func (c *Client) GetNode(ctx context.Context, node string) (api.NodeStatus, error) {
	return call[api.NodeStatus](ctx, c.server, "GET", at("nodes", node), nil)
}

// LabelNode replaces the labels of a node, and so what is delivered to it.
func (c *Client) LabelNode(ctx context.Context, node string, in api.LabelNodeRequest) (api.Node, error) {
	return call[api.Node](ctx, c.server, "PUT", at("nodes", node, "labels"), in)
}

// DrainNode takes a node out of all rollouts.
func (c *Client) DrainNode(ctx context.Context, node string) (api.Node, error) {
	return call[api.Node](ctx, c.server, "POST", at("nodes", node, "drain"), nil)
}

// UndrainNode puts a node back into the rollouts that its labels are for.
func (c *Client) UndrainNode(ctx context.Context, node string) (api.Node, error) {
	return call[api.Node](ctx, c.server, "POST", at("nodes", node, "undrain"), nil)
}

// RemoveNode forgets a node: nothing that it says is believed from then on.
func (c *Client) RemoveNode(ctx context.Context, node string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("nodes", node), nil)
	return err
}

// CreateRollout makes a rollout and publishes the secret's current version to it.
func (c *Client) CreateRollout(ctx context.Context, in api.CreateRolloutRequest) (api.Rollout, error) {
	return call[api.Rollout](ctx, c.server, "POST", at("rollouts"), in)
}

// ListRollouts answers all rollouts of the account, by name.
func (c *Client) ListRollouts(ctx context.Context) (api.RolloutList, error) {
	return call[api.RolloutList](ctx, c.server, "GET", at("rollouts"), nil)
}

// GetRollout answers one rollout.
func (c *Client) GetRollout(ctx context.Context, rollout string) (api.Rollout, error) {
	return call[api.Rollout](ctx, c.server, "GET", at("rollouts", rollout), nil)
}

// UpdateRollout changes who the members of a rollout are, its waves and its level.
func (c *Client) UpdateRollout(ctx context.Context, rollout string, in api.UpdateRolloutRequest) (api.Rollout, error) {
	return call[api.Rollout](ctx, c.server, "PUT", at("rollouts", rollout), in)
}

// PublishRollout gives all waves of a rollout a version of its secret at once.
func (c *Client) PublishRollout(ctx context.Context, rollout string, in api.PublishRolloutRequest) (api.Rollout, error) {
	return call[api.Rollout](ctx, c.server, "POST", at("rollouts", rollout, "publish"), in)
}

// GetRolloutCoverage answers how a rollout stands, with one page of its members.
func (c *Client) GetRolloutCoverage(ctx context.Context, rollout string, in api.PageRequest) (api.RolloutCoverage, error) {
	return call[api.RolloutCoverage](ctx, c.server, "GET", at("rollouts", rollout, "coverage"), in)
}

// RemoveRollout ends a rollout: its nodes keep nothing of the secret.
func (c *Client) RemoveRollout(ctx context.Context, rollout string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("rollouts", rollout), nil)
	return err
}
