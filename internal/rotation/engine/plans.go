package engine

import (
	"context"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/secret"
)

// A Forecast is a plan with what it comes to.
type Forecast struct {
	Plan     rotation.Plan
	Means    rotation.Means
	Terms    rotation.Terms // of a planned rotation that would begin now
	Expires  time.Time      // the key; zero if nobody knows
	Due      time.Time      // when the next rotation is to begin; zero for never by itself
	Latest   time.Time      // when it can begin at the latest and end well; zero for any time
	UnderWay string         // id of the rotation that is; "" for none
}

// SavePlan stores a new plan, or a changed one if its Rev is not 0, after it was tried
// against the provider, the secret and the rollout. Nothing is changed there. A plan
// without a key gets the one whose id stands in the secret.
func (s *Service) SavePlan(ctx context.Context, c *authz.Call, p rotation.Plan) (out Forecast, err error) {
	p.Account = c.Account
	action := "keyward:CreateRotationPlan"
	if p.Rev != 0 {
		action = "keyward:UpdateRotationPlan"
	}
	err = s.do(ctx, c, action, p.Name, func(rec *audit.Record) error {
		out, err = s.keep(ctx, c, rec, p)
		return err
	})
	if err != nil {
		return Forecast{}, err
	}
	return out, nil
}

// AmendPlan changes a plan as a caller says who need not have seen it before.
func (s *Service) AmendPlan(ctx context.Context, c *authz.Call, name string, amend func(*rotation.Plan) error) (out Forecast, err error) {
	err = s.do(ctx, c, "keyward:UpdateRotationPlan", name, func(rec *audit.Record) error {
		p, err := s.o.Store.Plan(ctx, c.Account, name)
		if err != nil {
			return err
		}
		if err := amend(&p); err != nil {
			return err
		}
		out, err = s.keep(ctx, c, rec, p)
		return err
	})
	if err != nil {
		return Forecast{}, err
	}
	return out, nil
}

// keep tries a plan, answers what it comes to, and stores it.
func (s *Service) keep(ctx context.Context, c *authz.Call, rec *audit.Record, p rotation.Plan) (out Forecast, err error) {
	rec.Param("Provider", p.Source)
	rec.Param("Secret", p.Secret)
	rec.Param("Rollout", p.Rollout)
	if err := s.mayReplace(c, p); err != nil {
		return out, err
	}
	if err := s.admit(ctx, p); err != nil {
		return out, err
	}
	m, err := s.try(ctx, &p)
	if err != nil {
		return out, err
	}
	if err := p.Check(); err != nil {
		return out, err
	}
	if err := s.alone(ctx, p, m); err != nil {
		return out, err
	}
	if p.Rev == 0 {
		p.CreatedAt, p.LastAt = s.now(), s.now()
	}
	if out, err = s.forecast(ctx, p, m); err != nil {
		return out, err
	}
	if err := out.feasible(s.now()); err != nil {
		return out, err
	}
	return out, s.o.Store.SavePlan(ctx, rec, &out.Plan, []job.Job{{Kind: JobPlan, Account: p.Account, Subject: p.Name, Due: s.now()}})
}

// feasible refuses a plan whose rotations cannot end in time, were they to begin now. Of a key
// that is dead already nothing can be in time.
func (f Forecast) feasible(now time.Time) error {
	if took := f.Terms.Whole(); f.Plan.Care.Every > 0 && took > f.Plan.Care.Every {
		return fault.InvalidParameter.New("a rotation takes %s and keys are to be replaced every %s: shorten bake, confirm, grace and observe, or let keys become older", took, f.Plan.Care.Every)
	}
	if err := fits(f.Terms); err != nil || !f.Expires.After(now) {
		return err
	}
	return inTime(rotation.Rotation{Terms: f.Terms, FinishBy: f.Expires, Step: rotation.Waiting}, f.Plan.Care, now, fault.Say("; they can be longer again when the key is replaced"))
}

// mayReplace asks the caller's policies about what the plan will do in keyward's name: it
// writes the secret, and changes keys with the provider's credential. Of the rollout nothing is
// asked: whoever made it has decided who gets what the secret holds.
func (s *Service) mayReplace(c *authz.Call, p rotation.Plan) error {
	for _, r := range []authz.Request{
		{Action: "kms:PutSecretValue", Resource: s.o.Secrets.ARN(c.Account, p.Secret)},
		{Action: "keyward:SyncProvider", Resource: "acs:keyward:" + s.o.Region + ":" + c.Account + ":provider/" + p.Source},
	} {
		if _, err := c.Check(r); err != nil {
			return fault.NoPermission.Wrap(err, "%s may not perform %s on %s, and so may not have it done by a plan", c.ARN(), r.Action, r.Resource)
		}
	}
	return nil
}

