package alibaba

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

// VersionSTS is the version of the Security Token Service's API.
const VersionSTS = "2015-04-01"

// stsCodes are the error codes that this service documents under names of its own.
var stsCodes = map[fault.Kind]string{fault.NoPermission: "NoPermission", fault.ResourceNotFound: "EntityNotExist.Role"}

// stsOperations is the API of the Security Token Service.
var stsOperations = map[string]operation{
	"AssumeRole":         {authz.AssumeRole, stsCodes, assumeRole},
	"GetFederationToken": {role.ActionFederate, stsCodes, getFederationToken},
	"GetCallerIdentity":  {actionWhoAmI, stsCodes, getCallerIdentity},
}

const actionWhoAmI = "sts:GetCallerIdentity"

// versions are the operations of each version of an API, of whichever service.
var versions = map[string]map[string]operation{Version: operations, VersionSTS: stsOperations}

type credentials struct {
	AccessKeyId     string //nolint:revive // the wire's spelling, here and below
	AccessKeySecret string
	SecurityToken   string
	Expiration      string
}

func credentialsOf(i role.Issued) credentials {
	return credentials{i.AccessKey, string(i.Secret.Expose()), i.Token, date(i.Expires)}
}

// duration reads DurationSeconds; what is longer than a day is too long for any rule.
func duration(v *rpc.Values) time.Duration {
	const day = 24 * 60 * 60
	return time.Duration(max(-1, min(v.Integer("DurationSeconds", 0), day))) * time.Second
}

func assumeRole(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := role.Assumption{
		Role: v.Need("RoleArn"), Session: v.Need("RoleSessionName"), Duration: duration(v),
		Policy: v.Text("Policy"), ExternalID: v.Text("ExternalId"),
	}
	type user struct{ AssumedRoleId, Arn string }
	return func(ctx context.Context) (rpc.Response, error) {
		out, err := d.Roles.AssumeRole(ctx, c, in)
		if err != nil {
			return nil, err
		}
		return &struct {
			rpc.Reply
			AssumedRoleUser user
			Credentials     credentials
		}{
			AssumedRoleUser: user{out.RoleID + ":" + in.Session, out.Principal.ARN()},
			Credentials:     credentialsOf(out),
		}, nil
	}
}

func getFederationToken(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := role.Federation{Session: v.Need("Name"), Duration: duration(v), Policy: v.Text("Policy")}
	type user struct{ FederatedUserId, Arn string }
	return func(ctx context.Context) (rpc.Response, error) {
		out, err := d.Roles.Federate(ctx, c, in)
		if err != nil {
			return nil, err
		}
		return &struct {
			rpc.Reply
			FederatedUser user
			Credentials   credentials
		}{
			FederatedUser: user{c.Account + ":" + in.Session, out.Principal.ARN()},
			Credentials:   credentialsOf(out),
		}, nil
	}
}

// identityTypes are the kinds of principals in the words of this API.
var identityTypes = map[authz.Kind]string{
	authz.Root: "Account", authz.User: "RAMUser", authz.AssumedRole: "AssumedRoleUser", authz.Federated: "FederatedUser",
}

type identity struct {
	rpc.Reply
	AccountId    string
	Arn          string
	IdentityType string
	PrincipalId  string
	RoleId       string `json:",omitempty" xml:",omitempty"`
	UserId       string `json:",omitempty" xml:",omitempty"`
}

// getCallerIdentity answers who calls. Everybody may. Users have no id but their name.
func getCallerIdentity(d *Dialect, c *authz.Call, _ *rpc.Values) act {
	return func(ctx context.Context) (rpc.Response, error) {
		out := &identity{AccountId: c.Account, Arn: c.ARN(), IdentityType: identityTypes[c.Kind]}
		switch c.Kind {
		case authz.Root:
			out.PrincipalId = c.Account
		case authz.AssumedRole:
			out.RoleId = role.IDOf(c.Principal)
			out.PrincipalId = out.RoleId + ":" + c.Session.Name
		default:
			out.UserId, out.PrincipalId = c.Name, c.Name
		}
		return out, d.Log.Do(ctx, audit.NewRecord(c, actionWhoAmI), func() error { return nil })
	}
}
