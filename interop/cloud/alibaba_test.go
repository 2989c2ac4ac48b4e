package cloud_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	util "github.com/alibabacloud-go/tea-utils/v2/service"
	"github.com/alibabacloud-go/tea/tea"
	classicerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ims"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/alibaba/alibabatest"
)

const (
	imsVersion, ramVersion, stsVersion = "2019-08-15", "2015-05-01", "2015-04-01"

	id, secret = "LTAIfakeAdmin0000001", "fake-secret-of-the-administrator"
	alice      = "alice@example.onaliyun.com"
)

// alibabaCloud starts a simulated cloud and answers its address.
func alibabaCloud(t *testing.T) (*alibabatest.Cloud, string) {
	t.Helper()
	now := time.Now()
	c := alibabatest.New(alibabatest.Config{Now: time.Now})
	c.Populate(alibabatest.Account{
		RootMFA: true,
		Groups:  map[string][]alibabatest.Policy{"ops": {{Name: "AdministratorAccess"}}},
		Users: []alibabatest.User{
			{Name: "admin", ID: "200000000000000001", Created: now, Rights: []string{"*"}, Keys: []alibabatest.Key{{ID: id, Secret: secret}}},
			{
				Name: "alice", ID: "200000000000000002", Created: now, LastLogin: now, Console: true, MFA: true, Groups: []string{"ops"},
				Policies: []alibabatest.Policy{{Name: "pay", Document: `{"Version":"1","Statement":[]}`}},
				Keys:     []alibabatest.Key{{ID: "LTAIfakeAlice0000001", Secret: "fake-secret-of-alice", Used: now.Add(-time.Hour), Service: "Oss"}},
			},
			{Name: "bob", Created: now, Disabled: true},
		},
	})
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, strings.TrimPrefix(server.URL, "http://")
}

// A generic is the SDK of today, which signs with ACS3-HMAC-SHA256.
type generic struct {
	t      *testing.T
	client *openapi.Client
}

func newGeneric(t *testing.T, address, id, secret string) generic {
	t.Helper()
	c, err := openapi.NewClient(&openapi.Config{Endpoint: &address, Protocol: new("HTTP"), AccessKeyId: &id, AccessKeySecret: &secret})
	if err != nil {
		t.Fatal(err)
	}
	return generic{t, c}
}

func (g generic) try(version, action string, pairs ...string) (map[string]any, error) {
	g.t.Helper()
	query := map[string]*string{}
	for i := 0; i < len(pairs); i += 2 {
		query[pairs[i]] = &pairs[i+1]
	}
	params := &openapi.Params{
		Action: &action, Version: &version, Protocol: new("HTTP"), Method: new("POST"), AuthType: new("AK"),
		Style: new("RPC"), Pathname: new("/"), ReqBodyType: new("formData"), BodyType: new("json"),
	}
	out, err := g.client.CallApi(params, &openapi.OpenApiRequest{Query: query}, &util.RuntimeOptions{})
	if err != nil {
		return nil, err
	}
	return out["body"].(map[string]any), nil
}

func (g generic) call(version, action string, pairs ...string) map[string]any {
	g.t.Helper()
	out, err := g.try(version, action, pairs...)
	if err != nil {
		g.t.Fatalf("%s: %v", action, err)
	}
	return out
}

// refused checks the status and the code of a call that is refused.
func (g generic) refused(status int, code, version, action string, pairs ...string) {
	g.t.Helper()
	_, err := g.try(version, action, pairs...)
	var e *tea.SDKError
	if !errors.As(err, &e) || tea.IntValue(e.StatusCode) != status || tea.StringValue(e.Code) != code {
		g.t.Errorf("%s is refused with %v, want %d %s", action, err, status, code)
	}
}

