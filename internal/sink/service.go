package sink

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/secret"
)

// The limits of sinks.
const (
	maxSinks   = 100 // of one account
	maxChoices = 50  // names, and tag keys, of one sink
)

// The kinds of jobs that sinks need.
const (
	JobSync  = "sink.sync"  // looks at a sink
	jobSweep = "sink.sweep" // forgets the copies of a sink that was removed
)

const (
	pace        = time.Minute      // between two looks at a sink
	firstRetry  = 5 * time.Second  // after a look at which something failed; doubled with each further one
	maxRetry    = 10 * time.Minute // the longest of these
	patience    = 20 * time.Second // of a person who waits for a check
	passing     = 10 * time.Minute // for one look, whatever it waits for
	maxReported = 512              // bytes of what a target says
)

var sinkName = lazy.Regexp(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Tenants answers the wrapper that protects an account's credentials at rest.
type Tenants interface {
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
}

// Options says what a Service is made of. All fields but Allow are required.
type Options struct {
	Store   Store
	Secrets *secret.Service
	Tenants Tenants
	Log     *audit.Log
	Kinds   []KindOfSink
	Region  string           // of the ARNs
	Now     func() time.Time // clock
	Allow   []netip.Prefix   // networks that may be reached although they are not public
}

// A Service offers the operations on sinks. Its methods may be called concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// ARN answers the name of a sink as policies know it.
func (s *Service) ARN(account, name string) string {
	return "acs:keyward:" + s.o.Region + ":" + account + ":sink/" + name
}

// do runs one operation on a sink that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, name string, fn func(*audit.Record) error) error {
	return s.o.Log.Perform(ctx, c, action, s.ARN(c.Account, name), fn)
}

// newID makes the id of a sink.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

func (s *Service) clock() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

// Kinds answers the kinds of sinks that there are.
func (s *Service) Kinds() []KindOfSink { return s.o.Kinds }

func (s *Service) kind(name string) (KindOfSink, error) {
	for _, k := range s.o.Kinds {
		if k.Name == name {
			return k, nil
		}
	}
	return KindOfSink{}, fault.InvalidParameter.New("there is no kind of sink %q; there is vault, which also serves OpenBao", name)
}

// A Draft is what a person says of a sink.
type Draft struct {
	form.Filling
	Kind    string
	Secrets []string
	Tags    []string
}

// Add stores a new sink after the other keeper has accepted the credential, and has it
// synchronised at once. Whoever adds a sink hands its secrets on: that takes
// kms:GetSecretValue on each of the choices, as if it were the name of a secret.
func (s *Service) Add(ctx context.Context, c *authz.Call, name string, d Draft) (out Sink, err error) {
	err = s.do(ctx, c, "keyward:AddSink", name, func(rec *audit.Record) error {
		rec.Param("Kind", d.Kind)
		if !sinkName().MatchString(name) {
			return fault.InvalidParameter.New("the name of a sink has lower-case letters, digits and hyphens, at most 63")
		}
		if err := d.check(); err != nil {
			return err
		}
		if err := s.mayRead(c, d); err != nil {
			return err
		}
		k, err := s.kind(d.Kind)
		if err != nil {
			return err
		}
		if err := k.Form.Check(d.Filling); err != nil {
			return err
		}
		have, err := s.o.Store.Sinks(ctx, c.Account)
		if err != nil {
			return err
		}
		if len(have) >= maxSinks {
			return fault.LimitExceeded.New("the account has %d sinks, which is the limit", maxSinks)
		}
		out = Sink{
			Account: c.Account, Name: name, ID: newID(), Kind: d.Kind, Settings: form.Pairs(d.Settings), Secrets: d.Secrets, Tags: d.Tags, CreatedAt: s.clock(),
		}
		tenant, err := s.o.Tenants.Tenant(ctx, c.Account)
		if err != nil {
			return err
		}
		if out.Sealed, err = form.Seal(tenant, out.Settings, d.Credential, out.bound()...); err != nil {
			return err
		}
		if err := s.prove(ctx, k, d); err != nil {
			return err
		}
		return s.o.Store.CreateSink(ctx, rec, &out, s.soon(out))
	})
	if err != nil {
		return Sink{}, err
	}
	return out, nil
}

