package rest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/rotation/engine"
)

// planFor makes the request for a plan of a key that a person makes and ends, and the
// secret with that key.
func planFor(t *testing.T, c *client.Client, name string) api.CreateRotationPlanRequest {
	t.Helper()
	must(c.CreateSecret(t.Context(), api.CreateSecretRequest{Name: "rotated/" + name, Value: []byte(`{"id":"old-` + name + `","secret":"fake-old"}`)}))(t)
	none := ""
	return api.CreateRotationPlanRequest{
		Name: name, Provider: "hand", Principal: "payments", Secret: "rotated/" + name, Key: "old-" + name,
		Care: api.RotationCareRequest{Grace: &none, Quiet: &none, Observe: &none},
	}
}

// look carries the last rotation of a plan as far as it goes, as a job would.
func (w *world) look(t testing.TB, c *client.Client, account, plan string) api.RotationRun {
	t.Helper()
	r := must(c.DescribeRotation(t.Context(), plan))(t)
	must(w.rotations.Handlers()[engine.JobStep](t.Context(), job.Job{Kind: engine.JobStep, Account: account, Subject: r.ID}))(t)
	return must(c.DescribeRotation(t.Context(), plan))(t)
}

// addRotations gives the scene's account plans whose rotations wait for each of the things
// that people do.
func addRotations(t *testing.T, w *world, admin login) {
	t.Helper()
	ctx, c := t.Context(), w.client(t, admin)
	yes := true
	for plan, waits := range map[string]string{"idle": "", "approving": "needs-approval", "entering": "needs-key", "confirming": "needs-hand", "stopping": "needs-key", "failing": "needs-key", "unused": ""} {
		in := planFor(t, c, plan)
		if plan == "approving" {
			in.Care.Approve = &yes
		}
		must(c.CreateRotationPlan(ctx, in))(t)
		if waits == "" {
			continue
		}
		must(c.StartRotation(ctx, plan, api.StartRotationRequest{Cause: "a test"}))(t)
		r := w.look(t, c, admin.account, plan)
		if plan == "confirming" {
			must(c.EnterRotationKey(ctx, plan, newKey))(t)
			r = w.look(t, c, admin.account, plan)
		}
		if r.Trouble != waits {
			t.Fatalf("the rotation of %s stands at %s with %q %q %q", plan, r.Step, r.Trouble, r.Halt, r.Detail)
		}
	}
	must(c.CreateSecret(ctx, api.CreateSecretRequest{Name: "rotated/made", Value: []byte(`{"id":"old-made"}`)}))(t)
}

var newKey = api.EnterRotationKeyRequest{ID: "new", Credential: map[string]api.SecretText{"id": "new", "secret": "fake-new"}}

// rotationSteps are the operations on rotations, in an order in which they all succeed.
func (s *scene) rotationSteps() []step {
	const missing = "ResourceNotFound"
	grace, auto := "12h", true
	order := func(name, plan string, give func(*client.Client, context.Context, string) (api.RotationRun, error)) step {
		return step{name, func(ctx context.Context, c *client.Client) error { return drop(give(c, ctx, plan)) }, missing}
	}
	return []step{
		{"CreateRotationPlan", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateRotationPlan(ctx, api.CreateRotationPlanRequest{Name: "made", Provider: "hand", Principal: "payments", Secret: "rotated/made", Key: "old-made"}))
		}, missing},
		{"ListRotationPlans", func(ctx context.Context, c *client.Client) error { return drop(c.ListRotationPlans(ctx)) }, ""},
		{"DescribeRotationPlan", func(ctx context.Context, c *client.Client) error { return drop(c.DescribeRotationPlan(ctx, "idle")) }, missing},
		{"UpdateRotationPlan", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateRotationPlan(ctx, "idle", api.UpdateRotationPlanRequest{Care: api.RotationCareRequest{Grace: &grace}, Auto: &auto}))
		}, missing},
		{"DeleteRotationPlan", func(ctx context.Context, c *client.Client) error { return c.DeleteRotationPlan(ctx, "unused") }, missing},
		{"StartRotation", func(ctx context.Context, c *client.Client) error {
			return drop(c.StartRotation(ctx, "idle", api.StartRotationRequest{Profile: "emergency", Cause: "a leak", Late: true}))
		}, missing},
		{"ListRotations", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListRotations(ctx, api.ListRotationsRequest{Plan: "idle", Limit: 1000}))
		}, ""},
		order("DescribeRotation", "idle", func(c *client.Client, ctx context.Context, plan string) (api.RotationRun, error) {
			return c.DescribeRotation(ctx, plan)
		}),
		order("ApproveRotation", "approving", (*client.Client).ApproveRotation),
		order("PauseRotation", "stopping", (*client.Client).PauseRotation),
		order("ResumeRotation", "stopping", (*client.Client).ResumeRotation),
		order("ConfirmRotation", "confirming", (*client.Client).ConfirmRotation),
		{"RollBackRotation", func(ctx context.Context, c *client.Client) error {
			return drop(c.RollBackRotation(ctx, "failing", api.RollBackRotationRequest{Reason: "a test"}))
		}, missing},
		{"EnterRotationKey", func(ctx context.Context, c *client.Client) error {
			return drop(c.EnterRotationKey(ctx, "entering", newKey))
		}, missing},
	}
}

