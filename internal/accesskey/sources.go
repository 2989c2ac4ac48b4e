package accesskey

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
)

// patience is how long a check of a credential may take: somebody waits for it.
const patience = 20 * time.Second

// A Draft is what a person says of a source.
type Draft struct {
	form.Filling
	Owner  string
	MaxAge time.Duration
	Pace   time.Duration // 0 for the kind's
	// Unchecked has the source stored without asking the provider first.
	Unchecked bool
}

// Add stores a new source after its provider has accepted the credential, and has it
// synchronised at once. Nothing is stored if the provider refuses.
func (s *Service) Add(ctx context.Context, c *authz.Call, name, kind string, d Draft) (out Source, id Identity, err error) {
	err = s.do(ctx, c, "keyward:AddProvider", func(rec *audit.Record) error {
		if err := s.may(c, rec, "provider/"+name); err != nil {
			return err
		}
		rec.Param("Kind", kind)
		if !sourceName().MatchString(name) {
			return fault.InvalidParameter.New("the name of a provider has lower-case letters, digits and hyphens, at most 63")
		}
		k, err := s.kind(kind)
		if err != nil {
			return err
		}
		if d.Pace == 0 {
			d.Pace = k.Pace
		}
		have, err := s.o.Sources.Sources(ctx, c.Account)
		if err != nil {
			return err
		}
		if len(have) >= MaxSources {
			return fault.LimitExceeded.New("the account has %d providers, which is the limit", MaxSources)
		}
		out = Source{Account: c.Account, Name: name, Kind: kind, CreatedAt: s.now()}
		if err := s.fill(ctx, &out, k, d); err != nil {
			return err
		}
		if id, err = s.prove(ctx, c.Account, k, d); err != nil {
			return err
		}
		return s.o.Sources.CreateSource(ctx, rec, &out, s.syncs(out))
	})
	return out, id, err
}

// fill takes a draft over into a source and seals its credential.
func (s *Service) fill(ctx context.Context, src *Source, k KindOfProvider, d Draft) error {
	if err := k.Form.Check(d.Filling); err != nil {
		return err
	}
	src.Settings = form.Pairs(d.Settings)
	if err := src.arrange(d.Owner, d.MaxAge, d.Pace); err != nil {
		return err
	}
	tenant, err := s.o.Tenants.Tenant(ctx, src.Account)
	if err != nil {
		return err
	}
	src.Sealed, err = form.Seal(tenant, src.Settings, d.Credential, src.bound()...)
	return err
}

// arrange sets what is no part of the connection.
func (s *Source) arrange(owner string, maxAge, pace time.Duration) error {
	if err := checkText(fault.Say("owner"), owner, MaxText); err != nil {
		return err
	}
	if maxAge != 0 && (maxAge < MinMaxAge || maxAge > MaxMaxAge) {
		return fault.InvalidParameter.New("the age that keys may reach must be between one day and ten years")
	}
	if pace < MinPace || pace > MaxPace {
		return fault.InvalidParameter.New("the time between two synchronisations must be between %v and %v", MinPace, MaxPace)
	}
	s.Owner, s.MaxAge, s.Pace = owner, maxAge.Truncate(time.Second), pace.Truncate(time.Second)
	return nil
}

