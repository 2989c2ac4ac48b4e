package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

func accountRow(a *iam.Account) row {
	return row{table: "iam_account", keys: 1, rev: &a.Rev, columns: []column{
		text("id", &a.ID),
		text("name", &a.Name),
		blob("tenant_key", &a.TenantKey),
		instant("created_at", &a.CreatedAt),
	}}
}

func userRow(u *iam.User) row {
	return row{table: "iam_user", keys: 2, rev: &u.Rev, columns: []column{
		text("account", &u.Account),
		text("name", &u.Name),
		text("kind", &u.Kind),
		text("remark", &u.Remark),
		flag("enabled", &u.Enabled),
		document("policies", &u.Policies),
		instant("created_at", &u.CreatedAt),
	}}
}

func accessKeyRow(k *iam.AccessKey) row {
	return row{table: "iam_access_key", keys: 1, rev: &k.Rev, columns: []column{
		text("id", &k.ID),
		text("account", &k.Account),
		text("user_name", &k.User),
		blob("secret", &k.Secret),
		flag("enabled", &k.Enabled),
		text("remark", &k.Remark),
		instant("created_at", &k.CreatedAt),
		instant("reset_at", &k.ResetAt),
		instant("expires_at", &k.ExpiresAt),
	}}
}

func policyRow(p *iam.Policy) row {
	return row{table: "iam_policy", keys: 2, rev: &p.Rev, columns: []column{
		text("account", &p.Account),
		text("name", &p.Name),
		text("description", &p.Description),
		text("document", &p.Document),
		instant("created_at", &p.CreatedAt),
		instant("updated_at", &p.UpdatedAt),
	}}
}

// CreateAccount implements iam.AccountStore.
func (s *Store) CreateAccount(ctx context.Context, rec *audit.Record, f *iam.Founding) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.insert(ctx, s.keys, accountRow(&f.Account)); err != nil {
			return err
		}
		for i := range f.Users {
			if err := t.insert(ctx, s.keys, userRow(&f.Users[i])); err != nil {
				return err
			}
		}
		return t.insert(ctx, s.keys, accessKeyRow(&f.Key))
	})
}

// UpdateAccount implements iam.AccountStore.
func (s *Store) UpdateAccount(ctx context.Context, rec *audit.Record, a *iam.Account) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.update(ctx, s.keys, accountRow(a)) })
}

// Account implements iam.AccountStore.
func (s *Store) Account(ctx context.Context, id string) (iam.Account, error) {
	a := iam.Account{ID: id}
	err := s.load(ctx, accountRow(&a))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no account %q", id)
	}
	return a, err
}

// AccountNamed implements iam.AccountStore.
func (s *Store) AccountNamed(ctx context.Context, name string) (iam.Account, error) {
	all, err := list(ctx, s, s.db.read, accountRow, `WHERE lower(name) = lower($1)`, name)
	if err == nil && len(all) == 0 {
		err = fault.ResourceNotFound.New("there is no account of this name")
	}
	if err != nil {
		return iam.Account{}, err
	}
	return all[0], nil
}

// Accounts implements iam.AccountStore.
func (s *Store) Accounts(ctx context.Context, p iam.Page) ([]iam.Account, error) {
	return list(ctx, s, s.db.read, accountRow, `WHERE id > $1 ORDER BY id LIMIT $2`, p.After, p.Limit)
}

// CreateUser implements iam.UserStore.
func (s *Store) CreateUser(ctx context.Context, rec *audit.Record, u *iam.User) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		have, err := t.count(ctx, `SELECT COUNT(*) FROM iam_user WHERE account = $1`, u.Account)
		if err != nil {
			return err
		}
		if have >= iam.MaxUsers {
			return fault.LimitExceeded.New("the account has %d users, which is the limit; delete one first", have)
		}
		if err := s.unnamed(ctx, t, u.Account, iam.UserARN(u.Account, u.Name)); err != nil {
			return err
		}
		return t.insert(ctx, s.keys, userRow(u))
	})
}

// UpdateUser implements iam.UserStore.
func (s *Store) UpdateUser(ctx context.Context, rec *audit.Record, u *iam.User) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.update(ctx, s.keys, userRow(u)) })
}