// What a person pastes is refused when it cannot be the new key, and nothing is stored of it.
func TestPastedKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "acme")
	c, ctx := w.client(t, admin), t.Context()
	must(c.AddProvider(ctx, api.AddProviderRequest{Name: "hand", Kind: "manual"}))(t)
	must(c.CreateSecret(ctx, api.CreateSecretRequest{Name: "pasted", Value: []byte(`{"id":"AK1","secret":"fake-one"}`)}))(t)
	must(c.CreateRotationPlan(ctx, api.CreateRotationPlanRequest{Name: "pay", Provider: "hand", Principal: "payments", Secret: "pasted", Key: "AK1"}))(t)
	must(c.StartRotation(ctx, "pay", api.StartRotationRequest{}))(t)
	w.look(t, c, admin.account, "pay")
	for why, in := range map[string]api.EnterRotationKeyRequest{
		"has no part": {ID: "AK2", Credential: map[string]api.SecretText{"id": "AK2"}},
		"is not AK2":  {ID: "AK2", Credential: map[string]api.SecretText{"id": "AK3", "secret": "fake-two"}},
		"again":       {ID: "AK2", Credential: map[string]api.SecretText{"id": "AK2", "secret": "fake-one"}},
		"the old key": {ID: "AK1", Credential: map[string]api.SecretText{"id": "AK1", "secret": "fake-two"}},
	} {
		_, err := c.EnterRotationKey(ctx, "pay", in)
		if err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "fake-") {
			t.Errorf("%v: %v", in.Credential, err)
		}
	}
	if versions := must(c.ListSecretVersions(ctx, "pasted", api.PageRequest{}))(t); len(versions.Versions) != 1 {
		t.Errorf("stored are %+v", versions)
	}
	good := api.EnterRotationKeyRequest{ID: "AK2", Credential: map[string]api.SecretText{"id": "AK2", "secret": "fake-two", "note": "more is fine"}}
	if r := must(c.EnterRotationKey(ctx, "pay", good))(t); r.NewKey != "AK2" {
		t.Errorf("entered is %+v", r)
	}
}

// A plan is what was asked for, beside what is usual, and an update changes what it names.
func TestRotationPlansThereAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "acme")
	c, ctx := w.client(t, admin), t.Context()
	must(c.AddProvider(ctx, api.AddProviderRequest{Name: "hand", Kind: "manual"}))(t)
	in := planFor(t, c, "pay")
	every, unless, zone, refused, none, yes := "90d", "3h", "Asia/Shanghai", 0, "", true
	in.Care = api.RotationCareRequest{
		Every: &every, Quiet: &none, MaxRefused: &refused, Approve: &yes, Zone: &zone, Allow: &[]string{"Mon-Fri 02:00-06:00"}, Deny: &[]string{"11-11"}, Unless: &unless,
	}
	made := must(c.CreateRotationPlan(ctx, in))(t)
	want := api.RotationPlan{
		Name: "pay", ARN: "acs:keyward:" + region + ":" + admin.account + ":rotation/pay", Provider: "hand", Principal: "payments", Key: "old-pay", Secret: "rotated/pay",
		LastAt: made.Plan.LastAt, CreatedAt: made.Plan.CreatedAt,
		Care: api.RotationCare{
			Every: "90d", Call: "30s", Confirm: "30m", Grace: "1d", Observe: "1d", Waves: []api.RotationWave{}, MaxFallbacks: 3, Approve: true,
			Windows: api.RotationWindows{Zone: zone, Allow: []string{"Mon-Fri 02:00-06:00"}, Deny: []string{"11-11"}, Unless: "3h"},
		},
	}
	if diff := cmp.Diff(want, made.Plan); diff != "" {
		t.Errorf("the plan (-asked +made):\n%s", diff)
	}
	if made.Archetype != "manual" || made.PointOfNoReturn != "deleting" || made.Due.Before(made.Plan.CreatedAt.Add(80*24*time.Hour)) || made.UnderWay != "" {
		t.Errorf("it comes to %+v", made)
	}
	no := false
	changed := must(c.UpdateRotationPlan(ctx, "pay", api.UpdateRotationPlanRequest{Care: api.RotationCareRequest{Every: &none, Approve: &no, Deny: &[]string{}}, Auto: &yes}))(t)
	want.Care.Every, want.Care.Approve, want.Care.Windows.Deny, want.Auto = "", false, []string{}, true
	if diff := cmp.Diff(want, changed.Plan); diff != "" {
		t.Errorf("the changed plan (-asked +made):\n%s", diff)
	}
	soon := "soon"
	for name, bad := range map[string]api.RotationCareRequest{
		"no duration": {Grace: &soon}, "no duration of a wave": {Waves: &[]api.RotationWaveRequest{{Name: "canary", Bake: &soon}}},
		"waves without a rollout": {Waves: &[]api.RotationWaveRequest{{Name: "canary"}}}, "no zone": {Zone: &soon}, "no span": {Deny: &[]string{soon}},
	} {
		if _, err := c.UpdateRotationPlan(ctx, "pay", api.UpdateRotationPlanRequest{Care: bad}); codeOf(t, err) != "InvalidParameter" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := must(c.DescribeRotationPlan(ctx, "pay"))(t); !cmp.Equal(got.Plan, changed.Plan) {
		t.Errorf("what was refused changed the plan: %+v", got.Plan)
	}
}

