package rollout

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/secret"
)

// Bounds of what a node may say, in characters.
const (
	maxTrouble = 300
	maxVersion = 64
	maxCount   = 1 << 40 // of uses: more are no count
)

// A Statement is one report of a node.
type Statement struct {
	SaidAt  time.Time // when the node signed it
	Version string    // of the agent
	Skew    time.Duration
	Trouble string
	Claims  []Claim // of different rollouts
}

// A Claim is how far a node says that it is with one rollout.
type Claim struct {
	Rollout    string
	Generation int64
	Level      Level
	Proof      []byte                      // that it holds the primary value
	Message    func(version string) []byte // what Proof authenticates if that is the primary version
	Used       *time.Duration              // since the last use of the primary version; nil for none
	Fallback   *time.Duration              // since the last use of the fallback version
	Fallbacks  int
	Refused    int
	Error      string
}

// Report takes in what a node says, c being its call, and answers the rollouts of which it
// should ask for what is newer. How far it came, and that it used a key for the first
// time, is durable when Report returns; that it lives is so within seconds.
//
// Times count from when the node signed, so that a report that is sent again by somebody
// else says nothing new, whenever it comes. A claim with a wrong proof is a lie: it is not
// believed, it is recorded and people are told.
func (s *Service) Report(ctx context.Context, c *authz.Call, n Node, st Statement) (stale []string, err error) {
	now := s.clock()
	p := Presence{
		Account: n.Account, Node: n.Name, SeenAt: now, SaidAt: st.SaidAt.UTC().Truncate(time.Microsecond), Version: tidy(st.Version, maxVersion),
		Skew: st.Skew.Truncate(time.Millisecond), Trouble: tidy(st.Trouble, maxTrouble),
	}
	plans, err := s.plans.Get(ctx, n.Account)
	if err != nil {
		return nil, err
	}
	var acks []said
	wait := false
	for _, claim := range st.Claims {
		r, err := pick(plans, claim.Rollout)
		if err != nil {
			continue // it was removed, which the node will hear when it watches
		}
		if g, ok := r.For(n); !ok || Newer(claim.Generation, g.Number) {
			stale = append(stale, r.Name)
		}
		if claim.Generation > r.Top() { // another server may have published it a moment ago
			if r, err = s.find(ctx, n.Account, r.Name); fault.Is(err, fault.ResourceNotFound) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		a, news, err := s.hear(ctx, c, n, r, claim, p)
		if fault.Is(err, fault.SignatureMismatch) {
			p.Trouble = tidy(fault.Message(err), maxTrouble)
			continue
		}
		if err != nil {
			return nil, err
		}
		if a.ack.Generation > 0 {
			acks, wait = append(acks, a), wait || news
		}
	}
	if err := s.ledger.note(ctx, n, p, acks, wait); err != nil {
		return nil, fault.Unavailable.Wrap(err, "what the node says cannot be stored now; say it again")
	}
	return stale, nil
}

// hear answers what a claim amounts to, and whether it is news that must not be lost. It
// answers nothing of a generation that is over, [fault.SignatureMismatch] for a lie.
func (s *Service) hear(ctx context.Context, c *authz.Call, n Node, r Rollout, claim Claim, p Presence) (said, bool, error) {
	a, err := claim.ack(n, p)
	if err != nil {
		return said{}, false, err
	}
	ref := nodeRef{n.Account, n.Name}
	before, known := s.ledger.known(ref, r.Name)
	out := said{ack: a, proof: [32]byte(claim.Proof)}
	if !known || before.ack.Generation != a.Generation || before.proof != out.proof {
		primary, there := r.primary(a.Generation)
		switch {
		case there:
			err = s.prove(ctx, c, r, primary, claim)
		case a.Generation > r.Top():
			err = fault.SignatureMismatch.New("the node claims generation %d of rollout %s, which there is not", a.Generation, r.Name)
		default:
			return said{}, false, nil
		}
		if fault.Is(err, fault.SignatureMismatch) {
			return said{}, false, s.lied(ctx, c, n, r, err)
		}
		if err != nil {
			return said{}, false, err
		}
	}
	if err := s.honest(ctx, n, r, !known); err != nil {
		return said{}, false, err
	}
	next := Merge(before.ack, a)
	news := !known || next.Generation > before.ack.Generation || next.Level != before.ack.Level ||
		before.ack.UsedAt.IsZero() && !next.UsedAt.IsZero() || before.ack.FallbackAt.IsZero() && !next.FallbackAt.IsZero()
	return out, news, nil
}

// primary answers the primary version of a generation that some wave is to have.
func (r Rollout) primary(generation int64) (string, bool) {
	for _, g := range r.Now {
		if g.Number == generation && generation > 0 {
			return g.Primary, true
		}
	}
	return "", false
}

// ack makes of a claim what is kept of it; [fault.InvalidParameter] for what makes no sense.
func (claim Claim) ack(n Node, p Presence) (Ack, error) {
	if place[claim.Level] == 0 || claim.Generation < 1 || len(claim.Proof) != 32 || claim.Message == nil {
		return Ack{}, fault.InvalidParameter.New("an acknowledgement has a generation, a level of %s, %s or %s, and a proof of 32 bytes", Received, Applied, Used)
	}
	if min(claim.Fallbacks, claim.Refused) < 0 || max(claim.Fallbacks, claim.Refused) > maxCount {
		return Ack{}, fault.InvalidParameter.New("an acknowledgement counts what makes no sense")
	}
	base := p.SaidAt
	if base.After(p.SeenAt) {
		base = p.SeenAt
	}
	since := func(ago *time.Duration) time.Time {
		if ago == nil || *ago < 0 {
			return time.Time{}
		}
		return base.Add(-*ago).Truncate(time.Microsecond)
	}
	return Ack{
		Account: n.Account, Rollout: claim.Rollout, Node: n.Name, Generation: claim.Generation, Level: claim.Level, At: p.SeenAt, SaidAt: p.SaidAt,
		UsedAt: since(claim.Used), FallbackAt: since(claim.Fallback), Fallbacks: claim.Fallbacks, Refused: claim.Refused, Error: tidy(claim.Error, maxTrouble),
	}, nil
}

// prove answers [fault.SignatureMismatch] if a claim does not prove that the node holds the
// value of a version. The value goes nowhere, so there is no record of it.
func (s *Service) prove(ctx context.Context, c *authz.Call, r Rollout, version string, claim Claim) error {
	v, err := s.o.Secrets.ValueFor(ctx, c, audit.NewRecord(c, "keyward:ReportNode"), secret.GetInput{Secret: r.Secret, Version: version})
	if err != nil {
		return fault.Unavailable.Wrap(err, "the proof cannot be checked now; say it again")
	}
	defer v.Data.Zero()
	if !material.Proves(v.Data, claim.Message(version), claim.Proof) {
		return fault.SignatureMismatch.New("the node claims generation %d of rollout %s, but does not hold its value", claim.Generation, r.Name)
	}
	return nil
}

// A lie names who lied about what.
type lie struct{ account, node, rollout string }

func (l lie) condition() string { return "node/" + l.node + "/lying/" + l.rollout }

// lies are those that this process told of.
type lies struct {
	mu   sync.Mutex // guards told
	told map[lie]bool
}

// lied puts a lie on record and tells people, once. It answers what is to be said of it.
func (s *Service) lied(ctx context.Context, c *authz.Call, n Node, r Rollout, cause error) error {
	l := lie{n.Account, n.Name, r.Name}
	s.lies.mu.Lock()
	told := s.lies.told[l]
	s.lies.mu.Unlock()
	if told {
		return cause
	}
	rec := audit.NewRecord(c, "keyward:ReportNode")
	rec.Resource = s.ARN(n.Account, "node", n.Name)
	rec.Param("Rollout", r.Name)
	rec.Param("Top", strconv.FormatInt(r.Top(), 10))
	if err := s.o.Log.Do(ctx, rec, func() error { return cause }); !fault.Is(err, fault.SignatureMismatch) {
		return err
	}
	err := s.o.Incidents.Report(ctx, n.Account, notify.Condition{
		Name: l.condition(), Kind: notify.NodeLying, Subject: n.Name, Severity: message.Critical,
		Facts: []notify.Fact{{Name: "rollout", Value: r.Name}, {Name: "reason", Value: fault.Message(cause)}},
	})
	if err != nil {
		return fmt.Errorf("raising an incident: %w", err)
	}
	s.lies.mu.Lock()
	defer s.lies.mu.Unlock()
	s.lies.told[l] = true
	return cause
}

// honest ends the incident of a node that proves what it says, if there may be one: this
// process told of it, or it is the first time that it hears of the node.
func (s *Service) honest(ctx context.Context, n Node, r Rollout, first bool) error {
	l := lie{n.Account, n.Name, r.Name}
	s.lies.mu.Lock()
	told := s.lies.told[l]
	delete(s.lies.told, l)
	s.lies.mu.Unlock()
	if !told && !first {
		return nil
	}
	if err := s.o.Incidents.End(ctx, n.Account, l.condition()); err != nil {
		return fmt.Errorf("ending an incident: %w", err)
	}
	return nil
}
