package rollout

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key"
)

// A State is how a node does.
type State string

// The states.
const (
	Live    State = "live"
	Lost    State = "lost" // silent for longer than [Silent], or it never said anything
	Drained State = "drained"
)

// A Standing is a node with what it last said of itself.
type Standing struct {
	Node     Node // without its keys in a list
	Presence Presence
}

// State tells how the node does at a time.
func (s Standing) State(now time.Time) State {
	switch {
	case s.Node.Drained:
		return Drained
	case now.Sub(s.Presence.SeenAt) > Silent:
		return Lost
	}
	return Live
}

// NodeFilter chooses nodes: those that fit all of its fields.
type NodeFilter struct {
	Labels []form.Pair // all of these; an empty value stands for any
	State  State       // "" for any
}

func (f NodeFilter) fits(s Standing, now time.Time) bool {
	for _, want := range f.Labels {
		if !slices.ContainsFunc(s.Node.Labels, func(p form.Pair) bool {
			return p.Name == want.Name && (want.Value == "" || p.Value == want.Value)
		}) {
			return false
		}
	}
	return f.State == "" || f.State == s.State(now)
}

// Nodes answers one page of the account's nodes that fit, by name, and how many fit.
func (s *Service) Nodes(ctx context.Context, c *authz.Call, f NodeFilter, p key.Page) (out []Standing, total int, err error) {
	err = s.do(ctx, c, "keyward:ListNodes", s.ARN(c.Account, "node", "*"), func(*audit.Record) error {
		if err := p.Check(); err != nil {
			return err
		}
		if f.State != "" && !slices.Contains([]State{Live, Lost, Drained}, f.State) {
			return fault.InvalidParameter.New("the state of a node is %s, %s or %s", Live, Lost, Drained)
		}
		all, err := s.Standings(ctx, c.Account)
		if err != nil {
			return err
		}
		now := s.clock()
		all = slices.DeleteFunc(all, func(st Standing) bool { return !f.fits(st, now) })
		out, total = cut(all, p), len(all)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return out, total, nil
}

// cut answers one page of a list.
func cut[T any](all []T, p key.Page) []T {
	first := min((p.Number-1)*p.Size, len(all))
	return all[first:min(first+p.Size, len(all))]
}

// Standings answers all nodes of an account, by name and without their keys, for keyward's
// own work: it asks no policy and leaves no record.
func (s *Service) Standings(ctx context.Context, account string) ([]Standing, error) {
	all, err := s.roster.Get(ctx, account)
	if err != nil {
		return nil, err
	}
	said, err := s.o.Reports.Presences(ctx, account)
	if err != nil {
		return nil, err
	}
	out := make([]Standing, len(all))
	for i, n := range all {
		out[i] = Standing{n, said[n.Name]}
	}
	return out, nil
}

// A Holding is what a node has of one rollout, and what it is to have.
type Holding struct {
	Rollout Rollout
	Member  Member
}

// Describe answers a node with all that is delivered to it.
func (s *Service) Describe(ctx context.Context, c *authz.Call, name string) (out Standing, holds []Holding, err error) {
	err = s.do(ctx, c, "keyward:GetNode", s.ARN(c.Account, "node", name), func(*audit.Record) error {
		if out.Node, err = s.o.Registry.Node(ctx, c.Account, name); err != nil {
			return err
		}
		said, err := s.o.Reports.Presences(ctx, c.Account)
		if err != nil {
			return err
		}
		out.Presence = said[name]
		plans, err := s.plans.Get(ctx, c.Account)
		if err != nil {
			return err
		}
		for _, r := range plans {
			w, ok := r.Wave(out.Node)
			if !ok {
				continue
			}
			acks, err := s.o.Reports.Acks(ctx, c.Account, r.Name)
			if err != nil {
				return err
			}
			holds = append(holds, Holding{r, Member{out.Node, w, r.Now[w], acks[name], out.Presence}})
		}
		return nil
	})
	if err != nil {
		return Standing{}, nil, err
	}
	return out, holds, nil
}

// Relabel replaces the labels of a node, and so what is delivered to it.
func (s *Service) Relabel(ctx context.Context, c *authz.Call, name string, all []form.Pair) (Node, error) {
	return s.changeNode(ctx, c, "keyward:LabelNode", name, func(rec *audit.Record, n *Node) error {
		given, err := labels(all)
		if err != nil {
			return err
		}
		rec.Param("Labels", spell(given))
		was := *n
		n.Labels = given
		return s.stays(ctx, was, *n)
	})
}

// stays refuses other labels to a node of which a rotation waits for that it has the new key: nobody
// would wait for it any more, and the old one, which it may still use, would be ended.
func (s *Service) stays(ctx context.Context, was, n Node) error {
	all, err := s.o.Plans.Rollouts(ctx, n.Account)
	for _, r := range all {
		before, member := r.Wave(was)
		after, still := r.Wave(n)
		if r.Owner != "" && member && (!still || after != before) {
			return fault.StateConflict.New("the rotation %s needs node %s in wave %s of rollout %s; wait until it is over, or take the node out first, when nothing on it uses the key, with keyward node drain %s",
				r.Owner, n.Name, r.Waves[before].Name, r.Name, n.Name)
		}
	}
	return err
}

// NewNode answers a node for which the server speaks, with its labels in order, and puts
// them on record. It refuses a name or labels that cannot be those of a node.
func NewNode(rec *audit.Record, n Node) (Node, error) {
	if err := checkName(fault.Say("node"), n.Name); err != nil {
		return Node{}, err
	}
	var err error
	n.Labels, err = labels(n.Labels)
	rec.Param("Labels", spell(n.Labels))
	return n, err
}

// spell writes labels for a record.
func spell(all []form.Pair) string {
	parts := make([]string, len(all))
	for i, p := range all {
		parts[i] = p.Name + "=" + p.Value
	}
	return strings.Join(parts, ",")
}

// Drain takes a node out of all rollouts: it holds nothing any more, and nobody waits for it.
func (s *Service) Drain(ctx context.Context, c *authz.Call, name string) (Node, error) {
	return s.changeNode(ctx, c, "keyward:DrainNode", name, func(_ *audit.Record, n *Node) error {
		n.Drained = true
		return nil
	})
}

// Undrain puts a node back into the rollouts that its labels are for.
func (s *Service) Undrain(ctx context.Context, c *authz.Call, name string) (Node, error) {
	return s.changeNode(ctx, c, "keyward:UndrainNode", name, func(_ *audit.Record, n *Node) error {
		n.Drained = false
		return nil
	})
}

func (s *Service) changeNode(ctx context.Context, c *authz.Call, action, name string, edit func(*audit.Record, *Node) error) (out Node, err error) {
	err = s.do(ctx, c, action, s.ARN(c.Account, "node", name), func(rec *audit.Record) error {
		return rec.Again(func() error {
			if out, err = s.o.Registry.Node(ctx, c.Account, name); err != nil {
				return err
			}
			if err := edit(rec, &out); err != nil {
				return err
			}
			return s.o.Registry.UpdateNode(ctx, rec, &out)
		})
	})
	if err != nil {
		return Node{}, err
	}
	return out, nil
}

// RemoveNode forgets a node: from now on nothing that it says is believed. What it holds it
// may keep; who removes a node that was stolen rotates what was delivered to it.
func (s *Service) RemoveNode(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:RemoveNode", s.ARN(c.Account, "node", name), func(rec *audit.Record) error {
		return rec.Again(func() error {
			n, err := s.o.Registry.Node(ctx, c.Account, name)
			if err != nil {
				return err
			}
			if n.Kind != Agent {
				return fault.StateConflict.New("node %s is a target of kind %s; remove it with: keyward node target remove %s", name, n.Kind, name)
			}
			return s.o.Registry.DeleteNode(ctx, rec, &n)
		})
	})
}
