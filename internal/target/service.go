package target

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/secret"
)

// MaxTargets is how many targets an account may have.
const MaxTargets = 200

// JobLook is the kind of the job that looks at a target.
const JobLook = "rollout.target"

const (
	pace     = 15 * time.Second // between two jobs
	rest     = 30 * time.Second // between two looks at a target that has everything: it must not seem lost
	patience = 30 * time.Second // of a person who waits for a check
	passing  = 5 * time.Minute  // for one look, whatever it waits for
	maxSaid  = 300              // characters of what is kept of why a target is not farther
)

// Tenants answers the wrapper that protects an account's credentials at rest.
type Tenants interface {
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
}

// Options says what a Service is made of. All fields but Allow are required.
type Options struct {
	Store    Store
	Rollouts *rollout.Service
	Secrets  *secret.Service
	Tenants  Tenants
	Log      *audit.Log
	Kinds    []KindOfTarget
	Region   string           // of the ARNs
	Now      func() time.Time // clock
	Allow    []netip.Prefix   // networks that may be reached although they are not public
}

// A Service offers the operations on targets. Its methods may be called concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// ARN answers the name of a target as policies know it.
func (s *Service) ARN(account, name string) string {
	return "acs:keyward:" + s.o.Region + ":" + account + ":target/" + name
}

// do runs one operation on a target that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, name string, fn func(*audit.Record) error) error {
	return s.o.Log.Perform(ctx, c, action, s.ARN(c.Account, name), fn)
}

func (s *Service) clock() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

// Kinds answers the kinds of targets that there are.
func (s *Service) Kinds() []KindOfTarget { return s.o.Kinds }

// kind answers the kind with a name.
func (s *Service) kind(name rollout.NodeKind) (KindOfTarget, error) {
	names := make([]string, len(s.o.Kinds))
	for i, k := range s.o.Kinds {
		if k.Name == name {
			return k, nil
		}
		names[i] = string(k.Name)
	}
	return KindOfTarget{}, fault.InvalidParameter.New("there is no kind of target %q; there are %s", name, strings.Join(names, " and "))
}

// A Draft is what a person says of a target.
type Draft struct {
	form.Filling
	Kind   rollout.NodeKind
	Labels []form.Pair
}

// Add stores a new target after the place has accepted the credential, and has it looked at
// at once. Whoever adds a target hands on what is delivered to nodes with its labels.
func (s *Service) Add(ctx context.Context, c *authz.Call, name string, d Draft) (out Target, err error) {
	err = s.do(ctx, c, "keyward:AddTarget", name, func(rec *audit.Record) error {
		rec.Param("Kind", string(d.Kind))
		now := s.clock()
		node, err := rollout.NewNode(rec, rollout.Node{Account: c.Account, Name: name, Kind: d.Kind, Labels: d.Labels, JoinedAt: now})
		if err != nil {
			return err
		}
		have, err := s.o.Store.Targets(ctx, c.Account)
		if err != nil {
			return err
		}
		if len(have) >= MaxTargets {
			return fault.LimitExceeded.New("the account has %d targets, which is the limit", MaxTargets)
		}
		out = Target{Account: c.Account, Name: name, Kind: d.Kind, CreatedAt: now}
		if err := s.connect(ctx, &out, d.Filling); err != nil {
			return err
		}
		return s.o.Store.CreateTarget(ctx, rec, &out, &node, s.soon(out))
	})
	if err != nil {
		return Target{}, err
	}
	return out, nil
}

// connect gives a target its connection, after the place has accepted it.
func (s *Service) connect(ctx context.Context, t *Target, f form.Filling) error {
	k, err := s.kind(t.Kind)
	if err != nil {
		return err
	}
	if err := k.Form.Check(f); err != nil {
		return err
	}
	t.Settings = form.Pairs(f.Settings)
	tenant, err := s.o.Tenants.Tenant(ctx, t.Account)
	if err != nil {
		return err
	}
	if t.Sealed, err = form.Seal(tenant, t.Settings, f.Credential, t.bound()...); err != nil {
		return err
	}
	place, err := k.Open(Opening{Filling: f, Now: s.o.Now, Allow: s.o.Allow})
	if err != nil {
		return err
	}
	defer place.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return place.Check(ctx)
}

// Update changes settings and credential of a target, both together, so that whoever may
// change a target, and does not know its credential, cannot have it sent somewhere else.
// Its labels are those of its node ([rollout.Service.Relabel]).
func (s *Service) Update(ctx context.Context, c *authz.Call, name string, f form.Filling) (out Target, err error) {
	err = s.do(ctx, c, "keyward:UpdateTarget", name, func(rec *audit.Record) error {
		if out, err = s.o.Store.Target(ctx, c.Account, name); err != nil {
			return err
		}
		if err := s.connect(ctx, &out, f); err != nil {
			return err
		}
		return s.o.Store.UpdateTarget(ctx, rec, &out, s.soon(out))
	})
	if err != nil {
		return Target{}, err
	}
	return out, nil
}

// List answers all targets of the account, by name.
func (s *Service) List(ctx context.Context, c *authz.Call) (out []Target, err error) {
	err = s.do(ctx, c, "keyward:ListTargets", "*", func(*audit.Record) error {
		out, err = s.o.Store.Targets(ctx, c.Account)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Show answers one target. How it stands is told of its node ([rollout.Service.Describe]).
func (s *Service) Show(ctx context.Context, c *authz.Call, name string) (out Target, err error) {
	err = s.do(ctx, c, "keyward:GetTarget", name, func(*audit.Record) error {
		out, err = s.o.Store.Target(ctx, c.Account, name)
		return err
	})
	if err != nil {
		return Target{}, err
	}
	return out, nil
}

// Sync has a target looked at now. With overwrite, what somebody else changed there is
// overwritten, once.
func (s *Service) Sync(ctx context.Context, c *authz.Call, name string, overwrite bool) error {
	return s.do(ctx, c, "keyward:SyncTarget", name, func(rec *audit.Record) error {
		t, err := s.o.Store.Target(ctx, c.Account, name)
		if err != nil {
			return err
		}
		if overwrite {
			rec.Param("Overwrite", "true")
			t.Overwrite = true
		}
		return s.o.Store.UpdateTarget(ctx, rec, &t, s.soon(t))
	})
}

// Remove forgets a target and its node. What was written stays where it is; who removes a
// target that is lost to somebody else rotates what was delivered to it.
func (s *Service) Remove(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:RemoveTarget", name, func(rec *audit.Record) error {
		t, err := s.o.Store.Target(ctx, c.Account, name)
		if err != nil {
			return err
		}
		return s.o.Store.DeleteTarget(ctx, rec, &t)
	})
}

// soon plans a look at the target now.
func (s *Service) soon(t Target) []job.Job {
	return []job.Job{{Kind: JobLook, Account: t.Account, Subject: t.Name, Due: s.clock()}}
}

// Needs answers the jobs that a target needs.
func (s *Service) Needs(t Target) []job.Need {
	return []job.Need{{Job: s.soon(t)[0], Ahead: 10 * time.Minute}}
}