// admit refuses a plan too many, one that is there already, and a change while a rotation
// is under way.
func (s *Service) admit(ctx context.Context, p rotation.Plan) error {
	all, err := s.o.Store.Plans(ctx, p.Account)
	if err != nil {
		return err
	}
	if p.Rev == 0 && len(all) >= rotation.MaxPlans {
		return fault.LimitExceeded.New("the account has %d plans, which is the limit", rotation.MaxPlans)
	}
	for _, other := range all {
		switch {
		case other.Name == p.Name && p.Rev == 0:
			return fault.ResourceExists.New("there is a plan %s already; update it, or choose another name", p.Name)
		case other.Name != p.Name && (other.Secret == p.Secret || other.Rollout == p.Rollout && p.Rollout != ""):
			return fault.ResourceInUse.New("plan %s replaces the key in this secret or rollout already", other.Name)
		}
	}
	if p.Rev == 0 {
		return nil
	}
	return s.free(ctx, p)
}

// free refuses what cannot be while a rotation of the plan is under way.
func (s *Service) free(ctx context.Context, p rotation.Plan) error {
	r, found, err := s.o.Store.UnderWay(ctx, p.Account, p.Name)
	if err == nil && found {
		err = fault.StateConflict.New("rotation %s of this plan is under way; wait for its end, or roll it back", r.ID)
	}
	return err
}

// alone refuses a plan beside another one whose rotations would end its key, or the other way round.
func (s *Service) alone(ctx context.Context, p rotation.Plan, m rotation.Means) error {
	all, err := s.o.Store.Plans(ctx, p.Account)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Name == p.Name {
			continue
		}
		same, err := s.sameKey(ctx, p, other)
		switch {
		case err != nil:
			return err
		case same:
			return fault.ResourceInUse.New("plan %s replaces key %s already, and each would end the key that the other needs: keep a key in one secret with one plan, and give that secret to all who use it; delete one of the plans with keyward rotation plan delete", other.Name, p.Key)
		case other.Source == p.Source && other.Principal == p.Principal && !m.Shares():
			return fault.ResourceInUse.New("plan %s replaces a key of %s at provider %s already, and rotations of both would be in each other's way: have one plan, or give each its own principal", other.Name, p.Principal, p.Source)
		}
	}
	return nil
}

// sameKey tells whether two plans replace one key. Two providers may read one account, and ids of
// two accounts may be alike: there what the secrets hold decides.
func (s *Service) sameKey(ctx context.Context, p, other rotation.Plan) (bool, error) {
	if p.Key != other.Key || p.Source == other.Source {
		return p.Key == other.Key, nil
	}
	one, err := s.parts(ctx, p, "")
	if err != nil {
		return false, err
	}
	defer rotation.Minted{Parts: one}.Erase()
	two, err := s.parts(ctx, other, "")
	if fault.Is(err, fault.ResourceNotFound) || fault.Is(err, fault.InvalidParameter) || fault.Is(err, fault.StateConflict) {
		return false, nil // it holds none
	}
	if err != nil {
		return false, err
	}
	defer rotation.Minted{Parts: two}.Erase()
	for _, part := range one {
		for _, as := range two {
			if part.Equal(as) && string(part.Expose()) != p.Key {
				return true, nil
			}
		}
	}
	return false, nil
}

// try looks at the provider, the secret and the rollout and completes the plan with what it
// sees.
func (s *Service) try(ctx context.Context, p *rotation.Plan) (m rotation.Means, err error) {
	sec, err := s.secret(ctx, p.Account, p.Secret)
	if err != nil {
		return m, err
	}
	if p.Rollout != "" {
		ro, _, err := s.o.Rollouts.Members(ctx, p.Account, p.Rollout)
		if err != nil {
			return m, err
		}
		if ro.Secret != sec.Name {
			return m, fault.InvalidParameter.New("rollout %s delivers secret %s and not %s", ro.Name, ro.Secret, sec.Name)
		}
		if p.Care.Waves, err = matchWaves(p.Care.Waves, ro.Waves); err != nil {
			return m, err
		}
	} else if len(p.Care.Waves) > 0 {
		return m, fault.InvalidParameter.New("a plan without a rollout has no waves")
	}
	parts, err := s.parts(ctx, *p, "") // of a secret that holds no credential nothing can be replaced
	if err != nil {
		return m, err
	}
	defer rotation.Minted{Parts: parts}.Erase()
	i, loan, err := s.open(ctx, *p)
	if err != nil {
		return m, err
	}
	defer loan.Erase()
	if m = i.Means(); m.Listed {
		keys, err := i.Keys(ctx)
		if err != nil {
			return m, err
		}
		if err := choose(p, keys, parts); err != nil {
			return m, err
		}
	} else if p.Key == "" {
		return m, fault.MissingParameter.New("name the key that is in use now: this provider does not list its keys")
	}
	return m, s.notItself(ctx, *p)
}

