package store

import (
	"context"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/people"
)

// Ceremonies are bound by their MAC only: they live for minutes, and the records of what
// they are for tell of them.
func ceremonyRow(c *people.Ceremony) row {
	return row{table: "ceremony", keys: 1, rev: &c.Rev, counted: true, columns: []column{
		text("id", &c.ID),
		text("account", &c.Account),
		text("login", &c.Login),
		text("user_name", &c.User),
		text("purpose", &c.Purpose),
		text("session", &c.Session),
		flag("fresh", &c.Fresh),
		text("action", &c.Action),
		document("details", &c.Details),
		blob("digest", &c.Digest),
		text("source", &c.Source),
		instant("begun_at", &c.BegunAt),
		instant("expires_at", &c.ExpiresAt),
		text("state", &c.State),
		text("security_key", &c.Key),
		document("made", &c.Made),
	}}
}

// BeginCeremony implements people.Ceremonies.
func (s *Store) BeginCeremony(ctx context.Context, rec *audit.Record, c *people.Ceremony) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `DELETE FROM ceremony WHERE expires_at <= $1`, micros(c.BegunAt)); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM ceremony WHERE id IN (SELECT id FROM ceremony WHERE account = $1 AND login = $2 AND session = $3
			ORDER BY begun_at DESC, id LIMIT 1000 OFFSET $4)`, c.Account, c.Login, c.Session, people.MaxCeremonies-1); err != nil {
			return err
		}
		return t.insert(ctx, s.keys, ceremonyRow(c))
	})
}

// Ceremony implements people.Ceremonies.
func (s *Store) Ceremony(ctx context.Context, id string) (people.Ceremony, error) {
	c := people.Ceremony{ID: id}
	_, err := s.read(ctx, ceremonyRow(&c))
	if errors.Is(err, errNoRow) {
		return people.Ceremony{}, fault.ResourceNotFound.New("there is no such approval")
	}
	return c, err
}

// AnswerCeremony implements people.Ceremonies.
func (s *Store) AnswerCeremony(ctx context.Context, rec *audit.Record, c *people.Ceremony, p *people.Person) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, ceremonyRow(c)); err != nil || p == nil {
			return err
		}
		return t.update(ctx, s.keys, loginRow(p))
	})
}

// UseCeremony implements people.Ceremonies.
func (s *Store) UseCeremony(ctx context.Context, c *people.Ceremony) error {
	return unavailable(s.db.apart(ctx, func(t *tx) error { return t.remove(ctx, ceremonyRow(c)) }), "using a proof")
}