// AttachPolicy implements iam.UserStore.
func (s *Store) AttachPolicy(ctx context.Context, rec *audit.Record, u *iam.User, p *iam.Policy) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, userRow(u)); err != nil {
			return err
		}
		return t.update(ctx, s.keys, policyRow(p))
	})
}

// DeleteUser implements iam.UserStore. The user's row is written first: whoever is
// creating an access key then waits for it, or was waited for and is seen.
func (s *Store) DeleteUser(ctx context.Context, rec *audit.Record, u *iam.User) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.remove(ctx, userRow(u)); err != nil {
			return err
		}
		have, err := t.countAccessKeys(ctx, u)
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
func (s *Store) User(ctx context.Context, account, name string) (iam.User, error) {
	u := iam.User{Account: account, Name: name}
	err := s.load(ctx, userRow(&u))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no user %q in this account; user names are case-sensitive", name)
	}
	return u, err
}

// Users implements iam.UserStore.
func (s *Store) Users(ctx context.Context, account string, p iam.Page) ([]iam.User, error) {
	return list(ctx, s, s.db.read, userRow, `WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3`, account, p.After, p.Limit)
}

// CreateAccessKey implements iam.AccessKeyStore. Writing the user's row first makes
// those who create access keys of one user take turns, on every node.
func (s *Store) CreateAccessKey(ctx context.Context, rec *audit.Record, u *iam.User, k *iam.AccessKey) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, userRow(u)); err != nil {
			return err
		}
		have, err := t.countAccessKeys(ctx, u)
		if err != nil {
			return err
		}
		if have >= iam.MaxAccessKeys {
			return fault.LimitExceeded.New("the user %q has %d access keys, which is the limit; delete one first", u.Name, have)
		}
		return t.insert(ctx, s.keys, accessKeyRow(k))
	})
}

// UpdateAccessKey implements iam.AccessKeyStore.
func (s *Store) UpdateAccessKey(ctx context.Context, rec *audit.Record, k *iam.AccessKey) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.update(ctx, s.keys, accessKeyRow(k)) })
}

// DeleteAccessKey implements iam.AccessKeyStore.
func (s *Store) DeleteAccessKey(ctx context.Context, rec *audit.Record, k *iam.AccessKey) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.remove(ctx, accessKeyRow(k)); err != nil {
			return err
		}
		_, err := t.exec(ctx, `DELETE FROM iam_access_key_use WHERE id = $1`, k.ID)
		return err
	})
}

// AccessKey implements iam.AccessKeyStore.
func (s *Store) AccessKey(ctx context.Context, id string) (iam.AccessKey, error) {
	k := iam.AccessKey{ID: id}
	err := s.load(ctx, accessKeyRow(&k))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no access key %q", id)
	}
	return k, err
}

// AccessKeys implements iam.AccessKeyStore.
func (s *Store) AccessKeys(ctx context.Context, account, user string, p iam.Page) ([]iam.AccessKey, error) {
	w := newCondition(`account = $1 AND id > $2`, account, p.After)
	if user != "" {
		in(w, "user_name", []string{user})
	}
	rest := fmt.Sprintf(`WHERE %s ORDER BY id LIMIT $%d`, w, len(w.args)+1)
	return list(ctx, s, s.db.read, accessKeyRow, rest, append(w.args, p.Limit)...)
}

