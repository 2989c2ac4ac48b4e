package accesskey

import (
	"context"

	"github.com/keyward/keyward/internal/form"
)

// Lend opens a source's credential for the length of a call, for keyward's own work: it
// asks no policy and leaves no record. kind is the source's.
func (s *Service) Lend(ctx context.Context, account, source string, use func(kind string, o Opening) error) error {
	src, err := s.o.Sources.Source(ctx, account, source)
	if err != nil {
		return err
	}
	tenant, err := s.o.Tenants.Tenant(ctx, account)
	if err != nil {
		return err
	}
	filling, err := form.Open(tenant, src.Settings, src.Sealed, src.bound()...)
	if err != nil {
		return err
	}
	defer filling.Erase()
	return use(src.Kind, Opening{Filling: filling, Account: account, Now: s.o.Now, Allow: s.o.Allow})
}

// Known answers what the inventory has of a key, for keyward's own work and without a
// record.
func (s *Service) Known(ctx context.Context, account, source, id string) (AccessKey, error) {
	return s.o.Keys.Key(ctx, account, source, id)
}

// Soon has a source synchronised as soon as possible, for keyward's own work.
func (s *Service) Soon(ctx context.Context, account, source string) error {
	return s.Sync(ctx, s.scheduler(account), source)
}
