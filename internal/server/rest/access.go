package rest

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/simulation"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func accessRoutes() []route {
	return []route{
		{"POST", "/v1/users", "CreateUser", iam.ActionCreateUser, "Makes a user who may do nothing until a policy is attached.", takes((*dialect).createUser)},
		{"GET", "/v1/users", "ListUsers", iam.ActionListUsers, "Answers one page of the account's users, by name.", takes((*dialect).listUsers)},
		{"GET", "/v1/users/{user}", "GetUser", iam.ActionGetUser, "Answers a user.", takes((*dialect).getUser)},
		{"PATCH", "/v1/users/{user}", "UpdateUser", iam.ActionUpdateUser, "Changes a user's remark, or enables or disables the user.", takes((*dialect).updateUser)},
		{"DELETE", "/v1/users/{user}", "DeleteUser", iam.ActionDeleteUser, "Removes a user who has no access keys.", takes((*dialect).deleteUser)},
		{"PUT", "/v1/users/{user}/policies/{policy}", "AttachPolicy", iam.ActionAttachPolicy, "Lets a user do what the policy says, from the next request on.", takes((*dialect).attachPolicy)},
		{"DELETE", "/v1/users/{user}/policies/{policy}", "DetachPolicy", iam.ActionDetachPolicy, "Takes a policy from a user, from the next request on.", takes((*dialect).detachPolicy)},
		{"POST", "/v1/users/{user}/access-keys", "CreateAccessKey", iam.ActionCreateAccessKey, "Makes an access key for a user; a user has at most two.", takes((*dialect).createAccessKey)},
		{"GET", "/v1/access-keys", "ListAccessKeys", iam.ActionListAccessKeys, "Answers one page of access keys with their last uses, by id.", takes((*dialect).listAccessKeys)},
		{"GET", "/v1/access-keys/{id}", "GetAccessKey", iam.ActionGetAccessKeyLastUsed, "Answers an access key with its last use.", takes((*dialect).getAccessKey)},
		{"PATCH", "/v1/access-keys/{id}", "UpdateAccessKey", iam.ActionUpdateAccessKey, "Enables or disables an access key, or changes its remark or expiry.", takes((*dialect).updateAccessKey)},
		{"POST", "/v1/access-keys/{id}/reset", "ResetAccessKey", iam.ActionResetAccessKey, "Replaces the secret of an access key; the old one is refused from then on.", takes((*dialect).resetAccessKey)},
		{"DELETE", "/v1/access-keys/{id}", "DeleteAccessKey", iam.ActionDeleteAccessKey, "Removes an access key for good.", takes((*dialect).deleteAccessKey)},
		{"POST", "/v1/policies", "CreatePolicy", iam.ActionCreatePolicy, "Makes a custom policy, which has no effect until it is attached.", takesPolicy((*dialect).createPolicy)},
		{"GET", "/v1/policies", "ListPolicies", iam.ActionListPolicies, "Answers one page of policies, system ones too, by name.", takes((*dialect).listPolicies)},
		{"GET", "/v1/policies/{policy}", "GetPolicy", iam.ActionGetPolicy, "Answers a policy.", takes((*dialect).getPolicy)},
		{"PATCH", "/v1/policies/{policy}", "UpdatePolicy", iam.ActionUpdatePolicy, "Changes a custom policy, from the next request on.", takesPolicy((*dialect).updatePolicy)},
		{"POST", "/v1/policies/simulate", "SimulatePolicy", simulation.Action, "Explains what a user may do, statement by statement.", takes((*dialect).simulatePolicy)},
		{"DELETE", "/v1/policies/{policy}", "DeletePolicy", iam.ActionDeletePolicy, "Removes a custom policy that no user has.", takes((*dialect).deletePolicy)},
	}
}

