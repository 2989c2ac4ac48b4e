package identity

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/store/bound"
)

func identityProviderRow(p *federation.Provider) bound.Row {
	return bound.Row{Table: "iam_identity_provider", Keys: 2, Rev: &p.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &p.Account),
		bound.Text("name", &p.Name),
		bound.Text("id", &p.ID),
		bound.Text("issuer", &p.Issuer),
		bound.Text("client_id", &p.ClientID),
		bound.Blob("secret", &p.Secret),
		bound.Text("claim", &p.Claim),
		bound.Text("mfa", &p.MFA),
		bound.Instant("created_at", &p.CreatedAt),
	}}
}

func linkRow(l *federation.Link) bound.Row {
	return bound.Row{Table: "iam_link", Keys: 3, Rev: &l.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &l.Account),
		bound.Text("provider", &l.Provider),
		bound.Text("user_name", &l.User),
		bound.Text("value", &l.Value),
		bound.Instant("created_at", &l.CreatedAt),
	}}
}

// CreateIdentityProvider implements federation.Store.
func (s Store) CreateIdentityProvider(ctx context.Context, rec *audit.Record, p *federation.Provider) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		have, err := t.Count(ctx, `SELECT count(*) FROM iam_identity_provider WHERE account = $1`, p.Account)
		if err != nil {
			return err
		}
		if have >= federation.MaxProviders {
			return fault.LimitExceeded.New("the account has %d identity providers, which is the limit; remove one first", have)
		}
		return iam.Explain(t.Insert(ctx, identityProviderRow(p)), fault.Say("identity provider"), p.Name)
	})
}

// DeleteIdentityProvider implements federation.Store.
func (s Store) DeleteIdentityProvider(ctx context.Context, rec *audit.Record, p *federation.Provider) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, identityProviderRow(p)); err != nil {
			return err
		}
		links, err := s.removeLinks(ctx, t, `WHERE account = $1 AND provider = $2 ORDER BY user_name`, p.Account, p.Name)
		for i := range links {
			err = errors.Join(err, s.endLinked(ctx, t, &links[i]))
		}
		return err
	})
}

// IdentityProvider implements federation.Store.
func (s Store) IdentityProvider(ctx context.Context, account, name string) (federation.Provider, error) {
	p := federation.Provider{Account: account, Name: name}
	err := s.Load(ctx, identityProviderRow(&p))
	if errors.Is(err, bound.ErrNoRow) {
		return federation.Provider{}, fault.ResourceNotFound.New("there is no such identity provider")
	}
	return p, err
}

// IdentityProviders implements federation.Store.
func (s Store) IdentityProviders(ctx context.Context, account string) ([]federation.Provider, error) {
	return bound.List(ctx, s.Store, s.DB, identityProviderRow, `WHERE account = $1 ORDER BY name`, account)
}

// CreateLink implements federation.Store. It holds the rows of the provider and the user, so
// that whoever deletes one of them waits and finds the link, or was waited for; and it sees
// to it that the user has a row of logins, so that whoever deletes the link and whoever
// begins a session meet in that row.
func (s Store) CreateLink(ctx context.Context, rec *audit.Record, l *federation.Link) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		for _, hold := range []struct{ query, name string }{
			{`UPDATE iam_identity_provider SET rev = rev WHERE account = $1 AND name = $2`, l.Provider},
			{`UPDATE iam_user SET rev = rev WHERE account = $1 AND name = $2`, l.User},
		} {
			n, err := t.Exec(ctx, hold.query, l.Account, hold.name)
			if err != nil {
				return err
			}
			if n == 0 {
				return fault.ResourceNotFound.New("the identity provider or the user was deleted meanwhile")
			}
		}
		taken, err := t.Count(ctx, `SELECT count(*) FROM iam_link WHERE account = $1 AND provider = $2 AND (user_name = $3 OR value = $4)`, l.Account, l.Provider, l.User, l.Value)
		if err != nil {
			return err
		}
		if taken > 0 {
			return fault.ResourceExists.New("the user, or this value of the claim, is linked with the identity provider %q already; unlink it first", l.Provider)
		}
		if err := t.Insert(ctx, linkRow(l)); err != nil {
			return err
		}
		p := people.Person{Account: l.Account, Login: strings.ToLower(l.User), User: l.User}
		some, err := s.logins(ctx, t, l.Account, l.User)
		if err == nil && len(some) == 0 {
			err = t.Insert(ctx, loginRow(&p))
		}
		return err
	})
}

// logins answers how a user logs in, nothing if that was never said.
func (s Store) logins(ctx context.Context, t *bound.Tx, account, user string) ([]people.Person, error) {
	return bound.List(ctx, s.Store, t, loginRow, `WHERE account = $1 AND login = $2`, account, strings.ToLower(user))
}

// DeleteLink implements federation.Store.
func (s Store) DeleteLink(ctx context.Context, rec *audit.Record, l *federation.Link) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, linkRow(l)); err != nil {
			return err
		}
		return s.endLinked(ctx, t, l)
	})
}

// endLinked ends the sessions that were begun by a link. The row of logins gets a new
// revision in any case: a session that is just being begun is not stored then.
func (s Store) endLinked(ctx context.Context, t *bound.Tx, l *federation.Link) error {
	some, err := s.logins(ctx, t, l.Account, l.User)
	if err != nil {
		return err
	}
	for _, p := range some {
		p.Sessions = slices.DeleteFunc(p.Sessions, func(one people.Session) bool { return one.Provider == l.Provider })
		if err := t.Update(ctx, loginRow(&p)); err != nil {
			return err
		}
	}
	return nil
}

// removeLinks removes the links that a query finds, and answers them.
func (s Store) removeLinks(ctx context.Context, t *bound.Tx, where string, args ...any) ([]federation.Link, error) {
	all, err := bound.List(ctx, s.Store, t, linkRow, where, args...)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := t.Remove(ctx, linkRow(&all[i])); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Links implements federation.Store.
func (s Store) Links(ctx context.Context, account, provider string) ([]federation.Link, error) {
	return bound.List(ctx, s.Store, s.DB, linkRow, `WHERE account = $1 AND provider = $2 ORDER BY user_name`, account, provider)
}

// Linked implements people.Store.
func (s Store) Linked(ctx context.Context, account, user string) (bool, error) {
	some, err := bound.List(ctx, s.Store, s.DB, linkRow, `WHERE account = $1 AND user_name = $2 LIMIT 1`, account, user)
	return len(some) > 0, err
}

// LinkOf implements federation.Store.
func (s Store) LinkOf(ctx context.Context, account, provider, value string) (federation.Link, error) {
	some, err := bound.List(ctx, s.Store, s.DB, linkRow, `WHERE account = $1 AND provider = $2 AND value = $3`, account, provider, value)
	if err == nil && (len(some) != 1 || some[0].Value != value) { // whatever the database takes for equal
		err = fault.ResourceNotFound.New("nobody is linked with this value")
	}
	if err != nil {
		return federation.Link{}, err
	}
	return some[0], nil
}
