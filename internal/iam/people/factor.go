package people

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/totp"
)

// An Enrolment is the secret of a second factor, which is answered this once.
type Enrolment struct {
	Secret material.Bytes // as people type it into an authenticator app
	URI    material.Bytes // as an app reads it from a QR code
}

// EnrollMFA makes the secret of a second factor for the caller, who logged in. It has no
// effect until [Service.ConfirmMFA].
func (s *Service) EnrollMFA(ctx context.Context, call *authz.Call) (Enrolment, error) {
	op, refused := s.own(call, ActionEnrollMFA)
	return iam.Perform(ctx, op, func() (Enrolment, error) {
		if refused != nil {
			return Enrolment{}, refused
		}
		secret := totp.NewSecret()
		err := s.change(ctx, op, call.Name, func(p *Person) (err error) {
			if p.hasApp() {
				return fault.StateConflict.New("an authenticator app is set up already; remove it first with: keyward user mfa remove %s --factor %s", call.Name, App)
			}
			p.SecretAt = s.now()
			p.Secret, err = s.wrap(ctx, p, "secret", p.SecretAt, secret)
			return err
		})
		return Enrolment{
			Secret: material.NewBytes([]byte(totp.Text(secret))),
			URI:    material.NewBytes([]byte(totp.URI(secret, "keyward "+call.Account, call.Name))),
		}, err
	})
}

// ConfirmMFA proves with a code that the caller has the secret, and makes every later login
// need a code. Who has security keys must prove one in the same request. With the first of all
// factors it answers recovery codes, this once; each stands for a code one time.
func (s *Service) ConfirmMFA(ctx context.Context, call *authz.Call, code string) ([]material.Bytes, error) {
	op, refused := s.own(call, ActionConfirmMFA)
	return iam.Perform(ctx, op, func() ([]material.Bytes, error) {
		if refused != nil {
			return nil, refused
		}
		at := place{call.Account, loginOf(call.Name)}
		p, err := s.Store.Person(ctx, at.account, at.login)
		if err != nil {
			return nil, err
		}
		if p.hasApp() || len(p.Secret) == 0 {
			return nil, fault.StateConflict.New("no second factor waits for being confirmed; begin with: keyward user mfa enroll")
		}
		if p.HasMFA() && !call.Fresh { // before a code is used up
			return nil, needsProof()
		}
		if _, err := s.tryCode(ctx, p, code); err != nil {
			return nil, err
		}
		return s.addFactor(ctx, op, call.Fresh, func(now *Person) error {
			if !slices.Equal(now.Secret, p.Secret) {
				return fault.Changed.New("another second factor was begun meanwhile; confirm that one")
			}
			now.ConfirmedAt = s.now()
			return nil
		})
	})
}

// addFactor lets add give the caller a second factor. With the first one it answers recovery
// codes; for another one the caller must have proved one that there is.
func (s *Service) addFactor(ctx context.Context, op *iam.Operation, fresh bool, add func(*Person) error) (codes []material.Bytes, err error) {
	err = s.change(ctx, op, op.Call.Name, func(p *Person) error {
		codes = nil
		if p.HasMFA() && !fresh {
			return needsProof()
		}
		if !p.HasMFA() {
			codes, p.Recovery = newRecovery()
		}
		p.FactorsAt = s.now()
		return add(p)
	})
	return codes, err
}

// needsProof answers that another second factor is added only by whoever has the first.
func needsProof() error {
	return fault.MFARequired.New("there is a second factor already, which must be proved to add another one")
}

// newRecovery makes recovery codes, and what is kept of them.
func newRecovery() (codes []material.Bytes, digests []string) {
	codes, digests = make([]material.Bytes, RecoveryCodes), make([]string, RecoveryCodes)
	for i := range codes {
		codes[i] = material.NewBytes(grouped(16, 4))
		digests[i] = recoveryDigest(string(codes[i].Expose()))
	}
	return codes, digests
}

// RemoveMFA takes a second factor from a user, by its name, or all of them if that is empty,
// and ends the user's sessions. It needs what making an access key for the user needs.
func (s *Service) RemoveMFA(ctx context.Context, call *authz.Call, user, factor string) error {
	op := iam.Begin(s.Log, call, ActionRemoveMFA)
	return op.Run(ctx, func() error {
		if err := s.authorizeFor(ctx, op, user); err != nil {
			return err
		}
		return s.change(ctx, op, user, func(p *Person) error {
			if len(p.Secret) == 0 && len(p.Keys) == 0 {
				return fault.StateConflict.New("the user %q has no second factor", user)
			}
			if !p.removeFactor(factor) {
				return fault.ResourceNotFound.New("the user %q has no such second factor", user)
			}
			if factor != "" {
				op.Record.Param("Factor", factor)
			}
			p.Sessions, p.FactorsAt = nil, s.now()
			if !p.HasMFA() {
				p.Recovery = nil
			}
			return nil
		})
	})
}

