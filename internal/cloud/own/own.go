// Package own puts keyward's own access keys into the inventory, so that what expires
// here is seen as well as what expires elsewhere. It reads the store directly, of one
// account, and asks nobody: whoever added the source was allowed to.
package own

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/iam"
)

// A Reader reads accounts; iam's store is one.
type Reader interface {
	Users(ctx context.Context, account string, page iam.Page) ([]iam.User, error)
	AccessKeys(ctx context.Context, account, user string, page iam.Page) ([]iam.AccessKey, error)
	Uses(ctx context.Context, ids []string) (map[string]iam.Use, error)
}

// Kind answers the kind of provider that keyward itself is.
func Kind(r Reader) accesskey.KindOfProvider {
	return accesskey.KindOfProvider{
		Name: "keyward", Title: form.Text{English: "keyward's own access keys", Chinese: "keyward 自己的访问密钥"},
		Capabilities: accesskey.Capabilities{MaxKeys: iam.MaxAccessKeys, Disable: true, UseLag: 10 * time.Second, Expiry: true},
		Pace:         15 * time.Minute,
		Open: func(o accesskey.Opening) (accesskey.Provider, error) {
			return provider{r, o.Account, o.Now}, nil
		},
	}
}

type provider struct {
	reader  Reader
	account string
	now     func() time.Time
}

// Check implements accesskey.Provider.
func (p provider) Check(context.Context) (accesskey.Identity, error) {
	return accesskey.Identity{Account: p.account}, nil
}

// Observe implements accesskey.Provider.
func (p provider) Observe(ctx context.Context) (s accesskey.Snapshot, err error) {
	s.Identity.Account = p.account
	s.Account = accesskey.Account{Quota: iam.MaxAccessKeys, AuditTrail: accesskey.Yes, RootKey: accesskey.No}
	users := map[string]iam.User{}
	for page := (iam.Page{Limit: iam.MaxPage}); ; {
		some, err := p.reader.Users(ctx, p.account, page)
		if err != nil {
			return s, err
		}
		for _, u := range some {
			users[u.Name] = u
			s.Principals = append(s.Principals, principal(u))
			page.After = u.Name
		}
		if len(some) < page.Limit {
			break
		}
	}
	for page := (iam.Page{Limit: iam.MaxPage}); ; {
		some, err := p.reader.AccessKeys(ctx, p.account, "", page)
		if err != nil {
			return s, err
		}
		ids := make([]string, len(some))
		for i, k := range some {
			ids[i], page.After = k.ID, k.ID
		}
		uses, err := p.reader.Uses(ctx, ids)
		if err != nil {
			return s, err
		}
		for _, k := range some {
			if users[k.User].Kind == authz.Root {
				s.Account.RootKey = accesskey.Yes
			}
			s.Keys = append(s.Keys, p.key(k, uses[k.ID]))
		}
		if len(some) < page.Limit {
			return s, nil
		}
	}
}

func principal(u iam.User) accesskey.Principal {
	p := accesskey.Principal{
		ID: u.Name, Name: u.Name, Kind: accesskey.User, Remark: u.Remark, CreatedAt: u.CreatedAt,
		Disabled: accesskey.FactOf(!u.Enabled), Console: accesskey.No, Grants: []accesskey.Grant{},
	}
	if u.Kind == authz.Root {
		p.Kind = accesskey.Root
	}
	for _, name := range u.Policies {
		p.Grants = append(p.Grants, accesskey.Grant{Name: name, Admin: name == "AdministratorAccess"})
	}
	return p
}

func (p provider) key(k iam.AccessKey, use iam.Use) accesskey.Observed {
	o := accesskey.Observed{ID: k.ID, Principal: k.User, Name: k.Remark, Status: accesskey.Active, CreatedAt: k.CreatedAt, ChangedAt: k.ResetAt}
	if !k.ResetAt.IsZero() { // its secret is as old as that
		o.CreatedAt = k.ResetAt
	}
	switch {
	case k.Expired(p.now()):
		o.Status = accesskey.Expired
	case !k.Enabled:
		o.Status = accesskey.Inactive
	}
	if !k.ExpiresAt.IsZero() {
		o.Expiry = accesskey.Expiry{At: k.ExpiresAt, Basis: accesskey.Provided}
	}
	o.Use = accesskey.Use{Known: accesskey.FactOf(!use.At.IsZero()), At: use.At, Lag: 10 * time.Second, Service: use.Action}
	if use.Source.IsValid() {
		o.Use.IP = use.Source.String()
	}
	return o
}
