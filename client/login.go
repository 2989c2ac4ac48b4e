package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// Login answers temporary credentials of a user who logs in. Of the configuration it takes
// the endpoint and how to reach it; access keys are not needed.
func Login(ctx context.Context, c Config, in api.LoginRequest) (api.TemporaryCredentials, error) {
	return unsigned[api.TemporaryCredentials](ctx, c, api.LoginPath, in)
}

// Logout ends the session of the caller, who logged in.
func (c *Client) Logout(ctx context.Context) error {
	_, err := call[none](ctx, c.server, "POST", at("me", "logout"), nil)
	return err
}

// EnrollMFA makes the secret of a second factor for the caller, who logged in.
func (c *Client) EnrollMFA(ctx context.Context) (api.MFAEnrollment, error) {
	return call[api.MFAEnrollment](ctx, c.server, "POST", at("me", "mfa"), nil)
}

// ConfirmMFA makes every later login of the caller need a code, and answers recovery codes.
func (c *Client) ConfirmMFA(ctx context.Context, in api.ConfirmMFARequest) (api.RecoveryCodes, error) {
	return call[api.RecoveryCodes](ctx, c.server, "POST", at("me", "mfa", "confirm"), in)
}

// GetUserLogin answers how a user logs in.
func (c *Client) GetUserLogin(ctx context.Context, user string) (api.LoginProfile, error) {
	return call[api.LoginProfile](ctx, c.server, "GET", at("users", user, "login"), nil)
}

// SetUserPassword gives a user an initial password and ends the user's sessions.
func (c *Client) SetUserPassword(ctx context.Context, user string) (api.InitialPassword, error) {
	return call[api.InitialPassword](ctx, c.server, "POST", at("users", user, "password"), nil)
}

// RemoveUserPassword lets a user log in no more and ends the user's sessions.
func (c *Client) RemoveUserPassword(ctx context.Context, user string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("users", user, "password"), nil)
	return err
}

// RemoveUserMFA takes a second factor from a user, or all of them, and ends the user's
// sessions.
func (c *Client) RemoveUserMFA(ctx context.Context, user string, in api.RemoveMFARequest) error {
	_, err := call[none](ctx, c.server, "DELETE", at("users", user, "mfa"), in)
	return err
}

// EndUserSessions ends all sessions of a user who logged in.
func (c *Client) EndUserSessions(ctx context.Context, user string) error {
	_, err := call[none](ctx, c.server, "POST", at("users", user, "end-sessions"), nil)
	return err
}
