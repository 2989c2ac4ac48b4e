package accesskey

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
)

// JobSync is the kind of job that synchronises a source; its subject is the source's name.
const JobSync = "accesskey.sync"

// Tenants answers the wrapper that protects an account's credentials at rest.
type Tenants interface {
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
}

// Options says what a Service is made of.
type Options struct {
	Sources SourceStore
	Keys    KeyStore
	Tenants Tenants
	Vault   Vault
	Log     *audit.Log
	Kinds   []KindOfProvider
	Region  string // of the ARNs
	Now     func() time.Time
	// Follow answers the jobs that look at what has just changed in an account; nil for none.
	Follow func(account string, now time.Time) []job.Job
	Allow  []netip.Prefix // networks that are not public and that providers may be at
}

// A Service offers the operations on the inventory. It may be used concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service {
	if o.Follow == nil {
		o.Follow = func(string, time.Time) []job.Job { return nil }
	}
	return &Service{o}
}

// Kinds answers the kinds of providers that a source may have.
func (s *Service) Kinds() []KindOfProvider { return s.o.Kinds }

func (s *Service) kind(name string) (KindOfProvider, error) {
	i := slices.IndexFunc(s.o.Kinds, func(k KindOfProvider) bool { return k.Name == name })
	if i < 0 {
		return KindOfProvider{}, fault.InvalidParameter.New("there is no kind of provider %q; list them with: keyward provider kinds", name)
	}
	return s.o.Kinds[i], nil
}

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action string, fn func(*audit.Record) error) error {
	rec := audit.NewRecord(c, action)
	return s.o.Log.Do(ctx, rec, func() error { return fn(rec) })
}

// may asks the caller's policies and notes in the record what they said.
func (s *Service) may(c *authz.Call, rec *audit.Record, relative string) error {
	return rec.Permit(c, authz.Request{Resource: "acs:keyward:" + s.o.Region + ":" + c.Account + ":" + relative})
}

func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

// Handlers answers what the service does when its jobs are due. A synchronisation waits
// for a provider: these jobs should run beside each other.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{JobSync: s.syncDue}
}

// scheduler is whom the records of jobs name.
func (s *Service) scheduler(account string) *authz.Call {
	return &authz.Call{
		Principal: authz.Principal{Account: account, Kind: authz.Service, Name: "inventory"}, Time: s.o.Now(), Scheme: "job",
	}
}
