package identity

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// A Store is the store of accounts, and of those who log in or call: of package iam and of
// people, role and federation below it.
type Store struct{ *bound.Store }

func accountRow(a *iam.Account) bound.Row {
	return bound.Row{Table: "iam_account", Keys: 1, Rev: &a.Rev, Columns: []bound.Column{
		bound.Text("id", &a.ID),
		bound.Text("name", &a.Name),
		bound.Blob("tenant_key", &a.TenantKey),
		bound.Instant("created_at", &a.CreatedAt),
	}}
}

func userRow(u *iam.User) bound.Row {
	return bound.Row{Table: "iam_user", Keys: 2, Rev: &u.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &u.Account),
		bound.Text("name", &u.Name),
		bound.Text("kind", &u.Kind),
		bound.Text("remark", &u.Remark),
		bound.Flag("enabled", &u.Enabled),
		bound.Document("policies", &u.Policies),
		bound.Instant("created_at", &u.CreatedAt),
	}}
}

func accessKeyRow(k *iam.AccessKey) bound.Row {
	return bound.Row{Table: "iam_access_key", Keys: 1, Rev: &k.Rev, Columns: []bound.Column{
		bound.Text("id", &k.ID),
		bound.Text("account", &k.Account),
		bound.Text("user_name", &k.User),
		bound.Blob("secret", &k.Secret),
		bound.Flag("enabled", &k.Enabled),
		bound.Text("remark", &k.Remark),
		bound.Instant("created_at", &k.CreatedAt),
		bound.Instant("reset_at", &k.ResetAt),
		bound.Instant("expires_at", &k.ExpiresAt),
	}}
}

func policyRow(p *iam.Policy) bound.Row {
	return bound.Row{Table: "iam_policy", Keys: 2, Rev: &p.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &p.Account),
		bound.Text("name", &p.Name),
		bound.Text("description", &p.Description),
		bound.Text("document", &p.Document),
		bound.Instant("created_at", &p.CreatedAt),
		bound.Instant("updated_at", &p.UpdatedAt),
	}}
}

// CreateAccount implements iam.AccountStore.
func (s Store) CreateAccount(ctx context.Context, rec *audit.Record, f *iam.Founding) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Insert(ctx, accountRow(&f.Account)); err != nil {
			return err
		}
		for i := range f.Users {
			if err := t.Insert(ctx, userRow(&f.Users[i])); err != nil {
				return err
			}
		}
		return t.Insert(ctx, accessKeyRow(&f.Key))
	})
}

// UpdateAccount implements iam.AccountStore.
func (s Store) UpdateAccount(ctx context.Context, rec *audit.Record, a *iam.Account) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Update(ctx, accountRow(a)) })
}

// Account implements iam.AccountStore.
func (s Store) Account(ctx context.Context, id string) (iam.Account, error) {
	a := iam.Account{ID: id}
	err := s.Load(ctx, accountRow(&a))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no account %q", id)
	}
	return a, err
}

// AccountNamed implements iam.AccountStore.
func (s Store) AccountNamed(ctx context.Context, name string) (iam.Account, error) {
	all, err := bound.List(ctx, s.Store, s.DB, accountRow, `WHERE lower(name) = lower($1)`, name)
	if err == nil && len(all) == 0 {
		err = fault.ResourceNotFound.New("there is no account of this name")
	}
	if err != nil {
		return iam.Account{}, err
	}
	return all[0], nil
}

// Accounts implements iam.AccountStore.
func (s Store) Accounts(ctx context.Context, p iam.Page) ([]iam.Account, error) {
	return bound.List(ctx, s.Store, s.DB, accountRow, `WHERE id > $1 ORDER BY id LIMIT $2`, p.After, p.Limit)
}

// CreateUser implements iam.UserStore.
func (s Store) CreateUser(ctx context.Context, rec *audit.Record, u *iam.User) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		have, err := t.Count(ctx, `SELECT COUNT(*) FROM iam_user WHERE account = $1`, u.Account)
		if err != nil {
			return err
		}
		if have >= iam.MaxUsers {
			return fault.LimitExceeded.New("the account has %d users, which is the limit; delete one first", have)
		}
		if err := s.unnamed(ctx, t, u.Account, iam.UserARN(u.Account, u.Name)); err != nil {
			return err
		}
		return t.Insert(ctx, userRow(u))
	})
}

// UpdateUser implements iam.UserStore.
func (s Store) UpdateUser(ctx context.Context, rec *audit.Record, u *iam.User) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Update(ctx, userRow(u)) })
}