func (d *dialect) simulatePolicy(ctx context.Context, q request, in api.SimulatePolicyRequest) (api.Simulation, error) {
	question := simulation.Question{User: in.User, Action: in.Action, Resource: in.Resource, Time: in.Time, Insecure: in.Insecure}
	if in.Source != "" {
		source, err := netip.ParseAddr(in.Source)
		if err != nil {
			return api.Simulation{}, d.refuse(ctx, q.call, simulation.Action, fault.InvalidParameter.New("source must be an IP address"))
		}
		question.Source = source
	}
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		question.Attributes = append(question.Attributes, authz.Attribute{Key: name, Value: in.Attributes[name]})
	}
	answer, err := d.Simulations.Simulate(ctx, q.call, question)
	out := api.Simulation{Allowed: answer.Allowed, Reason: string(answer.Reason), Policy: answer.Policy, Statement: answer.Statement, Resource: answer.Resource, Statements: []api.SimulatedStatement{}}
	for _, v := range answer.Verdicts {
		effect := "Allow"
		if v.Deny {
			effect = "Deny"
		}
		out.Statements = append(out.Statements, api.SimulatedStatement{Policy: v.Policy, Statement: v.Statement, Effect: effect, Applies: v.Miss == "", Miss: string(v.Miss), Condition: v.Condition})
	}
	return out, err
}

func (d *dialect) createUser(ctx context.Context, q request, in api.CreateUserRequest) (api.User, error) {
	u, err := d.IAM.CreateUser(ctx, q.call, in.Name, in.Remark)
	return user(u), err
}

func (d *dialect) listUsers(ctx context.Context, q request, in api.PageRequest) (api.UserList, error) {
	list, err := d.IAM.ListUsers(ctx, q.call, iam.Page{After: in.Cursor, Limit: in.Limit})
	return api.UserList{Users: words.Each(list.Items, user), Next: list.Next}, err
}

func (d *dialect) getUser(ctx context.Context, q request, _ none) (api.User, error) {
	u, err := d.IAM.GetUser(ctx, q.call, q.vars["user"])
	return user(u), err
}

func (d *dialect) updateUser(ctx context.Context, q request, in api.UpdateUserRequest) (api.User, error) {
	u, err := d.IAM.UpdateUser(ctx, q.call, q.vars["user"], iam.UserChange{Remark: in.Remark, Enabled: in.Enabled})
	return user(u), err
}

func (d *dialect) deleteUser(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.IAM.DeleteUser(ctx, q.call, q.vars["user"])
}

func (d *dialect) attachPolicy(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.IAM.AttachPolicy(ctx, q.call, q.vars["user"], q.vars["policy"])
}

func (d *dialect) detachPolicy(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.IAM.DetachPolicy(ctx, q.call, q.vars["user"], q.vars["policy"])
}

func (d *dialect) createAccessKey(ctx context.Context, q request, in api.CreateAccessKeyRequest) (api.IssuedAccessKey, error) {
	k, err := d.IAM.CreateAccessKey(ctx, q.call, iam.NewAccessKey{User: q.vars["user"], Remark: in.Remark, ExpiresAt: in.ExpiresAt})
	return issued(k), err
}

func (d *dialect) listAccessKeys(ctx context.Context, q request, in api.ListAccessKeysRequest) (api.AccessKeyList, error) {
	list, err := d.IAM.ListAccessKeys(ctx, q.call, in.User, iam.Page{After: in.Cursor, Limit: in.Limit})
	return api.AccessKeyList{AccessKeys: words.Each(list.Items, usedKey), Next: list.Next}, err
}

func (d *dialect) getAccessKey(ctx context.Context, q request, _ none) (api.AccessKey, error) {
	k, err := d.IAM.GetAccessKeyLastUsed(ctx, q.call, q.vars["id"])
	return usedKey(k), err
}

