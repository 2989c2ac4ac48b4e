package rest

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/server/rest/words"
	"github.com/keyward/keyward/internal/target"
)

func targetRoutes() []route {
	return []route{
		{"GET", "/v1/target-kinds", "ListTargetKinds", "keyward:ListTargetKinds", "Answers the kinds of targets and what each needs.", takes((*dialect).listTargetKinds)},
		{"POST", "/v1/targets", "AddTarget", "keyward:AddTarget", "Makes a target and its node, after the place has accepted the credential.", takesPolicy((*dialect).addTarget)},
		{"GET", "/v1/targets", "ListTargets", "keyward:ListTargets", "Answers all targets of the account, by name.", takes((*dialect).listTargets)},
		{"GET", "/v1/targets/{target}", "GetTarget", "keyward:GetTarget", "Answers one target; what it has is told of its node.", takes((*dialect).getTarget)},
		{"PUT", "/v1/targets/{target}", "UpdateTarget", "keyward:UpdateTarget", "Gives a target other settings and a credential, all anew.", takesPolicy((*dialect).updateTarget)},
		{"POST", "/v1/targets/{target}/sync", "SyncTarget", "keyward:SyncTarget", "Has a target looked at now.", takes((*dialect).syncTarget)},
		{"DELETE", "/v1/targets/{target}", "RemoveTarget", "keyward:RemoveTarget", "Forgets a target and its node; what was written stays where it is.", takes((*dialect).removeTarget)},
	}
}

func (d *dialect) listTargetKinds(ctx context.Context, q request, _ none) (out api.TargetKindList, err error) {
	err = d.read(ctx, q.call, "keyward:ListTargetKinds", "target/*", func(*audit.Record) error {
		out.Kinds = words.Each(d.Targets.Kinds(), words.TargetKind)
		return nil
	})
	return out, err
}

func (d *dialect) addTarget(ctx context.Context, q request, in api.AddTargetRequest) (api.Target, error) {
	filling := fillingOf(in.Connection)
	defer filling.Erase()
	t, err := d.Targets.Add(ctx, q.call, in.Name, target.Draft{Filling: filling, Kind: rollout.NodeKind(in.Kind), Labels: words.Pairs(in.Labels)})
	return d.target(t), err
}

func (d *dialect) listTargets(ctx context.Context, q request, _ none) (api.TargetList, error) {
	all, err := d.Targets.List(ctx, q.call)
	return api.TargetList{Targets: words.Each(all, d.target)}, err
}

func (d *dialect) getTarget(ctx context.Context, q request, _ none) (api.Target, error) {
	t, err := d.Targets.Show(ctx, q.call, q.vars["target"])
	return d.target(t), err
}

func (d *dialect) updateTarget(ctx context.Context, q request, in api.UpdateTargetRequest) (api.Target, error) {
	filling := fillingOf(in.Connection)
	defer filling.Erase()
	t, err := d.Targets.Update(ctx, q.call, q.vars["target"], filling)
	return d.target(t), err
}

func (d *dialect) syncTarget(ctx context.Context, q request, in api.SyncTargetRequest) (none, error) {
	return none{}, d.Targets.Sync(ctx, q.call, q.vars["target"], in.Overwrite)
}

func (d *dialect) removeTarget(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Targets.Remove(ctx, q.call, q.vars["target"])
}

// target answers a target as the API words it.
func (d *dialect) target(t target.Target) api.Target {
	return api.Target{
		Name: t.Name, ARN: d.Targets.ARN(t.Account, t.Name), Kind: string(t.Kind), Settings: words.Settings(t.Settings), Overwrite: t.Overwrite, CreatedAt: t.CreatedAt,
	}
}
