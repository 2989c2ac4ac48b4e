package kms

import (
	"context"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/store/bound"
)

func offerRow(o *offer.Offer) bound.Row {
	return bound.Row{Table: "xks_offer", Keys: 2, Rev: &o.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &o.Account),
		bound.Text("name", &o.Name),
		bound.Text("id", &o.ID),
		bound.Text("user_name", &o.User),
		bound.Document("published", &o.Keys),
		bound.Document("credentials", &o.Credentials),
		bound.Blob("sealed", &o.Sealed),
		bound.Instant("created_at", &o.CreatedAt),
	}}
}

// CreateOffer implements offer.Store.
func (s Store) CreateOffer(ctx context.Context, rec *audit.Record, o *offer.Offer) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		err := t.Insert(ctx, offerRow(o))
		if fault.Is(err, fault.ResourceExists) {
			err = fault.ResourceExists.New("there is an offer %s already; choose another name", o.Name)
		}
		return err
	})
}

// UpdateOffer implements offer.Store.
func (s Store) UpdateOffer(ctx context.Context, rec *audit.Record, o *offer.Offer) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Update(ctx, offerRow(o)) })
}

// DeleteOffer implements offer.Store.
func (s Store) DeleteOffer(ctx context.Context, rec *audit.Record, o *offer.Offer) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Remove(ctx, offerRow(o)) })
}

// Offer implements offer.Store.
func (s Store) Offer(ctx context.Context, account, name string) (offer.Offer, error) {
	o := offer.Offer{Account: account, Name: name}
	err := s.Load(ctx, offerRow(&o))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no such offer")
	}
	return o, err
}

// Offers implements offer.Store.
func (s Store) Offers(ctx context.Context, account string) ([]offer.Offer, error) {
	return bound.List(ctx, s.Store, s.DB, offerRow, `WHERE account = $1 ORDER BY name`, account)
}