// AttachPolicy implements iam.UserStore.
func (s Store) AttachPolicy(ctx context.Context, rec *audit.Record, u *iam.User, p *iam.Policy) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, userRow(u)); err != nil {
			return err
		}
		return t.Update(ctx, policyRow(p))
	})
}

// DeleteUser implements iam.UserStore. The user's row is written first: whoever is
// creating an access key then waits for it, or was waited for and is seen.
func (s Store) DeleteUser(ctx context.Context, rec *audit.Record, u *iam.User) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, userRow(u)); err != nil {
			return err
		}
		have, err := countAccessKeys(ctx, t, u)
		if err != nil {
			return err
		}
		if have > 0 {
			return fault.ResourceInUse.New("the user %q has access keys (%d); delete them first", u.Name, have)
		}
		if _, err := s.removeLinks(ctx, t, `WHERE account = $1 AND user_name = $2 ORDER BY provider`, u.Account, u.Name); err != nil {
			return err
		}
		return s.deletePerson(ctx, t, u)
	})
}

// User implements iam.UserStore.
func (s Store) User(ctx context.Context, account, name string) (iam.User, error) {
	u := iam.User{Account: account, Name: name}
	err := s.Load(ctx, userRow(&u))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no user %q in this account; user names are case-sensitive", name)
	}
	return u, err
}

// Users implements iam.UserStore.
func (s Store) Users(ctx context.Context, account string, p iam.Page) ([]iam.User, error) {
	return bound.List(ctx, s.Store, s.DB, userRow, `WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3`, account, p.After, p.Limit)
}

// CreateAccessKey implements iam.AccessKeyStore. Writing the user's row first makes
// those who create access keys of one user take turns, on every node.
func (s Store) CreateAccessKey(ctx context.Context, rec *audit.Record, u *iam.User, k *iam.AccessKey) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, userRow(u)); err != nil {
			return err
		}
		have, err := countAccessKeys(ctx, t, u)
		if err != nil {
			return err
		}
		if have >= iam.MaxAccessKeys {
			return fault.LimitExceeded.New("the user %q has %d access keys, which is the limit; delete one first", u.Name, have)
		}
		return t.Insert(ctx, accessKeyRow(k))
	})
}

// UpdateAccessKey implements iam.AccessKeyStore.
func (s Store) UpdateAccessKey(ctx context.Context, rec *audit.Record, k *iam.AccessKey) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Update(ctx, accessKeyRow(k)) })
}

// DeleteAccessKey implements iam.AccessKeyStore.
func (s Store) DeleteAccessKey(ctx context.Context, rec *audit.Record, k *iam.AccessKey) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, accessKeyRow(k)); err != nil {
			return err
		}
		_, err := t.Exec(ctx, `DELETE FROM iam_access_key_use WHERE id = $1`, k.ID)
		return err
	})
}

// AccessKey implements iam.AccessKeyStore.
func (s Store) AccessKey(ctx context.Context, id string) (iam.AccessKey, error) {
	k := iam.AccessKey{ID: id}
	err := s.Load(ctx, accessKeyRow(&k))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no access key %q", id)
	}
	return k, err
}

// AccessKeys implements iam.AccessKeyStore.
func (s Store) AccessKeys(ctx context.Context, account, user string, p iam.Page) ([]iam.AccessKey, error) {
	if user == "" {
		return bound.List(ctx, s.Store, s.DB, accessKeyRow, `WHERE account = $1 AND id > $2 ORDER BY id LIMIT $3`, account, p.After, p.Limit)
	}
	return bound.List(ctx, s.Store, s.DB, accessKeyRow, `WHERE account = $1 AND id > $2 AND user_name = $3 ORDER BY id LIMIT $4`, account, p.After, user, p.Limit)
}

