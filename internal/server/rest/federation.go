package rest

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server/rest/words"
)

// Where people prove elsewhere who they are; package login has the login itself.
func federationRoutes() []route {
	return []route{
		{"POST", "/v1/identity-providers", "CreateIdentityProvider", federation.ActionCreateProvider, "Lets users log in at an OpenID Connect provider, as soon as they are linked.", takes((*dialect).createIdentityProvider)},
		{"GET", "/v1/identity-providers", "ListIdentityProviders", federation.ActionListProviders, "Answers all identity providers of the account, by name.", takes((*dialect).listIdentityProviders)},
		{"GET", "/v1/identity-providers/{idp}", "GetIdentityProvider", federation.ActionGetProvider, "Answers an identity provider and its links.", takes((*dialect).getIdentityProvider)},
		{"DELETE", "/v1/identity-providers/{idp}", "DeleteIdentityProvider", federation.ActionDeleteProvider, "Removes an identity provider and its links, and ends the sessions that were begun through it.", takes((*dialect).deleteIdentityProvider)},
		{"PUT", "/v1/identity-providers/{idp}/links/{user}", "LinkUser", federation.ActionLinkUser, "Says what an identity provider calls a user, who can log in there from now on.", takes((*dialect).linkUser)},
		{"DELETE", "/v1/identity-providers/{idp}/links/{user}", "UnlinkUser", federation.ActionUnlinkUser, "Takes a link back, and ends the sessions that the user began by it.", takes((*dialect).unlinkUser)},
	}
}

func (d *dialect) createIdentityProvider(ctx context.Context, q request, in api.CreateIdentityProviderRequest) (api.IdentityProvider, error) {
	secret := material.NewBytes([]byte(in.ClientSecret))
	defer secret.Zero()
	p, err := d.Federation.CreateProvider(ctx, q.call, federation.NewProvider{
		Name: in.Name, Issuer: in.Issuer, ClientID: in.ClientID, Secret: secret, Claim: in.Claim, MFA: in.MFA,
	})
	return identityProvider(p), err
}

func (d *dialect) listIdentityProviders(ctx context.Context, q request, _ none) (api.IdentityProviderList, error) {
	all, err := d.Federation.Providers(ctx, q.call)
	return api.IdentityProviderList{Providers: words.Each(all, identityProvider)}, err
}

func (d *dialect) getIdentityProvider(ctx context.Context, q request, _ none) (api.IdentityProvider, error) {
	shown, err := d.Federation.Show(ctx, q.call, q.vars["idp"])
	out := identityProvider(shown.Provider)
	out.Links = words.Each(shown.Links, identityLink)
	return out, err
}

func (d *dialect) deleteIdentityProvider(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Federation.DeleteProvider(ctx, q.call, q.vars["idp"])
}

func (d *dialect) linkUser(ctx context.Context, q request, in api.LinkUserRequest) (api.IdentityLink, error) {
	l, err := d.Federation.Link(ctx, q.call, q.vars["idp"], q.vars["user"], in.Value)
	return identityLink(l), err
}

func (d *dialect) unlinkUser(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Federation.Unlink(ctx, q.call, q.vars["idp"], q.vars["user"])
}

func identityProvider(p federation.Provider) api.IdentityProvider {
	return api.IdentityProvider{
		Name: p.Name, ARN: p.ARN(), Issuer: p.Issuer, ClientID: p.ClientID, Public: len(p.Secret) == 0, Claim: p.Claim, MFA: p.MFA, CreatedAt: p.CreatedAt,
	}
}

func identityLink(l federation.Link) api.IdentityLink {
	return api.IdentityLink{User: l.User, Value: l.Value, CreatedAt: l.CreatedAt}
}