// A Change is what to change of a sink. Settings and credential are given together, so
// that whoever may change a sink, and does not know its credential, cannot have it sent
// somewhere else; nil leaves what it is.
type Change struct {
	Filling *form.Filling
	Secrets *[]string
	Tags    *[]string
}

// Update changes a sink and has it synchronised at once. It takes what [Service.Add] does.
// At another place all copies begin anew: what stands there is somebody else's, unless it
// is the same.
func (s *Service) Update(ctx context.Context, c *authz.Call, name string, ch Change) (out Sink, err error) {
	err = s.do(ctx, c, "keyward:UpdateSink", name, func(rec *audit.Record) error {
		if out, err = s.o.Store.Sink(ctx, c.Account, name); err != nil {
			return err
		}
		if ch.Secrets != nil {
			out.Secrets = *ch.Secrets
		}
		if ch.Tags != nil {
			out.Tags = *ch.Tags
		}
		d := Draft{Kind: out.Kind, Secrets: out.Secrets, Tags: out.Tags}
		if err := d.check(); err != nil {
			return err
		}
		if err := s.mayRead(c, d); err != nil {
			return err
		}
		jobs := s.soon(out)
		if ch.Filling != nil {
			d.Filling = *ch.Filling
			swept, err := s.connect(ctx, &out, d)
			if err != nil {
				return err
			}
			jobs = append(jobs, swept...)
		}
		return s.o.Store.UpdateSink(ctx, rec, &out, jobs)
	})
	if err != nil {
		return Sink{}, err
	}
	return out, nil
}

// connect gives a sink another connection, after the other keeper has accepted it, and
// answers the jobs that forget the copies at the place where they stood.
func (s *Service) connect(ctx context.Context, of *Sink, d Draft) ([]job.Job, error) {
	k, err := s.kind(of.Kind)
	if err != nil {
		return nil, err
	}
	if err := k.Form.Check(d.Filling); err != nil {
		return nil, err
	}
	var jobs []job.Job
	settings := form.Pairs(d.Settings)
	if !slices.Equal(place(k, of.Settings), place(k, settings)) {
		jobs = s.sweeps(*of)
		of.ID = newID()
	}
	of.Settings = settings
	tenant, err := s.o.Tenants.Tenant(ctx, of.Account)
	if err != nil {
		return nil, err
	}
	if of.Sealed, err = form.Seal(tenant, of.Settings, d.Credential, of.bound()...); err != nil {
		return nil, err
	}
	return jobs, s.prove(ctx, k, d)
}

// place answers those of the settings that say where copies stand.
func place(k KindOfSink, settings []form.Pair) []form.Pair {
	return slices.DeleteFunc(slices.Clone(settings), func(p form.Pair) bool { return !slices.Contains(k.Place, p.Name) })
}

// check refuses choices that choose nothing or make no sense.
func (d Draft) check() error {
	if len(d.Secrets)+len(d.Tags) == 0 {
		return fault.MissingParameter.New("a sink needs names of secrets, or tag keys, that say what is copied")
	}
	if max(len(d.Secrets), len(d.Tags)) > maxChoices {
		return fault.LimitExceeded.New("a sink has at most %d names and %d tag keys; use a name that ends in *", maxChoices, maxChoices)
	}
	for _, name := range d.Secrets {
		if name == "" || len(name) > secret.MaxName || strings.Contains(strings.TrimSuffix(name, "*"), "*") || strings.ContainsAny(name, "\x00 ,") {
			return fault.InvalidParameter.New("the name of a secret that is to be copied is not valid; it may end in *, which stands for anything")
		}
	}
	for _, key := range d.Tags {
		if key == "" || len(key) > 4*secret.MaxName || strings.ContainsRune(key, 0) {
			return fault.InvalidParameter.New("a tag key of secrets that are to be copied is not valid")
		}
	}
	return nil
}

