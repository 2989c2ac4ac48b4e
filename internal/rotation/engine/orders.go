package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/secret"
)

// maxCause is how long the cause of a rotation may be, in bytes.
const maxCause = 500

// StartInput says why and how a rotation is started.
type StartInput struct {
	Plan    string
	Profile rotation.Profile // "" for Planned
	Cause   string           // for people
	// Late starts it although it cannot end before the old key expires.
	Late bool
}

// Start begins a rotation of a plan.
func (s *Service) Start(ctx context.Context, c *authz.Call, in StartInput) (out rotation.Rotation, err error) {
	err = s.do(ctx, c, "keyward:StartRotation", in.Plan, func(rec *audit.Record) error {
		if in.Profile == "" {
			in.Profile = rotation.Planned
		}
		if in.Profile != rotation.Planned && in.Profile != rotation.Emergency {
			return fault.InvalidParameter.New("the profile is %s or %s", rotation.Planned, rotation.Emergency)
		}
		if len(in.Cause) > maxCause {
			return fault.InvalidParameter.New("the cause has more than %d bytes", maxCause)
		}
		p, err := s.o.Store.Plan(ctx, c.Account, in.Plan)
		if err != nil {
			return err
		}
		out, err = s.begin(ctx, rec, p, in)
		return err
	})
	if err != nil {
		return rotation.Rotation{}, err
	}
	return out, nil
}

// begin stores a new rotation.
func (s *Service) begin(ctx context.Context, rec *audit.Record, p rotation.Plan, in StartInput) (rotation.Rotation, error) {
	rec.Param("Profile", string(in.Profile))
	rec.Param("Cause", in.Cause)
	if err := s.free(ctx, p); err != nil {
		return rotation.Rotation{}, err
	}
	m, err := s.means(ctx, p)
	if err != nil {
		return rotation.Rotation{}, err
	}
	if err := s.alone(ctx, p, m); err != nil {
		return rotation.Rotation{}, err
	}
	f, err := s.forecast(ctx, p, m)
	if err != nil {
		return rotation.Rotation{}, err
	}
	terms := p.Terms(m, in.Profile)
	sec, err := s.secret(ctx, p.Account, p.Secret)
	if err != nil {
		return rotation.Rotation{}, err
	}
	now := s.now()
	r := rotation.Rotation{
		Account: p.Account, ID: newID(), Plan: p.Name, Rollout: p.Rollout, Machine: rotation.Machine, Terms: terms, Step: rotation.Waiting, Since: now,
		Old: rotation.Key{ID: p.Key, Version: sec.At(secret.Current)}, Cause: in.Cause, StartAt: now, FinishBy: f.Expires, CreatedAt: now, ChangedAt: now,
	}
	if p.Rollout != "" {
		ro, _, err := s.o.Rollouts.Members(ctx, p.Account, p.Rollout)
		if err != nil {
			return r, err
		}
		r.Base = ro.Top()
		r.Terms.Uses = ro.Level == rollout.Used
		if r.Terms.Waves, err = matchWaves(terms.Waves, ro.Waves); err != nil {
			return r, err
		}
	}
	if err := fits(r.Terms); err != nil {
		return r, err
	}
	if !in.Late {
		err = inTime(r, p.Care, now, fault.Say(", or begin it all the same with --late: the key's death then cuts short what does not fit; --emergency has waves bake for a minute and a grace of 15"))
	}
	if err != nil {
		return r, err
	}
	// With the plan: whoever deletes or changes it at the same moment, having seen no rotation, loses, or this one.
	return r, s.o.Store.SaveRotation(ctx, rec, &r, &p, s.soon(r))
}

// fits refuses waves that do not fit into the time that the provider lets both keys live.
func fits(t rotation.Terms) error {
	began := time.Time{}
	needed := rotation.Rotation{Terms: t, Step: rotation.Waiting}.Needs(began).Sub(began)
	switch m := t.Means; {
	case m.Overlap > 0 && t.Rolls() > m.Overlap/2:
		return fault.StateConflict.New("the provider lets the old key live for %s, and the waves take %s, which is more than the half of it: shorten bake and confirm", m.Overlap, t.Rolls())
	case m.Overlap > 0 && needed > m.Overlap:
		return fault.StateConflict.New("the provider lets the old key live for %s, and the waves and the grace period take %s: shorten bake, confirm and grace", m.Overlap, needed)
	}
	return nil
}

// inTime refuses a rotation whose old key would die, as it is planned, while it is needed. Otherwise
// is what a person can do beside shortening what is long.
func inTime(r rotation.Rotation, c rotation.Care, now time.Time, otherwise fault.Text) error {
	needed := c.Needs(r, now)
	if r.FinishBy.IsZero() || !needed.After(r.FinishBy) {
		return nil
	}
	rolls, all := r.Terms.Rolls(), r.Needs(now).Sub(now)
	windows := needed.Sub(now) - all
	return fault.StateConflict.New("the key expires at %s and is needed until %s, which is %s longer: windows take %s, the waves %s, grace %s; shorten bake, confirm and grace%s",
		r.FinishBy.Format(time.RFC3339), needed.Format(time.RFC3339), needed.Sub(r.FinishBy).Round(time.Second), windows.Round(time.Second), rolls, all-rolls, otherwise)
}

