package accesskey

import (
	"context"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

// A Loan is a source's credential while it is open.
type Loan struct {
	Kind string // of the source
	Opening
}

// Borrow opens a source's credential, for keyward's own work: it asks no policy and leaves no
// record. Who borrows it erases it.
func (s *Service) Borrow(ctx context.Context, account, source string) (Loan, error) {
	src, err := s.o.Sources.Source(ctx, account, source)
	if err != nil {
		return Loan{}, err
	}
	tenant, err := s.o.Tenants.Tenant(ctx, account)
	if err != nil {
		return Loan{}, err
	}
	filling, err := form.Open(tenant, src.Settings, src.Sealed, src.bound()...)
	return Loan{src.Kind, Opening{Filling: filling, Account: account, Now: s.o.Now, Allow: s.o.Allow}}, err
}

// Known answers what the inventory has of a key, for keyward's own work and without a
// record.
func (s *Service) Known(ctx context.Context, account, source, id string) (AccessKey, error) {
	return s.o.Keys.Key(ctx, account, source, id)
}

// Over tells why nobody is told of a key any more: "unwatched" if its source was removed, "key-gone"
// if the provider does not list it, "" for another reason. Of no key it tells of the source.
func (s *Service) Over(ctx context.Context, account, source, id string) (string, error) {
	if _, err := s.o.Sources.Source(ctx, account, source); fault.Is(err, fault.ResourceNotFound) {
		return "unwatched", nil
	} else if err != nil || id == "" {
		return "", err
	}
	k, err := s.Known(ctx, account, source, id)
	if fault.Is(err, fault.ResourceNotFound) { // it was forgotten
		return "", nil
	}
	if err == nil && k.Observed.Status == Gone {
		return "key-gone", nil
	}
	return "", err
}

// State answers how reading a source went, for keyward's own work and without a record.
func (s *Service) State(ctx context.Context, account, source string) (State, error) {
	return s.o.Sources.State(ctx, account, source)
}

// Soon has a source synchronised as soon as possible, if there is anything to read, for
// keyward's own work.
func (s *Service) Soon(ctx context.Context, account, source string) error {
	return s.hasten(ctx, s.scheduler(account), source, func(Source) error { return nil })
}
