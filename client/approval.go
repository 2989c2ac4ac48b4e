package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// ListApprovalRules answers what the account wants approved by others, by name.
func (c *Client) ListApprovalRules(ctx context.Context) (api.ApprovalRuleList, error) {
	return call[api.ApprovalRuleList](ctx, c.server, "GET", at("approval-rules"), nil)
}

// SetApprovalRule says what is to be approved by how many of whom. Changing that needs approval
// under the rule as it is.
func (c *Client) SetApprovalRule(ctx context.Context, rule string, in api.SetApprovalRuleRequest) (api.ApprovalRule, error) {
	return call[api.ApprovalRule](ctx, c.server, "PUT", at("approval-rules", rule), in)
}

// DeleteApprovalRule removes a rule, which needs approval under it.
func (c *Client) DeleteApprovalRule(ctx context.Context, rule string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("approval-rules", rule), nil)
	return err
}

// ListApprovals answers the newest requests that wait or waited for approval.
func (c *Client) ListApprovals(ctx context.Context, in api.ListApprovalsRequest) (api.ApprovalList, error) {
	return call[api.ApprovalList](ctx, c.server, "GET", at("approvals"), in)
}

// GetApproval answers one of them.
func (c *Client) GetApproval(ctx context.Context, approval string) (api.Approval, error) {
	return call[api.Approval](ctx, c.server, "GET", at("approvals", approval), nil)
}

// Approve approves a request. It needs a login and a fresh code.
func (c *Client) Approve(ctx context.Context, approval string) (api.Approval, error) {
	return call[api.Approval](ctx, c.server, "POST", at("approvals", approval, "approve"), nil)
}

// Reject ends a request that waits for approval, or withdraws the caller's own.
func (c *Client) Reject(ctx context.Context, approval string) (api.Approval, error) {
	return call[api.Approval](ctx, c.server, "POST", at("approvals", approval, "reject"), nil)
}