func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

// soon plans a look at a rotation now.
func (s *Service) soon(r rotation.Rotation) []job.Job {
	return []job.Job{{Kind: JobStep, Account: r.Account, Subject: r.ID, Due: s.now(), Hasten: true}}
}

// Rotation answers a rotation: the one with an id, or the one of a plan that is under way or
// was the last.
func (s *Service) Rotation(ctx context.Context, c *authz.Call, name string) (out rotation.Rotation, err error) {
	err = s.do(ctx, c, "keyward:DescribeRotation", name, func(rec *audit.Record) error {
		r, err := s.find(ctx, c, rec, name)
		if err == nil && r.Plan != name { // policies name plans, and it was asked for by its id
			err = rec.Permit(c, authz.Request{Resource: s.ARN(c.Account, r.Plan)})
		}
		if err == nil {
			out = r
		}
		return err
	})
	return out, err
}

// find answers a rotation by its id or its plan; in the record it has its plan's name.
func (s *Service) find(ctx context.Context, c *authz.Call, rec *audit.Record, name string) (rotation.Rotation, error) {
	some, err := s.o.Store.Rotations(ctx, c.Account, name, 1)
	if err != nil {
		return rotation.Rotation{}, err
	}
	if len(some) == 0 {
		return rotation.Rotation{}, fault.ResourceNotFound.New("plan %q has no rotation; start one", name)
	}
	rec.Param("Rotation", some[0].ID)
	return some[0], nil
}

// Rotations answers the rotations of a plan, of all plans if it is "", the newest first.
func (s *Service) Rotations(ctx context.Context, c *authz.Call, plan string, limit int) (out []rotation.Rotation, err error) {
	resource := plan
	if plan == "" {
		resource = "*"
	}
	err = s.do(ctx, c, "keyward:ListRotations", resource, func(*audit.Record) error {
		if limit < 1 || limit > 1000 {
			return fault.InvalidParameter.New("a list has 1 to 1000 rotations")
		}
		some, err := s.o.Store.Rotations(ctx, c.Account, plan, limit)
		for _, r := range some {
			if plan == "" || r.Plan == plan { // not by the id of one, about which no policy was asked
				out = append(out, r)
			}
		}
		return err
	})
	return out, err
}

// Approve lets the last rotation of a plan go on where it waits for an approval.
func (s *Service) Approve(ctx context.Context, c *authz.Call, plan string) (rotation.Rotation, error) {
	return s.order(ctx, c, "keyward:ApproveRotation", plan, rotation.Rotation.Approve)
}

// Pause keeps it where it is; an act that is under way comes to its end.
func (s *Service) Pause(ctx context.Context, c *authz.Call, plan string) (rotation.Rotation, error) {
	return s.order(ctx, c, "keyward:PauseRotation", plan, rotation.Rotation.Pause)
}

// Resume lets it go on after a pause, or after it has halted.
func (s *Service) Resume(ctx context.Context, c *authz.Call, plan string) (rotation.Rotation, error) {
	return s.order(ctx, c, "keyward:ResumeRotation", plan, rotation.Rotation.Resume)
}

// Confirm says that a person has done at a console what it waits for.
func (s *Service) Confirm(ctx context.Context, c *authz.Call, plan string) (rotation.Rotation, error) {
	return s.order(ctx, c, "keyward:ConfirmRotation", plan, rotation.Rotation.Confirm)
}

// RollBack has it undone, if that is still possible.
func (s *Service) RollBack(ctx context.Context, c *authz.Call, plan, why string) (rotation.Rotation, error) {
	if len(why) > maxCause {
		return rotation.Rotation{}, fault.InvalidParameter.New("the reason has more than %d bytes", maxCause)
	}
	return s.order(ctx, c, "keyward:RollBackRotation", plan, func(r rotation.Rotation, by string, now time.Time) (rotation.Rotation, error) {
		return r.Rollback(by, why, now)
	})
}

// order changes a rotation as a person says.
func (s *Service) order(ctx context.Context, c *authz.Call, action, plan string, change func(r rotation.Rotation, by string, now time.Time) (rotation.Rotation, error)) (out rotation.Rotation, err error) {
	err = s.do(ctx, c, action, plan, func(rec *audit.Record) error {
		return rec.Again(func() error {
			r, err := s.find(ctx, c, rec, plan)
			if err == nil && r.Plan != plan { // the id of one, about which no policy was asked
				err = fault.ResourceNotFound.New("there is no plan %q", plan)
			}
			if err != nil {
				return err
			}
			if out, err = change(r, c.ARN(), s.now()); err != nil {
				return err
			}
			p, err := s.o.Store.Plan(ctx, out.Account, out.Plan)
			if err != nil {
				return err
			}
			return s.o.Store.SaveRotation(ctx, rec, &out, s.renewed(p, out), s.soon(out))
		})
	})
	if err != nil {
		return rotation.Rotation{}, err
	}
	return out, nil
}