func (d *dialect) updateAccessKey(ctx context.Context, q request, in api.UpdateAccessKeyRequest) (api.AccessKey, error) {
	change := iam.AccessKeyChange{Enabled: in.Enabled, Remark: in.Remark, ExpiresAt: in.ExpiresAt}
	switch {
	case in.NeverExpires && in.ExpiresAt != nil:
		return api.AccessKey{}, d.refuse(ctx, q.call, iam.ActionUpdateAccessKey,
			fault.InvalidParameter.New("the request sets an expiry and removes it; send one of expiresAt and neverExpires"))
	case in.ExpiresAt != nil && in.ExpiresAt.IsZero():
		return api.AccessKey{}, d.refuse(ctx, q.call, iam.ActionUpdateAccessKey,
			fault.InvalidParameter.New("expiresAt is no time to come; neverExpires removes an expiry"))
	case in.NeverExpires:
		change.ExpiresAt = &time.Time{}
	}
	k, err := d.IAM.UpdateAccessKey(ctx, q.call, q.vars["id"], change)
	return accessKey(k), err
}

func (d *dialect) resetAccessKey(ctx context.Context, q request, _ none) (api.IssuedAccessKey, error) {
	k, err := d.IAM.ResetAccessKey(ctx, q.call, q.vars["id"])
	return issued(k), err
}

func (d *dialect) deleteAccessKey(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.IAM.DeleteAccessKey(ctx, q.call, q.vars["id"])
}

func (d *dialect) createPolicy(ctx context.Context, q request, in api.CreatePolicyRequest) (api.Policy, error) {
	p, err := d.IAM.CreatePolicy(ctx, q.call, iam.NewPolicy{Name: in.Name, Description: in.Description, Document: in.Document})
	return policy(p), err
}

func (d *dialect) listPolicies(ctx context.Context, q request, in api.PageRequest) (api.PolicyList, error) {
	list, err := d.IAM.ListPolicies(ctx, q.call, iam.Page{After: in.Cursor, Limit: in.Limit})
	return api.PolicyList{Policies: words.Each(list.Items, policy), Next: list.Next}, err
}

func (d *dialect) getPolicy(ctx context.Context, q request, _ none) (api.Policy, error) {
	p, err := d.IAM.GetPolicy(ctx, q.call, q.vars["policy"])
	return policy(p), err
}

func (d *dialect) updatePolicy(ctx context.Context, q request, in api.UpdatePolicyRequest) (api.Policy, error) {
	p, err := d.IAM.UpdatePolicy(ctx, q.call, q.vars["policy"], iam.PolicyChange{Description: in.Description, Document: in.Document})
	return policy(p), err
}

func (d *dialect) deletePolicy(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.IAM.DeletePolicy(ctx, q.call, q.vars["policy"])
}

func user(u iam.User) api.User {
	arn := authz.Principal{Account: u.Account, Kind: u.Kind, Name: u.Name}.ARN()
	return api.User{
		Name: u.Name, ARN: arn, Kind: string(u.Kind), Remark: u.Remark, Enabled: u.Enabled,
		Policies: append([]string{}, u.Policies...), CreatedAt: u.CreatedAt,
	}
}

func accessKey(k iam.AccessKey) api.AccessKey {
	return api.AccessKey{
		ID: k.ID, User: k.User, Enabled: k.Enabled, Remark: k.Remark,
		CreatedAt: k.CreatedAt, ResetAt: k.ResetAt, ExpiresAt: k.ExpiresAt,
	}
}

func usedKey(r iam.AccessKeyReport) api.AccessKey {
	k := accessKey(r.AccessKey)
	if !r.LastUse.At.IsZero() {
		k.LastUse = &api.LastUse{At: r.LastUse.At, Source: r.LastUse.Source.String(), Action: r.LastUse.Action}
	}
	return k
}

func issued(k iam.IssuedKey) api.IssuedAccessKey {
	return api.IssuedAccessKey{AccessKey: accessKey(k.AccessKey), Secret: api.SecretText(k.Secret.Expose())}
}

func policy(p iam.Policy) api.Policy {
	return api.Policy{
		Name: p.Name, Description: p.Description, Document: p.Document, System: p.System,
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}
