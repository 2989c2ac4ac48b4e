package people

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
)

// An Initial password is answered this once.
type Initial struct {
	Password  material.Bytes
	ExpiresAt time.Time
}

// SetPassword gives a user a password that the first login must replace, and ends the
// user's sessions. It needs what making an access key for the user needs.
func (s *Service) SetPassword(ctx context.Context, call *authz.Call, user string) (Initial, error) {
	op := iam.Begin(s.Log, call, ActionSetPassword)
	return iam.Perform(ctx, op, func() (Initial, error) {
		if err := s.authorizeFor(ctx, op, user); err != nil {
			return Initial{}, err
		}
		made := material.NewBytes(newInitial())
		hash, err := s.Hasher.Hash(ctx, made)
		if err != nil {
			return Initial{}, err
		}
		var out Initial
		err = s.change(ctx, op, user, func(p *Person) error {
			p.Initial, p.Sessions, p.PasswordAt = true, nil, s.now()
			out = Initial{made, p.PasswordAt.Add(InitialLife)}
			p.Password, err = s.wrap(ctx, p, "password", p.PasswordAt, hash)
			return err
		})
		return out, err
	})
}

// RemovePassword lets a user log in no more, and ends the user's sessions.
func (s *Service) RemovePassword(ctx context.Context, call *authz.Call, user string) error {
	op := iam.Begin(s.Log, call, ActionRemovePassword)
	return op.Run(ctx, func() error {
		if err := op.AuthorizeChange(user); err != nil {
			return err
		}
		return s.change(ctx, op, user, func(p *Person) error {
			if len(p.Password) == 0 {
				return fault.StateConflict.New("the user %q has no password", user)
			}
			p.Password, p.Initial, p.Sessions = nil, false, nil
			return nil
		})
	})
}

// wrap seals a value of a person, unwrap opens it.
func (s *Service) wrap(ctx context.Context, p *Person, what string, at time.Time, value material.Bytes) ([]byte, error) {
	tenant, err := s.IAM.Tenant(ctx, p.Account)
	if err != nil {
		return nil, err
	}
	return tenant.Wrap(p.binding(what, at), value)
}

func (s *Service) unwrap(ctx context.Context, p *Person, what string, at time.Time, wrapped []byte) (material.Bytes, error) {
	tenant, err := s.IAM.Tenant(ctx, p.Account)
	if err != nil {
		return material.Bytes{}, err
	}
	return tenant.Unwrap(p.binding(what, at), wrapped)
}

// Inspect tells whether what is wrapped of a person opens. It is for the scrub.
func (s *Service) Inspect(ctx context.Context, p Person) error {
	for _, v := range []struct {
		what    string
		at      time.Time
		wrapped []byte
	}{{"password", p.PasswordAt, p.Password}, {"secret", p.SecretAt, p.Secret}} {
		if len(v.wrapped) == 0 {
			continue
		}
		value, err := s.unwrap(ctx, &p, v.what, v.at, v.wrapped)
		if err != nil {
			return err
		}
		value.Zero()
	}
	return nil
}

// legible has 32 characters that nobody takes for one another.
const legible = "abcdefghijkmnpqrstuvwxyz23456789"

// newInitial makes an initial password of 100 random bits.
func newInitial() []byte { return grouped(20, 5) }

// grouped makes a text of n random characters, with a hyphen between groups of a size.
func grouped(n, size int) []byte {
	random := make([]byte, n)
	rand.Read(random)                  // never fails: crypto/rand ends the process instead
	out := make([]byte, 0, n+n/size-1) // one allocation: growing would leave copies behind
	for i, b := range random {
		if i > 0 && i%size == 0 {
			out = append(out, '-')
		}
		out = append(out, legible[b%byte(len(legible))])
	}
	clear(random)
	return out
}
