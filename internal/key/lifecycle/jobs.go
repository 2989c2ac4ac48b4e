package lifecycle

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
)

// minService is how long the service serves at least before a deletion that is planned
// anew, because nobody knows for how long it has waited.
const minService = 24 * time.Hour

// Plans answers when the key must be looked at, as all the jobs that must be planned.
func (s *Service) Plans(ctx context.Context, k key.Key) ([]job.Job, error) {
	if k.State != key.PendingDeletion {
		return k.Jobs(), nil
	}
	served, err := s.after(ctx, max(minService, k.DeleteAt.Sub(s.clock())))
	return append(k.Jobs(), job.Job{Kind: key.JobDelete, Account: k.Account, Subject: string(k.ID), Due: k.DeleteAt, Served: served}), err
}

// Handlers answers what keys do when their jobs are due.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{key.JobRotate: s.rotateDue, key.JobDelete: s.deleteDue}
}

// rotateDue rotates a key whose time has come; one that is suspended or gone is left alone.
func (s *Service) rotateDue(ctx context.Context, j job.Job) (again time.Time, err error) {
	k, err := s.store.Key(ctx, j.Account, key.ID(j.Subject))
	if fault.Is(err, fault.KeyNotFound) {
		return time.Time{}, nil
	}
	if err != nil || k.RotationStatus() != key.RotationEnabled {
		return time.Time{}, err
	}
	due := func(k key.Key) bool {
		return k.RotationStatus() == key.RotationEnabled && !s.now().Before(k.NextRotation())
	}
	if !due(k) {
		return k.NextRotation(), nil
	}
	return time.Time{}, s.do(ctx, key.Scheduler(j.Account, s.now()), "kms:RotateKey", func(rec *audit.Record) error {
		rec.Resource = s.ring.ARN(k)
		_, err := s.addVersion(ctx, rec, k.Account, k.ID, func(k key.Key) error {
			if !due(k) {
				return fault.StateConflict.New("the key is not due any more")
			}
			return nil
		})
		return err
	})
}

// deleteDue deletes a key whose promised time has come. It looks again at the key
// itself: a deletion that was cancelled or moved is not carried out.
func (s *Service) deleteDue(ctx context.Context, j job.Job) (again time.Time, err error) {
	for gone := false; !gone; {
		k, err := s.store.Key(ctx, j.Account, key.ID(j.Subject))
		if fault.Is(err, fault.KeyNotFound) {
			return time.Time{}, nil
		}
		if err != nil || k.State != key.PendingDeletion {
			return time.Time{}, err
		}
		if s.now().Before(k.DeleteAt) {
			return k.DeleteAt, nil
		}
		if err := s.destroy(ctx, &k); err != nil {
			return time.Time{}, err
		}
		err = s.do(ctx, key.Scheduler(j.Account, s.now()), "kms:DeleteKey", func(rec *audit.Record) (err error) {
			rec.Resource = s.ring.ARN(k)
			gone, err = s.store.DeleteKey(ctx, rec, &k)
			return err
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// destroy removes the material that is kept outside of the database. The row says first that
// there is none any more, so that whoever cancels the deletion meanwhile either comes before
// it, and nothing is destroyed, or is refused. The rows go last: while they stand, what
// failed is done again.
func (s *Service) destroy(ctx context.Context, k *key.Key) error {
	if k.ProtectionLevel == key.LevelSoftware {
		return nil
	}
	if !k.Empty {
		err := s.do(ctx, key.Scheduler(k.Account, s.now()), "kms:DeleteKeyMaterial", func(rec *audit.Record) error {
			rec.Resource = s.ring.ARN(*k)
			k.Empty = true
			return s.store.UpdateKeys(ctx, rec, nil, k)
		})
		if err != nil {
			return err
		}
	}
	keystore, err := s.ring.Keystore(ctx, *k)
	if err != nil {
		return err
	}
	return keystore.Destroy(ctx, *k)
}
