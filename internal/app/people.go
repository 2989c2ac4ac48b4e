package app

import (
	"context"

	"github.com/keyward/keyward/internal/app/sealed"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cloud/openid"
	"github.com/keyward/keyward/internal/iam/copied"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/iam/simulation"
	"github.com/keyward/keyward/internal/key/keyring"
	"github.com/keyward/keyward/internal/material/password"
	"github.com/keyward/keyward/internal/material/webauthn"
	"github.com/keyward/keyward/internal/tune"
)

// maxLogins is how many logins wait for their turn.
const maxLogins = 32

// sessions builds what gives out temporary credentials. Who reads tickets asks whether a
// person's session is in force; who lets people log in has tickets made.
func (e *engine) sessions(a *App, refusals *refusal.Recorder) {
	e.roles = role.New(role.Options{
		Store: e.identities, IAM: e.iam, Log: e.log, Sealer: sealed.Tickets{Keyring: e.keyring}, Now: e.now, Fresh: e.store.Fresh,
		Logins: func(ctx context.Context, account, user, session string) (bool, error) {
			return e.people.InForce(ctx, account, user, session)
		},
	})
	party, err := webauthn.NewParty(a.Config.PublicURL)
	if err != nil {
		a.Logger.Warn("nobody can use a security key", "reason", err)
	}
	e.people = people.New(people.Options{
		Store: e.identities, IAM: e.iam, Roles: e.roles, Log: e.log, Refusals: refusals, Digest: e.contextDigest, Logger: a.Logger, Now: e.now, Fresh: e.store.Fresh,
		Party:  party,
		Hasher: password.New(password.ProductionCost(), max(1, tune.Processors()/2), maxLogins),
		Copied: func(ctx context.Context, account, user, key string) error {
			return copied.Report(ctx, e.findings, account, user, key, e.now())
		},
	})
	e.federated = federation.New(federation.Options{
		Store: e.identities, Uses: e.identities, IAM: e.iam, People: e.people, Protocol: openid.New(a.Config.Egress.Allow, e.now), Sealer: sealed.Logins{Keyring: e.keyring},
		Log: e.log, Refusals: refusals, Now: e.now,
	})
}

// simulations answers what explains policies, those of keys included.
func (e *engine) simulations() *simulation.Service {
	return simulation.New(simulation.Options{
		Log: e.log, Now: e.now, Principal: e.iam.Principal,
		Key: func(ctx context.Context, c *authz.Call, rec *audit.Record, arn string) (simulation.Resource, error) {
			k, err := e.ring.Resolve(ctx, keyring.Ask{Call: c, Record: rec, Action: "kms:GetKeyPolicy", Name: arn})
			if err != nil {
				return simulation.Resource{}, err
			}
			return simulation.Resource{ARN: k.ARN, Policy: k.Policy, Attributes: k.Attributes(nil)}, nil
		},
	})
}
