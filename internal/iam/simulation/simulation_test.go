package simulation_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/simulation"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	account = "1111111111111111"
	key     = "acs:kms:cn-test:" + account + ":key/key-1"
)

func policy(t *testing.T, name, statement string) *authz.Policy {
	t.Helper()
	p, err := authz.Compile(name, []byte(`{"Version":"1","Statement":[`+statement+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// open answers a service over one user and one key that an alias points at.
func open(t *testing.T) *simulation.Service {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	node := storetest.Start(t, storetest.Options{URL: storetest.SQLite(t), Origin: "keyward/test", Keys: sealtest.Keyring(t), Now: now, Changed: func(string, string) {}})
	alice := authz.Principal{Account: account, Kind: authz.User, Name: "alice", Policies: []*authz.Policy{
		policy(t, "office", `{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"192.0.2.0/24"}}}`),
	}}
	owned, err := authz.KeyTerms().Compile(account, []byte(`{"Version":"1","Statement":{"Sid":"no tests","Effect":"Deny","Principal":{"RAM":"acs:ram::`+account+`:*"},"Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"kms:tag/env":"test"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return simulation.New(simulation.Options{
		Log: node.Log, Now: now,
		Principal: func(_ context.Context, of, name string) (authz.Principal, error) {
			if of != account || name != "alice" {
				return authz.Principal{}, fault.ResourceNotFound.New("there is no user %q", name)
			}
			return alice, nil
		},
		Key: func(_ context.Context, c *authz.Call, rec *audit.Record, arn string) (simulation.Resource, error) {
			rec.Resource = arn
			if _, err := c.Check(authz.Request{Action: "kms:GetKeyPolicy", Resource: key}); err != nil {
				return simulation.Resource{}, err
			}
			return simulation.Resource{ARN: key, Policy: owned, Attributes: []authz.Attribute{{Key: "kms:tag/env", Value: strings.TrimPrefix(arn, "acs:kms:cn-test:"+account+":alias/")}}}, nil
		},
	})
}

func caller(policies ...*authz.Policy) *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Name: "auditor", Policies: policies}, RequestID: "R"}
}

func TestSimulate(t *testing.T) {
	s := open(t)
	may := caller(policy(t, "may", `{"Effect":"Allow","Action":["ram:SimulatePolicy","kms:GetKeyPolicy"],"Resource":"*"}`))
	question := simulation.Question{User: "alice", Action: "kms:Encrypt", Resource: "acs:kms:cn-test:" + account + ":alias/prod", Source: netip.MustParseAddr("192.0.2.1")}
	got, err := s.Simulate(t.Context(), may, question)
	if err != nil {
		t.Fatal(err)
	}
	want := simulation.Answer{
		Decision: authz.Decision{Allowed: true, Reason: authz.ByAllow, Policy: "office", Statement: "1"}, Resource: key,
		Verdicts: []authz.Verdict{{Policy: "office", Statement: "1"}, {Policy: authz.OfResource, Statement: "no tests", Deny: true, Miss: authz.MissCondition, Condition: "StringEquals kms:tag/env"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	question.Resource = "acs:kms:cn-test:" + account + ":alias/test"
	if got, err = s.Simulate(t.Context(), may, question); err != nil || got.Reason != authz.ByDeny || got.Policy != authz.OfResource {
		t.Errorf("of a test key: %+v, %v", got, err)
	}
	question.Source = netip.MustParseAddr("203.0.113.1")
	question.Resource = "acs:kms:cn-test:" + account + ":alias/prod"
	if got, err = s.Simulate(t.Context(), may, question); err != nil || got.Reason != authz.ByDefault || got.Verdicts[0].Condition != "IpAddress acs:SourceIp" {
		t.Errorf("from elsewhere: %+v, %v", got, err)
	}
}

// What a simulation tells takes the permission to see it.
func TestSimulateIsRefused(t *testing.T) {
	s := open(t)
	question := simulation.Question{User: "alice", Action: "kms:Encrypt", Resource: key}
	half := policy(t, "half", `{"Effect":"Allow","Action":"ram:SimulatePolicy","Resource":"*"}`)
	for name, test := range map[string]struct {
		call *authz.Call
		user string
		want fault.Kind
	}{
		"without permission":       {caller(), "alice", fault.NoPermission},
		"without the key's policy": {caller(half), "alice", fault.NoPermission},
		"of nobody":                {caller(half), "bob", fault.ResourceNotFound},
	} {
		question.User = test.user
		if got, err := s.Simulate(t.Context(), test.call, question); !fault.Is(err, test.want) || got.Verdicts != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	question.User, question.Action = "alice", ""
	if _, err := s.Simulate(t.Context(), caller(half), question); !fault.Is(err, fault.MissingParameter) {
		t.Errorf("no action: %v", err)
	}
}
