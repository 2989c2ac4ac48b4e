package rollout

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/key"
)

// A Coverage is how a rollout stands: each wave, and one page of its members.
type Coverage struct {
	Rollout Rollout
	Waves   []Census // of each wave
	Members []Member // by name, nodes without their keys
	Total   int      // members
}

// Coverage answers how a rollout stands, with one page of its members.
func (s *Service) Coverage(ctx context.Context, c *authz.Call, name string, p key.Page) (out Coverage, err error) {
	err = s.do(ctx, c, "keyward:GetRolloutCoverage", s.ARN(c.Account, "rollout", name), func(*audit.Record) error {
		if err := p.Check(); err != nil {
			return err
		}
		r, members, err := s.Members(ctx, c.Account, name)
		if err != nil {
			return err
		}
		out = s.cover(r, members)
		out.Members = cut(members, p)
		return nil
	})
	if err != nil {
		return Coverage{}, err
	}
	return out, nil
}

// cover answers how a rollout stands, with all of its members.
func (s *Service) cover(r Rollout, members []Member) Coverage {
	out := Coverage{Rollout: r, Members: members, Total: len(members)}
	for i := range r.Waves {
		out.Waves = append(out.Waves, Count(InWave(members, i), r.Level, s.clock()))
	}
	return out
}

// Survey answers all nodes of an account and how at most so many of its rollouts stand, for
// metrics: it asks no policy and leaves no record.
func (s *Service) Survey(ctx context.Context, account string, most int) ([]Standing, []Coverage, error) {
	nodes, err := s.Standings(ctx, account)
	if err != nil || len(nodes) == 0 {
		return nil, nil, err
	}
	plans, err := s.plans.Get(ctx, account)
	if err != nil {
		return nil, nil, err
	}
	var out []Coverage
	for _, r := range plans[:min(len(plans), most)] {
		members, err := s.members(ctx, r, nodes)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, s.cover(r, members))
	}
	return nodes, out, nil
}

// Members answers a rollout and its members, by name and without their keys, as nodes last
// said that they stand, for keyward's own work: it asks no policy and leaves no record.
// What nodes said in the last seconds may be missing, but never how far they came.
func (s *Service) Members(ctx context.Context, account, name string) (Rollout, []Member, error) {
	r, err := s.find(ctx, account, name)
	if err != nil {
		return Rollout{}, nil, err
	}
	standings, err := s.Standings(ctx, account)
	if err != nil {
		return Rollout{}, nil, err
	}
	members, err := s.members(ctx, r, standings)
	return r, members, err
}

// members answers those of some nodes that are members of a rollout.
func (s *Service) members(ctx context.Context, r Rollout, standings []Standing) ([]Member, error) {
	acks, err := s.o.Reports.Acks(ctx, r.Account, r.Name)
	if err != nil {
		return nil, err
	}
	var out []Member
	for _, st := range standings {
		if w, ok := r.Wave(st.Node); ok {
			out = append(out, Member{st.Node, w, r.Now[w], acks[st.Node.Name], st.Presence})
		}
	}
	return out, nil
}

// InWave answers the members of one wave, counted from 0.
func InWave(members []Member, number int) []Member {
	var out []Member
	for _, m := range members {
		if m.Wave == number {
			out = append(out, m)
		}
	}
	return out
}
