package people

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

// Prover answers a user of an account and since when the user has had the second factors that
// could be proved now; a zero time if the user is not there, is disabled, or cannot log in with one.
func (s *Service) Prover(ctx context.Context, account, user string) (u iam.User, since time.Time, err error) {
	u, err = s.IAM.User(ctx, account, user)
	if fault.Is(err, fault.ResourceNotFound) || fault.Is(err, fault.InvalidParameter) {
		return iam.User{}, time.Time{}, nil
	}
	if err != nil || !u.Enabled {
		return u, time.Time{}, err
	}
	p, err := s.person(ctx, u)
	if err != nil || !p.HasMFA() {
		return u, time.Time{}, err
	}
	if len(p.Password) == 0 {
		if linked, err := s.Store.Linked(ctx, account, u.Name); err != nil || !linked {
			return u, time.Time{}, err
		}
	}
	if p.FactorsAt.After(p.ConfirmedAt) {
		return u, p.FactorsAt, nil
	}
	return u, p.ConfirmedAt, nil
}
