package rest

import (
	"cmp"
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/server/rest/words"
	"github.com/keyward/keyward/internal/xks"
)

func offerRoutes() []route {
	return []route{
		{"POST", "/v1/offers", "CreateOffer", "keyward:CreateXksOffer", "Makes an offer of keys to others over the XKS Proxy API, and its first credential.", takes((*dialect).createOffer)},
		{"GET", "/v1/offers", "ListOffers", "keyward:ListXksOffers", "Answers all offers of the account, by name.", takes((*dialect).listOffers)},
		{"GET", "/v1/offers/{offer}", "GetOffer", "keyward:GetXksOffer", "Answers one offer and what it publishes.", takes((*dialect).getOffer)},
		{"DELETE", "/v1/offers/{offer}", "RemoveOffer", "keyward:RemoveXksOffer", "Forgets an offer; nobody reaches a key through it any more.", takes((*dialect).removeOffer)},
		{"PUT", "/v1/offers/{offer}/keys/{id}", "PublishKey", "keyward:PublishXksKey", "Publishes a key under an external id, or changes for what.", takes((*dialect).publishKey)},
		{"DELETE", "/v1/offers/{offer}/keys/{id}", "WithdrawKey", "keyward:WithdrawXksKey", "Publishes nothing under an external id any more.", takes((*dialect).withdrawKey)},
		{"POST", "/v1/offers/{offer}/credentials", "AddOfferCredential", "keyward:AddXksCredential", "Makes a second credential; the first one goes on serving.", takes((*dialect).addOfferCredential)},
		{"DELETE", "/v1/offers/{offer}/credentials/{credential}", "RemoveOfferCredential", "keyward:RemoveXksCredential", "Has a credential refused from now on.", takes((*dialect).removeOfferCredential)},
	}
}

func (d *dialect) createOffer(ctx context.Context, q request, in api.CreateOfferRequest) (api.OfferCredential, error) {
	return d.offerCredential(d.Offers.Create(ctx, q.call, in.Name, in.User))
}

func (d *dialect) listOffers(ctx context.Context, q request, _ none) (api.OfferList, error) {
	all, err := d.Offers.List(ctx, q.call)
	return api.OfferList{Offers: words.Each(all, d.offer)}, err
}

func (d *dialect) getOffer(ctx context.Context, q request, _ none) (api.Offer, error) {
	o, err := d.Offers.Show(ctx, q.call, q.vars["offer"])
	return d.offer(o), err
}

func (d *dialect) removeOffer(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Offers.Remove(ctx, q.call, q.vars["offer"])
}

func (d *dialect) publishKey(ctx context.Context, q request, in api.PublishKeyRequest) (api.Offer, error) {
	use := offer.Use(cmp.Or(in.Use, string(offer.Both)))
	o, err := d.Offers.Publish(ctx, q.call, q.vars["offer"], offer.Key{ID: q.vars["id"], Key: key.ID(in.Key), Use: use})
	return d.offer(o), err
}

func (d *dialect) withdrawKey(ctx context.Context, q request, _ none) (api.Offer, error) {
	o, err := d.Offers.Withdraw(ctx, q.call, q.vars["offer"], q.vars["id"])
	return d.offer(o), err
}

func (d *dialect) addOfferCredential(ctx context.Context, q request, _ none) (api.OfferCredential, error) {
	return d.offerCredential(d.Offers.AddCredential(ctx, q.call, q.vars["offer"]))
}

func (d *dialect) removeOfferCredential(ctx context.Context, q request, _ none) (api.Offer, error) {
	o, err := d.Offers.RemoveCredential(ctx, q.call, q.vars["offer"], q.vars["credential"])
	return d.offer(o), err
}

// offer answers an offer as the API words it.
func (d *dialect) offer(o offer.Offer) api.Offer {
	return api.Offer{
		Name: o.Name, ARN: d.Offers.ARN(o.Account, o.Name), User: o.User, Path: o.Prefix(), AccessKeys: o.Credentials, CreatedAt: o.CreatedAt,
		Keys: words.Each(o.Keys, func(k offer.Key) api.PublishedKey {
			return api.PublishedKey{ID: k.ID, Key: string(k.Key), Use: string(k.Use)}
		}),
	}
}

func (d *dialect) offerCredential(o offer.Offer, made xks.Credential, err error) (api.OfferCredential, error) {
	return api.OfferCredential{Offer: d.offer(o), AccessKeyID: made.ID, SecretAccessKey: api.SecretText(made.Secret.Expose())}, err
}
