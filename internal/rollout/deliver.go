package rollout

import (
	"context"
	"strconv"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/secret"
)

// Known answers a node with its keys, as its requests need it; [fault.ResourceNotFound] for
// one that is none.
func (s *Service) Known(ctx context.Context, account, name string) (Node, error) {
	return s.nodes.Get(ctx, nodeRef{account, name})
}

// A Due is a generation that a node is to have and does not have yet.
type Due struct {
	Rollout    string
	Secret     string
	Generation Generation
}

// Due answers what is newer than what a node has, generations by rollout, and all rollouts
// that the node is a member of.
func (s *Service) Due(ctx context.Context, n Node, have func(rollout string) int64) (due []Due, member []string, err error) {
	plans, err := s.plans.Get(ctx, n.Account)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range plans {
		if _, ok := r.Wave(n); !ok {
			continue
		}
		member = append(member, r.Name)
		if g, ok := r.For(n); ok && Newer(have(r.Name), g.Number) {
			due = append(due, Due{r.Name, r.Secret, g})
		}
	}
	return due, member, nil
}

// A Bundle is what is due with its values, in the clear.
type Bundle struct {
	Due
	Primary, Fallback material.Bytes
}

// Erase overwrites the values.
func (b Bundle) Erase() {
	b.Primary.Zero()
	b.Fallback.Zero()
}

// Deliver opens the values of what is due to a node, c being the node's call, after it is on
// record that the node gets them. The caller erases the bundle.
//
// A fallback that is not there any more leaves a bundle without one: the node is better off
// with the new key alone than with the old one alone.
func (s *Service) Deliver(ctx context.Context, c *authz.Call, d Due) (b Bundle, err error) {
	rec := audit.NewRecord(c, "keyward:DeliverSecret")
	rec.Param("Rollout", d.Rollout)
	rec.Param("Generation", strconv.FormatInt(d.Generation.Number, 10))
	err = s.o.Log.Do(ctx, rec, func() error {
		b, err = s.open(ctx, c, rec, d)
		return err
	})
	if err != nil {
		b.Erase()
		return Bundle{}, err
	}
	return b, nil
}

// open opens the values of what is due and notes them in the record.
func (s *Service) open(ctx context.Context, c *authz.Call, rec *audit.Record, d Due) (Bundle, error) {
	b := Bundle{Due: d}
	primary, err := s.o.Secrets.ValueFor(ctx, c, rec, secret.GetInput{Secret: d.Secret, Version: d.Generation.Primary})
	if b.Primary = primary.Data; err != nil || d.Generation.Fallback == "" {
		return b, err
	}
	fallback, err := s.o.Secrets.ValueFor(ctx, c, rec, secret.GetInput{Secret: d.Secret, Version: d.Generation.Fallback})
	if fault.Is(err, fault.ResourceNotFound) {
		b.Generation.Fallback = ""
		return b, nil
	}
	b.Fallback = fallback.Data
	return b, err
}
