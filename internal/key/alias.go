package key

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// CreateAlias gives a key another name. It takes the permission on the alias and on the key.
func (s *Service) CreateAlias(ctx context.Context, c *authz.Call, name, key string) error {
	return s.do(ctx, c, "kms:CreateAlias", func(rec *audit.Record) error {
		u, err := s.aliasTarget(ctx, c, rec, name, key, actNewAlias)
		if err != nil {
			return err
		}
		return s.aliases.CreateAlias(ctx, rec, &Alias{Account: c.Account, Name: name, Key: u.key.ID, CreatedAt: s.clock()})
	})
}

// UpdateAlias points an existing alias at another key.
func (s *Service) UpdateAlias(ctx context.Context, c *authz.Call, name, key string) error {
	return s.do(ctx, c, "kms:UpdateAlias", func(rec *audit.Record) error {
		u, err := s.aliasTarget(ctx, c, rec, name, key, actPointAlias)
		if err != nil {
			return err
		}
		for try := 1; ; try++ {
			a, err := s.aliases.Alias(ctx, c.Account, name)
			if err != nil {
				return err
			}
			a.Key = u.key.ID
			err = s.aliases.UpdateAlias(ctx, rec, &a)
			if !fault.Is(err, fault.Changed) || try == retries {
				return err
			}
		}
	})
}

// aliasTarget checks what creating and pointing an alias have in common.
func (s *Service) aliasTarget(ctx context.Context, c *authz.Call, rec *audit.Record, name, key string, a act) (*usable, error) {
	if err := checkAlias(name); err != nil {
		return nil, err
	}
	if err := s.may(c, rec, rec.Action, s.arn(c.Account, name)); err != nil {
		return nil, err
	}
	u, err := s.resolve(ctx, c, rec, rec.Action, key)
	if err != nil {
		return nil, err
	}
	rec.Param("AliasName", name)
	return u, u.key.allow(a)
}

// DeleteAlias removes an alias; its key stays.
func (s *Service) DeleteAlias(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "kms:DeleteAlias", func(rec *audit.Record) error {
		if err := checkAlias(name); err != nil {
			return err
		}
		if err := s.may(c, rec, rec.Action, s.arn(c.Account, name)); err != nil {
			return err
		}
		a, err := s.aliases.Alias(ctx, c.Account, name)
		if err != nil {
			return err
		}
		if err := s.may(c, rec, rec.Action, s.arn(c.Account, "key/"+string(a.Key))); err != nil {
			return err
		}
		rec.Param("AliasName", name)
		return s.aliases.DeleteAlias(ctx, rec, &a)
	})
}

// ListAliases answers one page of the account's aliases, by name, and how many there are.
func (s *Service) ListAliases(ctx context.Context, c *authz.Call, p Page) (out []Alias, total int, err error) {
	err = s.do(ctx, c, "kms:ListAliases", func(rec *audit.Record) error {
		if err := s.may(c, rec, rec.Action, s.arn(c.Account, "alias")); err != nil {
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
func (s *Service) ListKeyAliases(ctx context.Context, c *authz.Call, key string, p Page) (out []Alias, total int, err error) {
	err = s.do(ctx, c, "kms:ListAliasesByKeyId", func(rec *audit.Record) error {
		u, err := s.resolve(ctx, c, rec, rec.Action, key)
		if err != nil {
			return err
		}
		if err := p.Check(); err != nil {
			return err
		}
		out, total, err = s.aliases.Aliases(ctx, c.Account, u.key.ID, p)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return out, total, nil
}
