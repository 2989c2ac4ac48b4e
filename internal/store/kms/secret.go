package kms

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/bound"
)

func secretRow(s *secret.Secret) bound.Row {
	return bound.Row{Table: "secret", Keys: 2, Rev: &s.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &s.Account),
		bound.Text("name", &s.Name),
		bound.Text("id", &s.ID),
		bound.Text("description", &s.Description),
		bound.Text("key_id", &s.Key),
		bound.Text("creator", &s.Creator),
		bound.Instant("created_at", &s.CreatedAt),
		bound.Instant("updated_at", &s.UpdatedAt),
		bound.Instant("delete_at", &s.DeleteAt),
		bound.Number("versions", &s.Versions),
		bound.Number("made", &s.Made),
		bound.Document("stages", &s.Stages),
		bound.Document("tags", &s.Tags),
	}}
}

func secretVersionRow(v *secret.Version) bound.Row {
	return bound.Row{Table: "secret_version", Keys: 3, Rev: &v.Rev, Columns: []bound.Column{
		bound.Text("account", &v.Account),
		bound.Text("secret_id", &v.Secret),
		bound.Text("id", &v.ID),
		bound.Text("name", &v.Name),
		bound.Number("number", &v.Number),
		bound.Text("kind", &v.Kind),
		bound.Text("key_id", &v.Key),
		bound.Blob("wrapped", &v.Wrapped),
		bound.Blob("sealed", &v.Sealed),
		bound.Instant("created_at", &v.CreatedAt),
	}}
}

func secretPolicyRow(p *secret.Policy) bound.Row {
	return bound.Row{Table: "secret_policy", Keys: 2, Rev: &p.Rev, Columns: []bound.Column{
		bound.Text("account", &p.Account),
		bound.Text("secret_id", &p.Secret),
		bound.Text("document", &p.Document),
	}}
}

// SecretPolicy implements secret.PolicyStore.
func (s Store) SecretPolicy(ctx context.Context, account, secretID string) (secret.Policy, error) {
	p := secret.Policy{Account: account, Secret: secretID}
	err := s.Load(ctx, secretPolicyRow(&p))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("the secret has no policy of its own")
	}
	return p, err
}

// SaveSecretPolicy implements secret.PolicyStore.
func (s Store) SaveSecretPolicy(ctx context.Context, rec *audit.Record, p *secret.Policy) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Save(ctx, secretPolicyRow(p)) })
}

// CreateSecret implements secret.Store.
func (s Store) CreateSecret(ctx context.Context, rec *audit.Record, sec *secret.Secret, v *secret.Version, p *secret.Policy) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		err := t.Insert(ctx, secretRow(sec))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("there is a secret %s already, or one that is about to be deleted; put a new version of it, or choose another name", sec.Name)
		}
		if err != nil {
			return err
		}
		if err := t.Insert(ctx, secretVersionRow(v)); err != nil {
			return err
		}
		if p != nil {
			if err := t.Insert(ctx, secretPolicyRow(p)); err != nil {
				return err
			}
		}
		return mark(ctx, t, v.Marks)
	})
}

// UpdateSecrets implements secret.Store.
func (s Store) UpdateSecrets(ctx context.Context, rec *audit.Record, jobs []job.Job, secrets ...*secret.Secret) error {
	slices.SortFunc(secrets, func(a, b *secret.Secret) int { return strings.Compare(a.Name, b.Name) }) // no deadlocks between nodes
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		for _, sec := range secrets {
			if err := t.Update(ctx, secretRow(sec)); err != nil {
				return err
			}
		}
		return t.Schedule(ctx, jobs)
	})
}

// AddSecretVersion implements secret.Store.
func (s Store) AddSecretVersion(ctx context.Context, rec *audit.Record, sec *secret.Secret, v *secret.Version, drop []secret.Version) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, secretRow(sec)); err != nil {
			return err
		}
		for i := range drop {
			if err := t.Remove(ctx, secretVersionRow(&drop[i])); err != nil {
				return err
			}
			if err := unmark(ctx, t, &drop[i]); err != nil {
				return err
			}
		}
		err := t.Insert(ctx, secretVersionRow(v))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("secret %s has a version %s already; choose another version id", v.Name, v.ID)
		}
		if err != nil {
			return err
		}
		return mark(ctx, t, v.Marks)
	})
}

// DeleteSecret implements secret.Store.
func (s Store) DeleteSecret(ctx context.Context, rec *audit.Record, sec *secret.Secret) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, secretRow(sec)); err != nil {
			return err
		}
		versions, err := bound.List(ctx, s.Store, t, secretVersionRow, `WHERE account = $1 AND secret_id = $2 ORDER BY number`, sec.Account, sec.ID)
		if err != nil {
			return err
		}
		for i := range versions {
			if err := t.Remove(ctx, secretVersionRow(&versions[i])); err != nil {
				return err
			}
			if err := unmark(ctx, t, &versions[i]); err != nil {
				return err
			}
		}
		policies, err := bound.List(ctx, s.Store, t, secretPolicyRow, `WHERE account = $1 AND secret_id = $2`, sec.Account, sec.ID)
		if err != nil {
			return err
		}
		for i := range policies {
			if err := t.Remove(ctx, secretPolicyRow(&policies[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

// Secret implements secret.Store.
func (s Store) Secret(ctx context.Context, account, name string) (secret.Secret, error) {
	sec := secret.Secret{Account: account, Name: name}
	err := s.Load(ctx, secretRow(&sec))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no such secret")
	}
	return sec, err
}

// Secrets implements secret.Store.
func (s Store) Secrets(ctx context.Context, account string, f secret.Filter, p key.Page) ([]secret.Secret, int, error) {
	if f.None {
		return nil, 0, nil
	}
	w := newCondition(`account = $1`, account)
	in(w, "name", f.Names)
	if f.Prefix != "" {
		w.and(`substr(name, 1, length(` + w.places([]string{f.Prefix}) + `)) = ` + w.places([]string{f.Prefix}))
	}
	w.tagged(f.TagKeys, f.TagValues, f.Tags)
	if len(f.Instances) > 0 {
		w.and(`key_id IN (SELECT id FROM kms_key WHERE instance IN (` + w.places(f.Instances) + `))`)
	}
	if f.Deleting {
		w.and(`delete_at > 0`)
	}
	return page(ctx, s.Store, secretRow, p, "name", w.String(), w.args...)
}

// SecretVersion implements secret.Store.
func (s Store) SecretVersion(ctx context.Context, account, secretID, id string) (secret.Version, error) {
	v := secret.Version{Account: account, Secret: secretID, ID: id}
	err := s.Load(ctx, secretVersionRow(&v))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no such version of the secret")
	}
	return v, err
}

// SecretVersions implements secret.Store.
func (s Store) SecretVersions(ctx context.Context, account, secretID string, p key.Page) ([]secret.Version, int, error) {
	return page(ctx, s.Store, secretVersionRow, p, "number DESC", `account = $1 AND secret_id = $2`, account, secretID)
}
