package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/credential"
)

// rehearse tries everything that can be tried before something is touched outside: that the
// new credential can be kept, sealed and opened again; that each wave has nodes, which are
// there; that the provider answers, lists the old key, accepts it, and refuses a wrong one,
// for otherwise its word on the new key is worth nothing.
func (l *look) rehearse(ctx context.Context, r rotation.Rotation) error {
	s, p := l.Service, l.plan
	w, err := s.o.Tenants.Tenant(ctx, r.Account)
	if err != nil {
		return noEffect(err)
	}
	if err := s.o.Spool.Rehearse(w, r); err != nil {
		return noEffect(err)
	}
	if err := s.o.Secrets.Rehearse(ctx, s.self(p.Account), p.Secret); err != nil {
		return noEffect(err)
	}
	if err := s.rehearseNodes(ctx, r, p); err != nil {
		return err
	}
	if a := r.Terms.Means.Archetype; a == rotation.Manual || a == rotation.Counterparty {
		return nil
	}
	i, err := l.borrow(ctx)
	if err != nil {
		return err
	}
	return s.rehearseKeys(ctx, i, r, p)
}

// refuse answers an error that a person has to do something about.
func refuse(why fault.Text) error {
	return errors.Join(fault.StateConflict.New("%s", why), rotation.ErrRefused)
}

func (s *Service) rehearseNodes(ctx context.Context, r rotation.Rotation, p rotation.Plan) error {
	if p.Rollout == "" {
		return nil
	}
	ro, members, err := s.o.Rollouts.Members(ctx, r.Account, p.Rollout)
	if err != nil {
		return noEffect(err)
	}
	for n, w := range r.Terms.Waves {
		c := rollout.Count(rollout.InWave(members, n), ro.Level, s.now())
		if c.Members == 0 && r.Terms.Profile == rotation.Planned {
			return refuse(fault.Say("no node is in wave %s of rollout %s: change its labels, or have nodes join", w.Name, p.Rollout))
		}
		if c.There < c.Members && r.Terms.Profile == rotation.Planned {
			return refuse(fault.Say("wave %s: %d of %d nodes have not what they should have before a new key comes (%s): mend or drain them, and let the rotation go on",
				w.Name, c.Members-c.There, c.Members, strings.Join(c.Behind, ", ")))
		}
	}
	return nil
}

func (s *Service) rehearseKeys(ctx context.Context, i rotation.Issuer, r rotation.Rotation, p rotation.Plan) error {
	parts, err := s.parts(ctx, p, r.Old.Version)
	switch {
	case fault.Passes(err): // nobody has anything to put right
		return noEffect(err)
	case err != nil:
		return errors.Join(err, rotation.ErrRefused)
	}
	defer rotation.Minted{Parts: parts}.Erase()
	if r.Terms.Means.Listed {
		keys, err := i.Keys(ctx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(keys, func(k rotation.Held) bool { return k.ID == r.Old.ID && k.Status == accesskey.Active })
		if at < 0 && r.Terms.Profile == rotation.Planned {
			return refuse(fault.Say("key %s is not active at the provider: correct the plan's key, or begin an emergency rotation", r.Old.ID))
		}
	}
	if !r.Terms.Means.Verifies {
		return nil
	}
	verdict, err := i.Verify(ctx, r.Old.ID, parts)
	if err != nil {
		return err
	}
	if verdict != rotation.Accepted && r.Terms.Profile == rotation.Planned {
		return refuse(fault.Say("the provider answers that the credential in secret %s is %s: put the one of key %s there", p.Secret, verdict, r.Old.ID))
	}
	wrong := credential.Spoil(parts)
	defer rotation.Minted{Parts: wrong}.Erase()
	if verdict, err = i.Verify(ctx, r.Old.ID, wrong); err != nil {
		return err
	}
	if verdict == rotation.Accepted {
		return refuse(fault.Say("the provider accepts a wrong credential, too, so that trying the new key would prove nothing: correct what verifies keys"))
	}
	return nil
}
