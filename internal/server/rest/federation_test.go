package rest_test

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cloud/openid/openidtest"
)

// federationSteps are the operations on identity providers, in an order in which they all
// succeed.
func (s *scene) federationSteps() []step {
	const missing = "ResourceNotFound"
	return []step{
		{"CreateIdentityProvider", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateIdentityProvider(ctx, api.CreateIdentityProviderRequest{Name: "corp", Issuer: s.issuer, ClientID: openidtest.ClientID, ClientSecret: openidtest.Secret}))
		}, ""},
		{"ListIdentityProviders", func(ctx context.Context, c *client.Client) error { return drop(c.ListIdentityProviders(ctx)) }, ""},
		{"LinkUser", func(ctx context.Context, c *client.Client) error {
			return drop(c.LinkUser(ctx, "corp", "bob", api.LinkUserRequest{Value: "00u-bob"}))
		}, missing},
		{"GetIdentityProvider", func(ctx context.Context, c *client.Client) error { return drop(c.GetIdentityProvider(ctx, "corp")) }, ""},
		{"UnlinkUser", func(ctx context.Context, c *client.Client) error { return c.UnlinkUser(ctx, "corp", "bob") }, missing},
		{"DeleteIdentityProvider", func(ctx context.Context, c *client.Client) error { return c.DeleteIdentityProvider(ctx, "corp") }, ""},
	}
}
