package kms

import (
	"context"
	"fmt"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// MayName chooses the rows of an account ($1) whose document may name a principal ($2), by the
// names of two columns: the document, and what to order by. JSON may spell a character by an
// escape, so that those with a backslash are among them.
const MayName = `WHERE account = $1 AND (replace(%s, $2, '') <> %[1]s OR replace(%[1]s, '\', '') <> %[1]s) ORDER BY %s`

// Namings answers the keys and secrets whose policies name the principal: whoever makes a user
// or a role asks in the transaction.
func (s Store) Namings(ctx context.Context, from database.Queryer, account, principal string) ([]iam.Naming, error) {
	var out []iam.Naming
	add := func(kind, name, document string) {
		if authz.Mentions([]byte(document), principal) {
			out = append(out, iam.Naming{Kind: kind, Name: name})
		}
	}
	keys, err := bound.List(ctx, s.Store, from, keyRow, fmt.Sprintf(MayName, "policy", "id"), account, principal)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		add("key", string(k.ID), k.Policy)
	}
	policies, err := bound.List(ctx, s.Store, from, secretPolicyRow, fmt.Sprintf(MayName, "document", "secret_id"), account, principal)
	if err != nil {
		return nil, err
	}
	for _, p := range policies {
		of, err := bound.List(ctx, s.Store, from, secretRow, `WHERE account = $1 AND id = $2`, account, p.Secret)
		if err != nil {
			return nil, err
		}
		for _, secret := range of {
			add("secret", secret.Name, p.Document)
		}
	}
	return out, nil
}

// OffersIn answers the offers of an account as a transaction sees them.
func (s Store) OffersIn(ctx context.Context, from database.Queryer, account string) ([]offer.Offer, error) {
	return bound.List(ctx, s.Store, from, offerRow, `WHERE account = $1 ORDER BY name`, account)
}