// Uses implements iam.AccessKeyStore.
func (s *Store) Uses(ctx context.Context, ids []string) (map[string]iam.Use, error) {
	uses := make(map[string]iam.Use, len(ids))
	if len(ids) == 0 {
		return uses, nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	rows, err := s.db.read.QueryContext(ctx, `SELECT id, at, source, action FROM iam_access_key_use WHERE id IN (`+places(1, len(ids))+`)`, args...)
	if err != nil {
		return nil, unavailable(err, "reading last uses")
	}
	defer rows.Close()
	for rows.Next() {
		var id, source string
		var use iam.Use
		if err := rows.Scan(&id, (*instantField)(&use.At), &source, &use.Action); err != nil {
			return nil, unavailable(err, "reading last uses")
		}
		if source != "" {
			if use.Source, err = netip.ParseAddr(source); err != nil {
				return nil, unavailable(err, "reading last uses")
			}
		}
		uses[id] = use
	}
	return uses, unavailable(rows.Err(), "reading last uses")
}

// SaveUses implements iam.AccessKeyStore. Nodes write the rows in one order, so that
// they cannot wait for each other.
func (s *Store) SaveUses(ctx context.Context, uses map[string]iam.Use) error {
	t, err := s.db.write.BeginTx(ctx, nil)
	if err != nil {
		return unavailable(err, "storing last uses")
	}
	defer t.Rollback() //nolint:errcheck // after a commit it answers ErrTxDone
	for _, id := range slices.Sorted(maps.Keys(uses)) {
		use := uses[id]
		source := ""
		if use.Source.IsValid() {
			source = use.Source.String()
		}
		_, err := t.ExecContext(ctx, `INSERT INTO iam_access_key_use (id, at, source, action)
			SELECT id, CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS TEXT) FROM iam_access_key WHERE id = $1
			ON CONFLICT (id) DO UPDATE SET at = excluded.at, source = excluded.source, action = excluded.action
			WHERE excluded.at > iam_access_key_use.at`, id, micros(use.At), source, use.Action)
		if err != nil {
			return unavailable(err, "storing last uses")
		}
	}
	return unavailable(t.Commit(), "storing last uses")
}

// CreatePolicy implements iam.PolicyStore.
func (s *Store) CreatePolicy(ctx context.Context, rec *audit.Record, p *iam.Policy) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		have, err := t.count(ctx, `SELECT COUNT(*) FROM iam_policy WHERE account = $1`, p.Account)
		if err != nil {
			return err
		}
		if have >= iam.MaxPolicies {
			return fault.LimitExceeded.New("the account has %d policies of its own, which is the limit; delete one first", have)
		}
		return t.insert(ctx, s.keys, policyRow(p))
	})
}

// UpdatePolicy implements iam.PolicyStore.
func (s *Store) UpdatePolicy(ctx context.Context, rec *audit.Record, p *iam.Policy) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.update(ctx, s.keys, policyRow(p)) })
}

// DeletePolicy implements iam.PolicyStore. As with DeleteUser, writing first makes
// whoever is attaching the policy wait, or be seen.
func (s *Store) DeletePolicy(ctx context.Context, rec *audit.Record, p *iam.Policy) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.remove(ctx, policyRow(p)); err != nil {
			return err
		}
		have, err := t.count(ctx, `SELECT (SELECT COUNT(*) FROM iam_user WHERE account = $1 AND policies LIKE $2) +
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
func (s *Store) Policy(ctx context.Context, account, name string) (iam.Policy, error) {
	p := iam.Policy{Account: account, Name: name}
	err := s.load(ctx, policyRow(&p))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no policy %q in this account; policy names are case-sensitive", name)
	}
	return p, err
}

// Policies implements iam.PolicyStore.
func (s *Store) Policies(ctx context.Context, account string, p iam.Page) ([]iam.Policy, error) {
	return list(ctx, s, s.db.read, policyRow, `WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3`, account, p.After, p.Limit)
}

// PolicyHolders implements iam.PolicyStore.
func (s *Store) PolicyHolders(ctx context.Context, account, policy string) (users, roles []string, err error) {
	const having = `WHERE account = $1 AND policies LIKE $2 ORDER BY name`
	has, err := list(ctx, s, s.db.read, userRow, having, account, holds(policy))
	if err != nil {
		return nil, nil, err
	}
	for _, u := range has {
		users = append(users, u.Name)
	}
	acts, err := list(ctx, s, s.db.read, roleRow, having, account, holds(policy))
	for _, r := range acts {
		roles = append(roles, r.Name)
	}
	return users, roles, err
}

// holds is the LIKE pattern of the policies column of users and roles that have the policy.
// Policy names have no character that JSON or LIKE gives a meaning to.
func holds(policy string) string { return `%"` + policy + `"%` }

func (t *tx) countAccessKeys(ctx context.Context, u *iam.User) (int, error) {
	return t.count(ctx, `SELECT COUNT(*) FROM iam_access_key WHERE account = $1 AND user_name = $2`, u.Account, u.Name)
}

// count runs a query that answers one number.
func (t *tx) count(ctx context.Context, query string, args ...any) (int, error) {
	var n int
	if err := t.sql.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting: %w", err)
	}
	return n, nil
}