// removeFactor takes a second factor from the person, all of them if its name is empty, and
// tells whether there was one.
func (p *Person) removeFactor(name string) bool {
	had := len(p.Keys)
	p.Keys = slices.DeleteFunc(p.Keys, func(k SecurityKey) bool { return name == "" || k.Name == name })
	found := len(p.Keys) < had
	if len(p.Secret) > 0 && (name == "" || name == App) {
		p.Secret, p.SecretAt, p.ConfirmedAt, found = nil, time.Time{}, time.Time{}, true
	}
	return found
}

// Prove uses up a code that came with a request, under its signature, and marks the call as
// fresh: this one request may do what is dangerous. It writes no record: that of the request
// tells of the code. Recovery codes are for logging in only.
func (s *Service) Prove(ctx context.Context, call *authz.Call, code string) error {
	p, err := s.prover(ctx, call)
	if err != nil {
		return err
	}
	if !p.hasApp() || !totp.WellFormed(code) {
		return wrong()
	}
	if _, err := s.tryCode(ctx, p, code); err != nil {
		return err
	}
	call.Fresh = true
	return nil
}

// tryCode is useCode for a caller whose attempts are not limited yet.
func (s *Service) tryCode(ctx context.Context, p Person, code string) (recovery string, err error) {
	key, err := s.key("code", p.Account, p.Login)
	if err != nil {
		return "", err
	}
	limits := []Limit{{key, freeOfPair, longest, true}}
	if err := s.charge(ctx, limits); err != nil {
		return "", err
	}
	recovery, err = s.useCode(ctx, p, code)
	s.settle(ctx, limits, err)
	return recovery, err
}

// useCode uses a code of a person's second factor up. A recovery code is answered as its
// digest, for the caller to strike out; a LoginFailed fault says that it is none.
func (s *Service) useCode(ctx context.Context, p Person, code string) (recovery string, err error) {
	if !totp.WellFormed(code) {
		if digest := recoveryDigest(code); slices.Contains(p.Recovery, digest) {
			return digest, nil
		}
		return "", wrong()
	}
	secret, err := s.unwrap(ctx, &p, "secret", p.SecretAt, p.Secret)
	if err != nil {
		return "", err
	}
	defer secret.Zero()
	step, found := totp.Match(secret, code, s.Now())
	if !found {
		return "", wrong()
	}
	key, err := s.key("step", p.Account, p.Login, p.SecretAt.Format(layout))
	if err != nil {
		return "", err
	}
	newer, err := s.Store.Advance(ctx, s.now(), key, step)
	if err == nil && !newer { // whoever says so has the secret, or saw somebody use the code
		err = fault.LoginFailed.New("this code of the second factor was used already; wait for the next one, at most 30 seconds, and use that")
	}
	return "", err
}

// strike takes a used recovery code, if it is one, from the person. Somebody may have been
// faster.
func (p *Person) strike(recovery string) error {
	if recovery == "" {
		return nil
	}
	i := slices.Index(p.Recovery, recovery)
	if i < 0 {
		return wrong()
	}
	p.Recovery = slices.Delete(p.Recovery, i, i+1)
	return nil
}

// recoveryDigest answers what is kept of a recovery code. It has 80 random bits, which no
// amount of trying finds, so that a plain digest is enough.
func recoveryDigest(code string) string {
	plain := strings.NewReplacer("-", "", " ", "").Replace(strings.ToLower(code))
	sum := sha256.Sum256([]byte("keyward-recovery/v1\n" + plain))
	return hex.EncodeToString(sum[:])
}

// key answers what something is counted under. Names that people type, which may be
// passwords in the wrong place, do not stand in it.
func (s *Service) key(parts ...string) (string, error) {
	digest, err := s.Digest([]byte("keyward-attempts/v1\x00" + strings.Join(parts, "\x00")))
	if err != nil {
		return "", fmt.Errorf("counting an attempt: %w", err)
	}
	return digest, nil
}
