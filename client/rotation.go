package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// CreateRotationPlan makes a plan after it was tried; nothing is changed at the provider.
func (c *Client) CreateRotationPlan(ctx context.Context, in api.CreateRotationPlanRequest) (api.RotationForecast, error) {
	return call[api.RotationForecast](ctx, c.server, "POST", at("rotation-plans"), in)
}

// UpdateRotationPlan changes a plan of which no rotation is under way.
func (c *Client) UpdateRotationPlan(ctx context.Context, plan string, in api.UpdateRotationPlanRequest) (api.RotationForecast, error) {
	return call[api.RotationForecast](ctx, c.server, "PATCH", at("rotation-plans", plan), in)
}

// ListRotationPlans answers all plans of the account, by name.
func (c *Client) ListRotationPlans(ctx context.Context) (api.RotationPlanList, error) {
	return call[api.RotationPlanList](ctx, c.server, "GET", at("rotation-plans"), nil)
}

// DescribeRotationPlan answers a plan with what it comes to.
func (c *Client) DescribeRotationPlan(ctx context.Context, plan string) (api.RotationForecast, error) {
	return call[api.RotationForecast](ctx, c.server, "GET", at("rotation-plans", plan), nil)
}

// DeleteRotationPlan forgets a plan; the key stays as it is.
func (c *Client) DeleteRotationPlan(ctx context.Context, plan string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("rotation-plans", plan), nil)
	return err
}

// StartRotation begins a rotation of a plan.
func (c *Client) StartRotation(ctx context.Context, plan string, in api.StartRotationRequest) (api.RotationRun, error) {
	return call[api.RotationRun](ctx, c.server, "POST", at("rotation-plans", plan, "rotations"), in)
}

// ListRotations answers rotations without their events, the newest first.
func (c *Client) ListRotations(ctx context.Context, in api.ListRotationsRequest) (api.RotationRunList, error) {
	return call[api.RotationRunList](ctx, c.server, "GET", at("rotations"), in)
}

// DescribeRotation answers the rotation with an id, or the last one of a plan.
func (c *Client) DescribeRotation(ctx context.Context, rotation string) (api.RotationRun, error) {
	return call[api.RotationRun](ctx, c.server, "GET", at("rotations", rotation), nil)
}

// ApproveRotation lets the last rotation of a plan go on where it waits for an approval.
func (c *Client) ApproveRotation(ctx context.Context, plan string) (api.RotationRun, error) {
	return call[api.RotationRun](ctx, c.server, "POST", at("rotation-plans", plan, "approve"), nil)
}

// PauseRotation keeps it where it is; an act that is under way comes to its end.
func (c *Client) PauseRotation(ctx context.Context, plan string) (api.RotationRun, error) {
	return call[api.RotationRun](ctx, c.server, "POST", at("rotation-plans", plan, "pause"), nil)
}

// ResumeRotation lets it go on after a pause, or after it has halted.
func (c *Client) ResumeRotation(ctx context.Context, plan string) (api.RotationRun, error) {
	return call[api.RotationRun](ctx, c.server, "POST", at("rotation-plans", plan, "resume"), nil)
}

// ConfirmRotation says that a person has done at a console what it waits for.
func (c *Client) ConfirmRotation(ctx context.Context, plan string) (api.RotationRun, error) {
	return call[api.RotationRun](ctx, c.server, "POST", at("rotation-plans", plan, "confirm"), nil)
}

// RollBackRotation has it undone, if that is still possible.
func (c *Client) RollBackRotation(ctx context.Context, plan string, in api.RollBackRotationRequest) (api.RotationRun, error) {
	return call[api.RotationRun](ctx, c.server, "POST", at("rotation-plans", plan, "rollback"), in)
}

// EnterRotationKey gives it the key that a person has made at a console.
func (c *Client) EnterRotationKey(ctx context.Context, plan string, in api.EnterRotationKeyRequest) (api.RotationRun, error) {
	return call[api.RotationRun](ctx, c.server, "POST", at("rotation-plans", plan, "enter"), in)
}
