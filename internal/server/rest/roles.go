package rest

import (
	"context"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func roleRoutes() []route {
	return []route{
		{"POST", "/v1/roles", "CreateRole", role.ActionCreateRole, "Makes a role, which may do nothing until a policy is attached.", takesPolicy((*dialect).createRole)},
		{"GET", "/v1/roles", "ListRoles", role.ActionListRoles, "Answers one page of the account's roles, by name.", takes((*dialect).listRoles)},
		{"GET", "/v1/roles/{role}", "GetRole", role.ActionGetRole, "Answers a role.", takes((*dialect).getRole)},
		{"PATCH", "/v1/roles/{role}", "UpdateRole", role.ActionUpdateRole, "Changes a role; a new trust policy ends all of its sessions.", takesPolicy((*dialect).updateRole)},
		{"DELETE", "/v1/roles/{role}", "DeleteRole", role.ActionDeleteRole, "Removes a role and ends all of its sessions.", takes((*dialect).deleteRole)},
		{"PUT", "/v1/roles/{role}/policies/{policy}", "AttachPolicyToRole", iam.ActionAttachPolicyToRole, "Lets a role do what the policy says, from the next request on.", takes((*dialect).attachToRole)},
		{"DELETE", "/v1/roles/{role}/policies/{policy}", "DetachPolicyFromRole", role.ActionDetachPolicy, "Takes a policy from a role, from the next request on.", takes((*dialect).detachFromRole)},
		{"POST", "/v1/roles/{role}/end-sessions", "EndRoleSessions", role.ActionEndSessions, "Ends all sessions of a role; who is trusted may begin new ones.", takes((*dialect).endRoleSessions)},
		{"POST", "/v1/sessions/assume-role", "AssumeRole", authz.AssumeRole, "Answers temporary credentials that act as a role.", takes((*dialect).assumeRole)},
		{"POST", "/v1/sessions/federate", "Federate", role.ActionFederate, "Answers temporary credentials with a part of the caller's own permissions.", takes((*dialect).federate)},
	}
}

func (d *dialect) createRole(ctx context.Context, q request, in api.CreateRoleRequest) (api.Role, error) {
	r, err := d.Roles.CreateRole(ctx, q.call, role.NewRole{
		Name: in.Name, Description: in.Description, Trust: in.TrustPolicy, MaxSession: words.Seconds(in.MaxSessionSeconds),
	})
	return roleOf(r), err
}

func (d *dialect) listRoles(ctx context.Context, q request, in api.PageRequest) (api.RoleList, error) {
	list, err := d.Roles.ListRoles(ctx, q.call, iam.Page{After: in.Cursor, Limit: in.Limit})
	return api.RoleList{Roles: words.Each(list.Items, roleOf), Next: list.Next}, err
}

func (d *dialect) getRole(ctx context.Context, q request, _ none) (api.Role, error) {
	r, err := d.Roles.GetRole(ctx, q.call, q.vars["role"])
	return roleOf(r), err
}

func (d *dialect) updateRole(ctx context.Context, q request, in api.UpdateRoleRequest) (api.Role, error) {
	change := role.Change{Description: in.Description, Trust: in.TrustPolicy}
	if in.MaxSessionSeconds != nil {
		longest := words.Seconds(*in.MaxSessionSeconds)
		change.MaxSession = &longest
	}
	r, err := d.Roles.UpdateRole(ctx, q.call, q.vars["role"], change)
	return roleOf(r), err
}

func (d *dialect) deleteRole(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Roles.DeleteRole(ctx, q.call, q.vars["role"])
}

func (d *dialect) attachToRole(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Roles.AttachPolicy(ctx, q.call, q.vars["role"], q.vars["policy"])
}

func (d *dialect) detachFromRole(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Roles.DetachPolicy(ctx, q.call, q.vars["role"], q.vars["policy"])
}

func (d *dialect) endRoleSessions(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Roles.EndSessions(ctx, q.call, q.vars["role"])
}

func (d *dialect) assumeRole(ctx context.Context, q request, in api.AssumeRoleRequest) (api.TemporaryCredentials, error) {
	issued, err := d.Roles.AssumeRole(ctx, q.call, role.Assumption{
		Role: in.Role, Session: in.SessionName, Duration: words.Seconds(in.DurationSeconds), Policy: in.Policy, ExternalID: in.ExternalID,
	})
	return words.Session(issued), err
}

func (d *dialect) federate(ctx context.Context, q request, in api.FederateRequest) (api.TemporaryCredentials, error) {
	issued, err := d.Roles.Federate(ctx, q.call, role.Federation{
		Session: in.SessionName, Duration: words.Seconds(in.DurationSeconds), Policy: in.Policy,
	})
	return words.Session(issued), err
}

func roleOf(r role.Role) api.Role {
	return api.Role{
		Name: r.Name, ARN: r.ARN(), ID: r.ID, Description: r.Description, TrustPolicy: r.Trust,
		Policies: append([]string{}, r.Policies...), MaxSessionSeconds: int(r.MaxSession / time.Second),
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}
