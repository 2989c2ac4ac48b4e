package lifecycle

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keyring"
)

// CreateAlias gives a key another name. It takes the permission on the alias and on the key.
func (s *Service) CreateAlias(ctx context.Context, c *authz.Call, alias, name string) error {
	return s.do(ctx, c, "kms:CreateAlias", func(rec *audit.Record) error {
		e, err := s.aliasTarget(ctx, c, rec, alias, name)
		if err != nil {
			return err
		}
		if err := e.Key.Allow(key.ActNewAlias); err != nil {
			return err
		}
		return s.aliases.CreateAlias(ctx, rec, &key.Alias{Account: e.Key.Account, Name: alias, Key: e.Key.ID, CreatedAt: s.clock()})
	})
}

// UpdateAlias points an existing alias at another key.
func (s *Service) UpdateAlias(ctx context.Context, c *authz.Call, alias, name string) error {
	return s.do(ctx, c, "kms:UpdateAlias", func(rec *audit.Record) error {
		e, err := s.aliasTarget(ctx, c, rec, alias, name)
		if err != nil {
			return err
		}
		if err := e.Key.Allow(key.ActPointAlias); err != nil {
			return err
		}
		return rec.Again(func() error {
			a, err := s.aliases.Alias(ctx, e.Key.Account, alias)
			if err != nil {
				return err
			}
			a.Key = e.Key.ID
			return s.aliases.UpdateAlias(ctx, rec, &a)
		})
	})
}

// aliasTarget answers the key that an alias is to name, if the caller may use both.
func (s *Service) aliasTarget(ctx context.Context, c *authz.Call, rec *audit.Record, alias, name string) (*keyring.Entry, error) {
	if err := key.CheckAlias(alias); err != nil {
		return nil, err
	}
	if err := s.may(c, rec, alias); err != nil {
		return nil, err
	}
	e, err := s.resolve(ctx, c, rec, name)
	if err == nil {
		rec.Param("AliasName", alias)
	}
	return e, err
}

// DeleteAlias removes an alias; its key stays.
func (s *Service) DeleteAlias(ctx context.Context, c *authz.Call, alias string) error {
	return s.do(ctx, c, "kms:DeleteAlias", func(rec *audit.Record) error {
		if err := key.CheckAlias(alias); err != nil {
			return err
		}
		if err := s.may(c, rec, alias); err != nil {
			return err
		}
		a, err := s.aliases.Alias(ctx, c.Account, alias)
		if err != nil {
			return err
		}
		if _, err := s.resolve(ctx, c, rec, string(a.Key)); err != nil {
			return err
		}
		rec.Param("AliasName", alias)
		return s.aliases.DeleteAlias(ctx, rec, &a)
	})
}

// ListAliases answers one page of the account's aliases, by name, and how many there are.
func (s *Service) ListAliases(ctx context.Context, c *authz.Call, p key.Page) (out []key.Alias, total int, err error) {
	err = s.do(ctx, c, "kms:ListAliases", func(rec *audit.Record) error {
		if err := s.may(c, rec, "alias"); err != nil {
			return err
		}
		if err := p.Check(); err != nil {
			return err
		}
		out, total, err = s.aliases.Aliases(ctx, c.Account, "", p)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return out, total, nil
}

// ListKeyAliases answers one page of a key's aliases, by name, and how many it has.
func (s *Service) ListKeyAliases(ctx context.Context, c *authz.Call, name string, p key.Page) (out []key.Alias, total int, err error) {
	err = s.do(ctx, c, "kms:ListAliasesByKeyId", func(rec *audit.Record) error {
		e, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		if err := p.Check(); err != nil {
			return err
		}
		out, total, err = s.aliases.Aliases(ctx, e.Key.Account, e.Key.ID, p)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return out, total, nil
}

// HasAlias tells whether an account has an alias, for other domains that need to know it
// before they act.
func (s *Service) HasAlias(ctx context.Context, account, name string) (bool, error) {
	_, err := s.ring.Alias(ctx, account, name)
	if fault.Is(err, fault.AliasNotFound) {
		return false, nil
	}
	return err == nil, err
}
