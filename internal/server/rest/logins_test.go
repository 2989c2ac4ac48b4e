package rest_test

import (
	"context"
	"encoding/base32"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/totp"
)

// person makes the user erin, logs her in and answers her client.
func (w *world) person(t *testing.T, by login) *client.Client {
	t.Helper()
	root := &authz.Call{Principal: authz.Principal{Account: by.account, Kind: authz.Root, Name: "root"}, Time: w.now()}
	must(w.iam.CreateUser(t.Context(), root, "erin", ""))(t)
	initial := must(w.people.SetPassword(t.Context(), root, "erin"))(t)
	i := must(w.people.Login(t.Context(), &authz.Call{Time: w.now()}, people.Attempt{
		Account: by.account, User: "erin", Password: initial.Password, NewPassword: material.NewBytes([]byte("fake horse battery")), Duration: 12 * time.Hour,
	}))(t)
	return must(client.New(client.Config{Endpoint: w.url, AccessKeyID: i.AccessKey, AccessKeySecret: string(i.Secret.Expose()), SecurityToken: i.Token}))(t)
}

// loginSteps are the operations on how people log in. Those upon the caller are erin's, once
// she is there.
func (s *scene) loginSteps(now func() time.Time) []step {
	who := func(c *client.Client) *client.Client {
		if s.person != nil {
			return s.person
		}
		return c
	}
	holder := func(c *client.Client) *client.Client {
		if s.holder != nil {
			return s.holder
		}
		return c
	}
	const missing, nobody = "ResourceNotFound", "NoPermission"
	return []step{
		{"SetUserPassword", func(ctx context.Context, c *client.Client) error { return drop(c.SetUserPassword(ctx, "bob")) }, missing},
		{"GetUserLogin", func(ctx context.Context, c *client.Client) error { return drop(c.GetUserLogin(ctx, "bob")) }, missing},
		{"EndUserSessions", func(ctx context.Context, c *client.Client) error { return c.EndUserSessions(ctx, "bob") }, missing},
		{"RemoveUserPassword", func(ctx context.Context, c *client.Client) error { return c.RemoveUserPassword(ctx, "bob") }, missing},
		{"GetMFA", func(ctx context.Context, c *client.Client) error { return drop(who(c).GetMFA(ctx)) }, nobody},
		{"AddSecurityKey", func(ctx context.Context, c *client.Client) error {
			return drop(who(c).AddSecurityKey(ctx, api.AddSecurityKeyRequest{Name: "blue"}))
		}, nobody},
		{"ConfirmSecurityKey", func(ctx context.Context, c *client.Client) error {
			return drop(holder(c).ConfirmSecurityKey(ctx, s.made))
		}, nobody},
		{"BeginProof", func(ctx context.Context, c *client.Client) error {
			return drop(holder(c).BeginProof(ctx, api.ProofRequest{Method: "POST", Target: "/v1/keys/alias~app~main/disable"}))
		}, nobody},
		{"EnrollMFA", func(ctx context.Context, c *client.Client) (err error) {
			s.factor, err = who(c).EnrollMFA(ctx)
			return err
		}, nobody},
		{"ConfirmMFA", func(ctx context.Context, c *client.Client) error {
			secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(s.factor.Secret))
			if err != nil {
				return err
			}
			code := totp.Code(material.NewBytes(secret), totp.Step(now()))
			return drop(who(c).ConfirmMFA(ctx, api.ConfirmMFARequest{Code: api.SecretText(code)}))
		}, nobody},
		{"Logout", func(ctx context.Context, c *client.Client) error { return who(c).Logout(ctx) }, nobody},
		{"RemoveUserMFA", func(ctx context.Context, c *client.Client) error {
			return c.RemoveUserMFA(ctx, "erin", api.RemoveMFARequest{})
		}, missing},
	}
}

// What is dangerous needs a code of a person, which the client asks for and sends under the
// signature; the code serves for that request alone.
func TestDangerousNeedsCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	k := must(w.client(t, owner).CreateKey(t.Context(), api.CreateKeyRequest{}))(t)
	erin, code := w.factor(t, owner, w.person(t, owner))
	asked := 0
	config := erin
	config.Code = func(context.Context, client.Wanted) (string, error) { asked++; return code(), nil }
	c := must(client.New(config))(t)
	plain := must(client.New(erin))(t)

	records := w.during(t, func() {
		if err := plain.DisableKey(t.Context(), k.ID); codeOf(t, err) != "MFARequired" {
			t.Errorf("without a code: %v", err)
		}
	})
	if len(records) != 1 || records[0].Action != "kms:DisableKey" || records[0].Result != "MFARequired" || records[0].Decision != "no fresh code" {
		t.Errorf("the refusal left %+v", records)
	}
	records = w.during(t, func() { check(t, c.DisableKey(t.Context(), k.ID)) })
	if asked != 1 || len(records) != 2 || records[1].Result != "OK" || records[1].Params["MFA"] != "code" {
		t.Errorf("asked %d times, left %+v", asked, records)
	}
	check(t, c.EnableKey(t.Context(), k.ID))
	must(c.DescribeKey(t.Context(), k.ID))(t)
	if asked != 1 {
		t.Error("a code was asked for what is not dangerous")
	}
	used := code()
	config.Code = func(context.Context, client.Wanted) (string, error) { return used, nil }
	if err := must(client.New(config))(t).DisableKey(t.Context(), k.ID); codeOf(t, err) != "LoginFailed" {
		t.Errorf("with a used code: %v", err)
	}
	config.AccessKeyID, config.AccessKeySecret, config.SecurityToken = owner.id, owner.secret, ""
	check(t, must(client.New(config))(t).DisableKey(t.Context(), k.ID))

	// A code that the signature does not cover is none.
	r := w.sign(t, owner, raw{method: "POST", target: "/v1/keys/" + k.ID + "/disable"})
	r.Header.Set("X-Acs-Mfa-Code", code())
	if _, p := do(t, r); p.Code != "IncompleteSignature" {
		t.Errorf("an unsigned code: %s", p.Code)
	}
}

// factor sets up a second factor for erin, who may do everything, and answers a login with it.
func (w *world) factor(t *testing.T, by login, c *client.Client) (config client.Config, code func() string) {
	t.Helper()
	check(t, w.client(t, by).AttachPolicy(t.Context(), "erin", "AdministratorAccess"))
	e := must(c.EnrollMFA(t.Context()))(t)
	secret := material.NewBytes(must(base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(e.Secret)))(t))
	code = func() string { return totp.Code(secret, totp.Step(w.now())) }
	must(c.ConfirmMFA(t.Context(), api.ConfirmMFARequest{Code: api.SecretText(code())}))(t)
	w.later.Add(int64(time.Minute))
	i := must(w.people.Login(t.Context(), &authz.Call{Time: w.now()}, people.Attempt{
		Account: by.account, User: "erin", Password: material.NewBytes([]byte("fake horse battery")), Code: code(),
	}))(t)
	w.later.Add(int64(time.Minute))
	return client.Config{Endpoint: w.url, AccessKeyID: i.AccessKey, AccessKeySecret: string(i.Secret.Expose()), SecurityToken: i.Token}, code
}
