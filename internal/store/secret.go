package store

import (
	"context"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/secret"
)

func secretRow(s *secret.Secret) row {
	return row{table: "secret", keys: 2, rev: &s.Rev, columns: []column{
		text("account", &s.Account),
		text("name", &s.Name),
		text("id", &s.ID),
		text("description", &s.Description),
		text("key_id", &s.Key),
		text("creator", &s.Creator),
		instant("created_at", &s.CreatedAt),
		instant("updated_at", &s.UpdatedAt),
		instant("delete_at", &s.DeleteAt),
		number("versions", &s.Versions),
		number("made", &s.Made),
		document("stages", &s.Stages),
		document("tags", &s.Tags),
	}}
}

func secretVersionRow(v *secret.Version) row {
	return row{table: "secret_version", keys: 3, rev: &v.Rev, columns: []column{
		text("account", &v.Account),
		text("secret_id", &v.Secret),
		text("id", &v.ID),
		text("name", &v.Name),
		number("number", &v.Number),
		text("kind", &v.Kind),
		text("key_id", &v.Key),
		blob("wrapped", &v.Wrapped),
		blob("sealed", &v.Sealed),
		instant("created_at", &v.CreatedAt),
	}}
}

func secretPolicyRow(p *secret.Policy) row {
	return row{table: "secret_policy", keys: 2, rev: &p.Rev, columns: []column{
		text("account", &p.Account),
		text("secret_id", &p.Secret),
		text("document", &p.Document),
	}}
}

// SecretPolicy implements secret.PolicyStore.
func (s *Store) SecretPolicy(ctx context.Context, account, secretID string) (secret.Policy, error) {
	p := secret.Policy{Account: account, Secret: secretID}
	err := s.load(ctx, secretPolicyRow(&p))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("the secret has no policy of its own")
	}
	return p, err
}

// SaveSecretPolicy implements secret.PolicyStore.
func (s *Store) SaveSecretPolicy(ctx context.Context, rec *audit.Record, p *secret.Policy) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if p.Rev == 0 {
			return t.insert(ctx, s.keys, secretPolicyRow(p))
		}
		return t.update(ctx, s.keys, secretPolicyRow(p))
	})
}

// CreateSecret implements secret.Store.
func (s *Store) CreateSecret(ctx context.Context, rec *audit.Record, sec *secret.Secret, v *secret.Version) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		err := t.insert(ctx, s.keys, secretRow(sec))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("there is a secret %s already, or one that is about to be deleted; put a new version of it, or choose another name", sec.Name)
		}
		if err != nil {
			return err
		}
		if err := t.insert(ctx, s.keys, secretVersionRow(v)); err != nil {
			return err
		}
		return s.mark(ctx, t, v.Marks)
	})
}

// UpdateSecret implements secret.Store.
func (s *Store) UpdateSecret(ctx context.Context, rec *audit.Record, sec *secret.Secret, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, secretRow(sec)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// AddSecretVersion implements secret.Store.
func (s *Store) AddSecretVersion(ctx context.Context, rec *audit.Record, sec *secret.Secret, v *secret.Version, drop []secret.Version) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, secretRow(sec)); err != nil {
			return err
		}
		for i := range drop {
			if err := t.remove(ctx, secretVersionRow(&drop[i])); err != nil {
				return err
			}
			if err := t.unmark(ctx, &drop[i]); err != nil {
				return err
			}
		}
		err := t.insert(ctx, s.keys, secretVersionRow(v))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("secret %s has a version %s already; choose another version id", v.Name, v.ID)
		}
		if err != nil {
			return err
		}
		return s.mark(ctx, t, v.Marks)
	})
}

// DeleteSecret implements secret.Store.
func (s *Store) DeleteSecret(ctx context.Context, rec *audit.Record, sec *secret.Secret) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.remove(ctx, secretRow(sec)); err != nil {
			return err
		}
		versions, err := list(ctx, s, t.sql, secretVersionRow, `WHERE account = $1 AND secret_id = $2 ORDER BY number`, sec.Account, sec.ID)
		if err != nil {
			return err
		}
		for i := range versions {
			if err := t.remove(ctx, secretVersionRow(&versions[i])); err != nil {
				return err
			}
			if err := t.unmark(ctx, &versions[i]); err != nil {
				return err
			}
		}
		policies, err := list(ctx, s, t.sql, secretPolicyRow, `WHERE account = $1 AND secret_id = $2`, sec.Account, sec.ID)
		if err != nil {
			return err
		}
		for i := range policies {
			if err := t.remove(ctx, secretPolicyRow(&policies[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

// Secret implements secret.Store.
func (s *Store) Secret(ctx context.Context, account, name string) (secret.Secret, error) {
	sec := secret.Secret{Account: account, Name: name}
	err := s.load(ctx, secretRow(&sec))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no such secret")
	}
	return sec, err
}

// Secrets implements secret.Store.
func (s *Store) Secrets(ctx context.Context, account string, f secret.Filter, p key.Page) ([]secret.Secret, int, error) {
	if f.None {
		return nil, 0, nil
	}
	w := newCondition(`account = $1`, account)
	in(w, "name", f.Names)
	if f.Prefix != "" {
		w.and(`substr(name, 1, length(` + w.places([]string{f.Prefix}) + `)) = ` + w.places([]string{f.Prefix}))
	}
	w.tagged(f.TagKeys, f.TagValues, f.Tags)
	if f.Deleting {
		w.and(`delete_at > 0`)
	}
	return page(ctx, s, secretRow, p, "name", w.String(), w.args...)
}

// SecretVersion implements secret.Store.
func (s *Store) SecretVersion(ctx context.Context, account, secretID, id string) (secret.Version, error) {
	v := secret.Version{Account: account, Secret: secretID, ID: id}
	err := s.load(ctx, secretVersionRow(&v))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no such version of the secret")
	}
	return v, err
}

// SecretVersions implements secret.Store.
func (s *Store) SecretVersions(ctx context.Context, account, secretID string, p key.Page) ([]secret.Version, int, error) {
	return page(ctx, s, secretVersionRow, p, "number DESC", `account = $1 AND secret_id = $2`, account, secretID)
}
