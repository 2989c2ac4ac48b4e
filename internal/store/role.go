package store

import (
	"context"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
)

func roleRow(r *role.Role) row {
	return row{table: "iam_role", keys: 2, rev: &r.Rev, columns: []column{
		text("account", &r.Account),
		text("name", &r.Name),
		text("id", &r.ID),
		text("description", &r.Description),
		text("trust", &r.Trust),
		document("policies", &r.Policies),
		number("max_session", &r.MaxSession),
		number("generation", &r.Generation),
		instant("created_at", &r.CreatedAt),
		instant("updated_at", &r.UpdatedAt),
	}}
}

// CreateRole implements role.Store.
func (s *Store) CreateRole(ctx context.Context, rec *audit.Record, r *role.Role) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		have, err := t.count(ctx, `SELECT COUNT(*) FROM iam_role WHERE account = $1`, r.Account)
		if err != nil {
			return err
		}
		if have >= role.MaxRoles {
			return fault.LimitExceeded.New("the account has %d roles, which is the limit; delete one first", have)
		}
		if err := s.unnamed(ctx, t, r.Account, r.ARN()); err != nil {
			return err
		}
		return t.insert(ctx, s.keys, roleRow(r))
	})
}

// UpdateRole implements role.Store.
func (s *Store) UpdateRole(ctx context.Context, rec *audit.Record, r *role.Role) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.update(ctx, s.keys, roleRow(r)) })
}

// AttachPolicyToRole implements role.Store.
func (s *Store) AttachPolicyToRole(ctx context.Context, rec *audit.Record, r *role.Role, p *iam.Policy) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, roleRow(r)); err != nil {
			return err
		}
		return t.update(ctx, s.keys, policyRow(p))
	})
}

// DeleteRole implements role.Store.
func (s *Store) DeleteRole(ctx context.Context, rec *audit.Record, r *role.Role) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.remove(ctx, roleRow(r)) })
}

// Role implements role.Store.
func (s *Store) Role(ctx context.Context, account, name string) (role.Role, error) {
	r := role.Role{Account: account, Name: name}
	err := s.load(ctx, roleRow(&r))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no role %q in this account; role names are case-sensitive", name)
	}
	return r, err
}

// Roles implements role.Store.
func (s *Store) Roles(ctx context.Context, account string, p iam.Page) ([]role.Role, error) {
	return list(ctx, s, s.db.read, roleRow, `WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3`, account, p.After, p.Limit)
}
