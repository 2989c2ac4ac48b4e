package target

import (
	"context"
	"fmt"
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

// Handlers answers what looks at jobs about targets.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{JobLook: s.lookDue}
}

// lookDue looks at a target if there is something to be done, or it was not heard of for a
// while: whether there is costs no request to the place.
func (s *Service) lookDue(ctx context.Context, j job.Job) (again time.Time, err error) {
	v := &visit{Service: s}
	if v.target, err = s.o.Store.Target(ctx, j.Account, j.Subject); fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, nil
	} else if err != nil {
		return time.Time{}, err
	}
	if v.node, err = s.o.Rollouts.Known(ctx, j.Account, j.Subject); err != nil {
		return time.Time{}, err
	}
	due, _, err := s.o.Rollouts.Due(ctx, v.node, func(string) int64 { return 0 })
	if err != nil {
		return time.Time{}, err
	}
	if v.presence, v.acks, err = s.o.Store.Said(ctx, j.Account, j.Subject); err != nil {
		return time.Time{}, err
	}
	if v.target.Overwrite || v.behind(due) || s.o.Now().Sub(v.presence.SeenAt) >= rest {
		ctx, cancel := context.WithTimeout(ctx, passing)
		defer cancel()
		if err := v.run(ctx, due); err != nil {
			return time.Time{}, err
		}
	}
	return s.o.Now().Add(pace), nil
}

// A visit is one look at a target.
type visit struct {
	*Service
	target   Target
	node     rollout.Node
	presence rollout.Presence       // as it was before
	acks     map[string]rollout.Ack // likewise
	place    Place
}

// behind tells whether the target is not where it is to be with everything.
func (v *visit) behind(due []rollout.Due) bool {
	for _, d := range due {
		if a := v.acks[d.Rollout]; a.Generation != d.Generation.Number || !a.Level.Reached(rollout.Used) {
			return true
		}
	}
	return false
}

// run makes the target have what is due and stores how it stands then. An error is one of
// keyward's own; one of the place is a part of what is stored.
func (v *visit) run(ctx context.Context, due []rollout.Due) error {
	report := rollout.Report{JoinedAt: v.node.JoinedAt, Presence: rollout.Presence{Account: v.target.Account, Node: v.target.Name, SeenAt: v.presence.SeenAt}}
	answered, trouble, foreign := true, error(nil), false
	var fell []string
	err := v.open(ctx)
	if err == nil {
		defer v.place.Close()
	}
	if err == nil && len(due) == 0 {
		err = v.place.Check(ctx)
	}
	if err != nil {
		if own(ctx, err) {
			return err
		}
		answered, trouble = false, err
	}
	for _, d := range due {
		p, err := Progress{}, trouble
		if v.place != nil {
			p, err = v.bring(ctx, d)
		}
		if own(ctx, err) {
			return err
		}
		if err != nil {
			answered, trouble = answered && !fault.Is(err, fault.Unavailable), err
		}
		a, fallen := v.ack(d, p, err)
		if report.Acks = append(report.Acks, a); fallen {
			fell = append(fell, d.Rollout)
		}
		foreign = foreign || p.Foreign
	}
	now := v.clock()
	if report.Presence.SaidAt = now; answered {
		report.Presence.SeenAt = now
	}
	if trouble != nil {
		report.Presence.Trouble = brief(fault.Message(trouble))
	}
	if err := v.o.Store.SaveLook(ctx, report, fell); err != nil {
		return err
	}
	if v.target.Overwrite && trouble == nil && !foreign {
		return v.overwritten(ctx)
	}
	return nil
}

// own tells whether an error is not one of the place.
func own(ctx context.Context, err error) bool {
	kind := fault.KindOf(err)
	return err != nil && (kind == fault.Internal || kind == fault.AuditUnavailable || ctx.Err() != nil)
}

// self is the principal of what keyward does for the target.
func (v *visit) self() *authz.Call {
	return &authz.Call{
		Principal: authz.Principal{Account: v.target.Account, Kind: authz.Service, Name: "target/" + v.target.Name},
		Time:      v.o.Now(), Scheme: "job",
	}
}

