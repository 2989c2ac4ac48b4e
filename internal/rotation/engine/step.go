package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/secret"
)

const (
	maxMoves = 64               // of one look, so that none keeps a worker for ever
	idle     = 10 * time.Minute // between two looks at a rotation that waits for people
	longest  = time.Hour        // between any two looks: whether it still ends in time
)

// A look is one look at a rotation.
type look struct {
	*Service
	plan   rotation.Plan   // which nobody changes while the rotation is under way
	issuer rotation.Issuer // nil before the first act that needs it
	loan   accesskey.Loan  // of the issuer's credential
}

// step looks at a rotation.
func (s *Service) step(ctx context.Context, j job.Job) (again time.Time, err error) {
	r, err := s.o.Store.Rotation(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	if r.Over() {
		return time.Time{}, s.close(ctx, r)
	}
	plan, err := s.o.Store.Plan(ctx, r.Account, r.Plan)
	if err != nil {
		return time.Time{}, err
	}
	l := look{Service: s, plan: plan}
	defer func() { l.loan.Erase() }()
	return l.carry(ctx, r)
}

// carry carries a rotation as far as it goes.
func (l *look) carry(ctx context.Context, r rotation.Rotation) (again time.Time, err error) {
	var o *rotation.Outcome
	var of rotation.Rotation // that o is the outcome of an act of
	for range maxMoves {
		next, act, err := l.decide(ctx, r, o)
		if err != nil {
			return time.Time{}, err
		}
		if !reflect.DeepEqual(r, next) {
			err = l.keep(ctx, r, &next, o != nil)
		}
		if fault.Is(err, fault.Changed) { // somebody ordered something, or works on it, too
			if r, err = l.o.Store.Rotation(ctx, r.Account, r.ID); err != nil {
				return time.Time{}, err
			}
			if o != nil && !waitsFor(r, of) {
				o = nil
			}
			continue
		}
		if err != nil {
			return time.Time{}, err
		}
		r, o, of = next, nil, next
		switch {
		case r.Over():
			return time.Time{}, l.close(ctx, r)
		case act.Kind == rotation.Wait:
			return l.rest(ctx, r, act.At)
		case act.Kind != rotation.Proceed:
			if o, err = l.perform(ctx, r, act); err != nil {
				return time.Time{}, err
			}
		}
		if ctx.Err() != nil {
			return time.Time{}, context.Cause(ctx)
		}
	}
	return l.now(), nil
}

// decide answers what a rotation becomes and what is to be done then. Decisions between which
// nothing is done are stored together, up to one that nodes see something of: what is seen
// then is not what was seen before.
func (l *look) decide(ctx context.Context, r rotation.Rotation, o *rotation.Outcome) (next rotation.Rotation, act rotation.Act, err error) {
	nodes := make([]rollout.Generation, len(r.Terms.Waves))
	next = r
	for range maxMoves {
		sight, err := l.see(ctx, next)
		if err != nil {
			return r, act, err
		}
		sight.Outcome, o = o, nil
		next, act = rotation.Decide(next, sight, l.now())
		if act.Kind != rotation.Proceed || next.Over() || !slices.Equal(next.Generations(nodes), r.Generations(nodes)) {
			break
		}
	}
	return next, act, nil
}

// borrow opens the issuer for this look, if it is not open.
func (l *look) borrow(ctx context.Context) (_ rotation.Issuer, err error) {
	if l.issuer == nil {
		l.issuer, l.loan, err = l.open(ctx, l.plan)
	}
	return l.issuer, err
}

// waitsFor tells whether what came of an act still counts for a rotation that others may have
// changed since: if the act changed something, while its intent is the one that is stored;
// if it only looked, while nothing was changed.
func waitsFor(r, acted rotation.Rotation) bool {
	if acted.Intent != nil {
		return reflect.DeepEqual(r.Intent, acted.Intent)
	}
	return r.Rev == acted.Rev
}

// rest tells what is to be told and answers when to look again.
func (s *Service) rest(ctx context.Context, r rotation.Rotation, at time.Time) (time.Time, error) {
	if err := s.tell(ctx, r); err != nil {
		return time.Time{}, err
	}
	now := s.now()
	if at.IsZero() {
		return now.Add(idle), nil
	}
	if latest := now.Add(longest); at.After(latest) {
		at = latest
	}
	return at, nil
}

// close is what is left to do when a rotation is over: nothing is kept of the new key but its
// secret, and the inventory learns of it at once.
func (s *Service) close(ctx context.Context, r rotation.Rotation) error {
	if err := s.o.Spool.Drop(r.ID, r.Attempt); err != nil {
		return err
	}
	plan, err := s.o.Store.Plan(ctx, r.Account, r.Plan)
	if err == nil && r.Step == rotation.Done && r.Heir != nil {
		err = s.o.Inventory.Succeed(ctx, r.Account, plan.Source, *r.Heir, r.Old.ID)
	}
	if err == nil {
		err = s.o.Inventory.Soon(ctx, r.Account, plan.Source)
	}
	if err != nil && !fault.Is(err, fault.ResourceNotFound) && !fault.Is(err, fault.InvalidParameter) {
		return err
	}
	return s.tell(ctx, r)
}

// see gathers what a decision is made of.
func (l *look) see(ctx context.Context, r rotation.Rotation) (rotation.Sight, error) {
	s, plan := l.Service, l.plan
	sight := rotation.Sight{OpensAt: plan.Care.OpensAt(r, s.now())}
	reads, err := l.reads(ctx, r)
	if sight.Reads = reads; err != nil {
		return sight, err
	}
	if plan.Rollout == "" || r.Generation == 0 && len(r.Terms.Waves) == 0 {
		return sight, nil
	}
	ro, members, err := s.o.Rollouts.Members(ctx, r.Account, plan.Rollout)
	for i, m := range members {
		if m.Ack.Generation <= r.Base { // what it counted since then it says of the old key
			members[i].Ack.Refused, members[i].Ack.Fallbacks = 0, 0
		}
	}
	sight.All = rollout.Count(members, ro.Level, s.now())
	sight.Wave = rollout.Count(rollout.InWave(members, r.Wave), ro.Level, s.now())
	return sight, err
}

// reads looks at what readers of the secret get.
func (l *look) reads(ctx context.Context, r rotation.Rotation) (*rotation.Reading, error) {
	out := &rotation.Reading{Secret: l.plan.Secret}
	sec, err := l.secret(ctx, r.Account, l.plan.Secret)
	if fault.Is(err, fault.ResourceNotFound) {
		return out, nil
	}
	if err == nil && sec.Usable() == nil {
		out.Version = sec.At(secret.Current)
	}
	return out, err
}

// keep stores what was decided. What follows from an act's outcome is not given up while the audit
// log is busy, for a call: without it the act would have to be waited out and looked for, and
// where nothing tells what became of it, a person asked.
func (l *look) keep(ctx context.Context, was rotation.Rotation, r *rotation.Rotation, outcome bool) error {
	if !outcome {
		return l.save(ctx, was, r)
	}
	ctx, cancel := context.WithTimeout(ctx, r.Terms.CallTime())
	defer cancel()
	return insist(ctx, func() error { return l.save(ctx, was, r) })
}

// save stores what was decided with its record, and the plan when the rotation changes what
// its key is.
func (l *look) save(ctx context.Context, was rotation.Rotation, r *rotation.Rotation) error {
	err := l.do(ctx, l.self(r.Account), "keyward:AdvanceRotation", r.Plan, func(rec *audit.Record) error {
		rec.Param("Rotation", r.ID)
		rec.Param("Step", string(r.Step))
		if r.Intent != nil && r.Intent != was.Intent {
			rec.Param("Intent", string(r.Intent.Kind)+" "+r.Intent.Key)
		}
		for _, e := range news(was.History, r.History) {
			rec.Param("Event", e.Text)
		}
		r.ChangedAt = l.now()
		return l.o.Store.SaveRotation(ctx, rec, r, l.renewed(l.plan, *r), nil)
	})
	if err == nil && l.o.Count != nil {
		l.count(news(was.History, r.History))
	}
	return err
}

// news answers the events of a history that an older one has not. Of a long history those in the
// middle were dropped since ([rotation.MaxHistory]), so that lengths tell nothing.
func news(was, is []rotation.Event) []rotation.Event {
	for n := len(is); n > 0 && len(was) > 0; n-- {
		if is[n-1] == was[len(was)-1] {
			return is[n:]
		}
	}
	return is
}

// count counts what is new in a history: several steps may be stored at once.
func (s *Service) count(events []rotation.Event) {
	for _, e := range events {
		word, about, _ := strings.Cut(e.Text, " ")
		switch word {
		case "step":
			s.o.Count.Stepped(about)
		case "halted":
			reason, _, _ := strings.Cut(about, ":")
			s.o.Count.Halted(reason)
		}
	}
}

// renewed answers the plan of a rotation that is done, with its new key; nil of any other.
func (s *Service) renewed(p rotation.Plan, r rotation.Rotation) *rotation.Plan {
	if r.Step != rotation.Done {
		return nil
	}
	p.Key, p.LastAt = r.New.ID, s.now()
	return &p
}

// perform does what was decided and answers what came of it: what is not known is an outcome,
// too. It fails if keyward itself is too busy for an act that changes nothing, which says nothing
// of the provider and uses up no try: the job comes again, ever later.
func (l *look) perform(ctx context.Context, r rotation.Rotation, act rotation.Act) (*rotation.Outcome, error) {
	until := l.now().Add(r.Terms.CallTime())
	if r.Intent != nil {
		until = r.Intent.Until
	}
	ctx, cancel := context.WithTimeout(ctx, until.Sub(l.now()))
	defer cancel()
	o := &rotation.Outcome{Act: act.Kind, Result: rotation.Did}
	err := l.act(ctx, r, act, o)
	if r.Intent == nil && fault.Is(err, fault.AuditUnavailable) {
		return nil, err
	}
	if err != nil {
		o.Result, o.Why = classify(err), fault.Message(err)
		l.o.Logger.Warn("rotating a key", "plan", r.Plan, "rotation", r.ID, "act", string(act.Kind), "result", string(o.Result), "error", err)
	}
	return o, nil
}

// pause is the first of those between two tries of what the audit log was too busy for.
const pause = 100 * time.Millisecond

// insist does again, ever later, what the audit log was too busy for, until ctx ends. Done twice it
// has the effect that it has once.
func insist(ctx context.Context, do func() error) error {
	for wait := pause; ; wait *= 2 {
		err := do()
		if !fault.Is(err, fault.AuditUnavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// classify says what an error tells of an act's effect.
func classify(err error) rotation.Result {
	switch {
	case errors.Is(err, rotation.ErrFull):
		return rotation.Full
	case errors.Is(err, rotation.ErrRefused):
		return rotation.Denied
	case errors.Is(err, rotation.ErrNoEffect):
		return rotation.NoEffect
	}
	return rotation.Unclear
}

func (l *look) act(ctx context.Context, r rotation.Rotation, act rotation.Act, o *rotation.Outcome) (err error) {
	switch act.Kind {
	case rotation.Rehearse:
		return l.rehearse(ctx, r)
	case rotation.Recover:
		o.Key, err = l.recover(ctx, r, l.plan, act.Attempt)
		return err
	case rotation.Settle:
		return l.settle(ctx, l.plan, act.Key.Version)
	}
	i, err := l.borrow(ctx)
	if err != nil {
		return noEffect(err)
	}
	if act.Kind == rotation.Disable || act.Kind == rotation.Delete { // the secret may have been changed since that was decided
		reads, err := l.reads(ctx, r)
		if err != nil {
			return noEffect(err)
		}
		if r.Astray(*reads) != "" {
			return noEffect(fault.StateConflict.New("secret %s was changed at this very moment", reads.Secret))
		}
	}
	switch act.Kind {
	case rotation.Look:
		o.Keys, err = i.Keys(ctx)
	case rotation.Verify:
		o.Verdict, err = l.verify(ctx, i, l.plan, act.Key)
	case rotation.Create:
		o.Key, err = l.create(ctx, i, r, l.plan, act.Attempt)
	case rotation.Disable:
		err = absentIsFine(i.Disable(ctx, act.Key.ID))
	case rotation.Enable:
		err = i.Enable(ctx, act.Key.ID)
	case rotation.Delete:
		err = absentIsFine(i.Delete(ctx, act.Key.ID, act.Heir))
	default:
		err = fmt.Errorf("there is no act %q", act.Kind)
	}
	return err
}

func absentIsFine(err error) error {
	if errors.Is(err, rotation.ErrAbsent) {
		return nil
	}
	return err
}

// noEffect marks an error of something that was not even begun.
func noEffect(err error) error { return errors.Join(rotation.ErrNoEffect, err) }

// version answers the id of the secret's version that an attempt makes.
func version(rotation string, attempt int) string {
	sum := sha256.Sum256([]byte("keyward rotation " + rotation + " attempt " + strconv.Itoa(attempt)))
	return hex.EncodeToString(sum[:16])
}
