// Package role keeps roles and gives out temporary credentials.
//
// A [Role] is a set of permissions that nobody has for good: who is trusted by the role's
// trust policy, and is allowed sts:AssumeRole on it by policies of their own, is given
// temporary credentials that act as the role for a while. A user can also be given
// temporary credentials for a part of its own permissions ([Service.Federate]), to hand on.
//
// Temporary credentials are not stored. They are an id, a secret and a security token,
// which is a sealed [ticket]: it says who acts, as what, until when, under which session
// policy, and holds the secret. Whoever signs with them sends the token along, under the
// signature. [Service.Credential] opens it and answers what the signature is verified with.
//
// What ends a session early is its lineage: the access key with which it was begun, at the
// reset that it had then, or the login of a person (package people), and each role that was
// assumed on the way, at the generation that it had. All of these are looked at with every request, in the caches that the store's
// change feed keeps true: whoever disables the access key or its user, resets or deletes the
// key, deletes the role or changes whom it trusts, or orders so ([Service.EndSessions]), ends
// every session that came of it, on every node, within a second. A role's policies are read
// with every request, too. docs/design/sessions.md has the states.
//
// Two rules keep power where it is. ram:AttachPolicyToRole is the power to grant: changing
// whom a role trusts, which hands what it may do to others, needs the power to grant that. And
// a session never outlives the one that it was begun with, so that two roles which trust each
// other are no way to act for ever.
package role

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/iam"
)

// Limits. docs/access.md tells them to users.
const (
	MaxRoles         = 1000 // of one account
	MaxAttached      = 20   // policies of one role
	MinDuration      = 15 * time.Minute
	MaxDuration      = 12 * time.Hour // of any session; a role has its own, at least an hour
	leastMaximum     = time.Hour      // of Role.MaxSession, and its default
	maxChained       = time.Hour      // of a session that was begun with a session
	maxLineage       = 8              // access key and roles of one session
	maxSessionPolicy = 2048           // bytes
	maxSessionName   = 64
	maxExternalID    = 1224
)

// A Role is a set of permissions that is acted with for a while.
type Role struct {
	Account     string
	Name        string // unique in its account without regard to case; looked up exactly
	ID          string // random: a later role of the same name is another one
	Description string
	Trust       string // policy document; [authz.CompileTrust] accepts it
	Policies    []string
	MaxSession  time.Duration // the longest that a session may be asked to last
	Generation  int64         // sessions of an earlier one have ended
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Rev         int64 // revision, kept by the store
}

// ARN answers the role's name for policies and records.
func (r Role) ARN() string { return iam.RoleARN(r.Account, r.Name) }

// A Store keeps roles. The contract of iam.Store holds for it, too.
type Store interface {
	// CreateRole stores a new role; names are unique in the account without regard to case.
	// It answers LimitExceeded when the account has MaxRoles already; nodes that race may
	// exceed that number by as many as they are; and ResourceInUse while a policy of a resource
	// names such a role, which would be given what a deleted one had.
	CreateRole(ctx context.Context, rec *audit.Record, r *Role) error
	UpdateRole(ctx context.Context, rec *audit.Record, r *Role) error
	// AttachPolicyToRole stores r, which has newly got the custom policy p, and gives p a
	// new revision, so that whoever decided about p by who has it must decide again.
	AttachPolicyToRole(ctx context.Context, rec *audit.Record, r *Role, p *iam.Policy) error
	DeleteRole(ctx context.Context, rec *audit.Record, r *Role) error
	Role(ctx context.Context, account, name string) (Role, error)
	// Roles answers at most page.Limit roles in the order of their names.
	Roles(ctx context.Context, account string, page iam.Page) ([]Role, error)
	// Known answers InvalidParameter unless each of the principals is a user or a role of the
	// account, for policies that name them.
	Known(ctx context.Context, account string, principals []string) error
}
