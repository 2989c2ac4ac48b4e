package rollout

import (
	"context"
	"slices"
	"strconv"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

// A Draft is what a person says of a rollout.
type Draft struct {
	Secret  string      // name; of a rollout that is there it cannot change
	Members []form.Pair // labels that its nodes have; none for all nodes
	Waves   []Wave      // none for one wave of all
	Level   Level       // "" for Used
}

// Create makes a rollout and publishes the secret's current version to all of its waves at
// once. Whoever does hands the secret on: that takes kms:GetSecretValue on it.
func (s *Service) Create(ctx context.Context, c *authz.Call, name string, d Draft) (out Rollout, err error) {
	err = s.do(ctx, c, "keyward:CreateRollout", s.ARN(c.Account, "rollout", name), func(rec *audit.Record) error {
		if err := checkName(fault.Say("rollout"), name); err != nil {
			return err
		}
		version, err := s.mayHandOn(ctx, c, d.Secret, "")
		if err != nil {
			return err
		}
		if d, err = d.check(); err != nil {
			return err
		}
		have, err := s.plans.Get(ctx, c.Account)
		if err != nil {
			return err
		}
		if len(have) >= MaxRollouts {
			return fault.LimitExceeded.New("the account has %d rollouts, which is the limit", MaxRollouts)
		}
		now := s.clock()
		out = Rollout{
			Account: c.Account, Name: name, Secret: d.Secret, Members: d.Members, Waves: d.Waves, Level: d.Level, CreatedAt: now, ChangedAt: now,
		}
		out.publish(Generation{Number: 1, Primary: version})
		rec.Param("Secret", d.Secret)
		rec.Param("VersionId", version)
		return s.o.Plans.CreateRollout(ctx, rec, &out)
	})
	if err != nil {
		return Rollout{}, err
	}
	return out, nil
}

// mayHandOn asks the caller's policies whether he may read a secret, and answers the id of
// the version that is to be delivered.
func (s *Service) mayHandOn(ctx context.Context, c *authz.Call, name, version string) (string, error) {
	if name == "" {
		return "", fault.MissingParameter.New("name the secret that is to be delivered")
	}
	resource := s.o.Secrets.ARN(c.Account, name)
	if _, err := c.Check(authz.Request{Action: "kms:GetSecretValue", Resource: resource}); err != nil {
		return "", fault.NoPermission.Wrap(err, "%s may not perform kms:GetSecretValue on %s, and so may not have it delivered", c.ARN(), resource)
	}
	return s.o.Secrets.VersionFor(ctx, c.Account, name, version)
}

// check fills in what a draft leaves out and refuses what makes no sense.
func (d Draft) check() (Draft, error) {
	if d.Level == "" {
		d.Level = Used
	}
	if d.Level != Used && d.Level != Applied {
		return d, fault.InvalidParameter.New("a rollout's level is %s or %s", Used, Applied)
	}
	if len(d.Waves) == 0 {
		d.Waves = []Wave{{Name: "all"}}
	}
	if len(d.Waves) > MaxWaves {
		return d, fault.LimitExceeded.New("a rollout has at most %d waves", MaxWaves)
	}
	var err error
	if d.Members, err = labels(d.Members); err != nil {
		return d, err
	}
	d.Waves = slices.Clone(d.Waves)
	for i := range d.Waves {
		w := &d.Waves[i]
		if !wavePattern().MatchString(w.Name) {
			return d, fault.InvalidParameter.New("the name of a wave has lower-case letters, digits and hyphens, at most 63")
		}
		if slices.ContainsFunc(d.Waves[:i], func(o Wave) bool { return o.Name == w.Name }) {
			return d, fault.InvalidParameter.New("there are two waves %s", w.Name)
		}
		if w.Percent < 0 || w.Percent > 99 {
			return d, fault.InvalidParameter.New("wave %s takes 1 to 99 percent, or without a percentage all", w.Name)
		}
		if w.Labels, err = labels(w.Labels); err != nil {
			return d, err
		}
	}
	if last := d.Waves[len(d.Waves)-1]; last.Percent != 0 || len(last.Labels) != 0 {
		return d, fault.InvalidParameter.New("the last wave, %s, must take every member that no other took: give it neither labels nor a percentage, or add a wave behind it", last.Name)
	}
	return d, nil
}

// publish gives all waves a generation.
func (r *Rollout) publish(g Generation) {
	r.Now = slices.Repeat([]Generation{g}, len(r.Waves))
}

// Update changes who the members of a rollout are, its waves and its level. A wave keeps its
// generation by its name; one that is new begins with that of the last wave before.
func (s *Service) Update(ctx context.Context, c *authz.Call, name string, d Draft) (Rollout, error) {
	return s.change(ctx, c, "keyward:UpdateRollout", name, func(_ *audit.Record, r *Rollout) error {
		if d.Secret != "" && d.Secret != r.Secret {
			return fault.InvalidParameter.New("a rollout delivers one secret for ever; make another rollout for %s", d.Secret)
		}
		if _, err := s.mayHandOn(ctx, c, r.Secret, ""); err != nil {
			return err
		}
		checked, err := d.check()
		if err != nil {
			return err
		}
		now := make([]Generation, len(checked.Waves))
		for i, w := range checked.Waves {
			at := slices.IndexFunc(r.Waves, func(o Wave) bool { return o.Name == w.Name })
			if at < 0 {
				at = len(r.Waves) - 1
			}
			now[i] = r.Now[at]
		}
		r.Members, r.Waves, r.Level, r.Now = checked.Members, checked.Waves, checked.Level, now
		return nil
	})
}

// Publish gives all waves of a rollout a version of its secret at once, the current one for
// "". What was primary in the last wave is the fallback.
func (s *Service) Publish(ctx context.Context, c *authz.Call, name, version string) (Rollout, error) {
	return s.change(ctx, c, "keyward:PublishRollout", name, func(rec *audit.Record, r *Rollout) error {
		id, err := s.mayHandOn(ctx, c, r.Secret, version)
		if err != nil {
			return err
		}
		next := Generation{Number: r.Top() + 1, Primary: id}
		if last := r.Now[len(r.Now)-1]; last.Primary != id {
			next.Fallback = last.Primary
		} else {
			next.Fallback = last.Fallback
		}
		r.publish(next)
		rec.Param("VersionId", id)
		rec.Param("Generation", strconv.FormatInt(next.Number, 10))
		return nil
	})
}

// change lets edit change a rollout that no rotation owns.
func (s *Service) change(ctx context.Context, c *authz.Call, action, name string, edit func(*audit.Record, *Rollout) error) (out Rollout, err error) {
	err = s.do(ctx, c, action, s.ARN(c.Account, "rollout", name), func(rec *audit.Record) error {
		return rec.Again(func() error {
			if out, err = s.find(ctx, c.Account, name); err != nil {
				return err
			}
			if err := out.free(); err != nil {
				return err
			}
			if err := edit(rec, &out); err != nil {
				return err
			}
			out.ChangedAt = s.clock()
			return s.o.Plans.UpdateRollout(ctx, rec, &out)
		})
	})
	if err != nil {
		return Rollout{}, err
	}
	return out, nil
}

// free refuses what people may not do while a rotation is at it.
func (r Rollout) free() error {
	if r.Owner != "" {
		return fault.StateConflict.New("the rotation %s publishes to rollout %s now; wait until it is over, or take it back", r.Owner, r.Name)
	}
	return nil
}

// find answers a rollout, as it was before this call or later.
func (s *Service) find(ctx context.Context, account, name string) (Rollout, error) {
	all, err := s.o.Plans.Rollouts(ctx, account)
	if err != nil {
		return Rollout{}, err
	}
	return pick(all, name)
}

func pick(all []Rollout, name string) (Rollout, error) {
	if i := slices.IndexFunc(all, func(r Rollout) bool { return r.Name == name }); i >= 0 {
		r := all[i]
		r.Now = slices.Clone(r.Now) // others may have read the same list
		return r, nil
	}
	return Rollout{}, fault.ResourceNotFound.New("there is no rollout %q; list them with: keyward rollout list", name)
}

// Rollouts answers all rollouts of the account, by name.
func (s *Service) Rollouts(ctx context.Context, c *authz.Call) (out []Rollout, err error) {
	err = s.do(ctx, c, "keyward:ListRollouts", s.ARN(c.Account, "rollout", "*"), func(*audit.Record) error {
		out, err = s.o.Plans.Rollouts(ctx, c.Account)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Rollout answers one rollout.
func (s *Service) Rollout(ctx context.Context, c *authz.Call, name string) (out Rollout, err error) {
	err = s.do(ctx, c, "keyward:GetRollout", s.ARN(c.Account, "rollout", name), func(*audit.Record) error {
		out, err = s.find(ctx, c.Account, name)
		return err
	})
	if err != nil {
		return Rollout{}, err
	}
	return out, nil
}

// Remove ends a rollout, unless rotations need it: its nodes stop delivering the secret and keep
// nothing of it.
func (s *Service) Remove(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:RemoveRollout", s.ARN(c.Account, "rollout", name), func(rec *audit.Record) error {
		return rec.Again(func() error {
			r, err := s.find(ctx, c.Account, name)
			if err != nil {
				return err
			}
			if err := r.free(); err != nil {
				return err
			}
			return s.o.Plans.DeleteRollout(ctx, rec, &r)
		})
	})
}
