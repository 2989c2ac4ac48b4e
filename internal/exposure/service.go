package exposure

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/secret"
)

// Secrets is what is asked of the secrets of an account; secret.Service is one.
type Secrets interface {
	// AllFor answers the secrets of an account that match, for keyward's own work.
	AllFor(ctx context.Context, account string, f secret.Filter) ([]secret.Secret, error)
	// Peek opens a version for keyward's own work, which is nobody's use of it.
	Peek(ctx context.Context, v secret.Version) (material.Bytes, error)
}

// Tenants answers the wrapper that protects an account's key of marks.
type Tenants interface {
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
}

// Inbox takes what a look finds; finding.Service is one.
type Inbox interface {
	Reconcile(ctx context.Context, b finding.Batch) (finding.Tally, error)
	Retire(ctx context.Context, account, source string, there []string, at time.Time) (finding.Tally, error)
	Announce(ctx context.Context, account string) (next time.Time, err error)
	// Silent answers the ids of the findings that a person accepts now.
	Silent(ctx context.Context, account string) (map[string]bool, error)
}

// Rotations replaces what leaked; package rotation/engine's service is behind it.
type Rotations interface {
	// Leaked tells what is done about a version of a secret that leaked. If the caller is
	// sure, an emergency rotation may begin, once for each version; that it does not is no error.
	Leaked(ctx context.Context, account, name, version string, sure bool) (rotation.Response, error)
}

// Options says what a Service is made of. All fields are required.
type Options struct {
	Store     Store
	Marks     Marks
	Secrets   Secrets
	Tenants   Tenants
	Findings  Inbox
	Rotations Rotations
	Scanner   *leak.Scanner // that knows what searches know
	Log       *audit.Log
	Region    string // of the ARNs
	Now       func() time.Time
}

// A Service takes reports and compares them. It may be used concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, resource string, fn func(*audit.Record) error) error {
	return s.o.Log.Perform(ctx, c, action, "acs:keyward:"+s.o.Region+":"+c.Account+":"+resource, fn)
}

// self is the principal of what keyward does by itself.
func (s *Service) self(account string) *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Service, Name: "leaks"}, Time: s.now(), Scheme: "job"}
}

// ScanKey answers the key with which secrets are blinded in reports, 64 hexadecimal digits
// that are used as the text that they are. It is the same until the account is gone.
func (s *Service) ScanKey(ctx context.Context, c *authz.Call) (scan string, err error) {
	err = s.do(ctx, c, "keyward:GetScanKey", "leak/key", func(*audit.Record) error {
		_, scan, err = s.ensure(ctx, c.Account)
		return err
	})
	if err != nil {
		return "", err
	}
	return scan, nil
}

// Report takes in what a search saw and has it looked at soon. Reporting the same again
// changes nothing but when it was last seen.
func (s *Service) Report(ctx context.Context, c *authz.Call, r Report) error {
	return s.do(ctx, c, "keyward:ReportLeaks", "leak/report", func(rec *audit.Record) error {
		if err := r.check(); err != nil {
			return err
		}
		k, _, err := s.ensure(ctx, c.Account)
		if err != nil {
			return err
		}
		now := s.now()
		rec.Param("Origin", r.Origin)
		if r.Reason != "" {
			rec.Param("Reason", r.Reason)
		}
		rec.Param("Credentials", strconv.Itoa(len(r.Seen)))
		var seen []Sighting
		for _, one := range r.Seen {
			got := k.sighting(r, one)
			got.Account, got.First, got.Last, got.Fresh, got.By = c.Account, now, now, now, c.ARN()
			seen = append(seen, got)
		}
		return s.o.Store.SaveSightings(ctx, rec, seen, now.Add(-Kept), Soon(c.Account, now))
	})
}

// Accepted answers which of some blinded secrets a person accepts in pushes now. It tells
// what was decided about pushes that were refused, and nothing about secrets.
func (s *Service) Accepted(ctx context.Context, c *authz.Call, blinds []string) (accepted []string, err error) {
	err = s.do(ctx, c, "keyward:ListAcceptedLeaks", "leak/accepted", func(*audit.Record) error {
		if len(blinds) > MaxReport {
			return fault.InvalidParameter.New("at most %d keyed hashes are asked about at once", MaxReport)
		}
		k, _, err := s.ensure(ctx, c.Account)
		if err != nil {
			return err
		}
		silent, err := s.o.Findings.Silent(ctx, c.Account)
		for _, blind := range blinds {
			if e := ofPush(k.mark(blind), ""); silent[finding.Name(Source, e.rule, e.subject)] {
				accepted = append(accepted, blind)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return accepted, nil
}

// keys answers the keys of an account, [fault.ResourceNotFound] if it has none yet.
func (s *Service) keys(ctx context.Context, account string) (k keys, scan string, err error) {
	stored, err := s.o.Store.LeakKey(ctx, account)
	if err != nil {
		return k, "", err
	}
	tenant, err := s.o.Tenants.Tenant(ctx, account)
	if err != nil {
		return k, "", err
	}
	seed, err := tenant.Unwrap(stored.binding(), stored.Sealed)
	if err != nil {
		return k, "", err
	}
	defer seed.Zero()
	k, scan = expand(seed.Expose())
	return k, scan, nil
}

// ensure answers the keys of an account, which it makes if there are none.
func (s *Service) ensure(ctx context.Context, account string) (k keys, scan string, err error) {
	k, scan, err = s.keys(ctx, account)
	if !fault.Is(err, fault.ResourceNotFound) {
		return k, scan, err
	}
	tenant, err := s.o.Tenants.Tenant(ctx, account)
	if err != nil {
		return k, "", err
	}
	raw := make([]byte, seedSize)
	rand.Read(raw) // never fails: crypto/rand ends the process instead
	seed := material.NewBytes(raw)
	defer seed.Zero()
	made := Key{Account: account}
	if made.Sealed, err = tenant.Wrap(made.binding(), seed); err != nil {
		return k, "", err
	}
	rec := audit.NewRecord(s.self(account), "keyward:MakeLeakKey")
	err = s.o.Log.Do(ctx, rec, func() error { return s.o.Store.CreateLeakKey(ctx, rec, &made) })
	if err != nil && !fault.Is(err, fault.ResourceExists) { // somebody else was faster
		return k, "", err
	}
	return s.keys(ctx, account)
}

// Handlers answers what the service does when its job is due.
func (s *Service) Handlers() map[string]job.Handler { return map[string]job.Handler{JobLook: s.look} }

// Jobs answers the job that an account needs, for ever.
func Jobs(account string, now time.Time) []job.Job {
	return []job.Job{{Kind: JobLook, Account: account, Due: now}}
}

// Soon answers the job that has an account looked at because something has changed.
func Soon(account string, now time.Time) []job.Job {
	return []job.Job{{Kind: JobLook, Account: account, Due: now, Hasten: true}}
}
