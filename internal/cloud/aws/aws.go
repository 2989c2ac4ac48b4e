// Package aws reads the access keys of one AWS account, as a provider of package accesskey,
// and makes and ends those of one user, as an issuer of package rotation.
//
// It asks IAM and STS by their query protocol, signed with Signature Version 4. The
// provider only reads. Who exists and what they may do comes from one paged call
// (GetAccountAuthorizationDetails, else ListUsers); which keys there are from
// ListAccessKeys of each user, because nothing else tells their ids; when a key was used
// from GetAccessKeyLastUsed; consoles, second factors and the root user's keys from the
// credential report, which AWS makes at most every four hours.
//
// What is missing is never silent: each call that did not succeed becomes a problem of the
// snapshot, and one behind which keys may hide says so. No message of the service is ever
// quoted, only its code: AWS puts the request that it received, session token included,
// into some of them.
//
// The issuer sends what changes something once, over a connection of its own, and says of
// an error whether the change may have happened all the same. It knows its user by the id,
// and asks for the name whenever it needs one.
//
// Who may call: package app, through [Kind] and [Issuer]. What is trusted: nothing that is
// answered; answers are bounded, and their texts are cleaned. The simulator of package
// awstest is the other half of it, and the vendor's own SDK is the judge of that
// (interop/cloud).
package aws

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/lazy"
)

// rights are what the credential must be allowed. sts:GetCallerIdentity needs no right.
var rights = []string{
	"iam:GenerateCredentialReport", "iam:GetAccessKeyLastUsed", "iam:GetAccountAuthorizationDetails",
	"iam:GetAccountPasswordPolicy", "iam:GetAccountSummary", "iam:GetCredentialReport",
	"iam:ListAccessKeys", "iam:ListUsers",
}

// An allowance is a statement of an IAM policy as people are shown it.
type allowance struct {
	Effect, Action, Resource any
}

// Kind describes the provider "aws".
func Kind() accesskey.KindOfProvider {
	policy, err := json.MarshalIndent(struct {
		Version   string
		Statement []allowance
	}{"2012-10-17", []allowance{{"Allow", rights, "*"}}}, "", "  ")
	if err != nil {
		panic(err) // a table of strings
	}
	return accesskey.KindOfProvider{
		Name:  "aws",
		Title: form.Text{English: "AWS IAM", Chinese: "AWS IAM"},
		Form: form.Form{
			Settings: []form.Field{
				{Name: "region", Example: "cn-north-1", Help: form.Text{
					English: "a region of the account's partition; us-east-1 if empty",
					Chinese: "账号所在分区的地域；默认 us-east-1"}},
				{Name: "endpoint", Example: "https://iam.internal.example", Help: form.Text{
					English: "an address that serves both IAM and STS instead of AWS's own",
					Chinese: "代替 AWS 公网地址、同时提供 IAM 与 STS 的地址"}},
			},
			Credential: []form.Field{
				{Name: "access_key_id", Required: true, Help: form.Text{English: "of a user who may only read", Chinese: "只读用户的访问密钥 ID"}},
				{Name: "secret_access_key", Required: true, Help: form.Text{English: "its secret", Chinese: "对应的私有访问密钥"}},
				{Name: "session_token", Help: form.Text{English: "only of a temporary credential", Chinese: "仅临时凭证需要"}},
			},
		},
		Capabilities: accesskey.Capabilities{MaxKeys: maxKeys, Disable: true, UseLag: useLag},
		Policy:       string(policy),
		Pace:         6 * time.Hour,
		Open: func(in accesskey.Opening) (accesskey.Provider, error) {
			return open(in, egress.HTTP(in.Allow))
		},
	}
}

// useLag: of the uses within fifteen minutes AWS records the first only, so the last may
// be that much later than what is told.
const useLag = 15 * time.Minute

var (
	regionForm = lazy.Regexp(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)
	keyForm    = lazy.Regexp(`^[A-Za-z0-9_]{16,128}$`)
)

// A provider implements accesskey.Provider.
type provider struct {
	client   *client
	iam, sts service
}

func open(in accesskey.Opening, via *http.Client) (*provider, error) {
	id := string(in.Credential["access_key_id"].Expose()) // an id is no secret
	if !keyForm().MatchString(id) {
		return nil, fault.InvalidParameter.New("access_key_id is not an access key id of AWS, such as AKIA and 16 letters and digits")
	}
	region := in.Settings["region"]
	if region == "" {
		region = "us-east-1"
	}
	if !regionForm().MatchString(region) {
		return nil, fault.InvalidParameter.New("region is not a region of AWS, such as us-east-1")
	}
	iam, sts := services(region)
	if e := in.Settings["endpoint"]; e != "" {
		u, err := url.Parse(e)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fault.InvalidParameter.New("endpoint must be https:// and a host, nothing more")
		}
		iam.url, sts.url = u.Scheme+"://"+u.Host+"/", u.Scheme+"://"+u.Host+"/"
	}
	return &provider{iam: iam, sts: sts, client: &client{
		http: via, now: in.Now, id: id,
		secret: in.Credential["secret_access_key"], token: in.Credential["session_token"],
	}}, nil
}

// services answers where a region's partition has IAM, which is one for the partition and
// signed for one region of it, and STS, which is in each region.
func services(region string) (iam, sts service) {
	iam = service{name: "iam", version: "2010-05-08", url: "https://iam.amazonaws.com/", region: "us-east-1"}
	domain := "amazonaws.com"
	switch {
	case strings.HasPrefix(region, "cn-"):
		domain = "amazonaws.com.cn"
		iam.url, iam.region = "https://iam.cn-north-1.amazonaws.com.cn/", "cn-north-1"
	case strings.HasPrefix(region, "us-gov-"):
		iam.url, iam.region = "https://iam.us-gov.amazonaws.com/", "us-gov-west-1"
	}
	return iam, service{name: "sts", version: "2011-06-15", url: "https://sts." + region + "." + domain + "/", region: region}
}
