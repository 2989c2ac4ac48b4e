package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// ListTargetKinds answers the kinds of targets and what each needs.
func (c *Client) ListTargetKinds(ctx context.Context) (api.TargetKindList, error) {
	return call[api.TargetKindList](ctx, c.server, "GET", at("target-kinds"), nil)
}

// AddTarget makes a target and its node, after the place has accepted the credential.
func (c *Client) AddTarget(ctx context.Context, in api.AddTargetRequest) (api.Target, error) {
	return call[api.Target](ctx, c.server, "POST", at("targets"), in)
}

// ListTargets answers all targets of the account, by name.
func (c *Client) ListTargets(ctx context.Context) (api.TargetList, error) {
	return call[api.TargetList](ctx, c.server, "GET", at("targets"), nil)
}

// GetTarget answers one target. GetNode answers what it has.
func (c *Client) GetTarget(ctx context.Context, target string) (api.Target, error) {
	return call[api.Target](ctx, c.server, "GET", at("targets", target), nil)
}

// UpdateTarget gives a target other settings and a credential, all anew.
func (c *Client) UpdateTarget(ctx context.Context, target string, in api.UpdateTargetRequest) (api.Target, error) {
	return call[api.Target](ctx, c.server, "PUT", at("targets", target), in)
}

// SyncTarget has a target looked at now.
func (c *Client) SyncTarget(ctx context.Context, target string, in api.SyncTargetRequest) error {
	_, err := call[none](ctx, c.server, "POST", at("targets", target, "sync"), in)
	return err
}

// RemoveTarget forgets a target and its node. What was written stays where it is.
func (c *Client) RemoveTarget(ctx context.Context, target string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("targets", target), nil)
	return err
}
