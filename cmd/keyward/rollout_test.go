package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

// What the flags of rollouts and nodes say is what is asked for.
func TestRolloutsAskForWhatTheFlagsSay(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{"rollout", "create", "pay", "k", "--label", "app=shop", "--wave", "canary:tier=canary,region=cn-1:10%", "--wave", "rest"}, cli.ExitOK, []string{
			`POST /v1/rollouts {"name":"pay","secret":"k","members":{"app":"shop"},"waves":[{"name":"canary","labels":{"region":"cn-1","tier":"canary"},"percent":10},{"name":"rest"}],"level":"used"}`,
		}},
		{[]string{"rollout", "create", "pay"}, cli.ExitLocal, nil},
		{[]string{"rollout", "create", "pay", "k", "--wave", "half:0%"}, cli.ExitLocal, nil},
		{[]string{"rollout", "create", "pay", "k", "--wave", "half:50%:60%"}, cli.ExitLocal, nil},
		{[]string{"rollout", "create", "pay", "k", "--wave", "half:tier"}, cli.ExitLocal, nil},
		{[]string{"rollout", "update", "pay", "--level", "applied"}, cli.ExitOK, []string{
			`GET /v1/rollouts/pay`,
			`PUT /v1/rollouts/pay {"members":{"app":"shop"},"waves":[{"name":"canary","labels":{"tier":"canary"},"percent":10},{"name":"rest"}],"level":"applied"}`,
		}},
		{[]string{"rollout", "update", "pay", "--wave", "all", "--label", "app=till"}, cli.ExitOK, []string{
			`GET /v1/rollouts/pay`, `PUT /v1/rollouts/pay {"members":{"app":"till"},"waves":[{"name":"all"}],"level":"used"}`,
		}},
		{[]string{"rollout", "publish", "pay", "--version", "v1"}, cli.ExitOK, []string{`POST /v1/rollouts/pay/publish {"version":"v1"}`}},
		{[]string{"rollout", "remove", "pay"}, cli.ExitLocal, nil},
		{[]string{"rollout", "remove", "pay", "--yes"}, cli.ExitOK, []string{`DELETE /v1/rollouts/pay`}},
		{[]string{"node", "label", "web-1", "region=cn-2", "tier-"}, cli.ExitOK, []string{
			`GET /v1/nodes/web-1`, `PUT /v1/nodes/web-1/labels {"labels":{"app":"shop","region":"cn-2"}}`,
		}},
		{[]string{"node", "label", "web-1", "region"}, cli.ExitLocal, []string{`GET /v1/nodes/web-1`}},
		{[]string{"node", "drain", "web-1", "--yes"}, cli.ExitOK, []string{`POST /v1/nodes/web-1/drain`}},
		{[]string{"node", "undrain", "web-1"}, cli.ExitOK, []string{`POST /v1/nodes/web-1/undrain`}},
		{[]string{"node", "remove", "web-1", "--yes"}, cli.ExitOK, []string{`DELETE /v1/nodes/web-1`}},
		{[]string{"node", "token", "create", "--name", "web-1", "--label", "a=b", "--uses", "3", "--expires", "7d"}, cli.ExitOK, []string{
			`POST /v1/node-tokens {"node":"web-1","labels":{"a":"b"},"uses":3,"life":"7d"}`,
		}},
		{[]string{"node", "token", "revoke", "0123456789abcdef"}, cli.ExitOK, []string{`DELETE /v1/node-tokens/0123456789abcdef`}},
		{[]string{"node", "list", "--state", "gone"}, cli.ExitLocal, nil},
	} {
		s := newSession(t, cli.English)
		for path, answer := range map[string]any{
			"POST /v1/rollouts": aRollout(), "GET /v1/rollouts/pay": aRollout(), "PUT /v1/rollouts/pay": aRollout(), "POST /v1/rollouts/pay/publish": aRollout(),
			"DELETE /v1/rollouts/pay": struct{}{}, "GET /v1/nodes/web-1": api.NodeStatus{Node: aNode()}, "PUT /v1/nodes/web-1/labels": aNode(),
			"POST /v1/nodes/web-1/drain": aNode(), "POST /v1/nodes/web-1/undrain": aNode(), "DELETE /v1/nodes/web-1": struct{}{},
			"POST /v1/node-tokens": api.IssuedNodeToken{Token: "kwjt_fake"}, "DELETE /v1/node-tokens/0123456789abcdef": struct{}{},
		} {
			s.Answers[path] = answer
		}
		if status := s.Do(test.args...); status != test.status {
			t.Errorf("%v: status %d: %s", test.args, status, &s.Stderr)
		}
		if diff := cmp.Diff(test.want, s.Requests); diff != "" {
			t.Errorf("%v: %s", test.args, diff)
		}
	}
}
