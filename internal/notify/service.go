// Package notify tells people, and does not stop before one of them has answered.
//
// An [Incident] stands for a condition: a key that expires, a scan that did not run, a
// channel that is dead. Whoever watches the condition reports it and reports its end;
// nobody closes an incident with a click. While it is open, [Decide] says by the account's
// plan (package oncall) who is to be told next, over which channels, and when to look
// again. Delivered is not seen: only an acknowledgement, by a person, holds the
// escalation, and it lapses.
//
// What is to be sent stands in an outbox, written in the transaction that decided it. A
// delivery is marked before its channel is called, so after a crash it is known what may
// have left. A channel that recognises a message's id gets it again; one that does not is
// asked first what became of it ([message.Querier]).
//
// Who may call: whatever watches conditions, the API dialects, jobs. What is trusted: the
// people and channels that the account's administrators entered. Messages (package
// message) never hold a secret: they are made of names, ids and times.
package notify

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/oncall"
)

// MaxChannels is how many channels an account may have. docs/alerts.md tells it to users.
const MaxChannels = 100

// The kinds of jobs.
const (
	JobStep      = "notify.step"      // looks at an incident; its subject is the incident's id
	JobSend      = "notify.send"      // sends what waits for a channel; its subject is the channel's name
	JobHeartbeat = "notify.heartbeat" // sends a sign of life over a channel
	JobSelfTest  = "notify.selftest"  // sends a test message over a channel every week
)

// Tenants answers the wrapper that protects an account's credentials at rest.
type Tenants interface {
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
}

// Links answers the pages on which messages can be acknowledged.
type Links interface {
	Incident(account, incident, person string) string
	Confirm(account, channel, person string) string
}

// Options says what a Service is made of. All fields that do not say what nil is for are required.
type Options struct {
	Config    ConfigStore
	Directory DirectoryStore
	Incidents IncidentStore
	Outbox    Outbox
	Tenants   Tenants
	Links     Links // nil if there are no pages
	Log       *audit.Log
	Kinds     []message.Kind
	Region    string // of the ARNs
	Now       func() time.Time
	Allow     []netip.Prefix // networks that are not public and that channels may be at
	// Look is what channels are opened with when they are added or changed: see
	// [message.Opening]. Nil for not looking.
	Look func(ctx context.Context, host string, port uint16, plain bool) error
	// Healthy tells whether a sign of life may be given for an account: what it would
	// stand for works.
	Healthy func(ctx context.Context, account string) bool
	// Over tells why nothing is told of a key any more: "key-gone", "unwatched" or "" for another reason; nil for always.
	Over   func(ctx context.Context, account, provider, key string) (string, error)
	Logger *slog.Logger
}

// A Service tells people. It may be used concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service {
	if o.Look == nil {
		o.Look = func(context.Context, string, uint16, bool) error { return nil }
	}
	return &Service{o}
}

// Kinds answers the kinds of channels.
func (s *Service) Kinds() []message.Kind { return s.o.Kinds }

func (s *Service) kind(name string) (message.Kind, error) {
	i := slices.IndexFunc(s.o.Kinds, func(k message.Kind) bool { return k.Name == name })
	if i < 0 {
		return message.Kind{}, fault.InvalidParameter.New("there is no kind of channel %q; list them with: keyward channel kinds", name)
	}
	return s.o.Kinds[i], nil
}

// Needs answers the jobs that a channel needs, with what waits for it now.
func (s *Service) Needs(ctx context.Context, ch Channel) ([]job.Need, error) {
	now := s.now()
	need := func(kind string, ahead time.Duration) job.Need {
		return job.Need{Job: job.Job{Kind: kind, Account: ch.Account, Subject: ch.Name, Due: now}, Ahead: ahead}
	}
	out := []job.Need{need(JobSelfTest, testEvery)}
	if ch.Paused {
		return out, nil
	}
	if ch.Heartbeat > 0 {
		out = append(out, need(JobHeartbeat, ch.Heartbeat))
	}
	due, next, err := s.o.Outbox.Due(ctx, ch.Account, ch.Name, now, 1)
	if err != nil {
		return nil, err
	}
	if len(due) > 0 || !next.IsZero() {
		out = append(out, need(JobSend, max(next.Sub(now), 0)))
	}
	return out, nil
}

