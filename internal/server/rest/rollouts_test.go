package rest_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/server/agentapi/agenttest"
)

// join makes a node.
func (w *world) join(t testing.TB, account, name string, labels map[string]string, c *client.Client) {
	t.Helper()
	issued := must(c.CreateNodeToken(t.Context(), api.CreateNodeTokenRequest{Node: name, Labels: labels}))(t)
	token := must(w.rollouts.Recognize(t.Context(), material.NewBytes([]byte(issued.Token))))(t)
	sign, seal := agenttest.New("", nil, nil).Keys()
	call := &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Service, Name: "join-token"}, Time: time.Now()}
	must(w.rollouts.Join(t.Context(), call, token, rollout.JoinInput{SignKey: sign, SealKey: seal}))(t)
}

// rolloutSteps are the operations on nodes and rollouts, in an order in which they all succeed.
func (s *scene) rolloutSteps() []step {
	return []step{
		{"CreateNodeToken", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateNodeToken(ctx, api.CreateNodeTokenRequest{Labels: map[string]string{"tier": "web"}, Uses: 2, Life: "7d"}))
		}, ""},
		{"ListNodeTokens", func(ctx context.Context, c *client.Client) error { return drop(c.ListNodeTokens(ctx)) }, ""},
		{"RevokeNodeToken", func(ctx context.Context, c *client.Client) error { return c.RevokeNodeToken(ctx, s.token) }, "ResourceNotFound"},
		{"ListNodes", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListNodes(ctx, api.ListNodesRequest{Labels: []string{"tier=web"}}))
		}, ""},
		{"GetNode", func(ctx context.Context, c *client.Client) error { return drop(c.GetNode(ctx, "web-1")) }, "ResourceNotFound"},
		{"LabelNode", func(ctx context.Context, c *client.Client) error {
			return drop(c.LabelNode(ctx, "web-1", api.LabelNodeRequest{Labels: map[string]string{"tier": "web"}}))
		}, "ResourceNotFound"},
		{"CreateRollout", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateRollout(ctx, api.CreateRolloutRequest{Name: "pay", Secret: "delivered", Waves: []api.RolloutWave{{Name: "canary", Percent: 10}, {Name: "rest"}}}))
		}, "ResourceNotFound"},
		{"ListRollouts", func(ctx context.Context, c *client.Client) error { return drop(c.ListRollouts(ctx)) }, ""},
		{"GetRollout", func(ctx context.Context, c *client.Client) error { return drop(c.GetRollout(ctx, "pay")) }, "ResourceNotFound"},
		{"UpdateRollout", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateRollout(ctx, "pay", api.UpdateRolloutRequest{Level: "applied"}))
		}, "ResourceNotFound"},
		{"PublishRollout", func(ctx context.Context, c *client.Client) error {
			return drop(c.PublishRollout(ctx, "pay", api.PublishRolloutRequest{}))
		}, "ResourceNotFound"},
		{"GetRolloutCoverage", func(ctx context.Context, c *client.Client) error {
			return drop(c.GetRolloutCoverage(ctx, "pay", api.PageRequest{}))
		}, "ResourceNotFound"},
		{"RemoveRollout", func(ctx context.Context, c *client.Client) error { return c.RemoveRollout(ctx, "pay") }, "ResourceNotFound"},
		{"DrainNode", func(ctx context.Context, c *client.Client) error { return drop(c.DrainNode(ctx, "web-1")) }, "ResourceNotFound"},
		{"UndrainNode", func(ctx context.Context, c *client.Client) error { return drop(c.UndrainNode(ctx, "web-1")) }, "ResourceNotFound"},
		{"RemoveNode", func(ctx context.Context, c *client.Client) error { return c.RemoveNode(ctx, "web-1") }, "ResourceNotFound"},
	}
}

// What is said of nodes and rollouts is answered as it was said.
func TestRollouts(t *testing.T) {
	w := newWorld(t)
	root := w.account(t, "pay")
	c := w.client(t, root)
	ctx := t.Context()
	must(c.CreateSecret(ctx, api.CreateSecretRequest{Name: "pay", Value: []byte("fake"), Version: "v1"}))(t)
	w.join(t, root.account, "web-1", map[string]string{"tier": "web", "canary": ""}, c)
	w.join(t, root.account, "web-2", map[string]string{"tier": "web"}, c)
	made := must(c.CreateRollout(ctx, api.CreateRolloutRequest{
		Name: "pay", Secret: "pay", Members: map[string]string{"tier": "web"}, Waves: []api.RolloutWave{{Name: "canary", Labels: map[string]string{"canary": ""}}, {Name: "rest"}},
	}))(t)
	first := &api.Generation{Number: 1, Primary: "v1"}
	want := []api.RolloutWave{{Name: "canary", Labels: map[string]string{"canary": ""}, Now: first}, {Name: "rest", Now: first}}
	if diff := cmp.Diff(want, made.Waves); diff != "" || made.Level != "used" {
		t.Errorf("level %s\n%s", made.Level, diff)
	}
	must(c.PutSecretValue(ctx, "pay", api.PutSecretRequest{Value: []byte("fake 2"), Version: "v2"}))(t)
	published := must(c.PublishRollout(ctx, "pay", api.PublishRolloutRequest{}))(t)
	if diff := cmp.Diff(&api.Generation{Number: 2, Primary: "v2", Fallback: "v1"}, published.Waves[1].Now); diff != "" {
		t.Error(diff)
	}
	updated := must(c.UpdateRollout(ctx, "pay", api.UpdateRolloutRequest{Members: map[string]string{}, Waves: []api.RolloutWave{{Name: "new", Percent: 5}, {Name: "rest"}}}))(t)
	if diff := cmp.Diff(published.Waves[1].Now, updated.Waves[0].Now); diff != "" || len(updated.Members) != 0 {
		t.Error(diff)
	}
	coverage := must(c.GetRolloutCoverage(ctx, "pay", api.PageRequest{Limit: 1}))(t)
	if coverage.Total != 2 || len(coverage.Members) != 1 || coverage.Next == "" || coverage.Members[0].State != "lost" || coverage.Members[0].Target != 2 || coverage.Members[0].There {
		t.Errorf("the coverage is %+v", coverage)
	}
	for filter, n := range map[string]int{"tier": 2, "tier=web": 2, "canary": 1, "tier=db": 0} {
		if list := must(c.ListNodes(ctx, api.ListNodesRequest{Labels: []string{filter}}))(t); list.Total != n {
			t.Errorf("%d nodes have the label %s, want %d", list.Total, filter, n)
		}
	}
	drained := must(c.DrainNode(ctx, "web-1"))(t)
	if list := must(c.ListNodes(ctx, api.ListNodesRequest{State: "drained"}))(t); list.Total != 1 || drained.State != "drained" {
		t.Errorf("%d nodes are drained, the answer says %s", list.Total, drained.State)
	}
}
