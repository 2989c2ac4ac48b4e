package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// BeginSSO begins a login at an identity provider. Of the configuration it takes the
// endpoint and how to reach it; access keys are not needed.
func BeginSSO(ctx context.Context, c Config, in api.BeginSSORequest) (api.SSOTransaction, error) {
	return unsigned[api.SSOTransaction](ctx, c, api.SSOPath, in)
}

// FinishSSO answers temporary credentials of a user whom the identity provider means, or
// what to finish with once more. It takes of the configuration what [BeginSSO] does.
func FinishSSO(ctx context.Context, c Config, in api.FinishSSORequest) (api.SSOLogin, error) {
	return unsigned[api.SSOLogin](ctx, c, api.FinishSSOPath, in)
}

// CreateIdentityProvider lets users of the account log in at an OpenID Connect provider, as
// soon as they are linked.
func (c *Client) CreateIdentityProvider(ctx context.Context, in api.CreateIdentityProviderRequest) (api.IdentityProvider, error) {
	return call[api.IdentityProvider](ctx, c.server, "POST", at("identity-providers"), in)
}

// ListIdentityProviders answers all identity providers of the account, by name.
func (c *Client) ListIdentityProviders(ctx context.Context) (api.IdentityProviderList, error) {
	return call[api.IdentityProviderList](ctx, c.server, "GET", at("identity-providers"), nil)
}

// GetIdentityProvider answers an identity provider and its links.
func (c *Client) GetIdentityProvider(ctx context.Context, name string) (api.IdentityProvider, error) {
	return call[api.IdentityProvider](ctx, c.server, "GET", at("identity-providers", name), nil)
}

// DeleteIdentityProvider removes an identity provider and its links, and ends the sessions
// that were begun through it.
func (c *Client) DeleteIdentityProvider(ctx context.Context, name string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("identity-providers", name), nil)
	return err
}

// LinkUser says what an identity provider calls a user, who can log in there from now on.
func (c *Client) LinkUser(ctx context.Context, provider, user string, in api.LinkUserRequest) (api.IdentityLink, error) {
	return call[api.IdentityLink](ctx, c.server, "PUT", at("identity-providers", provider, "links", user), in)
}

// UnlinkUser takes that back, and ends the sessions that the user began there.
func (c *Client) UnlinkUser(ctx context.Context, provider, user string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("identity-providers", provider, "links", user), nil)
	return err
}
