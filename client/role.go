package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// CreateRole makes a role, which may do nothing until a policy is attached.
func (c *Client) CreateRole(ctx context.Context, in api.CreateRoleRequest) (api.Role, error) {
	return call[api.Role](ctx, c.server, "POST", at("roles"), in)
}

// ListRoles answers one page of the account's roles, by name.
func (c *Client) ListRoles(ctx context.Context, in api.PageRequest) (api.RoleList, error) {
	return call[api.RoleList](ctx, c.server, "GET", at("roles"), in)
}

// GetRole answers a role.
func (c *Client) GetRole(ctx context.Context, role string) (api.Role, error) {
	return call[api.Role](ctx, c.server, "GET", at("roles", role), nil)
}

// UpdateRole changes a role. A new trust policy ends all of its sessions.
func (c *Client) UpdateRole(ctx context.Context, role string, in api.UpdateRoleRequest) (api.Role, error) {
	return call[api.Role](ctx, c.server, "PATCH", at("roles", role), in)
}

// DeleteRole removes a role and ends all of its sessions.
func (c *Client) DeleteRole(ctx context.Context, role string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("roles", role), nil)
	return err
}

// AttachPolicyToRole lets a role do what the policy says, from the next request on.
func (c *Client) AttachPolicyToRole(ctx context.Context, role, policy string) error {
	_, err := call[none](ctx, c.server, "PUT", at("roles", role, "policies", policy), nil)
	return err
}

// DetachPolicyFromRole takes a policy from a role, from the next request on.
func (c *Client) DetachPolicyFromRole(ctx context.Context, role, policy string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("roles", role, "policies", policy), nil)
	return err
}

// EndRoleSessions ends all sessions of a role; who is trusted may begin new ones.
func (c *Client) EndRoleSessions(ctx context.Context, role string) error {
	_, err := call[none](ctx, c.server, "POST", at("roles", role, "end-sessions"), nil)
	return err
}

// AssumeRole answers temporary credentials that act as a role.
func (c *Client) AssumeRole(ctx context.Context, in api.AssumeRoleRequest) (api.TemporaryCredentials, error) {
	return call[api.TemporaryCredentials](ctx, c.server, "POST", at("sessions", "assume-role"), in)
}

// Federate answers temporary credentials with a part of the caller's own permissions, to
// be handed on.
func (c *Client) Federate(ctx context.Context, in api.FederateRequest) (api.TemporaryCredentials, error) {
	return call[api.TemporaryCredentials](ctx, c.server, "POST", at("sessions", "federate"), in)
}
