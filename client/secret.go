package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// CreateSecret makes a secret with its first value.
func (c *Client) CreateSecret(ctx context.Context, in api.CreateSecretRequest) (api.Secret, error) {
	return call[api.Secret](ctx, c.server, "POST", at("secrets"), in)
}

// ListSecrets answers one page of the account's secrets that match, by name.
func (c *Client) ListSecrets(ctx context.Context, in api.ListSecretsRequest) (api.SecretList, error) {
	return call[api.SecretList](ctx, c.server, "GET", at("secrets"), in)
}

// DescribeSecret answers a secret without any value. It may be named by name or ARN here
// and below.
func (c *Client) DescribeSecret(ctx context.Context, secret string) (api.Secret, error) {
	return call[api.Secret](ctx, c.server, "GET", at("secrets", secret), nil)
}

// UpdateSecret changes a secret's description, and the key for the versions to come.
func (c *Client) UpdateSecret(ctx context.Context, secret string, in api.UpdateSecretRequest) (api.Secret, error) {
	return call[api.Secret](ctx, c.server, "PUT", at("secrets", secret), in)
}

// GetSecretValue answers a value in the clear, after it is on record who got it.
func (c *Client) GetSecretValue(ctx context.Context, secret string, in api.GetSecretRequest) (api.SecretValue, error) {
	return call[api.SecretValue](ctx, c.server, "GET", at("secrets", secret, "value"), in)
}

// PutSecretValue adds a version with a new value.
func (c *Client) PutSecretValue(ctx context.Context, secret string, in api.PutSecretRequest) (api.SecretVersion, error) {
	return call[api.SecretVersion](ctx, c.server, "POST", at("secrets", secret, "versions"), in)
}

// ListSecretVersions answers one page of a secret's versions without their values, newest first.
func (c *Client) ListSecretVersions(ctx context.Context, secret string, in api.PageRequest) (api.SecretVersionList, error) {
	return call[api.SecretVersionList](ctx, c.server, "GET", at("secrets", secret, "versions"), in)
}

// RollbackSecret makes an older version current again.
func (c *Client) RollbackSecret(ctx context.Context, secret string, in api.RollbackSecretRequest) (api.Secret, error) {
	return call[api.Secret](ctx, c.server, "POST", at("secrets", secret, "rollback"), in)
}

// MoveSecretStage moves a stage to another version, or takes it away.
func (c *Client) MoveSecretStage(ctx context.Context, secret, stage string, in api.MoveStageRequest) (api.Secret, error) {
	return call[api.Secret](ctx, c.server, "PUT", at("secrets", secret, "stages", stage), in)
}

// DeleteSecret deletes a secret: after some days in which it can be restored, or at once.
func (c *Client) DeleteSecret(ctx context.Context, secret string, in api.DeleteSecretRequest) (api.Secret, error) {
	return call[api.Secret](ctx, c.server, "POST", at("secrets", secret, "delete"), in)
}

// RestoreSecret keeps a secret that is about to be deleted.
func (c *Client) RestoreSecret(ctx context.Context, secret string) (api.Secret, error) {
	return call[api.Secret](ctx, c.server, "POST", at("secrets", secret, "restore"), nil)
}

// TagSecret adds tags to a secret.
func (c *Client) TagSecret(ctx context.Context, secret string, in api.TagRequest) error {
	_, err := call[none](ctx, c.server, "POST", at("secrets", secret, "tags"), in)
	return err
}

// UntagSecret removes tags from a secret.
func (c *Client) UntagSecret(ctx context.Context, secret string, in api.UntagRequest) error {
	_, err := call[none](ctx, c.server, "DELETE", at("secrets", secret, "tags"), in)
	return err
}

// GetSecretPolicy answers who may do what with a secret, beside what identity policies say.
func (c *Client) GetSecretPolicy(ctx context.Context, secret string) (api.SecretPolicy, error) {
	return call[api.SecretPolicy](ctx, c.server, "GET", at("secrets", secret, "policy"), nil)
}

// SetSecretPolicy says who may do what with a secret, from the next request on.
func (c *Client) SetSecretPolicy(ctx context.Context, secret string, in api.SecretPolicy) error {
	_, err := call[none](ctx, c.server, "PUT", at("secrets", secret, "policy"), in)
	return err
}

// MakeRandomPassword answers a new password, which the server does not keep.
func (c *Client) MakeRandomPassword(ctx context.Context, in api.RandomPasswordRequest) (api.RandomPassword, error) {
	return call[api.RandomPassword](ctx, c.server, "POST", at("random-password"), in)
}

// AddSink adds a sink, after the other keeper of secrets has accepted the credential.
func (c *Client) AddSink(ctx context.Context, in api.AddSinkRequest) (api.Sink, error) {
	return call[api.Sink](ctx, c.server, "POST", at("sinks"), in)
}

// ListSinks answers all sinks of the account, by name.
func (c *Client) ListSinks(ctx context.Context) (api.SinkList, error) {
	return call[api.SinkList](ctx, c.server, "GET", at("sinks"), nil)
}

// DescribeSink answers a sink with one page of its copies.
func (c *Client) DescribeSink(ctx context.Context, sink string, in api.PageRequest) (api.SinkStatus, error) {
	return call[api.SinkStatus](ctx, c.server, "GET", at("sinks", sink), in)
}

// UpdateSink changes a sink, or its settings and its credential together.
func (c *Client) UpdateSink(ctx context.Context, sink string, in api.UpdateSinkRequest) (api.Sink, error) {
	return call[api.Sink](ctx, c.server, "PATCH", at("sinks", sink), in)
}

// SyncSink has a sink looked at now.
func (c *Client) SyncSink(ctx context.Context, sink string, in api.SyncSinkRequest) error {
	_, err := call[none](ctx, c.server, "POST", at("sinks", sink, "sync"), in)
	return err
}

// RemoveSink forgets a sink; what was copied stays where it is.
func (c *Client) RemoveSink(ctx context.Context, sink string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("sinks", sink), nil)
	return err
}
