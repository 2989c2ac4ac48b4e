package identity

import (
	"context"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/store/bound"
)

func roleRow(r *role.Role) bound.Row {
	return bound.Row{Table: "iam_role", Keys: 2, Rev: &r.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &r.Account),
		bound.Text("name", &r.Name),
		bound.Text("id", &r.ID),
		bound.Text("description", &r.Description),
		bound.Text("trust", &r.Trust),
		bound.Document("policies", &r.Policies),
		bound.Number("max_session", &r.MaxSession),
		bound.Number("generation", &r.Generation),
		bound.Instant("created_at", &r.CreatedAt),
		bound.Instant("updated_at", &r.UpdatedAt),
	}}
}

// CreateRole implements role.Store.
func (s Store) CreateRole(ctx context.Context, rec *audit.Record, r *role.Role) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		have, err := t.Count(ctx, `SELECT COUNT(*) FROM iam_role WHERE account = $1`, r.Account)
		if err != nil {
			return err
		}
		if have >= role.MaxRoles {
			return fault.LimitExceeded.New("the account has %d roles, which is the limit; delete one first", have)
		}
		if err := s.unnamed(ctx, t, r.Account, r.ARN()); err != nil {
			return err
		}
		return t.Insert(ctx, roleRow(r))
	})
}

// UpdateRole implements role.Store.
func (s Store) UpdateRole(ctx context.Context, rec *audit.Record, r *role.Role) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Update(ctx, roleRow(r)) })
}

// AttachPolicyToRole implements role.Store.
func (s Store) AttachPolicyToRole(ctx context.Context, rec *audit.Record, r *role.Role, p *iam.Policy) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, roleRow(r)); err != nil {
			return err
		}
		return t.Update(ctx, policyRow(p))
	})
}

// DeleteRole implements role.Store.
func (s Store) DeleteRole(ctx context.Context, rec *audit.Record, r *role.Role) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Remove(ctx, roleRow(r)) })
}

// Role implements role.Store.
func (s Store) Role(ctx context.Context, account, name string) (role.Role, error) {
	r := role.Role{Account: account, Name: name}
	err := s.Load(ctx, roleRow(&r))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no role %q in this account; role names are case-sensitive", name)
	}
	return r, err
}

// Roles implements role.Store.
func (s Store) Roles(ctx context.Context, account string, p iam.Page) ([]role.Role, error) {
	return bound.List(ctx, s.Store, s.DB, roleRow, `WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3`, account, p.After, p.Limit)
}
