package store

import (
	"context"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/offer"
)

func offerRow(o *offer.Offer) row {
	return row{table: "xks_offer", keys: 2, rev: &o.Rev, columns: []column{
		text("account", &o.Account),
		text("name", &o.Name),
		text("id", &o.ID),
		text("user_name", &o.User),
		document("published", &o.Keys),
		document("credentials", &o.Credentials),
		blob("sealed", &o.Sealed),
		instant("created_at", &o.CreatedAt),
	}}
}

// CreateOffer implements offer.Store.
func (s *Store) CreateOffer(ctx context.Context, rec *audit.Record, o *offer.Offer) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		err := t.insert(ctx, s.keys, offerRow(o))
		if fault.Is(err, fault.ResourceExists) {
			err = fault.ResourceExists.New("there is an offer %s already; choose another name", o.Name)
		}
		return err
	})
}

// UpdateOffer implements offer.Store.
func (s *Store) UpdateOffer(ctx context.Context, rec *audit.Record, o *offer.Offer) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.update(ctx, s.keys, offerRow(o)) })
}

// DeleteOffer implements offer.Store.
func (s *Store) DeleteOffer(ctx context.Context, rec *audit.Record, o *offer.Offer) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.remove(ctx, offerRow(o)) })
}

// Offer implements offer.Store.
func (s *Store) Offer(ctx context.Context, account, name string) (offer.Offer, error) {
	o := offer.Offer{Account: account, Name: name}
	err := s.load(ctx, offerRow(&o))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no such offer")
	}
	return o, err
}

// Offers implements offer.Store.
func (s *Store) Offers(ctx context.Context, account string) ([]offer.Offer, error) {
	return list(ctx, s, s.db.read, offerRow, `WHERE account = $1 ORDER BY name`, account)
}
