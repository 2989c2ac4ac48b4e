// Package alibaba reads access keys from Alibaba Cloud, as a provider of package accesskey,
// and makes and ends those of one user, as an issuer of package rotation: with its identity
// service (IMS, version 2019-08-15) and its access control (RAM, version 2015-05-01), both
// over a client of package rpc.
//
// A [Provider] lists users, keys, the recycle bin, logins and rights, with the calls of
// observe.go, and changes nothing. An issuer knows its user by the id, asks for the logon
// name whenever it needs one, sends what changes something once, over a connection of its
// own, and says of an error whether the change may have happened all the same.
//
// Who may call: internal/app, which offers [Kind] and [Issuer]. Nothing is stored. What the
// cloud answers is not trusted: answers lack nothing that they must have, and their texts
// are cleaned before they go on.
package alibaba

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

// Versions of the services' APIs.
const (
	imsVersion = "2019-08-15"
	ramVersion = "2015-05-01"
	stsVersion = "2015-04-01"
)

// UsualEndpoint is where the identity service answers.
const UsualEndpoint = "https://ims.aliyuncs.com"

const (
	undo = 30 * 24 * time.Hour // how long a key lies in the recycle bin
	// useLag is a bound that keyward sets itself: the vendor says of the same data, where
	// ActionTrail answers it, that it comes hours late.
	useLag = 24 * time.Hour
	pacing = time.Hour // between two synchronisations
)

// leastRights is the policy of the user whose access key reads an account. Each action is
// one call of this package.
const leastRights = `{
  "Version": "1",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "ram:ListUsers",
        "ram:ListUsersInRecycleBin",
        "ram:ListAccessKeys",
        "ram:ListAccessKeysInRecycleBin",
        "ram:GetAccessKeyLastUsed",
        "ram:GetLoginProfile",
        "ram:GetUserMFAInfo",
        "ram:ListPoliciesForUser",
        "ram:ListGroupsForUser",
        "ram:ListPoliciesForGroup",
        "ram:GetPolicy",
        "ram:GenerateCredentialReport",
        "ram:GetCredentialReport",
        "ram:GetAccountSecurityPracticeReport",
        "ram:GetAccountMFAInfo",
        "ram:GetAccountSummary",
        "ram:GetSecurityPreference",
        "ram:GetPasswordPolicy"
      ],
      "Resource": "*"
    }
  ]
}
`

// Kind is Alibaba Cloud as a kind of provider.
func Kind() accesskey.KindOfProvider {
	return accesskey.KindOfProvider{
		Name:  "alibaba",
		Title: form.Text{English: "Alibaba Cloud RAM", Chinese: "阿里云访问控制（RAM）"},
		Form: form.Form{
			Settings: []form.Field{{
				Name: "endpoint", Example: UsualEndpoint,
				Help: form.Text{English: "where the identity service answers, if not at " + UsualEndpoint, Chinese: "身份管理服务（IMS）的地址，默认为 " + UsualEndpoint},
			}},
			Credential: []form.Field{
				{Name: "access_key_id", Required: true, Help: form.Text{English: "the id of an access key of a RAM user that has the policy of this provider", Chinese: "RAM 用户的 AccessKey ID，该用户须具有本提供方的权限策略"}},
				{Name: "access_key_secret", Required: true, Help: form.Text{English: "the secret of that access key", Chinese: "该 AccessKey 的 AccessKey Secret"}},
				{Name: "security_token", Help: form.Text{English: "of a temporary access key only", Chinese: "仅临时访问凭证（STS）需要"}},
			},
		},
		Capabilities: accesskey.Capabilities{MaxKeys: maxKeys, Disable: true, OffFirst: true, Undo: undo, UseLag: useLag},
		Policy:       leastRights,
		Pace:         pacing,
		Open: func(o accesskey.Opening) (accesskey.Provider, error) {
			return open(o, egress.HTTP(o.Allow))
		},
	}
}

// open makes a provider of what fits the form.
func open(o accesskey.Opening, via *http.Client) (*Provider, error) {
	client := rpc.NewClient(rpc.Config{
		Credential: rpc.Credential{ID: string(o.Credential["access_key_id"].Expose()), Secret: o.Credential["access_key_secret"], Token: o.Credential["security_token"]},
		Now:        o.Now,
		HTTP:       via,
	})
	return New(client, o.Settings["endpoint"])
}

// A Provider reads the access keys of one account. It implements [accesskey.Provider].
type Provider struct {
	client        *rpc.Client
	ims, ram, sts string // endpoints
}

// New makes a provider over a client. An endpoint whose host begins with "ims." leads to
// the ones of RAM and STS beside it; at any other all three are expected. "" is
// [UsualEndpoint].
func New(client *rpc.Client, endpoint string) (*Provider, error) {
	if endpoint == "" {
		endpoint = UsualEndpoint
	}
	u, err := rpc.ReadEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if !fitID(client.KeyID()) {
		return nil, fault.InvalidParameter.New("access_key_id: it has characters that no access key id has; copy it again")
	}
	beside := func(service string) string {
		host := u.Host
		if rest, ok := strings.CutPrefix(host, "ims."); ok {
			host = service + "." + rest
		}
		return u.Scheme + "://" + host
	}
	return &Provider{client: client, ims: beside("ims"), ram: beside("ram"), sts: beside("sts")}, nil
}

// fitID tells whether an id of an access key can stand in the header that signs.
func fitID(id string) bool {
	return id != "" && !strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' || c == ',' || c == '/' })
}

// Check implements [accesskey.Provider] by asking the service who is calling, which needs
// no right.
func (p *Provider) Check(ctx context.Context) (accesskey.Identity, error) {
	op := rpc.Operation{Endpoint: p.sts, Version: stsVersion, Action: "GetCallerIdentity"}
	who, err := rpc.Read[callerIdentity](ctx, p.client, op)
	if err != nil {
		return accesskey.Identity{}, err
	}
	_, name, _ := strings.Cut(who.Arn, "/")
	if name == "" {
		name = who.UserId
	}
	return accesskey.Identity{
		Account: who.AccountId, Principal: rpc.Clean(name, maxName),
		Root: who.IdentityType == "Account", KeyID: p.client.KeyID(),
	}, nil
}
