package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/secret"
)

// Handlers answers what looks at jobs about sinks.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{JobSync: s.syncDue, jobSweep: s.sweep}
}

// self is the principal of what keyward does by itself.
func (s *Service) self(account string) *authz.Call {
	return &authz.Call{
		Principal: authz.Principal{Account: account, Kind: authz.Service, Name: "sinks"},
		Time:      s.o.Now(), Scheme: "job",
	}
}

// sweep forgets the copies of a sink that was removed.
func (s *Service) sweep(ctx context.Context, j job.Job) (again time.Time, err error) {
	for {
		some, _, err := s.o.Store.Copies(ctx, j.Account, j.Subject, key.Page{Number: 1, Size: 100})
		if err != nil || len(some) == 0 {
			return time.Time{}, err
		}
		if err := s.do(ctx, s.self(j.Account), "keyward:ForgetCopies", j.Subject, func(rec *audit.Record) error {
			return s.o.Store.DeleteCopies(ctx, rec, some)
		}); err != nil {
			return time.Time{}, err
		}
	}
}

// A pass is one look at a sink.
type pass struct {
	*Service
	sink   Sink
	target Target
	copies map[string]Copy // by secret
	failed int             // the most failures in a row that a copy has
}

// syncDue looks at a sink and makes its copies what the secrets are.
func (s *Service) syncDue(ctx context.Context, j job.Job) (again time.Time, err error) {
	of, err := s.o.Store.Sink(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, passing)
	defer cancel()
	p := &pass{Service: s, sink: of}
	if err := p.run(ctx); err != nil {
		return time.Time{}, err
	}
	wait := pace
	if p.failed > 0 {
		wait = min(firstRetry<<min(p.failed-1, 10), maxRetry)
	}
	return s.o.Now().Add(wait), nil
}

func (p *pass) run(ctx context.Context) (err error) {
	k, err := p.kind(p.sink.Kind)
	if err != nil {
		return err
	}
	tenant, err := p.o.Tenants.Tenant(ctx, p.sink.Account)
	if err != nil {
		return err
	}
	filling, err := form.Open(tenant, p.sink.Settings, p.sink.Sealed, p.sink.bound()...)
	if err != nil {
		return fmt.Errorf("opening the credential of sink %s: %w", p.sink.Name, err)
	}
	defer filling.Erase()
	if p.target, err = k.Open(Opening{Filling: filling, Now: p.o.Now, Allow: p.o.Allow}); err != nil {
		return err
	}
	defer p.target.Close()
	if p.copies, err = p.allCopies(ctx); err != nil {
		return err
	}
	chosen, err := p.chosen(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, sec := range chosen {
		away, err := p.look(ctx, sec)
		if away {
			return failed // the others would fail for the same reason
		}
		if failed = cmp.Or(failed, err); ctx.Err() != nil || err != nil && !fault.Is(err, fault.Internal) {
			return failed
		}
	}
	return errors.Join(failed, p.forget(ctx, chosen))
}

// allCopies answers the copies of the sink by secret.
func (p *pass) allCopies(ctx context.Context) (map[string]Copy, error) {
	out := map[string]Copy{}
	for page := (key.Page{Number: 1, Size: 100}); ; page.Number++ {
		some, total, err := p.o.Store.Copies(ctx, p.sink.Account, p.sink.ID, page)
		if err != nil {
			return nil, err
		}
		for _, c := range some {
			out[c.Secret] = c
		}
		if page.Number*page.Size >= total {
			return out, nil
		}
	}
}

// chosen answers the secrets that the sink chooses and that are not about to be deleted.
func (p *pass) chosen(ctx context.Context) ([]secret.Secret, error) {
	found := map[string]secret.Secret{}
	var filters []secret.Filter
	for _, name := range p.sink.Secrets {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			filters = append(filters, secret.Filter{Prefix: prefix})
		} else {
			filters = append(filters, secret.Filter{Names: []string{name}})
		}
	}
	if len(p.sink.Tags) > 0 {
		filters = append(filters, secret.Filter{TagKeys: p.sink.Tags})
	}
	for _, f := range filters {
		all, err := p.o.Secrets.AllFor(ctx, p.sink.Account, f)
		if err != nil {
			return nil, err
		}
		for _, sec := range all {
			if sec.DeleteAt.IsZero() {
				found[sec.Name] = sec
			}
		}
	}
	var out []secret.Secret
	for _, sec := range found {
		out = append(out, sec)
	}
	slices.SortFunc(out, func(a, b secret.Secret) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// forget removes the copies of secrets that are not chosen any more. What was copied of
// them stays where it is.
func (p *pass) forget(ctx context.Context, chosen []secret.Secret) error {
	for _, sec := range chosen {
		delete(p.copies, sec.Name)
	}
	for _, c := range p.copies {
		if err := p.do(ctx, p.self(p.sink.Account), "keyward:ForgetCopies", p.sink.Name, func(rec *audit.Record) error {
			rec.Param("Secret", c.Secret)
			return p.o.Store.DeleteCopies(ctx, rec, []Copy{c})
		}); err != nil {
			return err
		}
	}
	return nil
}

// look compares one secret with its copy and does what is needed. An error is one of
// keyward's own: if it is [fault.Internal] this secret may be damaged, which keeps no other
// back. One of the target is noted in the copy, and away tells whether it concerns all
// secrets.
func (p *pass) look(ctx context.Context, sec secret.Secret) (away bool, err error) {
	c, known := p.copies[sec.Name]
	if !known {
		c = Copy{Account: p.sink.Account, Sink: p.sink.ID, Secret: sec.Name, Status: Pending}
	}
	err = p.mend(ctx, sec, &c)
	if err == nil {
		return false, nil
	}
	if kind := fault.KindOf(err); kind == fault.Internal || kind == fault.AuditUnavailable || ctx.Err() != nil {
		return false, err
	}
	c.Failures++
	p.failed = max(p.failed, c.Failures)
	c.Status = Failed
	c.tell(fault.TextOf(err))
	return errors.Is(err, ErrAway), p.save(ctx, &c)
}

// tell notes why a copy is as it is, in both languages, cut to what is kept of what a target says.
func (c *Copy) tell(why fault.Text) {
	cut := func(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxReported)], "") }
	c.Error, c.Chinese = cut(why.String()), cut(why.Chinese())
}