// at walks down an answer.
func at(v any, names ...string) any {
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// Each call that keyward makes, by the generic client.
func TestAlibabaReadsBySDK(t *testing.T) {
	_, address := alibabaCloud(t)
	g := newGeneric(t, address, id, secret)
	for _, test := range []struct {
		version, action string
		params          []string
		path            []string
		want            any
	}{
		{stsVersion, "GetCallerIdentity", nil, []string{"IdentityType"}, "RAMUser"},
		{imsVersion, "ListUsers", []string{"Status", "active,freeze", "MaxItems", "1000"}, []string{"IsTruncated"}, false},
		{imsVersion, "ListUsersInRecycleBin", []string{"MaxItems", "100"}, []string{"Users", "User"}, []any{}},
		{imsVersion, "ListAccessKeysInRecycleBin", []string{"UserId", "200000000000000002"}, []string{"AccessKeys", "AccessKey"}, []any{}},
		{imsVersion, "GetAccessKeyLastUsed", []string{"UserPrincipalName", alice, "UserAccessKeyId", "LTAIfakeAlice0000001"}, []string{"AccessKeyLastUsed", "ServiceName"}, "Oss"},
		{imsVersion, "GetLoginProfile", []string{"UserPrincipalName", alice}, []string{"LoginProfile", "Status"}, "Active"},
		{imsVersion, "GetUserMFAInfo", []string{"UserPrincipalName", alice}, []string{"IsMFAEnable"}, true},
		{imsVersion, "GetAccountMFAInfo", nil, []string{"IsMFAEnable"}, true},
		{imsVersion, "GenerateCredentialReport", nil, []string{"State"}, "COMPLETE"},
		{imsVersion, "GetCredentialReport", []string{"MaxItems", "1000"}, []string{"IsTruncated"}, "false"},
		{ramVersion, "ListPoliciesForGroup", []string{"GroupName", "ops"}, []string{"Policies", "Policy"}, []any{map[string]any{"PolicyName": "AdministratorAccess", "PolicyType": "System", "DefaultVersion": "v1"}}},
		{ramVersion, "ListGroupsForUser", []string{"UserName", "alice"}, []string{"Groups", "Group"}, []any{map[string]any{"GroupName": "ops"}}},
		{ramVersion, "GetPolicy", []string{"PolicyName", "pay", "PolicyType", "Custom"}, []string{"DefaultPolicyVersion", "PolicyDocument"}, `{"Version":"1","Statement":[]}`},
	} {
		if diff := cmp.Diff(test.want, at(g.call(test.version, test.action, test.params...), test.path...)); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", test.action, diff)
		}
	}
	g.refused(404, "EntityNotExist.User", imsVersion, "ListAccessKeys", "UserPrincipalName", "nobody@example.onaliyun.com")
	g.refused(404, "InvalidAction.NotFound", imsVersion, "LaunchRocket")
	newGeneric(t, address, id, "fake-other").refused(400, "SignatureDoesNotMatch", stsVersion, "GetCallerIdentity")
	newGeneric(t, address, "LTAIfakeNobody", secret).refused(404, "InvalidAccessKeyId.NotFound", stsVersion, "GetCallerIdentity")
	newGeneric(t, address, "LTAIfakeAlice0000001", "fake-secret-of-alice").refused(403, "NoPermission", imsVersion, "ListUsers")
}

// The life of a key, by the generic client: the secret is told once, two keys are the
// limit, and what was deleted comes back.
func TestAlibabaKeyLifeBySDK(t *testing.T) {
	c, address := alibabaCloud(t)
	g := newGeneric(t, address, id, secret)
	made := g.call(imsVersion, "CreateAccessKey", "UserPrincipalName", alice)
	key, _ := at(made, "AccessKey", "AccessKeyId").(string)
	value, _ := at(made, "AccessKey", "AccessKeySecret").(string)
	if !c.Accepts(key, value) {
		t.Fatal("the new key is not accepted")
	}
	g.refused(409, "LimitExceeded.User.AccessKey", imsVersion, "CreateAccessKey", "UserPrincipalName", alice)
	if list := g.call(imsVersion, "ListAccessKeys", "UserPrincipalName", alice); strings.Contains(tea.ToString(list), value) || len(at(list, "AccessKeys", "AccessKey").([]any)) != 2 {
		t.Errorf("the list is %v", list)
	}
	named := []string{"UserPrincipalName", alice, "UserAccessKeyId", key}
	g.refused(409, "DeleteConflict.User.AccessKey.Active", imsVersion, "DeleteAccessKey", named...)
	g.call(imsVersion, "UpdateAccessKey", append(named, "Status", "Inactive")...)
	if c.Accepts(key, value) {
		t.Error("a disabled key is accepted")
	}
	newGeneric(t, address, key, value).refused(400, "InvalidAccessKeyId.Inactive", stsVersion, "GetCallerIdentity")
	g.call(imsVersion, "DeleteAccessKey", named...)
	if info := g.call(imsVersion, "GetAccessKeyInfoInRecycleBin", "UserAccessKeyId", key); at(info, "AccessKey", "UserPrincipalName") != alice {
		t.Errorf("the recycle bin says %v", info)
	}
	g.call(imsVersion, "RestoreAccessKeyFromRecycleBin", "UserAccessKeyId", key, "UserId", "200000000000000002")
	g.call(imsVersion, "UpdateAccessKey", append(named, "Status", "Active")...)
	if !c.Accepts(key, value) {
		t.Error("the restored key is not accepted")
	}
}