// open opens the credential and makes the place.
func (v *visit) open(ctx context.Context) error {
	k, err := v.kind(v.target.Kind)
	if err != nil {
		return err
	}
	tenant, err := v.o.Tenants.Tenant(ctx, v.target.Account)
	if err != nil {
		return err
	}
	filling, err := form.Open(tenant, v.target.Settings, v.target.Sealed, v.target.bound()...)
	if err != nil {
		return fmt.Errorf("opening the credential of target %s: %w", v.target.Name, err)
	}
	place, err := k.Open(Opening{Filling: filling, Now: v.o.Now, Allow: v.o.Allow})
	if err != nil {
		filling.Erase()
		return err
	}
	v.place = opened{place, filling}
	return nil
}

// An opened place erases its credential when it is closed.
type opened struct {
	Place
	filling form.Filling
}

// Close implements Place.
func (o opened) Close() {
	o.Place.Close()
	o.filling.Erase()
}

// bring makes the place have what is due, unless somebody else's work stands there, and
// answers how far it is.
func (v *visit) bring(ctx context.Context, due rollout.Due) (Progress, error) {
	here, err := v.compare(ctx, due)
	if err != nil {
		return Progress{}, err
	}
	defer here.Erase()
	p, err := v.place.Look(ctx, here)
	if err != nil || p.Level != "" || p.Foreign && !v.target.Overwrite {
		return p, err
	}
	b, err := v.o.Rollouts.Deliver(ctx, v.self(), due)
	if err != nil {
		return Progress{}, err
	}
	defer b.Erase()
	// It is on record that the values leave.
	if err := v.place.Put(ctx, v.delivery(b)); err != nil {
		return Progress{}, err
	}
	// They may be there; what was written is believed when it was read.
	return v.place.Look(ctx, here)
}

func (v *visit) delivery(b rollout.Bundle) Delivery {
	return Delivery{Bundle: b, Account: v.target.Account, Target: v.target.Name, Overwrite: v.target.Overwrite}
}

// compare answers what is due with its values, for comparison only: they do not leave, so no
// record tells of it. The caller erases them.
func (v *visit) compare(ctx context.Context, due rollout.Due) (Delivery, error) {
	value := func(version string) (material.Bytes, error) {
		c := v.self()
		found, err := v.o.Secrets.ValueFor(ctx, c, audit.NewRecord(c, "keyward:DeliverSecret"), secret.GetInput{Secret: due.Secret, Version: version})
		return found.Data, err
	}
	b := rollout.Bundle{Due: due}
	var err error
	if b.Primary, err = value(due.Generation.Primary); err != nil {
		return Delivery{}, err
	}
	if due.Generation.Fallback == "" {
		return v.delivery(b), nil
	}
	b.Fallback, err = value(due.Generation.Fallback)
	if fault.Is(err, fault.ResourceNotFound) { // as Deliver does
		b.Generation.Fallback = ""
		return v.delivery(b), nil
	}
	if err != nil {
		b.Erase()
		return Delivery{}, err
	}
	return v.delivery(b), nil
}

// ack answers what a look amounts to, and whether the target had come farther before: what
// was said then does not hold any more. A place that could not be read is where it was.
func (v *visit) ack(due rollout.Due, p Progress, err error) (_ rollout.Ack, fell bool) {
	before := v.acks[due.Rollout]
	a, same := before, before.Generation == due.Generation.Number
	switch {
	case err != nil:
		p.Waiting = fault.Message(err)
	case p.Level != "":
		a = rollout.Ack{Generation: due.Generation.Number, Level: p.Level, At: v.clock(), UsedAt: p.UsedAt, FallbackAt: p.FallbackAt}
	case same:
		a = rollout.Ack{}
	}
	a.Account, a.Rollout, a.Node, a.SaidAt, a.Error = v.target.Account, due.Rollout, v.target.Name, v.clock(), brief(p.Waiting)
	return a, same && !a.Level.Reached(before.Level)
}

// overwritten notes that a person's order was carried out.
func (v *visit) overwritten(ctx context.Context) error {
	err := v.do(ctx, v.self(), "keyward:NoteTarget", v.target.Name, func(rec *audit.Record) error {
		rec.Param("Overwrite", "false")
		v.target.Overwrite = false
		return v.o.Store.UpdateTarget(ctx, rec, &v.target, nil)
	})
	if fault.Is(err, fault.Changed) {
		return nil // by a person, whose order stands
	}
	return err
}

// brief cuts a text to what is kept of it.
func brief(text string) string {
	if runes := []rune(text); len(runes) > maxSaid {
		return string(runes[:maxSaid-1]) + "…"
	}
	return text
}
