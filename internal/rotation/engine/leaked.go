package engine

import (
	"context"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/secret"
)

// Leaked tells, for keyward's own work, what is done about a version of a secret that
// somebody outside has: which plan writes the secret, and who gets it. If the caller is sure
// and the plan says so, an emergency rotation begins, once for each version, while the
// version is the current one. That it does not begin is part of the answer and no error, so
// that the leak is told all the same.
func (s *Service) Leaked(ctx context.Context, account, name, version string, sure bool) (out rotation.Response, err error) {
	p, found, err := s.planOf(ctx, account, name)
	if err != nil || !found {
		return out, err
	}
	if p, err = s.o.Store.Plan(ctx, account, p.Name); err != nil { // the cached one may be old
		return out, err
	}
	out.Plan, out.Rollout = p.Name, p.Rollout
	if p.Rollout != "" {
		_, members, err := s.o.Rollouts.Members(ctx, account, p.Rollout)
		if err != nil && !fault.Is(err, fault.ResourceNotFound) { // one that was removed delivers to nobody
			return out, err
		}
		for _, m := range members {
			out.Nodes = append(out.Nodes, m.Node.Name)
		}
	}
	cause := "version " + version + " leaked"
	last, err := s.o.Store.Rotations(ctx, account, p.Name, 1)
	if err != nil {
		return out, err
	}
	if len(last) > 0 {
		out.Retired = last[0].Step == rotation.Done && last[0].Old.Version == version
		if last[0].Cause == cause { // whoever rolled it back had a reason
			out.Rotation = last[0].ID
			return out, nil
		}
	}
	sec, err := s.secret(ctx, account, name)
	if err != nil || !sure || !p.Care.OnLeak || sec.At(secret.Current) != version {
		return out, err
	}
	r, err := s.Start(ctx, s.self(account), StartInput{Plan: p.Name, Profile: rotation.Emergency, Cause: cause, Late: true})
	switch out.Rotation = r.ID; {
	case fault.Passes(err), fault.Is(err, fault.ResourceExists): // somebody has begun one at this moment
		out.Failed = err
	case err != nil:
		out.Refused = fault.Message(err)
	}
	return out, nil
}
