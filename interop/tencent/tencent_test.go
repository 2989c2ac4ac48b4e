// Package tencent_test drives keyward's simulated Tencent Cloud with the vendor's own,
// unmodified Go SDK, action by action. What the SDK signs the simulator accepts, and what
// the simulator answers the SDK understands; so what keyward proves against the simulator
// it does not prove against its own reading of the protocol alone.
package tencent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tcerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/cloud/tencent/tencenttest"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

const account, alice = 100000000, 100000001

// world is a cloud behind a real connection, and a key of a user who may do everything.
func world(t *testing.T) (*tencenttest.Service, string, tencenttest.Key) {
	t.Helper()
	cloud := tencenttest.New(time.Now)
	cloud.AddAccount(account)
	cloud.AddUser(account, tencenttest.User{
		Uin: alice, Name: "alice", Console: true, LoginAt: time.Now().Add(-time.Hour), LoginMFA: true,
		Policies: []tencenttest.Policy{{ID: 1, Name: "AdministratorAccess", Preset: true, Groups: []string{"admins"}}},
	})
	cloud.AddUser(account, tencenttest.User{Uin: 100000002, Name: "partner", Kind: tencenttest.Collaborator})
	cloud.AddUser(account, tencenttest.User{Uin: 100000003, Name: "wecom", Kind: tencenttest.WeCom})
	server := httptest.NewServer(cloud)
	t.Cleanup(server.Close)
	return cloud, strings.TrimPrefix(server.URL, "http://"), cloud.AddKey(alice, tencenttest.Key{UsedAt: time.Now().Add(-48 * time.Hour)})
}

// call performs an action by the SDK and answers the object of its answer.
func call(t *testing.T, host string, k tencenttest.Key, action string, params map[string]any) (map[string]any, error) {
	t.Helper()
	p := profile.NewClientProfile()
	p.HttpProfile.Scheme, p.HttpProfile.Endpoint = "HTTP", host
	service, name, _ := strings.Cut(action, ":")
	version := map[string]string{"cam": "2019-01-16", "sts": "2018-08-13"}[service]
	request := tchttp.NewCommonRequest(service, version, name)
	if err := request.SetActionParameters(params); err != nil {
		t.Fatal(err)
	}
	response := tchttp.NewCommonResponse()
	if err := common.NewCommonClient(common.NewCredential(k.ID, k.Secret), "ap-guangzhou", p).Send(request, response); err != nil {
		return nil, err
	}
	var out struct{ Response map[string]any }
	if err := json.Unmarshal(response.GetBody(), &out); err != nil {
		t.Fatal(err)
	}
	return out.Response, nil
}

// at follows keys and indexes into an answer.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				return nil
			}
			v = l[step]
		}
	}
	return v
}

