package iam

import (
	"context"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// Founded is a new account with the access key that opens it.
type Founded struct {
	Account Account
	Key     IssuedKey // of the user admin
}

// CreateAccount makes an account with its tenant key, its root user, the user admin
// with AdministratorAccess, and the first access key of admin; all of it or nothing.
// Only the operator may (a Service principal of no account); the record belongs to
// the new account.
func (s *Service) CreateAccount(ctx context.Context, call *authz.Call, name string) (Founded, error) {
	op := s.begin(call, ActionCreateAccount)
	return Perform(ctx, op, func() (Founded, error) {
		if err := op.requireOperator(); err != nil {
			return Founded{}, err
		}
		if err := checkAccountName(name); err != nil {
			return Founded{}, err
		}
		op.Record.Param("Name", name)
		founding, secret, err := s.found(name)
		if err != nil {
			return Founded{}, err
		}
		op.Record.Account, op.Record.Resource = founding.Account.ID, rootARN(founding.Account.ID)
		if err := Explain(s.store.CreateAccount(ctx, op.Record, &founding), fault.Say("account"), name); err != nil {
			op.Record.Account, op.Record.Resource = "", "" // there is no such account
			return Founded{}, err
		}
		return Founded{founding.Account, IssuedKey{founding.Key, secret}}, nil
	})
}

// found makes everything that a new account begins with, and its first secret.
func (s *Service) found(name string) (Founding, material.Bytes, error) {
	id, err := newAccountID()
	if err != nil {
		return Founding{}, material.Bytes{}, err
	}
	now := s.now()
	account := Account{ID: id, Name: name, CreatedAt: now}
	if account.TenantKey, err = s.keyring.NewTenantKey(account.binding()); err != nil {
		return Founding{}, material.Bytes{}, err
	}
	tenant, err := s.keyring.Tenant(account.binding(), account.TenantKey)
	if err != nil {
		return Founding{}, material.Bytes{}, err
	}
	key := AccessKey{ID: newAccessKeyID(), Account: id, User: AdminName, Enabled: true, CreatedAt: now}
	secret, err := renew(&key, tenant)
	if err != nil {
		return Founding{}, material.Bytes{}, err
	}
	return Founding{
		Account: account,
		Users: []User{
			{Account: id, Name: RootName, Kind: authz.Root, Enabled: true, CreatedAt: now},
			{Account: id, Name: AdminName, Kind: authz.User, Enabled: true, Policies: []string{administrator}, CreatedAt: now},
		},
		Key: key,
	}, secret, nil
}

func rootARN(account string) string {
	return authz.Principal{Account: account, Kind: authz.Root}.ARN()
}

// ListAccounts answers accounts in the order of their ids. Only the operator may.
func (s *Service) ListAccounts(ctx context.Context, call *authz.Call, page Page) (List[Account], error) {
	op := s.begin(call, ActionListAccounts)
	return Perform(ctx, op, func() (List[Account], error) {
		if err := op.requireOperator(); err != nil {
			return List[Account]{}, err
		}
		page, err := page.Ask()
		if err != nil {
			return List[Account]{}, err
		}
		accounts, err := s.store.Accounts(ctx, page)
		return Cut(accounts, page, func(a Account) string { return a.ID }), err
	})
}

// Tenant answers what wraps and unwraps the account's material. It is cached.
func (s *Service) Tenant(ctx context.Context, account string) (material.Wrapper, error) {
	return s.tenants.Get(ctx, account)
}

func (s *Service) loadTenant(ctx context.Context, id string) (material.Wrapper, error) {
	account, err := s.store.Account(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.keyring.Tenant(account.binding(), account.TenantKey)
}

// FindAccount answers the id of the account that a person means: by its id, its name in
// whatever case, or "" for the only one that there is. It answers "" for one that is not.
func (s *Service) FindAccount(ctx context.Context, text string) (id string, err error) {
	if text == "" {
		some, err := s.store.Accounts(ctx, Page{Limit: 2})
		if err != nil || len(some) != 1 {
			return "", err
		}
		return some[0].ID, nil
	}
	if checkAccountName(text) != nil {
		return "", nil
	}
	if len(text) == accountDigits && consists(text, "0123456789") {
		return text, nil
	}
	a, err := s.store.AccountNamed(ctx, text)
	if fault.Is(err, fault.ResourceNotFound) {
		return "", nil
	}
	return a.ID, err
}

// rewrapAtOnce is how many accounts one call of RewrapTenants looks at.
const rewrapAtOnce = 100

// RewrapTenants wraps the tenant keys of the accounts that follow after, in the order of
// their ids, under the newest epoch, as far as they are not. It answers the last account
// that it looked at, "" when there are no more, and how many keys it wrapped. Each is
// written with its own record, so that whoever is interrupted may begin again. Only the
// operator may.
func (s *Service) RewrapTenants(ctx context.Context, call *authz.Call, after string) (last string, written int, err error) {
	accounts, err := s.store.Accounts(ctx, Page{After: after, Limit: rewrapAtOnce})
	if err != nil {
		return "", 0, err
	}
	for _, account := range accounts {
		renewed, old, err := s.keyring.Rewrap(account.binding(), account.TenantKey)
		if err != nil {
			return "", written, err
		}
		if !old {
			continue
		}
		op := s.begin(call, ActionRewrapTenantKey)
		err = op.Run(ctx, func() error {
			if err := op.requireOperator(); err != nil {
				return err
			}
			op.Record.Account, op.Record.Resource = account.ID, rootARN(account.ID)
			account.TenantKey = renewed
			return s.store.UpdateAccount(ctx, op.Record, &account)
		})
		if err != nil {
			return "", written, err
		}
		written++
	}
	if len(accounts) < rewrapAtOnce {
		return "", written, nil
	}
	return accounts[len(accounts)-1].ID, written, nil
}
