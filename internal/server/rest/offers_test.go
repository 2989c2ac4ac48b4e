package rest_test

import (
	"cmp"
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// offerSteps are the operations on offers, in an order in which they all succeed.
func (s *scene) offerSteps() []step {
	return []step{
		{"CreateOffer", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateOffer(ctx, api.CreateOfferRequest{Name: "aws", User: "admin"}))
		}, ""},
		{"ListOffers", func(ctx context.Context, c *client.Client) error { return drop(c.ListOffers(ctx)) }, ""},
		{"GetOffer", func(ctx context.Context, c *client.Client) error { return drop(c.GetOffer(ctx, "aws")) }, ""},
		{"PublishKey", func(ctx context.Context, c *client.Client) error {
			return drop(c.PublishKey(ctx, "aws", "foo", api.PublishKeyRequest{Key: s.symmetric.ID, Use: "encrypt"}))
		}, "KeyNotFound"},
		{"WithdrawKey", func(ctx context.Context, c *client.Client) error { return drop(c.WithdrawKey(ctx, "aws", "foo")) }, "ResourceNotFound"},
		{"AddOfferCredential", func(ctx context.Context, c *client.Client) error {
			made, err := c.AddOfferCredential(ctx, "aws")
			s.offered = made.AccessKeyID
			return err
		}, ""},
		{"RemoveOfferCredential", func(ctx context.Context, c *client.Client) error {
			return drop(c.RemoveOfferCredential(ctx, "aws", cmp.Or(s.offered, "none")))
		}, ""},
		{"RemoveOffer", func(ctx context.Context, c *client.Client) error { return c.RemoveOffer(ctx, "aws") }, ""},
	}
}
