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
	const missing, nobody = "ResourceNotFound", "NoPermission"
	return []step{
		{"SetUserPassword", func(ctx context.Context, c *client.Client) error { return drop(c.SetUserPassword(ctx, "bob")) }, missing},
		{"GetUserLogin", func(ctx context.Context, c *client.Client) error { return drop(c.GetUserLogin(ctx, "bob")) }, missing},
		{"EndUserSessions", func(ctx context.Context, c *client.Client) error { return c.EndUserSessions(ctx, "bob") }, missing},
		{"RemoveUserPassword", func(ctx context.Context, c *client.Client) error { return c.RemoveUserPassword(ctx, "bob") }, missing},
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
		{"RemoveUserMFA", func(ctx context.Context, c *client.Client) error { return c.RemoveUserMFA(ctx, "erin") }, missing},
	}
}