// Looks answers the jobs that an incident needs.
func (s *Service) Looks(i Incident) []job.Need {
	if !i.Open() || i.NextAt.IsZero() {
		return nil
	}
	return []job.Need{{Job: job.Job{Kind: JobStep, Account: i.Account, Subject: i.ID, Due: i.NextAt}}}
}

// Handlers answers what the service does when its jobs are due. Sending waits for others'
// services: these jobs should run beside each other.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{JobStep: s.step, JobSend: s.send, JobHeartbeat: s.heartbeat, JobSelfTest: s.selfTest}
}

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, resource string, fn func(*audit.Record) error) error {
	return s.o.Log.Perform(ctx, c, action, "acs:keyward:"+s.o.Region+":"+c.Account+":"+resource, fn)
}

// first makes the record of an act durable that no transaction can join: nothing of it
// happens unless it is.
func (s *Service) first(ctx context.Context, rec *audit.Record) error {
	rec.Result = audit.ResultOK
	return s.o.Log.Append(ctx, rec)
}

func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

// engine is whom the records of what nobody asked for name.
func (s *Service) engine(account string) *authz.Call {
	return &authz.Call{
		Principal: authz.Principal{Account: account, Kind: authz.Service, Name: "alerts"}, Time: s.o.Now(), Scheme: "job",
	}
}

// A Draft is what a person says of a channel. Settings and credential are given together,
// so that whoever may change a channel, and does not know its credential, cannot have it
// sent somewhere else; a nil Filling leaves both.
type Draft struct {
	Filling   *form.Filling
	Heartbeat *time.Duration
	Paused    *bool
}

// AddChannel stores a new channel.
func (s *Service) AddChannel(ctx context.Context, c *authz.Call, name, kind string, d Draft) (out Channel, err error) {
	err = s.do(ctx, c, "keyward:AddChannel", "channel/"+name, func(rec *audit.Record) error {
		if !oncall.ValidName(name) {
			return fault.InvalidParameter.New("the name of a channel has lower-case letters, digits, dots, hyphens and underscores, at most 63")
		}
		have, err := s.o.Config.Channels(ctx, c.Account)
		if err != nil {
			return err
		}
		if len(have) >= MaxChannels {
			return fault.LimitExceeded.New("the account has %d channels, which is the limit", MaxChannels)
		}
		if d.Filling == nil {
			d.Filling = &form.Filling{}
		}
		out = Channel{Account: c.Account, Name: name, Kind: kind, CreatedAt: s.now()}
		return s.saveChannel(ctx, rec, &out, d)
	})
	return out, err
}

// UpdateChannel changes a channel.
func (s *Service) UpdateChannel(ctx context.Context, c *authz.Call, name string, d Draft) (out Channel, err error) {
	err = s.do(ctx, c, "keyward:UpdateChannel", "channel/"+name, func(rec *audit.Record) error {
		if out, err = s.channel(ctx, c.Account, name); err != nil {
			return err
		}
		return s.saveChannel(ctx, rec, &out, d)
	})
	if err == nil && out.Paused {
		err = s.unwatch(ctx, c.Account, name)
	}
	return out, err
}

