package rest_test

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// targetSteps are the operations on targets, in an order in which they all succeed.
func (s *scene) targetSteps() []step {
	connection := api.Connection{
		Settings:   map[string]string{"put_url": s.cdn + "/{rollout}", "pops_url": s.cdn + "/{rollout}/pops"},
		Credential: map[string]api.SecretBytes{"hmac_key": []byte("fake-key-of-the-edge")},
	}
	return []step{
		{"ListTargetKinds", func(ctx context.Context, c *client.Client) error { return drop(c.ListTargetKinds(ctx)) }, ""},
		{"AddTarget", func(ctx context.Context, c *client.Client) error {
			return drop(c.AddTarget(ctx, api.AddTargetRequest{Name: "cdn", Kind: "edge", Labels: map[string]string{"tier": "edge"}, Connection: connection}))
		}, ""},
		{"ListTargets", func(ctx context.Context, c *client.Client) error { return drop(c.ListTargets(ctx)) }, ""},
		{"GetTarget", func(ctx context.Context, c *client.Client) error { return drop(c.GetTarget(ctx, "cdn")) }, ""},
		{"UpdateTarget", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateTarget(ctx, "cdn", api.UpdateTargetRequest{Connection: connection}))
		}, ""},
		{"SyncTarget", func(ctx context.Context, c *client.Client) error {
			return c.SyncTarget(ctx, "cdn", api.SyncTargetRequest{Overwrite: true})
		}, ""},
		{"RemoveTarget", func(ctx context.Context, c *client.Client) error { return c.RemoveTarget(ctx, "cdn") }, ""},
	}
}
