package rest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// trustOf trusts everybody of the caller's account.
func trustOf(ctx context.Context, c *client.Client) (string, error) {
	me, err := c.WhoAmI(ctx)
	return `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::` + me.Account + `:root"}}]}`, err
}

// addRole makes the roles that the steps are about.
func addRole(t *testing.T, c *client.Client) {
	t.Helper()
	trust := must(trustOf(t.Context(), c))(t)
	for _, name := range []string{"deployer", "spare"} {
		must(c.CreateRole(t.Context(), api.CreateRoleRequest{Name: name, TrustPolicy: trust}))(t)
	}
}

func (s *scene) roleSteps() []step {
	const missing = "ResourceNotFound"
	// Trusting everybody of another account, it demands an external id.
	own := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::` + s.record.Account +
		`:root"},"Condition":{"StringEquals":{"sts:ExternalId":"e-1"}}}]}`
	return []step{
		{"CreateRole", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateRole(ctx, api.CreateRoleRequest{Name: "third", TrustPolicy: own, MaxSessionSeconds: 7200}))
		}, ""},
		{"ListRoles", func(ctx context.Context, c *client.Client) error { return drop(c.ListRoles(ctx, api.PageRequest{})) }, ""},
		{"GetRole", func(ctx context.Context, c *client.Client) error { return drop(c.GetRole(ctx, "deployer")) }, missing},
		{"UpdateRole", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateRole(ctx, "deployer", api.UpdateRoleRequest{Description: new("ships"), MaxSessionSeconds: new(3601)}))
		}, missing},
		{"AttachPolicyToRole", func(ctx context.Context, c *client.Client) error {
			return c.AttachPolicyToRole(ctx, "deployer", "AliyunKMSReadOnlyAccess")
		}, missing},
		{"AssumeRole", func(ctx context.Context, c *client.Client) error {
			return drop(c.AssumeRole(ctx, api.AssumeRoleRequest{Role: "deployer", SessionName: "ci"}))
		}, missing},
		{"Federate", func(ctx context.Context, c *client.Client) error {
			return drop(c.Federate(ctx, api.FederateRequest{SessionName: "batch", Policy: readerPolicy}))
		}, ""},
		{"EndRoleSessions", func(ctx context.Context, c *client.Client) error { return c.EndRoleSessions(ctx, "deployer") }, missing},
		{"DetachPolicyFromRole", func(ctx context.Context, c *client.Client) error {
			return c.DetachPolicyFromRole(ctx, "deployer", "AliyunKMSReadOnlyAccess")
		}, missing},
		{"DeleteRole", func(ctx context.Context, c *client.Client) error { return c.DeleteRole(ctx, "spare") }, missing},
	}
}

// Temporary credentials sign the native API as permanent ones do, with their token.
func TestTemporaryCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	c := w.client(t, owner)
	addRole(t, c)
	check(t, c.AttachPolicyToRole(t.Context(), "deployer", "AliyunKMSReadOnlyAccess"))
	issued := must(c.AssumeRole(t.Context(), api.AssumeRoleRequest{Role: "deployer", SessionName: "ci", DurationSeconds: 900}))(t)
	config := client.Config{
		Endpoint: w.url, AccessKeyID: issued.AccessKeyID, AccessKeySecret: string(issued.Secret), SecurityToken: string(issued.SecurityToken),
	}
	session := must(client.New(config))(t)
	me := must(session.WhoAmI(t.Context()))(t)
	if me.ARN != issued.ARN || me.Kind != "assumed-role" || me.Role != "deployer" || me.Session != "ci" || me.User != "" || !me.ExpiresAt.Equal(issued.ExpiresAt) {
		t.Errorf("the session is %+v", me)
	}
	must(session.ListKeys(t.Context(), api.ListKeysRequest{}))(t)
	if _, err := session.CreateKey(t.Context(), api.CreateKeyRequest{}); codeOf(t, err) != "NoPermission" {
		t.Errorf("what the role may not do: %v", err)
	}
	for name, change := range map[string]func(*client.Config){
		"SecurityTokenMissing":  func(c *client.Config) { c.SecurityToken = "" },
		"SecurityTokenInvalid":  func(c *client.Config) { c.SecurityToken = "x" + c.SecurityToken },
		"SignatureMismatch":     func(c *client.Config) { c.AccessKeySecret = owner.secret },
		"SecurityTokenMismatch": func(c *client.Config) { c.AccessKeyID, c.AccessKeySecret = owner.id, owner.secret },
	} {
		changed := config
		change(&changed)
		if _, err := must(client.New(changed))(t).WhoAmI(t.Context()); codeOf(t, err) != name {
			t.Errorf("want %s, have %v", name, err)
		}
	}
	w.later.Store(int64(15 * time.Minute))
	if _, err := session.WhoAmI(t.Context()); codeOf(t, err) != "SecurityTokenExpired" {
		t.Errorf("after its time: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, secret := range []string{string(issued.Secret), string(issued.SecurityToken)} {
		if strings.Contains(w.log.String(), secret) {
			t.Error("the log has a secret")
		}
	}
}