// What a person sees of a rotation that a person carries out, from its start to its end.
func TestRotationByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "acme")
	c, ctx := w.client(t, admin), t.Context()
	must(c.AddProvider(ctx, api.AddProviderRequest{Name: "hand", Kind: "manual"}))(t)
	must(c.CreateRotationPlan(ctx, planFor(t, c, "pay")))(t)
	run := must(c.StartRotation(ctx, "pay", api.StartRotationRequest{Cause: "a test"}))(t)
	if run.Step != "waiting" || run.OldKey != "old-pay" || !run.CanRollBack || run.PointOfNoReturn != "deleting" || run.Cause != "a test" {
		t.Errorf("it starts as %+v", run)
	}
	type stand struct{ Step, Trouble, Next string }
	var stood []stand
	look := func() {
		r := w.look(t, c, admin.account, "pay")
		stood = append(stood, stand{r.Step, r.Trouble, r.Next})
	}
	look()
	must(c.EnterRotationKey(ctx, "pay", newKey))(t)
	look()
	must(c.ConfirmRotation(ctx, "pay"))(t)
	look()
	must(c.ConfirmRotation(ctx, "pay"))(t)
	look()
	want := []stand{
		{"creating", "needs-key", "keyward rotation enter pay"}, {"disabling", "needs-hand", "keyward rotation confirm pay"},
		{"deleting", "needs-hand", "keyward rotation confirm pay"}, {"done", "", ""},
	}
	if diff := cmp.Diff(want, stood); diff != "" {
		t.Errorf("it stood (-want +got):\n%s", diff)
	}
	value := must(c.GetSecretValue(ctx, "rotated/pay", api.GetSecretRequest{}))(t)
	if string(value.Value) != `{"id":"new","secret":"fake-new"}` {
		t.Errorf("the secret is %s", []byte(value.Value))
	}
	if p := must(c.DescribeRotationPlan(ctx, "pay"))(t); p.Plan.Key != "new" {
		t.Errorf("the plan's key is %s", p.Plan.Key)
	}
	run = must(c.DescribeRotation(ctx, run.ID))(t)
	if run.NewKey != "new" || run.EndedAt.IsZero() || run.CanRollBack || len(run.Events) < 10 {
		t.Errorf("it ended as %+v", run)
	}
	list := must(c.ListRotations(ctx, api.ListRotationsRequest{}))(t).Rotations
	if len(list) != 1 || len(list[0].Events) > 0 || list[0].ID != run.ID {
		t.Errorf("the list is %+v", list)
	}
	if _, err := c.RollBackRotation(ctx, "pay", api.RollBackRotationRequest{Reason: "too late"}); codeOf(t, err) != "StateConflict" {
		t.Errorf("rolling back what is over: %v", err)
	}
	if _, err := c.RollBackRotation(ctx, "pay", api.RollBackRotationRequest{}); codeOf(t, err) != "MissingParameter" {
		t.Errorf("rolling back without a reason: %v", err)
	}
}

// A policy about a plan holds for its rotations under whatever name they are asked for.
func TestPoliciesHoldForIDsOfRotations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "acme")
	c, ctx := w.client(t, admin), t.Context()
	must(c.AddProvider(ctx, api.AddProviderRequest{Name: "hand", Kind: "manual"}))(t)
	must(c.CreateRotationPlan(ctx, planFor(t, c, "pay")))(t)
	id := must(c.StartRotation(ctx, "pay", api.StartRotationRequest{}))(t).ID
	must(c.CreatePolicy(ctx, api.CreatePolicyRequest{Name: "not-pay", Document: `{"Version":"1","Statement":[
		{"Effect":"Allow","Action":"keyward:*","Resource":"*"},{"Effect":"Deny","Action":"keyward:*","Resource":"acs:keyward:*:*:rotation/pay"}]}`}))(t)
	bob := w.user(t, admin, "bob")
	check(t, c.AttachPolicy(ctx, "bob", "not-pay"))
	by := w.client(t, bob)
	for _, name := range []string{"pay", id} {
		_, shown := by.DescribeRotation(ctx, name)
		_, paused := by.PauseRotation(ctx, name)
		if codeOf(t, shown) == "" || codeOf(t, paused) == "" {
			t.Errorf("under the name %s: shown %v, paused %v", name, shown, paused)
		}
	}
	if _, err := c.PauseRotation(ctx, id); codeOf(t, err) != "ResourceNotFound" {
		t.Errorf("an order is given to a plan, not to %s: %v", id, err)
	}
}
