package iam

import (
	"context"
	"log/slog"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// The operations' names in policies and in the audit log: RAM's where RAM has them.
const (
	ActionCreateAccount        = "keyward:CreateAccount"
	ActionListAccounts         = "keyward:ListAccounts"
	ActionRewrapTenantKey      = "keyward:RewrapTenantKey"
	ActionCreateUser           = "ram:CreateUser"
	ActionGetUser              = "ram:GetUser"
	ActionListUsers            = "ram:ListUsers"
	ActionUpdateUser           = "ram:UpdateUser"
	ActionDeleteUser           = "ram:DeleteUser"
	ActionAttachPolicy         = "ram:AttachPolicyToUser"
	ActionDetachPolicy         = "ram:DetachPolicyFromUser"
	ActionAttachPolicyToRole   = "ram:AttachPolicyToRole"
	ActionCreateAccessKey      = "ram:CreateAccessKey"
	ActionListAccessKeys       = "ram:ListAccessKeys"
	ActionUpdateAccessKey      = "ram:UpdateAccessKey"
	ActionResetAccessKey       = "ram:ResetAccessKey"
	ActionDeleteAccessKey      = "ram:DeleteAccessKey"
	ActionGetAccessKeyLastUsed = "ram:GetAccessKeyLastUsed"
	ActionCreatePolicy         = "ram:CreatePolicy"
	ActionGetPolicy            = "ram:GetPolicy"
	ActionListPolicies         = "ram:ListPolicies"
	ActionUpdatePolicy         = "ram:UpdatePolicy"
	ActionDeletePolicy         = "ram:DeletePolicy"
)

// A Keyring makes and opens tenant keys; the unsealed root of the hierarchy is one.
// Its methods may be called concurrently and answer a Sealed fault once it is sealed.
type Keyring interface {
	// NewTenantKey makes a random tenant key and answers it wrapped and bound.
	NewTenantKey(binding []byte) (wrapped []byte, err error)
	// Tenant answers what wraps material under the tenant key that wrapped holds.
	Tenant(binding, wrapped []byte) (material.Wrapper, error)
	// Rewrap answers wrapped as the newest epoch wraps it, and whether an older one did.
	Rewrap(binding, wrapped []byte) (renewed []byte, old bool, err error)
}

// Options says what a Service is made of. All fields but Actions are required.
type Options struct {
	Store   Store
	Log     *audit.Log
	Keyring Keyring
	Logger  *slog.Logger
	Now     func() time.Time // clock
	Fresh   func() bool      // whether the change feed is up to date; see package cache
	Actions []string         // that policies can speak of; without them no spelling is looked at
}

// A Service is the rules about accounts, users, access keys and policies. Its methods
// may be called concurrently.
type Service struct {
	store   Store
	log     *audit.Log
	keyring Keyring
	logger  *slog.Logger
	clock   func() time.Time
	system  systemPolicies
	actions []string

	// What the warm path needs. A load of secrets reads tenants; nothing else nests.
	tenants *cache.Cache[string, material.Wrapper] // by account id
	users   *cache.Cache[string, actor]            // by "account/name"
	secrets *cache.Cache[string, signer]           // by access key id

	uses uses
}

// maxCached is how many accounts, users and access keys each stay in memory.
const maxCached = 1 << 16

// New makes a Service. Connect its Changed to the store's change feed, and call Run.
func New(o Options) (*Service, error) {
	system, err := compileSystemPolicies()
	if err != nil {
		return nil, err
	}
	s := &Service{
		store: o.Store, log: o.Log, keyring: o.Keyring, logger: o.Logger, clock: o.Now, system: system, actions: o.Actions,
		uses: uses{latest: make(map[string]Use)},
	}
	s.tenants = cache.New(maxCached, o.Fresh, s.loadTenant)
	s.users = cache.New(maxCached, o.Fresh, s.loadActor)
	s.secrets = cache.New(maxCached, o.Fresh, s.loadSigner)
	return s, nil
}

// now answers the time as precisely as the store keeps it.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// An Operation is one of the product's operations under way, here or in a package below.
// Whatever becomes of it, its record is written exactly once.
type Operation struct {
	Call   *authz.Call
	Record *audit.Record
	log    *audit.Log
}

// Begin begins an operation, which Run or [Perform] must end.
func Begin(log *audit.Log, call *authz.Call, action string) *Operation {
	return &Operation{call, audit.NewRecord(call, action), log}
}

func (s *Service) begin(call *authz.Call, action string) *Operation {
	return Begin(s.log, call, action)
}

// Run does the operation and records its outcome.
func (op *Operation) Run(ctx context.Context, fn func() error) error {
	return op.log.Do(ctx, op.Record, fn)
}

// Perform is Run for an operation with a result, which it drops unless all went well.
func Perform[T any](ctx context.Context, op *Operation, fn func() (T, error)) (T, error) {
	var result, none T
	err := op.Run(ctx, func() (err error) {
		result, err = fn()
		return err
	})
	if err != nil {
		return none, err
	}
	return result, nil
}

// Authorize asks whether the call may do this operation on the resource.
func (op *Operation) Authorize(resource string) error {
	op.Record.Resource = resource
	return op.Require(op.Record.Action, resource)
}

// Require asks for a permission.
func (op *Operation) Require(action, resource string) error {
	return op.Ask(authz.Request{Action: action, Resource: resource})
}

// Ask asks for a permission. The record keeps what decided the operation: the first
// permission, unless one was refused.
func (op *Operation) Ask(r authz.Request) error {
	d, err := op.Call.Check(r)
	if err != nil || op.Record.Decision == "" {
		op.Record.Decision = d.String()
	}
	return op.Record.Defer(err)
}

// requireGrant asks for the power to decide that the user has these policies.
func (op *Operation) requireGrant(user string, policies ...string) error {
	return op.RequireGrant(ActionAttachPolicy, UserARN(op.Call.Account, user), policies...)
}

// RequireGrant asks for the power to decide that the holder, a user or a role, has these
// policies; attach is the action that attaches them to such a holder.
func (op *Operation) RequireGrant(attach, holder string, policies ...string) error {
	for _, p := range policies {
		if err := op.Require(attach, holder); err != nil {
			return err
		}
		if err := op.Require(attach, PolicyARN(op.Call.Account, p)); err != nil {
			return err
		}
	}
	return nil
}

// guardRoot keeps users, whatever their policies say, from changing root and its keys.
func (op *Operation) guardRoot(user string) error {
	if user == RootName && op.Call.Kind != authz.Root && op.Call.Kind != authz.Service {
		op.Record.Decision = "reserved to root"
		return fault.NoPermission.New("only root itself may change root and its access keys; use an access key of root, or ask the operator of the server")
	}
	return nil
}

// requireOperator refuses everybody but keyward itself, acting outside any account.
func (op *Operation) requireOperator() error {
	if op.Call.Kind != authz.Service || op.Call.Account != "" {
		op.Record.Decision = "reserved to the operator"
		return fault.NoPermission.New("only the operator of the server may do this; run: keyward operator")
	}
	op.Record.Decision, op.Record.Principal = string(authz.ByService), op.Call.ARN()
	return nil
}

// RoleARN names a role as UserARN does a user.
func RoleARN(account, name string) string {
	if !ValidRoleName(name) {
		name = ""
	}
	return "acs:ram::" + account + ":role/" + name
}

// UserARN names a user for policies and records. What is no user name is left out:
// only who may act on all users then learns what is wrong with it.
func UserARN(account, name string) string {
	if !ValidUserName(name) {
		name = ""
	}
	return "acs:ram::" + account + ":user/" + name
}

// PolicyARN names a policy as UserARN does a user.
func PolicyARN(account, name string) string {
	if !validPolicyName(name) {
		name = ""
	}
	return "acs:ram::" + account + ":policy/" + name
}

// maxRounds is how often a change that lost a race is tried again. In each round
// somebody won, so only a constant crowd on one row gets to the end of it.
const maxRounds = 32

// Retry runs change, which reads rows and changes them, until it loses no race.
func Retry(change func() error) error {
	err := change()
	for round := 1; round < maxRounds && fault.Is(err, fault.Changed); round++ {
		err = change()
	}
	return err
}

// Changed tells that a row was changed, by whichever node: what was made of it is
// forgotten before Changed returns. id is the row's key columns joined by slashes. An
// empty table means that anything may have changed, or that the server was sealed.
func (s *Service) Changed(table, id string) {
	switch table {
	case "iam_account":
		s.tenants.Forget(id)
	case "iam_user":
		s.users.Forget(id)
	case "iam_policy":
		s.users.Clear() // whoever has it holds it compiled
	case "iam_access_key":
		s.secrets.Forget(id)
	case "":
		s.tenants.Clear()
		s.users.Clear()
		s.secrets.Clear()
	}
}

// Explain replaces the store's words for a name that is taken.
func Explain(err error, what fault.Text, name string) error {
	if !fault.Is(err, fault.ResourceExists) {
		return err
	}
	return fault.ResourceExists.Wrap(err, "the %s name %q is taken, perhaps in other letter case; choose another name", what, name)
}
