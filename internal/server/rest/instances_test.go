package rest_test

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// instanceSteps are the operations on instances, in an order in which they all succeed.
func (s *scene) instanceSteps() []step {
	return []step{
		{"CreateInstance", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateInstance(ctx, api.CreateInstanceRequest{Name: "bank", Class: "external"}))
		}, ""},
		{"ListInstances", func(ctx context.Context, c *client.Client) error { return drop(c.ListInstances(ctx)) }, ""},
		{"GetInstance", func(ctx context.Context, c *client.Client) error { return drop(c.GetInstance(ctx, "bank")) }, ""},
		{"ConnectInstance", func(ctx context.Context, c *client.Client) error {
			return drop(c.ConnectInstance(ctx, "bank", api.ConnectInstanceRequest{}))
		}, ""},
		{"ShareInstance", func(ctx context.Context, c *client.Client) error {
			return drop(c.ShareInstance(ctx, "bank", "1234567890123456"))
		}, ""},
		{"UnshareInstance", func(ctx context.Context, c *client.Client) error {
			return drop(c.UnshareInstance(ctx, "bank", "1234567890123456"))
		}, ""},
		{"DeleteInstance", func(ctx context.Context, c *client.Client) error { return c.DeleteInstance(ctx, "bank") }, ""},
	}
}
