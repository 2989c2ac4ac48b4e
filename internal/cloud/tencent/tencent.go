// Package tencent reads the access keys of an account of Tencent Cloud: who has them,
// when they were made and last used, what their owners may do, and how these log in. What
// [Kind] describes changes nothing there; what [Issuer] describes makes and ends the keys
// of one user.
//
// A [Client] speaks the API with a [Signer]; it is of use for other services, too, such as
// SMS. [Provider] is what package accesskey synchronises with. An issuer of package rotation
// is another user of the client: it sends what changes something once, over a connection of
// its own, and says of an error whether the change may have happened all the same.
//
// An account (its number is its UIN) has sub-users, sub-users that come from WeCom, and
// collaborators, which are users of other accounts; each has at most two keys. No call
// lists all keys, so each user is asked about. What cannot be read is named in a problem,
// and where keys may have been missed the problem says so: an answer that lacks its list
// is never taken for an empty list.
//
// The provider does not tell who uses a key from where, nor what custom policies say, and
// it tells of a use a day late. Keys of the account itself are only shown to itself.
//
// Who may call: package app, through Kind and Issuer; channels, through Client. What is trusted:
// nothing that is answered. Answers are bounded, ids have a form, other text is cleaned.
package tencent

import (
	"net/http"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/lazy"
)

// The operations that a [Provider] uses, with the versions of the vendor's reference of
// 2026. All have the usual limit.
var (
	getCallerIdentity           = Operation{Service: "sts", Version: "2018-08-13", Action: "GetCallerIdentity", Repeat: true}
	listUsers                   = read("ListUsers")
	listCollaborators           = read("ListCollaborators")
	listWeChatWorkSubAccounts   = read("ListWeChatWorkSubAccounts")
	listAccessKeys              = read("ListAccessKeys")
	getSecurityLastUsed         = read("GetSecurityLastUsed")
	describeSubAccounts         = read("DescribeSubAccounts")
	listAttachedUserAllPolicies = read("ListAttachedUserAllPolicies")
	describeSafeAuthFlagColl    = read("DescribeSafeAuthFlagColl")
)

func read(action string) Operation {
	return Operation{Service: "cam", Version: "2019-01-16", Action: action, Repeat: true}
}

const (
	useLag = 24 * time.Hour
	quota  = 2 // keys of one user
)

// policy is the least that a [Provider] needs.
const policy = `{
  "version": "2.0",
  "statement": [
    {
      "effect": "allow",
      "action": [
        "sts:GetCallerIdentity",
        "cam:ListUsers",
        "cam:ListCollaborators",
        "cam:ListWeChatWorkSubAccounts",
        "cam:ListAccessKeys",
        "cam:GetSecurityLastUsed",
        "cam:DescribeSubAccounts",
        "cam:ListAttachedUserAllPolicies",
        "cam:DescribeSafeAuthFlagColl"
      ],
      "resource": ["*"]
    }
  ]
}
`

var regionName = lazy.Regexp(`^[a-z0-9-]{0,32}$`)

// Kind describes how access keys of Tencent Cloud are read.
func Kind() accesskey.KindOfProvider {
	return accesskey.KindOfProvider{
		Name:  "tencent",
		Title: form.Text{English: "Tencent Cloud CAM", Chinese: "腾讯云访问管理"},
		Form: form.Form{
			Settings: []form.Field{
				{Name: "region", Example: "ap-guangzhou", Help: form.Text{
					English: "sent with each call; CAM has one set of users for all regions, so it is rarely needed",
					Chinese: "随每次调用发送；访问管理不分地域，通常无需填写"}},
				{Name: "endpoint", Example: "https://cam.intl.tencentcloudapi.com", Help: form.Text{
					English: "for accounts of the international site https://cam.intl.tencentcloudapi.com; otherwise leave it empty",
					Chinese: "国际站账号填写 https://cam.intl.tencentcloudapi.com；其他情况留空"}},
			},
			Credential: []form.Field{
				{Name: "secret_id", Required: true, Help: form.Text{
					English: "SecretId of a sub-user that has the policy below and nothing else",
					Chinese: "仅绑定下述策略的子用户的 SecretId"}},
				{Name: "secret_key", Required: true, Help: form.Text{
					English: "its SecretKey, which the console showed once",
					Chinese: "对应的 SecretKey，仅在创建时显示一次"}},
				{Name: "token", Help: form.Text{
					English: "of temporary credentials only; they stop to work within hours",
					Chinese: "仅用于临时密钥，数小时后即失效"}},
			},
		},
		Capabilities: accesskey.Capabilities{MaxKeys: quota, Disable: true, OffFirst: true, UseLag: useLag},
		Policy:       policy,
		Pace:         6 * time.Hour, // uses are told once a day, so there is little more to learn
		Open: func(o accesskey.Opening) (accesskey.Provider, error) {
			return openProvider(o, nil)
		},
	}
}

// openProvider makes a provider of what fits the form, over an HTTP client or the usual one.
func openProvider(o accesskey.Opening, via *http.Client) (*Provider, error) {
	region := o.Settings["region"]
	if !regionName().MatchString(region) {
		return nil, fault.InvalidParameter.New("region must be a name such as ap-guangzhou, or empty")
	}
	client, err := NewClient(Options{
		Endpoint: o.Settings["endpoint"],
		Signer: Signer{
			SecretID:  string(o.Credential["secret_id"].Expose()), // an id, which every request shows
			SecretKey: o.Credential["secret_key"],
			Token:     o.Credential["token"],
		},
		Allow: o.Allow,
		Now:   o.Now,
		HTTP:  via,
	})
	if err != nil {
		return nil, err
	}
	return New(client, region), nil
}