// code answers the code that the SDK made of an error.
func code(err error) string {
	var e *tcerrors.TencentCloudSDKError
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func TestReading(t *testing.T) {
	_, host, k := world(t)
	for _, one := range []struct {
		action string
		params map[string]any
		path   []any
		want   any
	}{
		{"sts:GetCallerIdentity", nil, []any{"AccountId"}, "100000000"},
		{"sts:GetCallerIdentity", nil, []any{"UserId"}, "100000001"},
		{"cam:ListUsers", nil, []any{"Data", 0, "Name"}, "alice"},
		{"cam:ListUsers", nil, []any{"Data", 1}, nil},
		{"cam:ListCollaborators", map[string]any{"Offset": 0, "Limit": 20}, []any{"Data", 0, "Uin"}, 100000002.0},
		{"cam:ListCollaborators", map[string]any{"Offset": 1}, []any{"TotalNum"}, 1.0},
		{"cam:ListWeChatWorkSubAccounts", map[string]any{"Offset": 0, "Limit": 20}, []any{"Data", 0, "Name"}, "wecom"},
		{"cam:ListAccessKeys", map[string]any{"TargetUin": alice}, []any{"AccessKeys", 0, "AccessKeyId"}, k.ID},
		{"cam:ListAccessKeys", nil, []any{"AccessKeys", 0, "Status"}, "Active"},
		{"cam:GetSecurityLastUsed", map[string]any{"SecretIdList": []string{k.ID}}, []any{"SecretIdLastUsedRows", 0, "LastSecretUsedDate"}, float64(k.UsedAt.UnixMilli())},
		{"cam:DescribeSubAccounts", map[string]any{"FilterSubAccountUin": []int{alice}}, []any{"SubAccounts", 0, "UserType"}, 2.0},
		{"cam:ListAttachedUserAllPolicies", map[string]any{"TargetUin": alice, "Page": 1, "Rp": 20, "AttachType": 0}, []any{"PolicyList", 0, "Groups", 0, "GroupName"}, "admins"},
		{"cam:DescribeSafeAuthFlagColl", map[string]any{"SubUin": alice}, []any{"LoginFlag", "Stoken"}, 1.0},
	} {
		answer, err := call(t, host, k, one.action, one.params)
		if err != nil {
			t.Errorf("%s: %v", one.action, err)
			continue
		}
		if diff := cmp.Diff(one.want, at(answer, one.path...)); diff != "" {
			t.Errorf("%s %v (-want +got):\n%s", one.action, one.path, diff)
		}
	}
}

func TestLifeOfAKey(t *testing.T) {
	cloud, host, k := world(t)
	made, err := call(t, host, k, "cam:CreateAccessKey", map[string]any{"TargetUin": alice, "Description": "second"})
	if err != nil {
		t.Fatal(err)
	}
	second := tencenttest.Key{ID: fmt.Sprint(at(made, "AccessKey", "AccessKeyId")), Secret: fmt.Sprint(at(made, "AccessKey", "SecretAccessKey"))}
	who := func() string {
		_, err := call(t, host, second, "sts:GetCallerIdentity", nil)
		return code(err)
	}
	got := []string{who()}
	for _, step := range []struct {
		action string
		params map[string]any
	}{
		{"cam:CreateAccessKey", map[string]any{}},
		{"cam:UpdateAccessKey", map[string]any{"AccessKeyId": second.ID, "Status": "Inactive"}},
		{"cam:UpdateAccessKey", map[string]any{"AccessKeyId": second.ID, "Status": "Active"}},
		{"cam:DeleteAccessKey", map[string]any{"AccessKeyId": second.ID}},
	} {
		_, err := call(t, host, k, step.action, step.params)
		got = append(got, code(err), who())
	}
	want := []string{
		"<nil>", "OperationDenied.AccessKeyOverLimit", "<nil>", "<nil>", "AuthFailure.SecretIdNotFound", "<nil>", "<nil>", "<nil>", "AuthFailure.SecretIdNotFound",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{k.ID}, cloud.Keys(account)); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	cloud, host, k := world(t)
	cloud.Deny(alice, "cam:ListUsers")
	cloud.Limit("ListCollaborators", 0)
	for _, one := range []struct {
		key    tencenttest.Key
		action string
		params map[string]any
		want   string
	}{
		{tencenttest.Key{ID: k.ID, Secret: "another"}, "cam:ListAccessKeys", nil, "AuthFailure.SignatureFailure"},
		{tencenttest.Key{ID: "AKIDnone", Secret: "another"}, "cam:ListAccessKeys", nil, "AuthFailure.SecretIdNotFound"},
		{k, "cam:ListUsers", nil, "AuthFailure.UnauthorizedOperation"},
		{k, "cam:ListCollaborators", nil, "RequestLimitExceeded"},
		{k, "cam:ListAccessKeys", map[string]any{"TargetUin": account}, "OperationDenied.SubUin"},
		{k, "cam:ListAccessKeys", map[string]any{"TargetUin": 5}, "InvalidParameter.UserNotExist"},
		{k, "cam:Fly", nil, "InvalidAction"},
	} {
		if _, err := call(t, host, one.key, one.action, one.params); code(err) != one.want {
			t.Errorf("%s: %v, want %s", one.action, err, one.want)
		}
	}
}

// The SDK uses a key that keyward's issuer created over a real connection, and sees its tag.
func TestMintedByKeyward(t *testing.T) {
	cloud, host, k := world(t)
	shop := strconv.Itoa(alice + 5)
	cloud.AddUser(account, tencenttest.User{Uin: alice + 5, Name: "shop"})
	issuer, err := tencent.Issuer().Open(accesskey.Opening{
		Filling: form.Filling{Settings: map[string]string{"endpoint": "http://" + host}, Credential: map[string]material.Bytes{
			"secret_id": material.NewBytes([]byte(k.ID)), "secret_key": material.NewBytes([]byte(k.Secret)),
		}},
		Now: time.Now, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}, shop)
	if err != nil {
		t.Fatal(err)
	}
	minted, err := issuer.Create(t.Context(), rotation.Attempt{ID: "1", Tag: "keyward/r/1", Principal: shop})
	if err != nil {
		t.Fatal(err)
	}
	made := tencenttest.Key{ID: minted.ID, Secret: string(minted.Parts["secret_key"].Expose())}
	if who, err := call(t, host, made, "sts:GetCallerIdentity", nil); err != nil || at(who, "UserId") != shop {
		t.Errorf("%v, %v", who, err)
	}
	list, err := call(t, host, made, "cam:ListAccessKeys", nil)
	if diff := cmp.Diff("keyward/r/1", at(list, "AccessKeys", 0, "Description")); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := call(t, host, k, "cam:UpdateAccessKey", map[string]any{"TargetUin": alice + 5, "AccessKeyId": made.ID, "Status": "Inactive"}); err != nil {
		t.Fatal(err)
	}
	if got, err := issuer.Verify(t.Context(), minted.ID, minted.Parts); err != nil || got != rotation.Refused {
		t.Errorf("%q, %v", got, err)
	}
	if err := issuer.Delete(t.Context(), minted.ID, ""); err != nil || len(cloud.Of(alice+5)) > 0 {
		t.Errorf("%v; left are %+v", err, cloud.Of(alice+5))
	}
}
