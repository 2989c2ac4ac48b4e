package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// CreateOffer makes an offer without keys and answers its first credential.
func (c *Client) CreateOffer(ctx context.Context, in api.CreateOfferRequest) (api.OfferCredential, error) {
	return call[api.OfferCredential](ctx, c.server, "POST", at("offers"), in)
}

// ListOffers answers all offers of the account, by name.
func (c *Client) ListOffers(ctx context.Context) (api.OfferList, error) {
	return call[api.OfferList](ctx, c.server, "GET", at("offers"), nil)
}

// GetOffer answers one offer.
func (c *Client) GetOffer(ctx context.Context, offer string) (api.Offer, error) {
	return call[api.Offer](ctx, c.server, "GET", at("offers", offer), nil)
}

// RemoveOffer forgets an offer; nobody reaches a key through it any more.
func (c *Client) RemoveOffer(ctx context.Context, offer string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("offers", offer), nil)
	return err
}

// PublishKey publishes a key under an external id, or changes for what it is published.
func (c *Client) PublishKey(ctx context.Context, offer, id string, in api.PublishKeyRequest) (api.Offer, error) {
	return call[api.Offer](ctx, c.server, "PUT", at("offers", offer, "keys", id), in)
}

// WithdrawKey publishes nothing under an external id any more.
func (c *Client) WithdrawKey(ctx context.Context, offer, id string) (api.Offer, error) {
	return call[api.Offer](ctx, c.server, "DELETE", at("offers", offer, "keys", id), nil)
}

// AddOfferCredential makes a second credential; the first one goes on serving.
func (c *Client) AddOfferCredential(ctx context.Context, offer string) (api.OfferCredential, error) {
	return call[api.OfferCredential](ctx, c.server, "POST", at("offers", offer, "credentials"), nil)
}

// RemoveOfferCredential has a credential refused from now on.
func (c *Client) RemoveOfferCredential(ctx context.Context, offer, credential string) (api.Offer, error) {
	return call[api.Offer](ctx, c.server, "DELETE", at("offers", offer, "credentials", credential), nil)
}
