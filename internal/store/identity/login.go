package identity

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

func loginRow(p *people.Person) bound.Row {
	return bound.Row{Table: "iam_person", Keys: 2, Rev: &p.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &p.Account),
		bound.Text("login", &p.Login),
		bound.Text("user_name", &p.User),
		bound.Blob("password", &p.Password),
		bound.Instant("password_at", &p.PasswordAt),
		bound.Flag("initial", &p.Initial),
		bound.Blob("secret", &p.Secret),
		bound.Instant("secret_at", &p.SecretAt),
		bound.Instant("confirmed_at", &p.ConfirmedAt),
		bound.Document("recovery", &p.Recovery),
		bound.Document("sessions", &p.Sessions),
		bound.Added(bound.Document("keys", &p.Keys)),
		bound.Added(bound.Instant("factors_at", &p.FactorsAt)),
	}}
}

// SavePerson implements people.Store. A new row is written with a hold on that of the user,
// so that whoever deletes the user waits and finds it, or was waited for.
func (s Store) SavePerson(ctx context.Context, rec *audit.Record, p *people.Person) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if p.Rev != 0 {
			return t.Update(ctx, loginRow(p))
		}
		n, err := t.Exec(ctx, `UPDATE iam_user SET rev = rev WHERE account = $1 AND name = $2`, p.Account, p.User)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Changed.New("the user %q was deleted meanwhile", p.User)
		}
		err = t.Insert(ctx, loginRow(p))
		if fault.Is(err, fault.ResourceExists) {
			err = fault.Changed.Wrap(err, "somebody else changed how the user logs in meanwhile; try again")
		}
		return err
	})
}

// deletePerson removes how a user, who is being deleted, logs in.
func (s Store) deletePerson(ctx context.Context, t *bound.Tx, u *iam.User) error {
	some, err := s.logins(ctx, t, u.Account, u.Name)
	if err != nil || len(some) == 0 {
		return err
	}
	return t.Remove(ctx, loginRow(&some[0]))
}

// Person implements people.Store.
func (s Store) Person(ctx context.Context, account, login string) (people.Person, error) {
	p := people.Person{Account: account, Login: login}
	err := s.Load(ctx, loginRow(&p))
	if errors.Is(err, bound.ErrNoRow) {
		return people.Person{}, fault.ResourceNotFound.New("nobody logs in by this name")
	}
	return p, err
}

// Charge implements people.Attempts. The rows are taken in one order by everybody, so that
// nobody waits in a circle.
func (s Store) Charge(ctx context.Context, now time.Time, limits []people.Limit) (until time.Time, err error) {
	sorted := slices.SortedFunc(slices.Values(limits), func(a, b people.Limit) int { return strings.Compare(a.Key, b.Key) })
	err = s.Apart(ctx, func(t *bound.Tx) error {
		if _, err := t.Exec(ctx, `DELETE FROM login_limit WHERE at < $1`, database.Micros(now.Add(-people.Forgotten))); err != nil {
			return err
		}
		for _, l := range sorted {
			if until, err = charge(ctx, t, now, l); err != nil || !until.IsZero() {
				return errors.Join(err, errWait)
			}
		}
		return nil
	})
	if errors.Is(err, errWait) && !until.IsZero() {
		return until, nil
	}
	return time.Time{}, database.Unavailable(err, "counting an attempt")
}

// errWait undoes what was counted of an attempt that must wait.
var errWait = errors.New("an attempt must wait")

func charge(ctx context.Context, t *bound.Tx, now time.Time, l people.Limit) (until time.Time, err error) {
	var attempts int
	err = t.QueryRowContext(ctx, `INSERT INTO login_limit (id, attempts, wait_until, step, at) VALUES ($1, 1, 0, 0, $2)
		ON CONFLICT (id) DO UPDATE SET attempts = login_limit.attempts + 1, at = $2 WHERE login_limit.wait_until <= $2
		RETURNING attempts`, l.Key, database.Micros(now)).Scan(&attempts)
	if errors.Is(err, sql.ErrNoRows) {
		err = t.QueryRowContext(ctx, `SELECT wait_until FROM login_limit WHERE id = $1`, l.Key).Scan((*database.Moment)(&until))
		return until, err
	}
	if err != nil {
		return time.Time{}, err
	}
	if wait := l.Wait(attempts); wait > 0 {
		_, err = t.Exec(ctx, `UPDATE login_limit SET wait_until = $1 WHERE id = $2`, database.Micros(now.Add(wait)), l.Key)
	}
	return time.Time{}, err
}

// Refund implements people.Attempts.
func (s Store) Refund(ctx context.Context, limits []people.Limit, success bool) error {
	sorted := slices.SortedFunc(slices.Values(limits), func(a, b people.Limit) int { return strings.Compare(a.Key, b.Key) })
	return database.Unavailable(s.Apart(ctx, func(t *bound.Tx) error {
		for _, l := range sorted {
			left := `attempts - 1`
			if success && l.Clears {
				left = `0`
			}
			if _, err := t.Exec(ctx, `UPDATE login_limit SET attempts = `+left+`, wait_until = 0 WHERE id = $1 AND attempts > 0`, l.Key); err != nil {
				return err
			}
		}
		return nil
	}), "taking an attempt back")
}

// Advance implements people.Attempts.
func (s Store) Advance(ctx context.Context, now time.Time, key string, step int64) (newer bool, err error) {
	err = s.Apart(ctx, func(t *bound.Tx) error {
		n, err := t.Exec(ctx, `INSERT INTO login_limit (id, attempts, wait_until, step, at) VALUES ($1, 0, 0, $2, $3)
			ON CONFLICT (id) DO UPDATE SET step = $2, at = $3 WHERE login_limit.step < $2`, key, step, database.Micros(now))
		newer = n == 1
		return err
	})
	return newer, database.Unavailable(err, "using a code")
}
