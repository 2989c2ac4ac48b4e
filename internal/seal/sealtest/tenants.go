package sealtest

import (
	"context"
	"sync"

	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// NewTenants answers tenant keys below a keyring. Several nodes of a test share one, as
// they would share the rows of the accounts.
func NewTenants(keyring *seal.Keyring) *Tenants {
	return &Tenants{keyring: keyring, known: map[string]material.Wrapper{}}
}

// Tenants gives each account a tenant key, made when it is first asked for, and kept in
// memory. It may be used concurrently.
type Tenants struct {
	keyring *seal.Keyring
	mu      sync.Mutex // guards known
	known   map[string]material.Wrapper
}

// Tenant answers an account's tenant key.
func (s *Tenants) Tenant(_ context.Context, account string) (material.Wrapper, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.known[account]; ok {
		return w, nil
	}
	binding := material.Binding("test", account)
	wrapped, err := s.keyring.NewTenantKey(binding)
	if err != nil {
		return nil, err
	}
	s.known[account], err = s.keyring.Tenant(binding, wrapped)
	return s.known[account], err
}
