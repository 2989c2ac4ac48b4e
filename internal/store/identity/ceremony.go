package identity

import (
	"context"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// Ceremonies are bound by their MAC only: they live for minutes, and the records of what
// they are for tell of them.
func ceremonyRow(c *people.Ceremony) bound.Row {
	return bound.Row{Table: "ceremony", Keys: 1, Rev: &c.Rev, Counted: "not bound to the log: who puts an older one back has a proof twice within its minutes, for the same request", Columns: []bound.Column{
		bound.Text("id", &c.ID),
		bound.Text("account", &c.Account),
		bound.Text("login", &c.Login),
		bound.Text("user_name", &c.User),
		bound.Text("purpose", &c.Purpose),
		bound.Text("session", &c.Session),
		bound.Flag("fresh", &c.Fresh),
		bound.Text("action", &c.Action),
		bound.Document("details", &c.Details),
		bound.Blob("digest", &c.Digest),
		bound.Text("source", &c.Source),
		bound.Instant("begun_at", &c.BegunAt),
		bound.Instant("expires_at", &c.ExpiresAt),
		bound.Text("state", &c.State),
		bound.Text("security_key", &c.Key),
		bound.Document("made", &c.Made),
	}}
}

// BeginCeremony implements people.Ceremonies.
func (s Store) BeginCeremony(ctx context.Context, rec *audit.Record, c *people.Ceremony) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if _, err := t.Exec(ctx, `DELETE FROM ceremony WHERE expires_at <= $1`, database.Micros(c.BegunAt)); err != nil {
			return err
		}
		if _, err := t.Exec(ctx, `DELETE FROM ceremony WHERE id IN (SELECT id FROM ceremony WHERE account = $1 AND login = $2 AND session = $3
			ORDER BY begun_at DESC, id LIMIT 1000 OFFSET $4)`, c.Account, c.Login, c.Session, people.MaxCeremonies-1); err != nil {
			return err
		}
		return t.Insert(ctx, ceremonyRow(c))
	})
}

// Ceremony implements people.Ceremonies.
func (s Store) Ceremony(ctx context.Context, id string) (people.Ceremony, error) {
	c := people.Ceremony{ID: id}
	err := s.LoadCounted(ctx, ceremonyRow(&c))
	if errors.Is(err, bound.ErrNoRow) {
		return people.Ceremony{}, fault.ResourceNotFound.New("there is no such approval")
	}
	return c, err
}

// AnswerCeremony implements people.Ceremonies.
func (s Store) AnswerCeremony(ctx context.Context, rec *audit.Record, c *people.Ceremony, p *people.Person) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, ceremonyRow(c)); err != nil || p == nil {
			return err
		}
		return t.Update(ctx, loginRow(p))
	})
}

// UseCeremony implements people.Ceremonies.
func (s Store) UseCeremony(ctx context.Context, c *people.Ceremony) error {
	return database.Unavailable(s.Apart(ctx, func(t *bound.Tx) error { return t.Remove(ctx, ceremonyRow(c)) }), "using a proof")
}