// Uses implements iam.AccessKeyStore.
func (s Store) Uses(ctx context.Context, ids []string) (map[string]iam.Use, error) {
	uses := make(map[string]iam.Use, len(ids))
	if len(ids) == 0 {
		return uses, nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	rows, err := s.DB.QueryContext(ctx, `SELECT id, at, source, action FROM iam_access_key_use WHERE id IN (`+database.Places(1, len(ids))+`)`, args...)
	if err != nil {
		return nil, database.Unavailable(err, "reading last uses")
	}
	defer rows.Close()
	for rows.Next() {
		var id, source string
		var use iam.Use
		if err := rows.Scan(&id, (*database.Moment)(&use.At), &source, &use.Action); err != nil {
			return nil, database.Unavailable(err, "reading last uses")
		}
		if source != "" {
			if use.Source, err = netip.ParseAddr(source); err != nil {
				return nil, database.Unavailable(err, "reading last uses")
			}
		}
		uses[id] = use
	}
	return uses, database.Unavailable(rows.Err(), "reading last uses")
}

// SaveUses implements iam.AccessKeyStore. Nodes write the rows in one order, so that
// they cannot wait for each other.
func (s Store) SaveUses(ctx context.Context, uses map[string]iam.Use) error {
	return database.Unavailable(s.Apart(ctx, func(t *bound.Tx) error {
		for _, id := range slices.Sorted(maps.Keys(uses)) {
			use := uses[id]
			source := ""
			if use.Source.IsValid() {
				source = use.Source.String()
			}
			_, err := t.Exec(ctx, `INSERT INTO iam_access_key_use (id, at, source, action)
				SELECT id, CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS TEXT) FROM iam_access_key WHERE id = $1
				ON CONFLICT (id) DO UPDATE SET at = excluded.at, source = excluded.source, action = excluded.action
				WHERE excluded.at > iam_access_key_use.at`, id, database.Micros(use.At), source, use.Action)
			if err != nil {
				return err
			}
		}
		return nil
	}), "storing last uses")
}

// CreatePolicy implements iam.PolicyStore.
func (s Store) CreatePolicy(ctx context.Context, rec *audit.Record, p *iam.Policy) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		have, err := t.Count(ctx, `SELECT COUNT(*) FROM iam_policy WHERE account = $1`, p.Account)
		if err != nil {
			return err
		}
		if have >= iam.MaxPolicies {
			return fault.LimitExceeded.New("the account has %d policies of its own, which is the limit; delete one first", have)
		}
		return t.Insert(ctx, policyRow(p))
	})
}

// UpdatePolicy implements iam.PolicyStore.
func (s Store) UpdatePolicy(ctx context.Context, rec *audit.Record, p *iam.Policy) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Update(ctx, policyRow(p)) })
}

// DeletePolicy implements iam.PolicyStore. As with DeleteUser, writing first makes
// whoever is attaching the policy wait, or be seen.
func (s Store) DeletePolicy(ctx context.Context, rec *audit.Record, p *iam.Policy) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, policyRow(p)); err != nil {
			return err
		}
		have, err := t.Count(ctx, `SELECT (SELECT COUNT(*) FROM iam_user WHERE account = $1 AND policies LIKE $2) +
			(SELECT COUNT(*) FROM iam_role WHERE account = $1 AND policies LIKE $2)`, p.Account, holds(p.Name))
		if err != nil {
			return err
		}
		if have > 0 {
			return fault.ResourceInUse.New("%d users and roles have the policy %q; detach it from them first", have, p.Name)
		}
		return nil
	})
}

// Policy implements iam.PolicyStore.
func (s Store) Policy(ctx context.Context, account, name string) (iam.Policy, error) {
	p := iam.Policy{Account: account, Name: name}
	err := s.Load(ctx, policyRow(&p))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no policy %q in this account; policy names are case-sensitive", name)
	}
	return p, err
}

// Policies implements iam.PolicyStore.
func (s Store) Policies(ctx context.Context, account string, p iam.Page) ([]iam.Policy, error) {
	return bound.List(ctx, s.Store, s.DB, policyRow, `WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3`, account, p.After, p.Limit)
}

// PolicyHolders implements iam.PolicyStore.
func (s Store) PolicyHolders(ctx context.Context, account, policy string) (users, roles []string, err error) {
	const having = `WHERE account = $1 AND policies LIKE $2 ORDER BY name`
	has, err := bound.List(ctx, s.Store, s.DB, userRow, having, account, holds(policy))
	if err != nil {
		return nil, nil, err
	}
	for _, u := range has {
		users = append(users, u.Name)
	}
	acts, err := bound.List(ctx, s.Store, s.DB, roleRow, having, account, holds(policy))
	for _, r := range acts {
		roles = append(roles, r.Name)
	}
	return users, roles, err
}

// holds is the LIKE pattern of the policies column of users and roles that have the policy.
// Policy names have no character that JSON or LIKE gives a meaning to.
func holds(policy string) string { return `%"` + policy + `"%` }

func countAccessKeys(ctx context.Context, t *bound.Tx, u *iam.User) (int, error) {
	return t.Count(ctx, `SELECT COUNT(*) FROM iam_access_key WHERE account = $1 AND user_name = $2`, u.Account, u.Name)
}
