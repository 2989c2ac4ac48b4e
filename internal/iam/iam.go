// Package iam keeps who may use keyward: accounts, their users, the users' access
// keys and the policies that say what each user may do.
//
// An [Account] is a tenant: it owns keys, users and policies, and a tenant key under
// which all of its material is wrapped. It has one root [User], who may do everything
// in it, and any number of further users, who may do what their policies allow. A
// program acts as a user by signing with one of the user's at most two access keys:
// two, so that a key can be rotated without an outage.
//
// A [Service] offers the product's operations. Each takes the [authz.Call] of whoever
// wants it, in the order authorize, validate, change and record, and ends in exactly
// one audit record. Beside the operations there are three things without a record of
// their own, because the request that needs them has one: [Service.Credential] answers
// who a signature belongs to, [Service.Tenant] answers an account's [material.Wrapper],
// [Service.Touch] notes that an access key was used.
//
// Two rules keep power where it is. Nobody but root, and the operator on the machine,
// changes root or its access keys; nothing can be attached to root. And
// ram:AttachPolicyToUser is the one power to grant: whatever else changes what a user
// may do, or hands out the key of another user, needs that permission too, for all that the
// user may do: by its policies and, where policies of resources name it, by these.
//
// Stored are metadata, policy documents and secrets wrapped under the tenant key.
// A secret is shown once, when it is made, and afterwards lives unwrapped in memory
// only. Nothing that is read from the store is trusted before its binding was
// checked. The cached credentials are kept true by the store's change feed
// ([Service.Changed]); expiry is compared with the clock at every use.
package iam

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"net/netip"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/material"
)

// Limits. docs/access.md tells them to users.
const (
	MaxAccessKeys   = 2    // of one user
	MaxUsers        = 1000 // of one account, root included
	MaxPolicies     = 1000 // custom ones of one account
	MaxAttached     = 20   // policies of one user
	MaxRemark       = 256  // characters of a remark
	MaxDescription  = 1024 // characters of a policy's description
	MaxPage         = 100  // items of one page of a list
	maxUserName     = 64
	accountDigits   = 16
	maxPolicyName   = 128
	timestampLayout = "2006-01-02T15:04:05.000000Z" // in bindings
)

// The users that every account begins with.
const (
	RootName  = "root"  // the account itself; it begins without an access key
	AdminName = "admin" // an ordinary user with AdministratorAccess and the first access key
)

// An Account is a tenant.
type Account struct {
	ID        string // 16 decimal digits, random, never reused
	Name      string // unique without regard to case
	TenantKey []byte // wrapped under the keyring's newest epoch
	CreatedAt time.Time
	Rev       int64 // revision, kept by the store
}

// binding is what the account's wrapped tenant key is bound to.
func (a Account) binding() []byte { return material.Binding("kms-row/v1", "iam_account", a.ID) }

// newAccountID makes a random account id whose first digit is not 0.
func newAccountID() (string, error) {
	const lowest = 1_000_000_000_000_000
	n, err := rand.Int(rand.Reader, big.NewInt(9*lowest))
	if err != nil {
		return "", fmt.Errorf("making an account id: %w", err)
	}
	return fmt.Sprint(lowest + n.Int64()), nil
}

// A User is somebody, or some program, of an account.
type User struct {
	Account   string
	Name      string     // unique in its account without regard to case; looked up exactly
	Kind      authz.Kind // authz.Root or authz.User
	Remark    string
	Enabled   bool
	Policies  []string // names of the attached policies, sorted; none for root
	CreatedAt time.Time
	Rev       int64 // revision, kept by the store
}

// An AccessKey lets a program sign requests as its user.
type AccessKey struct {
	ID        string // see [ValidAccessKeyID]; random, never reused
	Account   string
	User      string
	Secret    []byte // wrapped under the account's tenant key
	Enabled   bool
	Remark    string
	CreatedAt time.Time
	ResetAt   time.Time // when the secret was last replaced; zero for never
	ExpiresAt time.Time // from then on it is refused; zero for never
	Rev       int64     // revision, kept by the store
}

// Expired tells whether the key is refused at now because of its age.
func (k AccessKey) Expired(now time.Time) bool {
	return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt)
}

// binding is what the wrapped secret is bound to.
func (k AccessKey) binding() []byte {
	return material.Binding("kms-row/v1", "iam_access_key", k.Account, k.ID, k.User,
		k.CreatedAt.UTC().Format(timestampLayout), k.ResetAt.UTC().Format(timestampLayout))
}

// A Use is when, from where and for what an access key was last used. It may miss the
// last seconds before a crash; the audit log does not.
type Use struct {
	At     time.Time // zero for never
	Source netip.Addr
	Action string // as policies name it: "kms:Encrypt"
}

// A Policy is a document in the RAM policy language that can be attached to users.
type Policy struct {
	Account     string // empty for a system policy
	Name        string // unique in its account without regard to case; looked up exactly
	Description string
	Document    string // as it was sent; [authz.Compile] accepts it
	System      bool   // every account has it and nobody can change it; not stored
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Rev         int64 // revision, kept by the store
}