// notItself refuses the key that the provider is read and changed with.
func (s *Service) notItself(ctx context.Context, p rotation.Plan) error {
	st, err := s.o.Inventory.State(ctx, p.Account, p.Source)
	if err == nil && st.Identity.KeyID == p.Key {
		err = fault.InvalidParameter.New("key %s is what provider %s itself is read and changed with: it cannot make and end itself; give the provider a key of its own", p.Key, p.Source)
	}
	return err
}

// secret answers the secret of a plan, without a record: no value is read.
func (s *Service) secret(ctx context.Context, account, name string) (secret.Secret, error) {
	found, err := s.o.Secrets.AllFor(ctx, account, secret.Filter{Names: []string{name}})
	if err != nil {
		return secret.Secret{}, err
	}
	if len(found) == 0 {
		return secret.Secret{}, fault.ResourceNotFound.New("there is no secret %q; put the key that is in use now into one first", name)
	}
	return found[0], nil
}

// choose finds the key that a plan is about among those that its provider lists.
func choose(p *rotation.Plan, keys []rotation.Held, parts map[string]material.Bytes) error {
	var known []string
	for _, k := range keys {
		known = append(known, k.ID)
		for _, part := range parts {
			if p.Key == "" && string(part.Expose()) == k.ID {
				p.Key = k.ID
			}
		}
	}
	switch {
	case len(keys) == 0:
		return fault.InvalidParameter.New("the provider lists no keys of %s; is that the id of the principal?", p.Principal)
	case p.Key == "":
		return fault.InvalidParameter.New("secret %s holds the id of none of the keys that the provider lists for %s, %v; name the key that is in use now", p.Secret, p.Principal, known)
	case !slices.Contains(known, p.Key):
		return fault.InvalidParameter.New("the provider does not list key %s for %s; it lists %v", p.Key, p.Principal, known)
	}
	return nil
}

// DeletePlan forgets a plan. The key stays as it is.
func (s *Service) DeletePlan(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:DeleteRotationPlan", name, func(rec *audit.Record) error {
		return rec.Again(func() error {
			p, err := s.o.Store.Plan(ctx, c.Account, name)
			if err != nil {
				return err
			}
			if err := s.free(ctx, p); err != nil {
				return err
			}
			return s.o.Store.DeletePlan(ctx, rec, &p)
		})
	})
}

// Plans answers all plans of the account, by name.
func (s *Service) Plans(ctx context.Context, c *authz.Call) (out []rotation.Plan, err error) {
	err = s.do(ctx, c, "keyward:ListRotationPlans", "*", func(*audit.Record) error {
		out, err = s.o.Store.Plans(ctx, c.Account)
		return err
	})
	return out, err
}

// Plan answers a plan with what it comes to.
func (s *Service) Plan(ctx context.Context, c *authz.Call, name string) (out Forecast, err error) {
	err = s.do(ctx, c, "keyward:DescribeRotationPlan", name, func(*audit.Record) error {
		p, err := s.o.Store.Plan(ctx, c.Account, name)
		if err != nil {
			return err
		}
		m, err := s.means(ctx, p)
		if err != nil {
			return err
		}
		out, err = s.forecast(ctx, p, m)
		return err
	})
	return out, err
}

func (s *Service) means(ctx context.Context, p rotation.Plan) (rotation.Means, error) {
	i, loan, err := s.open(ctx, p)
	if err != nil {
		return rotation.Means{}, err
	}
	defer loan.Erase()
	return i.Means(), nil
}

func (s *Service) forecast(ctx context.Context, p rotation.Plan, m rotation.Means) (Forecast, error) {
	f := Forecast{Plan: p, Means: m, Terms: p.Terms(m, rotation.Planned)}
	known, err := s.o.Inventory.Known(ctx, p.Account, p.Source, p.Key)
	if err != nil && !fault.Is(err, fault.ResourceNotFound) {
		return f, err
	}
	if known.Due.Basis != accesskey.Policy { // an age that a key may reach kills nothing
		f.Expires = known.Due.At
	}
	made := known.Observed.CreatedAt
	if made.IsZero() {
		made = p.LastAt
	}
	f.Due, f.Latest = p.Due(f.Terms, made, f.Expires)
	if r, found, err := s.o.Store.UnderWay(ctx, p.Account, p.Name); err != nil {
		return f, err
	} else if found {
		f.UnderWay = r.ID
	}
	return f, nil
}
