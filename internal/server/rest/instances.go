package rest

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func instanceRoutes() []route {
	return []route{
		{"POST", "/v1/instances", "CreateInstance", "kms:CreateKmsInstance", "Makes a place for keys, of a class that says where their material lives.", takes((*dialect).createInstance)},
		{"GET", "/v1/instances", "ListInstances", "kms:ListKmsInstances", "Answers all instances of the account, by name.", takes((*dialect).listInstances)},
		{"GET", "/v1/instances/{instance}", "GetInstance", "kms:GetKmsInstance", "Answers one instance and whether its keys can be used now.", takes((*dialect).getInstance)},
		{"PUT", "/v1/instances/{instance}/connection", "ConnectInstance", "kms:ConnectKmsInstance", "Gives an external instance another connection, if that one works.", takes((*dialect).connectInstance)},
		{"PUT", "/v1/instances/{instance}/shares/{account}", "ShareInstance", "kms:ShareKmsInstance", "Lets another account make keys in an instance.", takes((*dialect).shareInstance)},
		{"DELETE", "/v1/instances/{instance}/shares/{account}", "UnshareInstance", "kms:UnshareKmsInstance", "Lets an account make no more keys in an instance; those that it made stay.", takes((*dialect).unshareInstance)},
		{"DELETE", "/v1/instances/{instance}", "DeleteInstance", "kms:ReleaseKmsInstance", "Removes an instance that has no keys.", takes((*dialect).deleteInstance)},
	}
}

func (d *dialect) createInstance(ctx context.Context, q request, in api.CreateInstanceRequest) (api.Instance, error) {
	var filling form.Filling
	if in.Connection != nil {
		filling = fillingOf(*in.Connection)
		defer filling.Erase()
	}
	i, err := d.Instances.Create(ctx, q.call, in.Name, instance.Class(in.Class), filling)
	return d.instance(i), err
}

func (d *dialect) listInstances(ctx context.Context, q request, _ none) (api.InstanceList, error) {
	all, err := d.Instances.List(ctx, q.call)
	return api.InstanceList{Instances: words.Each(all, d.instance)}, err
}

func (d *dialect) getInstance(ctx context.Context, q request, _ none) (api.InstanceStatus, error) {
	s, err := d.Instances.Show(ctx, q.call, q.vars["instance"])
	return api.InstanceStatus{Instance: d.instance(s.Instance), Keys: s.Keys, Trouble: s.Trouble, Guests: s.Guests, Quota: s.Quota}, err
}

func (d *dialect) connectInstance(ctx context.Context, q request, in api.ConnectInstanceRequest) (api.Instance, error) {
	filling := fillingOf(in.Connection)
	defer filling.Erase()
	i, err := d.Instances.Connect(ctx, q.call, q.vars["instance"], filling)
	return d.instance(i), err
}

func (d *dialect) shareInstance(ctx context.Context, q request, _ none) (api.Instance, error) {
	i, err := d.Instances.Share(ctx, q.call, q.vars["instance"], q.vars["account"])
	return d.instance(i), err
}

func (d *dialect) unshareInstance(ctx context.Context, q request, _ none) (api.Instance, error) {
	i, err := d.Instances.Unshare(ctx, q.call, q.vars["instance"], q.vars["account"])
	return d.instance(i), err
}

func (d *dialect) deleteInstance(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Instances.Delete(ctx, q.call, q.vars["instance"])
}

// instance answers an instance as the API words it.
func (d *dialect) instance(i instance.Instance) api.Instance {
	return api.Instance{
		ID: i.ID, ARN: d.Instances.ARN(i.Account, i.ID), Name: i.Name, Class: string(i.Class), Settings: words.Settings(i.Settings), Account: i.Account,
		SharedWith: i.Borrowers(), CreatedAt: i.CreatedAt,
	}
}
