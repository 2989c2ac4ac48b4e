package instance

import (
	"context"
	"slices"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/lazy"
)

var accountPattern = lazy.Regexp(`^[0-9]{16}$`)

// Share lets another account make keys in an instance.
func (s *Service) Share(ctx context.Context, c *authz.Call, name, account string) (Instance, error) {
	return s.lend(ctx, c, "kms:ShareKmsInstance", name, account, func(i Instance) ([]string, error) {
		if !accountPattern().MatchString(account) || account == c.Account {
			return nil, fault.InvalidParameter.New("an instance is shared with another account, whose id has 16 digits")
		}
		if i.sharedWith(account) {
			return i.Borrowers(), nil
		}
		return append(i.Borrowers(), account), s.admit(ctx, i, []string{account})
	})
}

// Unshare lets an account make no more keys in an instance. Those that it has made stay, as
// both may still need them; what the account took of the quota is free after a while.
func (s *Service) Unshare(ctx context.Context, c *authz.Call, name, account string) (Instance, error) {
	return s.lend(ctx, c, "kms:UnshareKmsInstance", name, account, func(i Instance) ([]string, error) {
		if !i.sharedWith(account) {
			return nil, fault.ResourceNotFound.New("the instance is not shared with this account")
		}
		return slices.DeleteFunc(i.Borrowers(), func(a string) bool { return a == account }), nil
	})
}

// lend changes with whom an instance is shared.
func (s *Service) lend(ctx context.Context, c *authz.Call, action, name, account string, choose func(Instance) ([]string, error)) (out Instance, err error) {
	err = s.do(ctx, c, action, func(rec *audit.Record) error {
		rec.Param("Account", account)
		return rec.Again(func() error {
			if out, err = s.resolve(ctx, c, rec, name); err != nil {
				return err
			}
			borrowers, err := choose(out)
			if err != nil {
				return err
			}
			out.Shares = key.Withdraw(out.Shares, borrowers, s.o.Now())
			return s.o.Store.UpdateInstance(ctx, rec, &out)
		})
	})
	return audit.Kept(out, err)
}

// Admit refuses accounts that the policy of a key is to let in, beyond the quota of the key's
// instance. The default instance has none. Whoever borrows an instance lets in nobody but its
// owner: the quota is the owner's, who could not get it back.
func (s *Service) Admit(ctx context.Context, k key.Key, accounts []string) error {
	if k.Instance == "" || len(accounts) == 0 {
		return nil
	}
	i, err := s.o.Store.Instance(ctx, k.Instance)
	if err != nil {
		return err
	}
	if k.Account != i.Account && slices.ContainsFunc(accounts, func(a string) bool { return a != i.Account }) {
		return fault.UnsupportedOperation.New("a key in an instance that is shared with the account %s lets in that account and the owner of the instance, and nobody else", k.Account)
	}
	return s.admit(ctx, i, accounts)
}

func (s *Service) admit(ctx context.Context, i Instance, accounts []string) error {
	guests, err := s.guests(ctx, i)
	if err != nil {
		return err
	}
	before := len(guests)
	for _, account := range accounts {
		guests[account] = true
	}
	if len(guests) > max(s.o.Quota, before) {
		return fault.ShareQuotaExceeded.New("Instance Share Quota Exceed Limit. The instance %s may let in %d other accounts, and lets in %d; one that is let in no more counts for five minutes.", i.ID, s.o.Quota, before)
	}
	return nil
}

// Quota answers how many other accounts an instance lets in, and how many it may.
func (s *Service) Quota(ctx context.Context, c *authz.Call, name string) (used, quota int, err error) {
	err = s.do(ctx, c, "kms:GetKmsInstanceQuotaInfos", func(rec *audit.Record) error {
		i, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		guests, err := s.guests(ctx, i)
		used, quota = len(guests), s.o.Quota
		return err
	})
	return used, quota, err
}

// guests answers the other accounts that count against the quota of an instance.
func (s *Service) guests(ctx context.Context, i Instance) (map[string]bool, error) {
	keys, err := s.o.Store.KeysLetting(ctx, i.ID)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	note := func(all []key.Access) {
		for _, a := range all {
			if a.Counts(s.o.Now()) && a.Account != i.Account {
				out[a.Account] = true
			}
		}
	}
	note(i.Shares)
	for _, k := range keys {
		note(k.Access)
	}
	return out, nil
}