// The classic SDK has types for the answers, and signs in the older way.
func TestAlibabaReadsByClassicSDK(t *testing.T) {
	_, address := alibabaCloud(t)
	who, err := sts.NewClientWithAccessKey("cn-hangzhou", id, secret)
	if err != nil {
		t.Fatal(err)
	}
	identity := sts.CreateGetCallerIdentityRequest()
	identity.Domain, identity.Scheme = address, "http"
	if got, err := who.GetCallerIdentity(identity); err != nil || got.IdentityType != "RAMUser" || got.AccountId != "1000000000000001" {
		t.Errorf("identity %v, %v", got, err)
	}
	client, err := ims.NewClientWithAccessKey("cn-hangzhou", id, secret)
	if err != nil {
		t.Fatal(err)
	}
	users := ims.CreateListUsersRequest()
	users.Domain, users.Scheme = address, "http"
	list, err := client.ListUsers(users)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range list.Users.User {
		names = append(names, u.UserPrincipalName)
	}
	if diff := cmp.Diff([]string{"admin@example.onaliyun.com", alice}, names); diff != "" { // without the disabled one
		t.Errorf("users differ (-want +got):\n%s", diff)
	}
	keys := ims.CreateListAccessKeysRequest()
	keys.Domain, keys.Scheme, keys.UserPrincipalName = address, "http", alice
	if got, err := client.ListAccessKeys(keys); err != nil || len(got.AccessKeys.AccessKey) != 1 || got.AccessKeys.AccessKey[0].Status != "Active" {
		t.Errorf("keys %v, %v", got, err)
	}
	summary := ims.CreateGetAccountSummaryRequest()
	summary.Domain, summary.Scheme = address, "http"
	if got, err := client.GetAccountSummary(summary); err != nil || got.SummaryMap.AccessKeysPerUserQuota != 2 {
		t.Errorf("summary %v, %v", got, err)
	}
	practice := ims.CreateGetAccountSecurityPracticeReportRequest()
	practice.Domain, practice.Scheme = address, "http"
	if got, err := client.GetAccountSecurityPracticeReport(practice); err != nil || !got.AccountSecurityPracticeInfo.AccountSecurityPracticeUserInfo.BindMfa {
		t.Errorf("practice %v, %v", got, err)
	}
	preference := ims.CreateGetSecurityPreferenceRequest()
	preference.Domain, preference.Scheme = address, "http"
	if got, err := client.GetSecurityPreference(preference); err != nil || !got.SecurityPreference.LoginProfilePreference.EnforceMFAForLogin {
		t.Errorf("preference %v, %v", got, err)
	}
	password := ims.CreateGetPasswordPolicyRequest()
	password.Domain, password.Scheme = address, "http"
	if got, err := client.GetPasswordPolicy(password); err != nil || got.PasswordPolicy.MinimumPasswordLength != 12 {
		t.Errorf("password policy %v, %v", got, err)
	}
	access, err := ram.NewClientWithAccessKey("cn-hangzhou", id, secret)
	if err != nil {
		t.Fatal(err)
	}
	policies := ram.CreateListPoliciesForUserRequest()
	policies.Domain, policies.Scheme, policies.UserName = address, "http", "alice"
	if got, err := access.ListPoliciesForUser(policies); err != nil || len(got.Policies.Policy) != 1 || got.Policies.Policy[0].PolicyType != "Custom" {
		t.Errorf("policies %v, %v", got, err)
	}
	policies.UserName = "nobody"
	_, err = access.ListPoliciesForUser(policies)
	var refusal classicerrors.Error
	if !errors.As(err, &refusal) || refusal.ErrorCode() != "EntityNotExist.User" {
		t.Errorf("nobody: %v", err)
	}
}
