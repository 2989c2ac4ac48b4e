package iam

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
)

// A Store keeps accounts, users, access keys and policies.
//
// Its methods may be called concurrently, also by several nodes on one database. One
// that takes a record changes its rows and writes the record in one transaction,
// durable when it returns, and sets Rev of what it wrote; when it answers an error
// neither happened, and what it was passed must be read again. What a store answers
// was checked against its binding. Strings of its arguments are well-formed, which
// the service has seen to.
//
// Faults: ResourceNotFound for a row that is not there; ResourceExists for one that
// is, where a new one was to be made; Changed when a row is no longer at the revision
// (Rev) of the value that was passed, so that the caller must read it again.
type Store interface {
	AccountStore
	UserStore
	AccessKeyStore
	PolicyStore
}

// An AccountStore keeps accounts.
type AccountStore interface {
	// CreateAccount stores a new account with its first users and access key. Names are
	// unique without regard to case.
	CreateAccount(ctx context.Context, rec *audit.Record, f *Founding) error
	UpdateAccount(ctx context.Context, rec *audit.Record, a *Account) error
	Account(ctx context.Context, id string) (Account, error)
	// AccountNamed finds an account by its name, without regard to case.
	AccountNamed(ctx context.Context, name string) (Account, error)
	// Accounts answers at most page.Limit accounts in the order of their ids.
	Accounts(ctx context.Context, page Page) ([]Account, error)
}

// A Founding is everything that a new account begins with.
type Founding struct {
	Account Account
	Users   []User
	Key     AccessKey
}

// A UserStore keeps users.
type UserStore interface {
	// CreateUser stores a new user; names are unique in the account without regard to
	// case. It answers LimitExceeded when the account has MaxUsers already; nodes that
	// race may exceed that number by as many as they are; and ResourceInUse while a policy of
	// a resource names such a user, who would be given what a deleted one had.
	CreateUser(ctx context.Context, rec *audit.Record, u *User) error
	UpdateUser(ctx context.Context, rec *audit.Record, u *User) error
	// AttachPolicy stores u, which has newly got the custom policy p, and gives p a new
	// revision, so that whoever decided about p by who has it must decide again.
	AttachPolicy(ctx context.Context, rec *audit.Record, u *User, p *Policy) error
	// DeleteUser answers ResourceInUse while the user has access keys, also when one is
	// being created at the same moment.
	DeleteUser(ctx context.Context, rec *audit.Record, u *User) error
	User(ctx context.Context, account, name string) (User, error)
	// Users answers at most page.Limit users in the order of their names.
	Users(ctx context.Context, account string, page Page) ([]User, error)
}

// An AccessKeyStore keeps access keys and when they were last used.
type AccessKeyStore interface {
	// CreateAccessKey stores a new access key of the user u and gives u a new revision.
	// It answers LimitExceeded when u has MaxAccessKeys already, whoever races.
	CreateAccessKey(ctx context.Context, rec *audit.Record, u *User, k *AccessKey) error
	UpdateAccessKey(ctx context.Context, rec *audit.Record, k *AccessKey) error
	// DeleteAccessKey removes the key and its last use.
	DeleteAccessKey(ctx context.Context, rec *audit.Record, k *AccessKey) error
	AccessKey(ctx context.Context, id string) (AccessKey, error)
	// AccessKeys answers at most page.Limit access keys of the user, or of all users
	// when user is empty, in the order of their ids.
	AccessKeys(ctx context.Context, account, user string, page Page) ([]AccessKey, error)
	// Uses answers the stored last use of each of the keys that has one.
	Uses(ctx context.Context, ids []string) (map[string]Use, error)
	// SaveUses stores last uses by access key id. Of two uses of one key the newer one
	// stays; uses of keys that are not there are dropped. These rows are not bound and
	// not recorded: every use is in the audit log already.
	SaveUses(ctx context.Context, uses map[string]Use) error
}

// A PolicyStore keeps custom policies.
type PolicyStore interface {
	// CreatePolicy stores a new policy; names are unique in the account without regard
	// to case. It answers LimitExceeded when the account has MaxPolicies already; nodes
	// that race may exceed that number by as many as they are.
	CreatePolicy(ctx context.Context, rec *audit.Record, p *Policy) error
	UpdatePolicy(ctx context.Context, rec *audit.Record, p *Policy) error
	// DeletePolicy answers ResourceInUse while a user or a role has the policy, also when it is
	// being attached at the same moment.
	DeletePolicy(ctx context.Context, rec *audit.Record, p *Policy) error
	Policy(ctx context.Context, account, name string) (Policy, error)
	// Policies answers at most page.Limit policies in the order of their names.
	Policies(ctx context.Context, account string, page Page) ([]Policy, error)
	// PolicyHolders answers the names of the users and of the roles that have the policy.
	PolicyHolders(ctx context.Context, account, policy string) (users, roles []string, err error)
	// Namings answers the resources of the account whose own policies name a user or a role,
	// and the approval rules that do.
	Namings(ctx context.Context, account, principal string) ([]Naming, error)
}

// A Naming is what gives something to a user or a role by naming it.
type Naming struct {
	Kind string // "key", "secret", "role" with its trust policy, or "approval rule"
	Name string // of a key its id
}