// prove asks the provider whose the credential is.
func (s *Service) prove(ctx context.Context, account string, k KindOfProvider, d Draft) (Identity, error) {
	p, err := k.Open(Opening{Filling: d.Filling, Account: account, Now: s.o.Now, Allow: s.o.Allow})
	if err != nil || d.Unchecked {
		return Identity{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.Check(ctx)
}

// A Change of a source; nil leaves a part as it is.
type Change struct {
	// Filling changes the connection. Both parts are given anew, so that whoever may change
	// a source, and does not know its credential, cannot have it sent somewhere else.
	Filling   *form.Filling
	Owner     *string
	MaxAge    *time.Duration
	Pace      *time.Duration
	Paused    *bool
	Unchecked bool
}

// Update changes a source.
func (s *Service) Update(ctx context.Context, c *authz.Call, name string, ch Change) (out Source, err error) {
	err = s.do(ctx, c, "keyward:UpdateProvider", func(rec *audit.Record) error {
		if err := s.may(c, rec, "provider/"+name); err != nil {
			return err
		}
		if out, err = s.o.Sources.Source(ctx, c.Account, name); err != nil {
			return err
		}
		k, err := s.kind(out.Kind)
		if err != nil {
			return err
		}
		d := Draft{Owner: valueOr(ch.Owner, out.Owner), MaxAge: valueOr(ch.MaxAge, out.MaxAge), Pace: valueOr(ch.Pace, out.Pace), Unchecked: ch.Unchecked}
		if err := out.arrange(d.Owner, d.MaxAge, d.Pace); err != nil {
			return err
		}
		out.Paused = valueOr(ch.Paused, out.Paused)
		if ch.Filling != nil {
			d.Filling = *ch.Filling
			if err := s.fill(ctx, &out, k, d); err != nil {
				return err
			}
			if _, err := s.prove(ctx, c.Account, k, d); err != nil {
				return err
			}
		}
		return s.o.Sources.UpdateSource(ctx, rec, &out, s.syncs(out))
	})
	if err == nil && (ch.Owner != nil || ch.MaxAge != nil) {
		err = s.o.Keys.Renew(ctx, out)
	}
	return out, err
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// syncs plans a synchronisation now, if there is anything to read.
func (s *Service) syncs(src Source) []job.Job {
	if k, err := s.kind(src.Kind); err != nil || k.entered() {
		return nil
	}
	return []job.Job{{Kind: JobSync, Account: src.Account, Subject: src.Name, Due: s.now(), Hasten: true}}
}

// Needs answers the jobs that a source needs.
func (s *Service) Needs(src Source) (out []job.Need) {
	if src.Paused {
		return nil
	}
	for _, j := range s.syncs(src) {
		out = append(out, job.Need{Job: j, Ahead: src.Pace})
	}
	return out
}

// Remove forgets a source and what was observed through it, unless rotations need it.
func (s *Service) Remove(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:RemoveProvider", func(rec *audit.Record) error {
		if err := s.may(c, rec, "provider/"+name); err != nil {
			return err
		}
		src, err := s.o.Sources.Source(ctx, c.Account, name)
		if err != nil {
			return err
		}
		return s.o.Sources.DeleteSource(ctx, rec, &src)
	})
}

// A Standing is a source and how its synchronisations go.
type Standing struct {
	Source Source
	State  State
	Manual bool // it is never synchronised: people enter its keys
}

// List answers all sources of the account, by name.
func (s *Service) List(ctx context.Context, c *authz.Call) (out []Standing, err error) {
	err = s.do(ctx, c, "keyward:ListProviders", func(rec *audit.Record) error {
		if err := s.may(c, rec, "provider/*"); err != nil {
			return err
		}
		out, err = s.Standings(ctx, c.Account)
		return err
	})
	return out, err
}

// Get answers one source of the account.
func (s *Service) Get(ctx context.Context, c *authz.Call, name string) (out Standing, err error) {
	err = s.do(ctx, c, "keyward:GetProvider", func(rec *audit.Record) error {
		if err := s.may(c, rec, "provider/"+name); err != nil {
			return err
		}
		if out.Source, err = s.o.Sources.Source(ctx, c.Account, name); err != nil {
			return err
		}
		st, err := s.o.Sources.State(ctx, c.Account, name)
		out = s.standing(out.Source, st)
		return err
	})
	return out, err
}

// Standings answers all sources for keyward itself, without a record.
func (s *Service) Standings(ctx context.Context, account string) ([]Standing, error) {
	sources, err := s.o.Sources.Sources(ctx, account)
	if err != nil {
		return nil, err
	}
	states, err := s.o.Sources.States(ctx, account)
	if err != nil {
		return nil, err
	}
	out := make([]Standing, len(sources))
	for i, src := range sources {
		out[i] = s.standing(src, states[src.Name])
	}
	return out, nil
}

func (s *Service) standing(src Source, st State) Standing {
	k, err := s.kind(src.Kind)
	return Standing{src, st, err == nil && k.entered()}
}

// Sync has a source synchronised as soon as possible; its state tells when it was.
// One whose keys people enter is refused: there is nothing to read.
func (s *Service) Sync(ctx context.Context, c *authz.Call, name string) error {
	return s.hasten(ctx, c, name, func(src Source) error {
		if k, err := s.kind(src.Kind); err == nil && k.entered() {
			return fault.UnsupportedOperation.New("the keys of the provider %s are entered by people; there is nothing to read", name)
		}
		return nil
	})
}

// hasten plans the synchronisation of a source unless it is refused.
func (s *Service) hasten(ctx context.Context, c *authz.Call, name string, refuse func(Source) error) error {
	return s.do(ctx, c, "keyward:SyncProvider", func(rec *audit.Record) error {
		if err := s.may(c, rec, "provider/"+name); err != nil {
			return err
		}
		src, err := s.o.Sources.Source(ctx, c.Account, name)
		if err != nil {
			return err
		}
		if src.Paused {
			return fault.StateConflict.New("the provider %s is paused; resume it first", name)
		}
		if err := refuse(src); err != nil {
			return err
		}
		return s.o.Sources.UpdateSource(ctx, rec, &src, s.syncs(src))
	})
}
