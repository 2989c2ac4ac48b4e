package rest_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// secretSteps are the operations on secrets, in an order in which they all succeed.
func (s *scene) secretSteps() []step {
	const name, missing = "app/secret", "ResourceNotFound"
	description := "new"
	return []step{
		{"CreateSecret", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateSecret(ctx, api.CreateSecretRequest{Name: "made", Value: []byte("fake"), Key: s.symmetric.ID}))
		}, "KeyNotFound"},
		{"ListSecrets", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListSecrets(ctx, api.ListSecretsRequest{StartsWith: "app/"}))
		}, ""},
		{"DescribeSecret", func(ctx context.Context, c *client.Client) error { return drop(c.DescribeSecret(ctx, name)) }, missing},
		{"UpdateSecret", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateSecret(ctx, name, api.UpdateSecretRequest{Description: &description, Key: &s.symmetric.ID}))
		}, missing},
		{"PutSecretValue", func(ctx context.Context, c *client.Client) error {
			return drop(c.PutSecretValue(ctx, name, api.PutSecretRequest{Value: []byte("fake 2"), Version: "v2"}))
		}, missing},
		{"GetSecretValue", func(ctx context.Context, c *client.Client) error {
			return drop(c.GetSecretValue(ctx, name, api.GetSecretRequest{Stage: "ACSPrevious"}))
		}, missing},
		{"ListSecretVersions", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListSecretVersions(ctx, name, api.PageRequest{}))
		}, missing},
		{"RollbackSecret", func(ctx context.Context, c *client.Client) error {
			return drop(c.RollbackSecret(ctx, name, api.RollbackSecretRequest{}))
		}, missing},
		{"MoveSecretStage", func(ctx context.Context, c *client.Client) error {
			return drop(c.MoveSecretStage(ctx, name, "ACSCurrent", api.MoveStageRequest{From: "v1", To: "v2"}))
		}, missing},
		{"TagSecret", func(ctx context.Context, c *client.Client) error {
			return c.TagSecret(ctx, name, api.TagRequest{Tags: map[string]string{"env": "test"}})
		}, missing},
		{"UntagSecret", func(ctx context.Context, c *client.Client) error {
			return c.UntagSecret(ctx, name, api.UntagRequest{Keys: []string{"env", "other"}})
		}, missing},
		{"DeleteSecret", func(ctx context.Context, c *client.Client) error {
			return drop(c.DeleteSecret(ctx, "doomed", api.DeleteSecretRequest{Days: 7}))
		}, missing},
		{"SetSecretPolicy", func(ctx context.Context, c *client.Client) error {
			return c.SetSecretPolicy(ctx, name, api.SecretPolicy{})
		}, missing},
		{"GetSecretPolicy", func(ctx context.Context, c *client.Client) error { return drop(c.GetSecretPolicy(ctx, name)) }, missing},
		{"MakeRandomPassword", func(ctx context.Context, c *client.Client) error {
			return drop(c.MakeRandomPassword(ctx, api.RandomPasswordRequest{Length: 8, NoLower: true, Any: true}))
		}, ""},
		{"RestoreSecret", func(ctx context.Context, c *client.Client) error { return drop(c.RestoreSecret(ctx, "doomed")) }, missing},
	}
}

// What goes in comes out, byte for byte, with its version and its stages.
func TestSecretsThereAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "acme")
	c, ctx := w.client(t, admin), t.Context()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	made := must(c.CreateSecret(ctx, api.CreateSecretRequest{Name: "pay/api_key", Value: all, Type: "binary", Version: "v1", Tags: map[string]string{"team": "pay"}}))(t)
	if diff := cmp.Diff(map[string]string{"ACSCurrent": "v1"}, made.Stages); diff != "" {
		t.Error(diff)
	}
	got := must(c.GetSecretValue(ctx, made.ARN, api.GetSecretRequest{}))(t)
	if diff := cmp.Diff(all, []byte(got.Value)); diff != "" {
		t.Error(diff)
	}
	put := must(c.PutSecretValue(ctx, "pay/api_key", api.PutSecretRequest{Value: []byte("text"), Stages: []string{"ACSPending"}}))(t)
	if diff := cmp.Diff([]string{"ACSPending"}, put.Stages); diff != "" || put.Type != "text" || put.Number != 2 {
		t.Errorf("%+v\n%s", put, diff)
	}
	moved := must(c.MoveSecretStage(ctx, "pay/api_key", "ACSCurrent", api.MoveStageRequest{From: "v1", To: put.ID}))(t)
	if diff := cmp.Diff(map[string]string{"ACSCurrent": put.ID, "ACSPrevious": "v1"}, moved.Stages); diff != "" {
		t.Error(diff)
	}
	described := must(c.DescribeSecret(ctx, "pay/api_key"))(t)
	if diff := cmp.Diff(moved, described); diff != "" {
		t.Error(diff)
	}
	if list := must(c.ListSecrets(ctx, api.ListSecretsRequest{TagKeys: []string{"team"}}))(t); list.Total != 1 {
		t.Errorf("%d secrets have the tag", list.Total)
	}
}

// sinkSteps are the operations on sinks, in an order in which they all succeed.
func (s *scene) sinkSteps() []step {
	return []step{
		{"AddSink", func(ctx context.Context, c *client.Client) error {
			return drop(c.AddSink(ctx, api.AddSinkRequest{
				Name: "ours", Kind: "vault", Settings: map[string]string{"address": s.vault}, Credential: map[string]api.SecretText{"token": "fake-token"}, Secrets: []string{"app/*"},
			}))
		}, ""},
		{"ListSinks", func(ctx context.Context, c *client.Client) error { return drop(c.ListSinks(ctx)) }, ""},
		{"DescribeSink", func(ctx context.Context, c *client.Client) error {
			return drop(c.DescribeSink(ctx, "ours", api.PageRequest{}))
		}, ""},
		{"UpdateSink", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateSink(ctx, "ours", api.UpdateSinkRequest{
				Connection: &api.SinkConnection{Settings: map[string]string{"address": s.vault, "path": "below"}, Credential: map[string]api.SecretText{"token": "fake-token"}}, Secrets: &[]string{"app/a"},
			}))
		}, ""},
		{"SyncSink", func(ctx context.Context, c *client.Client) error {
			return c.SyncSink(ctx, "ours", api.SyncSinkRequest{Overwrite: true})
		}, ""},
		{"RemoveSink", func(ctx context.Context, c *client.Client) error { return c.RemoveSink(ctx, "ours") }, ""},
	}
}
