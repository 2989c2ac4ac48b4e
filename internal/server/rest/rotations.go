package rest

import (
	"cmp"
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func rotationRoutes() []route {
	return []route{
		{"POST", "/v1/rotation-plans", "CreateRotationPlan", "keyward:CreateRotationPlan", "Makes a plan after it was tried; nothing is changed at the provider.", takes((*dialect).createRotationPlan)},
		{"GET", "/v1/rotation-plans", "ListRotationPlans", "keyward:ListRotationPlans", "Answers all plans of the account, by name.", takes((*dialect).listRotationPlans)},
		{"GET", "/v1/rotation-plans/{plan}", "DescribeRotationPlan", "keyward:DescribeRotationPlan", "Answers a plan with what it comes to.", takes((*dialect).describeRotationPlan)},
		{"PATCH", "/v1/rotation-plans/{plan}", "UpdateRotationPlan", "keyward:UpdateRotationPlan", "Changes a plan of which no rotation is under way, after it was tried.", takes((*dialect).updateRotationPlan)},
		{"DELETE", "/v1/rotation-plans/{plan}", "DeleteRotationPlan", "keyward:DeleteRotationPlan", "Forgets a plan; the key stays as it is.", takes((*dialect).deleteRotationPlan)},
		{"POST", "/v1/rotation-plans/{plan}/rotations", "StartRotation", "keyward:StartRotation", "Begins a rotation of a plan.", takes((*dialect).startRotation)},
		{"GET", "/v1/rotations", "ListRotations", "keyward:ListRotations", "Answers rotations without their events, the newest first.", takes((*dialect).listRotations)},
		{"GET", "/v1/rotations/{rotation}", "DescribeRotation", "keyward:DescribeRotation", "Answers the rotation with an id, or the last one of a plan.", takes((*dialect).describeRotation)},
		{"POST", "/v1/rotation-plans/{plan}/approve", "ApproveRotation", "keyward:ApproveRotation", "Lets the plan's rotation go on where it waits for an approval.", orders((*engine.Service).Approve)},
		{"POST", "/v1/rotation-plans/{plan}/pause", "PauseRotation", "keyward:PauseRotation", "Keeps the plan's rotation where it is; an act that is under way comes to its end.", orders((*engine.Service).Pause)},
		{"POST", "/v1/rotation-plans/{plan}/resume", "ResumeRotation", "keyward:ResumeRotation", "Lets the plan's rotation go on after a pause, or after it has halted.", orders((*engine.Service).Resume)},
		{"POST", "/v1/rotation-plans/{plan}/confirm", "ConfirmRotation", "keyward:ConfirmRotation", "Says that a person has done at a console what the plan's rotation waits for.", orders((*engine.Service).Confirm)},
		{"POST", "/v1/rotation-plans/{plan}/rollback", "RollBackRotation", "keyward:RollBackRotation", "Has the plan's rotation undone, if that is still possible.", takes((*dialect).rollBackRotation)},
		{"POST", "/v1/rotation-plans/{plan}/enter", "EnterRotationKey", "keyward:EnterRotationKey", "Enters the key that a person has made at a provider's console.", takesPolicy((*dialect).enterRotationKey)},
	}
}

// orders makes a handler of an order that says nothing but which plan it is about.
func orders(give func(s *engine.Service, ctx context.Context, c *authz.Call, plan string) (rotation.Rotation, error)) handler {
	return takes(func(d *dialect, ctx context.Context, q request, _ none) (api.RotationRun, error) {
		r, err := give(d.Rotations, ctx, q.call, q.vars["plan"])
		return d.rotation(r), err
	})
}

// rotation words a rotation, with the steps of its guide.
func (d *dialect) rotation(r rotation.Rotation) api.RotationRun {
	out := words.RotationRun(r, d.Rotations.Now())
	for _, k := range d.Stock.Kinds() {
		for _, g := range k.Guides {
			if g.Name == out.Guide && out.Guide != "" {
				out.Steps = words.Each(g.Steps, words.Text)
			}
		}
	}
	return out
}

func (d *dialect) createRotationPlan(ctx context.Context, q request, in api.CreateRotationPlanRequest) (api.RotationForecast, error) {
	p := rotation.Plan{
		Name: in.Name, Source: in.Provider, Principal: in.Principal, Key: in.Key, Secret: in.Secret, Rollout: in.Rollout, Care: rotation.DefaultCare(), Auto: in.Auto,
	}
	if err := words.Care(in.Care, &p.Care); err != nil {
		return api.RotationForecast{}, d.refuse(ctx, q.call, "keyward:CreateRotationPlan", err)
	}
	return d.forecast(d.Rotations.SavePlan(ctx, q.call, p))
}

// forecast words what a service answers.
func (d *dialect) forecast(f engine.Forecast, err error) (api.RotationForecast, error) {
	return words.Forecast(f, d.Rotations.ARN(f.Plan.Account, f.Plan.Name)), err
}

func (d *dialect) listRotationPlans(ctx context.Context, q request, _ none) (api.RotationPlanList, error) {
	plans, err := d.Rotations.Plans(ctx, q.call)
	return api.RotationPlanList{Plans: words.Each(plans, func(p rotation.Plan) api.RotationPlan {
		return words.RotationPlan(p, d.Rotations.ARN(p.Account, p.Name))
	})}, err
}

func (d *dialect) describeRotationPlan(ctx context.Context, q request, _ none) (api.RotationForecast, error) {
	return d.forecast(d.Rotations.Plan(ctx, q.call, q.vars["plan"]))
}

func (d *dialect) updateRotationPlan(ctx context.Context, q request, in api.UpdateRotationPlanRequest) (api.RotationForecast, error) {
	return d.forecast(d.Rotations.AmendPlan(ctx, q.call, q.vars["plan"], func(p *rotation.Plan) error {
		if in.Rollout != nil && *in.Rollout != p.Rollout {
			p.Rollout, p.Care.Waves = *in.Rollout, nil
		}
		words.Given(in.Key, &p.Key)
		words.Given(in.Auto, &p.Auto)
		return words.Care(in.Care, &p.Care)
	}))
}

func (d *dialect) deleteRotationPlan(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Rotations.DeletePlan(ctx, q.call, q.vars["plan"])
}

func (d *dialect) startRotation(ctx context.Context, q request, in api.StartRotationRequest) (api.RotationRun, error) {
	r, err := d.Rotations.Start(ctx, q.call, engine.StartInput{Plan: q.vars["plan"], Profile: rotation.Profile(in.Profile), Cause: in.Cause, Late: in.Late})
	return d.rotation(r), err
}

func (d *dialect) listRotations(ctx context.Context, q request, in api.ListRotationsRequest) (api.RotationRunList, error) {
	list, err := d.Rotations.Rotations(ctx, q.call, in.Plan, cmp.Or(in.Limit, defaultLimit))
	return api.RotationRunList{Rotations: words.Each(list, func(r rotation.Rotation) api.RotationRun {
		run := words.RotationRun(r, d.Rotations.Now())
		run.Events = []api.RotationEvent{} // of one of them at a time
		return run
	})}, err
}

func (d *dialect) describeRotation(ctx context.Context, q request, _ none) (api.RotationRun, error) {
	r, err := d.Rotations.Rotation(ctx, q.call, q.vars["rotation"])
	return d.rotation(r), err
}

func (d *dialect) rollBackRotation(ctx context.Context, q request, in api.RollBackRotationRequest) (api.RotationRun, error) {
	if in.Reason == "" {
		return api.RotationRun{}, d.refuse(ctx, q.call, "keyward:RollBackRotation", fault.MissingParameter.New("say why it is rolled back: the reason is in its history and in the audit log"))
	}
	r, err := d.Rotations.RollBack(ctx, q.call, q.vars["plan"], in.Reason)
	return d.rotation(r), err
}

func (d *dialect) enterRotationKey(ctx context.Context, q request, in api.EnterRotationKeyRequest) (api.RotationRun, error) {
	filling := filled(in.Settings, in.Credential)
	defer filling.Erase()
	r, warnings, err := d.Rotations.Enter(ctx, q.call, q.vars["plan"], engine.EnterInput{ID: in.ID, Filling: filling})
	run := d.rotation(r)
	run.Warnings = words.Each(warnings, words.Text)
	return run, err
}
