package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// GetKeyUsage answers who uses a key.
func (c *Client) GetKeyUsage(ctx context.Context, key string) (api.KeyUsage, error) {
	return call[api.KeyUsage](ctx, c.server, "GET", at("keys", key, "usage"), nil)
}

// RegisterKeyResource registers something that a product keeps under a key.
func (c *Client) RegisterKeyResource(ctx context.Context, key string, in api.RegisterKeyResourceRequest) error {
	_, err := call[none](ctx, c.server, "PUT", at("keys", key, "resources"), in)
	return err
}

// DeregisterKeyResource forgets a registered resource.
func (c *Client) DeregisterKeyResource(ctx context.Context, key string, in api.DeregisterKeyResourceRequest) error {
	_, err := call[none](ctx, c.server, "DELETE", at("keys", key, "resources"), in)
	return err
}
