package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// CreateInstance makes a place for keys.
func (c *Client) CreateInstance(ctx context.Context, in api.CreateInstanceRequest) (api.Instance, error) {
	return call[api.Instance](ctx, c.server, "POST", at("instances"), in)
}

// ListInstances answers all instances of the account, by name.
func (c *Client) ListInstances(ctx context.Context) (api.InstanceList, error) {
	return call[api.InstanceList](ctx, c.server, "GET", at("instances"), nil)
}

// GetInstance answers one instance, by its id or name, and whether its keys can be used now.
func (c *Client) GetInstance(ctx context.Context, instance string) (api.InstanceStatus, error) {
	return call[api.InstanceStatus](ctx, c.server, "GET", at("instances", instance), nil)
}

// ConnectInstance gives an external instance another connection, if that one works.
func (c *Client) ConnectInstance(ctx context.Context, instance string, in api.ConnectInstanceRequest) (api.Instance, error) {
	return call[api.Instance](ctx, c.server, "PUT", at("instances", instance, "connection"), in)
}

// ShareInstance lets another account make keys in an instance.
func (c *Client) ShareInstance(ctx context.Context, instance, account string) (api.Instance, error) {
	return call[api.Instance](ctx, c.server, "PUT", at("instances", instance, "shares", account), nil)
}

// UnshareInstance lets an account make no more keys in an instance; those that it made stay.
func (c *Client) UnshareInstance(ctx context.Context, instance, account string) (api.Instance, error) {
	return call[api.Instance](ctx, c.server, "DELETE", at("instances", instance, "shares", account), nil)
}

// DeleteInstance removes an instance that has no keys.
func (c *Client) DeleteInstance(ctx context.Context, instance string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("instances", instance), nil)
	return err
}
