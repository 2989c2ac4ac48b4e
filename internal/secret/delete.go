package secret

import (
	"context"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
)

// JobDelete is the kind of job that deletes a secret when its window is over.
const JobDelete = "secret.delete"

// minService is how long the service serves at least before a deletion that is planned
// anew, because nobody knows for how long it has waited.
const minService = 24 * time.Hour

// DeleteInput is what Delete takes.
type DeleteInput struct {
	Secret string // name or ARN
	Days   int    // in which it can be restored, 7 to 30; 0 means 30
	Force  bool   // delete it now, for ever; then Days is 0
}

// Delete has a secret deleted after some days, never earlier, and not before the service
// has served for as long: neither a wrong clock nor a long outage takes the time away in
// which it can be restored. Until then its value cannot be read. With Force it is deleted
// at once and cannot be restored; then the answer's DeleteAt is the moment of that.
func (s *Service) Delete(ctx context.Context, c *authz.Call, in DeleteInput) (out Secret, err error) {
	err = s.do(ctx, c, "kms:DeleteSecret", func(rec *audit.Record) error {
		found, err := s.Find(ctx, c, rec, in.Secret)
		if err != nil {
			return err
		}
		if err := s.free(ctx, c, found, Current); err != nil {
			return err
		}
		if in.Force {
			if in.Days != 0 {
				return fault.InvalidParameter.New("The specified parameter RecoveryWindowInDays is not valid. A secret that is deleted at once has no recovery window.")
			}
			rec.Param("ForceDeleteWithoutRecovery", "true")
			out, err = s.remove(ctx, rec, found)
			return err
		}
		if in.Days == 0 {
			in.Days = MaxWindow
		}
		if in.Days < MinWindow || in.Days > MaxWindow {
			return fault.InvalidParameter.New("The specified parameter RecoveryWindowInDays is not valid. It must be between %d and %d.", MinWindow, MaxWindow)
		}
		rec.Param("RecoveryWindowInDays", strconv.Itoa(in.Days))
		out, err = s.change(ctx, rec, found, func(sec *Secret) ([]job.Job, error) {
			if err := sec.Usable(); err != nil {
				return nil, err
			}
			window := time.Duration(in.Days) * 24 * time.Hour
			served, err := s.after(ctx, window)
			if err != nil {
				return nil, err
			}
			sec.DeleteAt = s.clock().Add(window)
			return []job.Job{{Kind: JobDelete, Account: sec.Account, Subject: sec.Name, Due: sec.DeleteAt, Served: served}}, nil
		})
		return err
	})
	return audit.Kept(out, err)
}

// remove deletes a secret now.
func (s *Service) remove(ctx context.Context, rec *audit.Record, found Secret) (fresh Secret, err error) {
	err = rec.Again(func() error {
		if fresh, err = s.fresh(ctx, found); err != nil {
			return err
		}
		return s.store.DeleteSecret(ctx, rec, &fresh)
	})
	fresh.DeleteAt = s.clock()
	return fresh, err
}

// Restore keeps a secret that is about to be deleted.
func (s *Service) Restore(ctx context.Context, c *authz.Call, name string) (out Secret, err error) {
	err = s.do(ctx, c, "kms:RestoreSecret", func(rec *audit.Record) error {
		found, err := s.Find(ctx, c, rec, name)
		if err != nil {
			return err
		}
		out, err = s.change(ctx, rec, found, func(sec *Secret) ([]job.Job, error) {
			if sec.DeleteAt.IsZero() {
				return nil, fault.StateConflict.New("secret %s is not about to be deleted", sec.Name)
			}
			sec.DeleteAt = time.Time{}
			return nil, nil
		})
		return err
	})
	return audit.Kept(out, err)
}

// Handlers answers what looks at jobs about secrets.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{JobDelete: s.deleteDue}
}

// deleteDue deletes a secret whose promised time has come. It looks again at the secret
// itself: a deletion that was cancelled or moved is not carried out.
func (s *Service) deleteDue(ctx context.Context, j job.Job) (again time.Time, err error) {
	found, err := s.store.Secret(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, nil
	}
	if err != nil || found.DeleteAt.IsZero() {
		return time.Time{}, err
	}
	if s.now().Before(found.DeleteAt) {
		return found.DeleteAt, nil
	}
	return time.Time{}, s.do(ctx, s.self(j.Account), "kms:DeleteSecret", func(rec *audit.Record) error {
		rec.Resource = s.ARN(found.Account, found.Name)
		return s.store.DeleteSecret(ctx, rec, &found)
	})
}

// Plans answers when the secret must be looked at, as all the jobs that must be planned.
func (s *Service) Plans(ctx context.Context, of Secret) ([]job.Job, error) {
	if of.DeleteAt.IsZero() {
		return nil, nil
	}
	served, err := s.after(ctx, max(minService, of.DeleteAt.Sub(s.clock())))
	return []job.Job{{Kind: JobDelete, Account: of.Account, Subject: of.Name, Due: of.DeleteAt, Served: served}}, err
}