// mend makes a copy what the secret is, unless somebody else changed it.
func (p *pass) mend(ctx context.Context, sec secret.Secret, c *Copy) error {
	remote, err := p.target.Read(ctx, sec.Name)
	if err != nil {
		return err
	}
	defer remote.Value.Zero()
	v, err := p.view(ctx, sec, *c, remote)
	if err != nil {
		return err
	}
	switch decide(*c, v, p.sink.Overwrite) {
	case keep:
		return p.settle(ctx, c, sec.At(secret.Current), remote.Number)
	case drifted:
		return p.drift(ctx, c, remote)
	default:
		return p.write(ctx, sec, c, remote.Number)
	}
}

// view compares what is there with the values here.
func (p *pass) view(ctx context.Context, sec secret.Secret, c Copy, remote Remote) (view, error) {
	v := view{remote: remote.Number, gone: remote.Gone, blind: true}
	if remote.Number == 0 || remote.Gone {
		return v, nil
	}
	current := sec.At(secret.Current)
	for _, version := range slices.Compact([]string{current, c.Version, c.Written}) {
		if version == "" {
			continue
		}
		value, err := p.value(ctx, sec, version)
		if fault.Is(err, fault.ResourceNotFound) { // dropped since
			continue
		}
		if err != nil {
			return view{}, err
		}
		same := value.Equal(remote.Value)
		value.Zero()
		v.current = v.current || same && version == current
		if version == c.Version || version == c.Written {
			v.own, v.blind = v.own || same, false
		}
	}
	return v, nil
}

// value answers a version's value in keyward's own name, for comparison only: it does not
// leave, so no record tells of it.
func (p *pass) value(ctx context.Context, sec secret.Secret, version string) (material.Bytes, error) {
	v, err := p.o.Secrets.ValueFor(ctx, p.self(sec.Account), &audit.Record{Action: "kms:GetSecretValue"}, secret.GetInput{Secret: sec.Name, Version: version})
	return v.Data, err
}

// settle notes that a copy is right.
func (p *pass) settle(ctx context.Context, c *Copy, version string, number int) error {
	if c.Status == Synced && c.Written == version && c.Remote == number {
		return nil // as before: no record is worth it
	}
	c.Status, c.Version, c.Written, c.Remote, c.Failures, c.SyncedAt = Synced, version, version, number, 0, p.clock()
	c.tell(fault.Text{})
	return p.save(ctx, c)
}

// drift notes that somebody changed a copy.
func (p *pass) drift(ctx context.Context, c *Copy, remote Remote) error {
	what := fault.Say("somebody wrote version %d there", remote.Number)
	switch {
	case remote.Number == 0:
		what = fault.Say("somebody deleted all of it there")
	case remote.Gone:
		what = fault.Say("somebody deleted version %d there", remote.Number)
	}
	before := *c
	c.Status, c.Failures = Drifted, 0
	if c.tell(what); *c == before {
		return nil
	}
	return p.save(ctx, c)
}

// write copies the current value: the intent with its record, the act, the outcome.
func (p *pass) write(ctx context.Context, sec secret.Secret, c *Copy, after int) error {
	var value secret.Value
	call := p.self(sec.Account)
	err := p.do(ctx, call, "keyward:CopySecret", p.sink.Name, func(rec *audit.Record) (err error) {
		read := audit.NewRecord(call, "kms:GetSecretValue")
		if value, err = p.o.Secrets.ValueFor(ctx, call, read, secret.GetInput{Secret: sec.Name}); err != nil {
			return err
		}
		rec.Version, rec.Params = read.Version, read.Params
		rec.Param("Secret", sec.Name)
		c.Status, c.Version, c.Remote, c.At = Pending, value.Version.ID, after, p.clock()
		c.tell(fault.Text{})
		return p.o.Store.SaveCopy(ctx, rec, c)
	})
	defer value.Data.Zero()
	if err != nil {
		return err
	}
	// It is on record that the value leaves, and after a crash it is known what may be there.
	number, err := p.target.Write(ctx, sec.Name, value.Data, after)
	if err != nil {
		return err
	}
	// It is there; if the next step does not happen, the next look finds it there.
	return p.settle(ctx, c, c.Version, number)
}

// save stores a copy with a record of its own.
func (p *pass) save(ctx context.Context, c *Copy) error {
	return p.do(ctx, p.self(c.Account), "keyward:NoteCopy", p.sink.Name, func(rec *audit.Record) error {
		rec.Param("Secret", c.Secret)
		rec.Param("Status", string(c.Status))
		c.At = p.clock()
		return p.o.Store.SaveCopy(ctx, rec, c)
	})
}
