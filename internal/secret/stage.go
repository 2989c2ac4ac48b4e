package secret

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
)

// MoveInput says how a stage moves.
type MoveInput struct {
	Secret string // name or ARN
	Stage  Stage
	From   string // id of the version on which it must stand now; empty for any or none
	To     string // id of the version on which it will stand; empty to take it away
}

// MoveStage moves a stage to another version, or takes it away. A version from which
// [Current] moves away becomes the [Previous] one. Where the stage does not stand on
// From it is [fault.Changed], so that of two who move it only one succeeds.
func (s *Service) MoveStage(ctx context.Context, c *authz.Call, in MoveInput) (out Secret, err error) {
	err = s.do(ctx, c, "kms:UpdateSecretVersionStage", func(rec *audit.Record) error {
		found, err := s.Find(ctx, c, rec, in.Secret)
		if err != nil {
			return err
		}
		switch {
		case in.Stage == Previous:
			return fault.UnsupportedOperation.New("Unsupported operation. %s follows %s by itself.", Previous, Current)
		case in.Stage == Current && in.To == "":
			return fault.UnsupportedOperation.New("Unsupported operation. %s can be moved, but not taken away.", Current)
		}
		if err := checkStage(in.Stage); err != nil {
			return err
		}
		if in.To != "" {
			if _, err := s.store.SecretVersion(ctx, found.Account, found.ID, in.To); err != nil {
				return err
			}
		}
		if err := s.free(ctx, c, found, in.Stage); err != nil {
			return err
		}
		rec.Param("VersionStage", string(in.Stage))
		rec.Param("RemoveFromVersion", in.From)
		rec.Param("MoveToVersion", in.To)
		out, err = s.change(ctx, rec, found, func(sec *Secret) ([]job.Job, error) { return nil, sec.move(in) })
		return err
	})
	return audit.Kept(out, err)
}

// move moves a stage of the secret.
func (s *Secret) move(in MoveInput) error {
	if err := s.Usable(); err != nil {
		return err
	}
	if in.From != "" && s.At(in.Stage) != in.From {
		return fault.Changed.New("stage %s of secret %s does not stand where it was said to; look at its versions again", in.Stage, s.Name).Lasting()
	}
	if in.To == "" {
		s.unlabel(in.Stage)
		return nil
	}
	return s.label(in.Stage, in.To)
}

// Rollback makes an older version current again: the previous one, or the one that is
// named. The version that was current becomes the previous one, so that a rollback can
// be rolled back.
func (s *Service) Rollback(ctx context.Context, c *authz.Call, name, version string) (out Secret, err error) {
	err = s.do(ctx, c, "kms:UpdateSecretVersionStage", func(rec *audit.Record) error {
		found, err := s.Find(ctx, c, rec, name)
		if err != nil {
			return err
		}
		to := version
		if to == "" {
			if to = found.At(Previous); to == "" {
				return fault.StateConflict.New("secret %s has no previous version to go back to; name one of its versions", found.Name)
			}
		} else if err := CheckVersion(to); err != nil {
			return err
		}
		if to == found.At(Current) {
			return fault.StateConflict.New("version %s of secret %s is the current one already", to, found.Name)
		}
		if _, err := s.store.SecretVersion(ctx, found.Account, found.ID, to); err != nil {
			return err
		}
		if err := s.free(ctx, c, found, Current); err != nil {
			return err
		}
		from := found.At(Current)
		rec.Param("VersionStage", string(Current))
		rec.Param("RemoveFromVersion", from)
		rec.Param("MoveToVersion", to)
		out, err = s.change(ctx, rec, found, func(sec *Secret) ([]job.Job, error) {
			return nil, sec.move(MoveInput{Stage: Current, From: from, To: to})
		})
		return err
	})
	return audit.Kept(out, err)
}