func (s *Service) saveChannel(ctx context.Context, rec *audit.Record, ch *Channel, d Draft) error {
	k, err := s.kind(ch.Kind)
	if err != nil {
		return err
	}
	if d.Filling != nil {
		if err := k.Form.Check(*d.Filling); err != nil {
			return err
		}
		look := func(host string, port uint16, plain bool) error { return s.o.Look(ctx, host, port, plain) }
		if _, err := k.Open(message.Opening{Filling: *d.Filling, Now: s.o.Now, Allow: s.o.Allow, Look: look}); err != nil {
			return err
		}
		tenant, err := s.o.Tenants.Tenant(ctx, ch.Account)
		if err != nil {
			return err
		}
		ch.Settings = form.Pairs(d.Filling.Settings)
		if ch.Sealed, err = form.Seal(tenant, ch.Settings, d.Filling.Credential, ch.bound()...); err != nil {
			return err
		}
	}
	if d.Heartbeat != nil {
		if *d.Heartbeat != 0 && (*d.Heartbeat < time.Minute || *d.Heartbeat > day) {
			return fault.InvalidParameter.New("signs of life are given every minute to every day")
		}
		if k.Traits.Family != message.Machine && *d.Heartbeat != 0 {
			return fault.InvalidParameter.New("signs of life are for programs: use a channel of the family machine, such as webhook or alertmanager")
		}
		ch.Heartbeat = d.Heartbeat.Truncate(time.Second)
	}
	if d.Paused != nil {
		ch.Paused = *d.Paused
	}
	now := s.now()
	jobs := []job.Job{{Kind: JobSend, Account: ch.Account, Subject: ch.Name, Due: now, Hasten: true}}
	if ch.Heartbeat > 0 && !ch.Paused {
		jobs = append(jobs, job.Job{Kind: JobHeartbeat, Account: ch.Account, Subject: ch.Name, Due: now})
	}
	if ch.Rev == 0 {
		jobs = append(jobs, job.Job{Kind: JobSelfTest, Account: ch.Account, Subject: ch.Name, Due: now.Add(testEvery)})
	}
	return s.o.Config.SaveChannel(ctx, rec, ch, jobs)
}

// RemoveChannel forgets a channel and what waits for it.
func (s *Service) RemoveChannel(ctx context.Context, c *authz.Call, name string) error {
	err := s.do(ctx, c, "keyward:RemoveChannel", "channel/"+name, func(rec *audit.Record) error {
		ch, err := s.channel(ctx, c.Account, name)
		if err != nil {
			return err
		}
		return s.o.Config.DeleteChannel(ctx, rec, &ch)
	})
	if err != nil {
		return err
	}
	return s.unwatch(ctx, c.Account, name)
}

// A Standing is a channel and how it does.
type Standing struct {
	Channel Channel
	Health  Health
}

// ListChannels answers the account's channels, by name.
func (s *Service) ListChannels(ctx context.Context, c *authz.Call) (out []Standing, err error) {
	err = s.do(ctx, c, "keyward:ListChannels", "channel/*", func(*audit.Record) error {
		channels, err := s.o.Config.Channels(ctx, c.Account)
		if err != nil {
			return err
		}
		healths, err := s.o.Config.Healths(ctx, c.Account)
		for _, ch := range channels {
			out = append(out, Standing{ch, healths[ch.Name]})
		}
		return err
	})
	return out, err
}

func (s *Service) channel(ctx context.Context, account, name string) (Channel, error) {
	all, err := s.o.Config.Channels(ctx, account)
	if err != nil {
		return Channel{}, err
	}
	i := slices.IndexFunc(all, func(ch Channel) bool { return ch.Name == name })
	if i < 0 {
		return Channel{}, fault.ResourceNotFound.New("there is no channel %q; list them with: keyward channel list", name)
	}
	return all[i], nil
}

// sender opens a channel's sender. The caller erases the filling when it is done with it.
func (s *Service) sender(ctx context.Context, ch Channel, k message.Kind) (message.Sender, form.Filling, error) {
	tenant, err := s.o.Tenants.Tenant(ctx, ch.Account)
	if err != nil {
		return nil, form.Filling{}, err
	}
	f, err := form.Open(tenant, ch.Settings, ch.Sealed, ch.bound()...)
	if err != nil {
		return nil, form.Filling{}, err
	}
	sender, err := k.Open(message.Opening{Filling: f, Now: s.o.Now, Allow: s.o.Allow})
	if err != nil {
		f.Erase()
	}
	return sender, f, err
}