// mayRead asks the caller's policies about what the sink will read. Tags can be given to
// any secret later, so that a choice by tag takes the permission for all.
func (s *Service) mayRead(c *authz.Call, d Draft) error {
	names := slices.Clone(d.Secrets)
	if len(d.Tags) > 0 {
		names = append(names, "*")
	}
	for _, name := range names {
		resource := s.o.Secrets.ARN(c.Account, name)
		if _, err := c.Check(authz.Request{Action: "kms:GetSecretValue", Resource: resource}); err != nil {
			return fault.NoPermission.Wrap(err, "%s may not perform kms:GetSecretValue on %s, and so may not have it copied", c.ARN(), resource)
		}
	}
	return nil
}

// prove asks the other keeper whether it accepts the credential.
func (s *Service) prove(ctx context.Context, k KindOfSink, d Draft) error {
	target, err := k.Open(Opening{Filling: d.Filling, Now: s.o.Now, Allow: s.o.Allow})
	if err != nil {
		return err
	}
	defer target.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return target.Check(ctx)
}

// soon plans a look at the sink now.
func (s *Service) soon(of Sink) []job.Job {
	return []job.Job{{Kind: JobSync, Account: of.Account, Subject: of.Name, Due: s.clock()}}
}

// Needs answers the jobs that a sink needs.
func (s *Service) Needs(of Sink) []job.Need { return []job.Need{{Job: s.soon(of)[0], Ahead: maxRetry}} }

// List answers all sinks of the account, by name.
func (s *Service) List(ctx context.Context, c *authz.Call) (out []Sink, err error) {
	err = s.do(ctx, c, "keyward:ListSinks", "*", func(*audit.Record) error {
		out, err = s.o.Store.Sinks(ctx, c.Account)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Show answers a sink and one page of its copies, and how many there are.
func (s *Service) Show(ctx context.Context, c *authz.Call, name string, p key.Page) (out Sink, copies []Copy, total int, err error) {
	err = s.do(ctx, c, "keyward:DescribeSink", name, func(*audit.Record) error {
		if err := p.Check(); err != nil {
			return err
		}
		if out, err = s.o.Store.Sink(ctx, c.Account, name); err != nil {
			return err
		}
		copies, total, err = s.o.Store.Copies(ctx, c.Account, out.ID, p)
		return err
	})
	if err != nil {
		return Sink{}, nil, 0, err
	}
	return out, copies, total, nil
}

// Sync has a sink looked at now. With overwrite, copies that have drifted until now are
// overwritten with what is here.
func (s *Service) Sync(ctx context.Context, c *authz.Call, name string, overwrite bool) error {
	return s.do(ctx, c, "keyward:SyncSink", name, func(rec *audit.Record) error {
		of, err := s.o.Store.Sink(ctx, c.Account, name)
		if err != nil {
			return err
		}
		if overwrite {
			rec.Param("Overwrite", "true")
			of.Overwrite = s.clock()
		}
		return s.o.Store.UpdateSink(ctx, rec, &of, s.soon(of))
	})
}

// Remove forgets a sink. What was copied stays where it is.
func (s *Service) Remove(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:RemoveSink", name, func(rec *audit.Record) error {
		of, err := s.o.Store.Sink(ctx, c.Account, name)
		if err != nil {
			return err
		}
		return s.o.Store.DeleteSink(ctx, rec, &of, s.sweeps(of))
	})
}

// sweeps plans that the copies of a sink's id are forgotten.
func (s *Service) sweeps(of Sink) []job.Job {
	return []job.Job{{Kind: jobSweep, Account: of.Account, Subject: of.ID, Due: s.clock()}}
}
