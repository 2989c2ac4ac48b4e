package app

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/store"
)

// approve builds what has dangerous operations approved.
func (e *engine) approve(a *App) {
	e.approvals = approval.New(approval.Options{
		Store: store.Approvals{Store: e.store}, Voters: voters{e}, Roles: e.roles, Users: e.iam, Incidents: incidents{e}, Log: e.log, Digest: e.contextDigest,
		Region: a.Config.Region, Now: e.now, Fresh: e.store.Fresh,
	})
}

// incidents tells people; who does is built later.
type incidents struct{ e *engine }

// Reconcile implements approval.Incidents.
func (i incidents) Reconcile(ctx context.Context, account string, ours func(string) bool, conditions map[string]notify.Condition) error {
	return i.e.alerts.Reconcile(ctx, account, ours, conditions)
}

// voters are the people of the accounts.
type voters struct{ e *engine }

// Prover implements approval.Voters.
func (v voters) Prover(ctx context.Context, account, user string) (approval.Proof, bool, error) {
	u, since, err := v.e.people.Prover(ctx, account, user)
	return approval.Proof{User: u.Rev, Factor: since}, !since.IsZero(), err
}

// SuspendApprovalRule has a rule about approvals demand nothing for a while, as the operator.
func (a *App) SuspendApprovalRule(ctx context.Context, account, rule string, while time.Duration) (out approval.Rule, err error) {
	err = a.with(func(e *engine) error {
		out, err = e.approvals.Suspend(ctx, a.operatorCall(), account, rule, while)
		return err
	})
	return out, err
}
