package app

import (
	"context"
	"runtime"
	"time"

	"github.com/keyward/keyward/internal/app/sealed"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material/password"
	"github.com/keyward/keyward/internal/store"
)

// maxLogins is how many logins wait for their turn.
const maxLogins = 32

// sessions builds what gives out temporary credentials. Who reads tickets asks whether a
// person's session is in force; who lets people log in has tickets made.
func (e *engine) sessions(a *App, refusals *refusal.Recorder) {
	e.roles = role.New(role.Options{
		Store: e.store, IAM: e.iam, Log: e.log, Sealer: sealed.Tickets{Keyring: e.keyring}, Now: e.now, Fresh: e.store.Fresh,
		Logins: func(ctx context.Context, account, user, session string) (bool, error) {
			return e.people.InForce(ctx, account, user, session)
		},
	})
	e.people = people.New(people.Options{
		Store: e.store, IAM: e.iam, Roles: e.roles, Log: e.log, Refusals: refusals, Digest: e.contextDigest, Logger: a.Logger, Now: e.now, Fresh: e.store.Fresh,
		Hasher: password.New(password.ProductionCost(), max(1, runtime.GOMAXPROCS(0)/2), maxLogins),
	})
}

// credential answers who signs with an access key, and what the account wants approved.
func (e *engine) credential(ctx context.Context, id, token string) (authn.Credential, error) {
	c, err := e.roles.Credential(ctx, id, token)
	if err == nil {
		c.Principal.Approval, err = e.approvals.For(ctx, c.Principal)
	}
	return authn.Credential{Secret: c.Secret, Principal: c.Principal, Refusal: c.Refusal}, err
}

// approvers builds what has dangerous operations approved, on what tells people.
func (e *engine) approvers(a *App) {
	e.approvals = approval.New(approval.Options{
		Store: store.Approvals{Store: e.store}, Voters: e.people, Roles: e.roles, Users: e.iam, Incidents: e.alerts, Log: e.log, Digest: e.contextDigest,
		Region: a.Config.Region, Now: e.now, Fresh: e.store.Fresh,
	})
}

// SuspendApprovalRule has a rule about approvals demand nothing for a while, as the operator.
func (a *App) SuspendApprovalRule(ctx context.Context, account, rule string, while time.Duration) (out approval.Rule, err error) {
	err = a.with(func(e *engine) error {
		out, err = e.approvals.Suspend(ctx, a.operatorCall(), account, rule, while)
		return err
	})
	return out, err
}
