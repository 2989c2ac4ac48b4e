package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// CreateUser makes a user who may do nothing until a policy is attached.
func (c *Client) CreateUser(ctx context.Context, in api.CreateUserRequest) (api.User, error) {
	return call[api.User](ctx, c.server, "POST", at("users"), in)
}

// ListUsers answers one page of the account's users, by name.
func (c *Client) ListUsers(ctx context.Context, in api.PageRequest) (api.UserList, error) {
	return call[api.UserList](ctx, c.server, "GET", at("users"), in)
}

// GetUser answers a user.
func (c *Client) GetUser(ctx context.Context, user string) (api.User, error) {
	return call[api.User](ctx, c.server, "GET", at("users", user), nil)
}

// UpdateUser changes a user's remark, or enables or disables the user.
func (c *Client) UpdateUser(ctx context.Context, user string, in api.UpdateUserRequest) (api.User, error) {
	return call[api.User](ctx, c.server, "PATCH", at("users", user), in)
}

// DeleteUser removes a user who has no access keys.
func (c *Client) DeleteUser(ctx context.Context, user string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("users", user), nil)
	return err
}

// AttachPolicy lets a user do what the policy says, from the next request on.
func (c *Client) AttachPolicy(ctx context.Context, user, policy string) error {
	_, err := call[none](ctx, c.server, "PUT", at("users", user, "policies", policy), nil)
	return err
}

// DetachPolicy takes a policy from a user, from the next request on.
func (c *Client) DetachPolicy(ctx context.Context, user, policy string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("users", user, "policies", policy), nil)
	return err
}

// CreateAccessKey makes an access key for a user; a user has at most two.
func (c *Client) CreateAccessKey(ctx context.Context, user string, in api.CreateAccessKeyRequest) (api.IssuedAccessKey, error) {
	return call[api.IssuedAccessKey](ctx, c.server, "POST", at("users", user, "access-keys"), in)
}

// ListAccessKeys answers one page of access keys with their last uses, by id.
func (c *Client) ListAccessKeys(ctx context.Context, in api.ListAccessKeysRequest) (api.AccessKeyList, error) {
	return call[api.AccessKeyList](ctx, c.server, "GET", at("access-keys"), in)
}

// GetAccessKey answers an access key with its last use.
func (c *Client) GetAccessKey(ctx context.Context, id string) (api.AccessKey, error) {
	return call[api.AccessKey](ctx, c.server, "GET", at("access-keys", id), nil)
}

// UpdateAccessKey enables or disables an access key, or changes its remark or expiry.
func (c *Client) UpdateAccessKey(ctx context.Context, id string, in api.UpdateAccessKeyRequest) (api.AccessKey, error) {
	return call[api.AccessKey](ctx, c.server, "PATCH", at("access-keys", id), in)
}

// ResetAccessKey replaces the secret of an access key; the old one is refused from then on.
func (c *Client) ResetAccessKey(ctx context.Context, id string) (api.IssuedAccessKey, error) {
	return call[api.IssuedAccessKey](ctx, c.server, "POST", at("access-keys", id, "reset"), nil)
}

// DeleteAccessKey removes an access key for good.
func (c *Client) DeleteAccessKey(ctx context.Context, id string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("access-keys", id), nil)
	return err
}

// CreatePolicy makes a custom policy, which has no effect until it is attached.
func (c *Client) CreatePolicy(ctx context.Context, in api.CreatePolicyRequest) (api.Policy, error) {
	return call[api.Policy](ctx, c.server, "POST", at("policies"), in)
}

// ListPolicies answers one page of policies, system ones too, by name.
func (c *Client) ListPolicies(ctx context.Context, in api.PageRequest) (api.PolicyList, error) {
	return call[api.PolicyList](ctx, c.server, "GET", at("policies"), in)
}

// GetPolicy answers a policy.
func (c *Client) GetPolicy(ctx context.Context, policy string) (api.Policy, error) {
	return call[api.Policy](ctx, c.server, "GET", at("policies", policy), nil)
}

// UpdatePolicy changes a custom policy, from the next request on.
func (c *Client) UpdatePolicy(ctx context.Context, policy string, in api.UpdatePolicyRequest) (api.Policy, error) {
	return call[api.Policy](ctx, c.server, "PATCH", at("policies", policy), in)
}

// DeletePolicy removes a custom policy that no user has.
func (c *Client) DeletePolicy(ctx context.Context, policy string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("policies", policy), nil)
	return err
}

// ListAuditRecords answers one page of the account's audit records.
func (c *Client) ListAuditRecords(ctx context.Context, in api.ListAuditRecordsRequest) (api.AuditRecordList, error) {
	return call[api.AuditRecordList](ctx, c.server, "GET", at("audit", "records"), in)
}

// ListAuditLogs answers the public key and the newest signed head of every log.
func (c *Client) ListAuditLogs(ctx context.Context) (api.AuditLogList, error) {
	return call[api.AuditLogList](ctx, c.server, "GET", at("audit", "logs"), nil)
}

// ProveAuditRecord answers a proof that a log holds a record of the account.
func (c *Client) ProveAuditRecord(ctx context.Context, in api.AuditProofRequest) (api.AuditProof, error) {
	return call[api.AuditProof](ctx, c.server, "GET", at("audit", "proof"), in)
}

// SimulatePolicy explains what a user may do, statement by statement.
func (c *Client) SimulatePolicy(ctx context.Context, in api.SimulatePolicyRequest) (api.Simulation, error) {
	return call[api.Simulation](ctx, c.server, "POST", at("policies", "simulate"), in)
}
