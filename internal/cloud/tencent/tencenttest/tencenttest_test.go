package tencenttest_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/cloud/tencent/tencenttest"
	"github.com/keyward/keyward/internal/material"
)

const account, alice, bob, foreign = 100, 101, 102, 900

// wire carries requests to a handler without a network.
type wire struct{ http.Handler }

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// world is a cloud with two accounts, and a client of a user of the first.
func world(t *testing.T) (*tencenttest.Service, func(k tencenttest.Key, now func() time.Time) *tencent.Client, tencenttest.Key) {
	t.Helper()
	cloud := tencenttest.New(time.Now)
	cloud.AddAccount(account)
	cloud.AddUser(account, tencenttest.User{Uin: alice, Name: "alice"})
	cloud.AddUser(account, tencenttest.User{Uin: bob, Name: "bob"})
	cloud.AddAccount(foreign)
	client := func(k tencenttest.Key, now func() time.Time) *tencent.Client {
		c, err := tencent.NewClient(tencent.Options{
			Signer: tencent.Signer{SecretID: k.ID, SecretKey: material.NewBytes([]byte(k.Secret))},
			Now:    now, HTTP: &http.Client{Transport: wire{cloud}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return cloud, client, cloud.AddKey(alice, tencenttest.Key{})
}

func cam(action string) tencent.Operation {
	return tencent.Operation{Service: "cam", Version: "2019-01-16", Action: action, Limit: 5}
}

func code(err error) string {
	var e *tencent.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

type in map[string]any

type out struct {
	AccessKey  struct{ AccessKeyId, SecretAccessKey, Status, Description, CreateTime string }
	AccessKeys []struct{ AccessKeyId, SecretAccessKey, Status string }

	SecretIdLastUsedRows []struct {
		SecretId           string
		LastUsedDate       *string
		LastSecretUsedDate *int64
	}
}

// The life of a second key: made and shown once, used, disabled, enabled, deleted.
func TestLifeOfAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, client, k := world(t)
		c := client(k, time.Now)
		call := func(action string, params in) (o out) {
			t.Helper()
			if err := c.Call(t.Context(), cam(action), params, &o); err != nil {
				t.Fatal(err)
			}
			return o
		}
		made := call("CreateAccessKey", in{"TargetUin": bob, "Description": "rotation@2026"}).AccessKey
		if len(made.SecretAccessKey) != 32 || made.Status != "Active" || made.Description != "rotation@2026" || made.CreateTime != "2000-01-01 08:00:00" {
			t.Errorf("made %+v", made)
		}
		if listed := call("ListAccessKeys", in{"TargetUin": bob}).AccessKeys; len(listed) != 1 || listed[0].AccessKeyId != made.AccessKeyId || listed[0].SecretAccessKey != "" {
			t.Errorf("listed %+v", listed)
		}
		works := func() string {
			return code(client(tencenttest.Key{ID: made.AccessKeyId, Secret: made.SecretAccessKey}, time.Now).Call(t.Context(), cam("ListAccessKeys"), in{}, &out{}))
		}
		if got := works(); got != "<nil>" {
			t.Errorf("the new key: %s", got)
		}
		call("UpdateAccessKey", in{"TargetUin": bob, "AccessKeyId": made.AccessKeyId, "Status": "Inactive"})
		if got := works(); got != "AuthFailure.SecretIdNotFound" {
			t.Errorf("disabled: %s", got)
		}
		call("UpdateAccessKey", in{"TargetUin": bob, "AccessKeyId": made.AccessKeyId, "Status": "Active"})
		if got := works(); got != "<nil>" {
			t.Errorf("enabled: %s", got)
		}
		call("DeleteAccessKey", in{"TargetUin": bob, "AccessKeyId": made.AccessKeyId})
		if got := works(); got != "AuthFailure.SecretIdNotFound" {
			t.Errorf("deleted: %s", got)
		}
		if diff := cmp.Diff([]string{k.ID}, cloud.Keys(account)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, client, k := world(t)
		cloud.AddKey(alice, tencenttest.Key{})
		others := cloud.AddKey(bob, tencenttest.Key{})
		away := cloud.AddKey(foreign, tencenttest.Key{})
		cloud.AddKey(account, tencenttest.Key{})
		cloud.Deny(alice, "cam:GetSecurityLastUsed")
		cloud.Deny(alice, "cam:ListUsers")
		cloud.Allow(alice, "cam:ListUsers")
		for _, one := range []struct {
			action string
			params in
			want   string
		}{
			{"ListUsers", in{}, "<nil>"},
			{"CreateAccessKey", in{}, "OperationDenied.AccessKeyOverLimit"},
			{"CreateAccessKey", in{"TargetUin": bob, "Description": "a b"}, "InvalidParameter.ParamError"},
			{"CreateAccessKey", in{"TargetUin": bob, "Description": strings.Repeat("a", 1025)}, "InvalidParameter.ParamError"},
			{"CreateAccessKey", in{"TargetUin": 5}, "InvalidParameter.UserNotExist"},
			{"CreateAccessKey", in{"TargetUin": foreign}, "InvalidParameter.UserNotExist"},
			{"CreateAccessKey", in{"TargetUin": account}, "OperationDenied.SubUin"},
			{"ListAccessKeys", in{"TargetUin": account}, "OperationDenied.SubUin"},
			{"UpdateAccessKey", in{"AccessKeyId": k.ID, "Status": "Off"}, "InvalidParameter.ParamError"},
			{"UpdateAccessKey", in{"AccessKeyId": others.ID, "Status": "Inactive"}, "OperationDenied.UinNotMatch"},
			{"UpdateAccessKey", in{"AccessKeyId": "AKIDnone", "Status": "Inactive"}, "ResourceNotFound.SecretNotExist"},
			{"UpdateAccessKey", in{"AccessKeyId": k.ID, "Status": "Inactive", "TargetUin": 5}, "InvalidParameter.UserNotExist"},
			{"DeleteAccessKey", in{"AccessKeyId": away.ID}, "ResourceNotFound.SecretNotExist"},
			{"GetSecurityLastUsed", in{"SecretIdList": []string{k.ID}}, "AuthFailure.UnauthorizedOperation"},
			{"DescribeSubAccounts", in{"FilterSubAccountUin": make([]int, 51)}, "InvalidParameter"},
			{"DescribeSafeAuthFlagColl", in{}, "MissingParameter"},
			{"DescribeSafeAuthFlagColl", in{"SubUin": 5}, "ResourceNotFound.UserNotExist"},
			{"ListAttachedUserAllPolicies", in{"TargetUin": bob}, "InvalidParameter.ParamError"},
			{"ListAttachedUserAllPolicies", in{"TargetUin": 5}, "ResourceNotFound.UserNotExist"},
			{"ListCollaborators", in{"Offset": -1}, "InvalidParameter.ParamError"},
			{"ListUsers", in{"Colour": "red"}, "UnknownParameter"},
			{"ListUsers", in{"TargetUin": "x"}, "InvalidParameter"},
			{"Fly", in{}, "InvalidAction"},
		} {
			if got := code(client(k, time.Now).Call(t.Context(), cam(one.action), one.params, &out{})); got != one.want {
				t.Errorf("%s %v: %s, want %s", one.action, one.params, got, one.want)
			}
			time.Sleep(time.Second)
		}
		if n := cloud.Calls("CreateAccessKey"); n != 0 {
			t.Errorf("%d keys were made", n)
		}
		list := cam("ListUsers")
		list.Version = "2017-01-01"
		late := func() time.Time { return time.Now().Add(301 * time.Second) }
		for want, err := range map[string]error{
			"NoSuchVersion":                client(k, time.Now).Call(t.Context(), list, in{}, &out{}),
			"AuthFailure.SignatureFailure": client(tencenttest.Key{ID: k.ID, Secret: "another"}, time.Now).Call(t.Context(), cam("ListUsers"), in{}, &out{}),
			"AuthFailure.SecretIdNotFound": client(tencenttest.Key{ID: "AKIDnone"}, time.Now).Call(t.Context(), cam("ListUsers"), in{}, &out{}),
			"AuthFailure.SignatureExpire":  client(k, late).Call(t.Context(), cam("ListUsers"), in{}, &out{}),
		} {
			if code(err) != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	})
}

// More than the limit in any second is refused, whoever of the account asks.
func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, client, k := world(t)
		cloud.Limit("ListUsers", 3)
		other := cloud.AddKey(bob, tencenttest.Key{})
		refused := 0
		for i := range 6 {
			key := []tencenttest.Key{k, other}[i%2]
			op := cam("ListUsers")
			op.Limit = 1000
			r := client(key, time.Now)
			begun := time.Now()
			if err := r.Call(t.Context(), op, in{}, &out{}); err != nil {
				t.Fatal(err)
			}
			if r.Calls() > 1 {
				refused++ // and tried again later
				if time.Since(begun) < 250*time.Millisecond {
					t.Errorf("it was tried again after %v", time.Since(begun))
				}
			}
		}
		if refused == 0 || cloud.Calls("ListUsers") != 6 {
			t.Errorf("%d were refused, %d performed", refused, cloud.Calls("ListUsers"))
		}
	})
}

// A use is told a day after it was, and then as the last one.
func TestUsesAreToldLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, client, k := world(t)
		used := cloud.AddKey(bob, tencenttest.Key{})
		told := func() string {
			var o out
			if err := client(k, time.Now).Call(t.Context(), cam("GetSecurityLastUsed"), in{"SecretIdList": []string{used.ID, "AKIDnone"}}, &o); err != nil {
				t.Fatal(err)
			}
			if len(o.SecretIdLastUsedRows) != 1 || o.SecretIdLastUsedRows[0].SecretId != used.ID {
				t.Fatalf("%+v", o)
			}
			if at := o.SecretIdLastUsedRows[0].LastSecretUsedDate; at != nil {
				return time.UnixMilli(*at).UTC().Format(time.DateTime) + " " + *o.SecretIdLastUsedRows[0].LastUsedDate
			}
			return "never"
		}
		cloud.Use(used.ID)
		time.Sleep(20 * time.Hour)
		cloud.Use(used.ID)
		cloud.Use(used.ID)
		got := []string{told()}
		for range 3 {
			time.Sleep(12 * time.Hour)
			got = append(got, told())
		}
		if diff := cmp.Diff([]string{"never", "2000-01-01 00:00:00 2000-01-01", "2000-01-01 20:00:00 2000-01-02", "2000-01-01 20:00:00 2000-01-02"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRemovedUserTakesItsKeysAlong(t *testing.T) {
	cloud, _, k := world(t)
	gone := cloud.AddKey(bob, tencenttest.Key{})
	cloud.RemoveUser(bob)
	if cloud.Owner(gone.ID) != "" || cloud.Owner(k.ID) != "101" {
		t.Errorf("keys are of %q and %q", cloud.Owner(gone.ID), cloud.Owner(k.ID))
	}
}

// Nothing but a signed POST gets anywhere.
func TestRequestsThatAreNone(t *testing.T) {
	cloud, _, _ := world(t)
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRequest(http.MethodPost, "/", nil), httptest.NewRequest(http.MethodPost, "/x", strings.NewReader("{}")),
	} {
		rec := httptest.NewRecorder()
		cloud.ServeHTTP(rec, r)
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), "AuthFailure.InvalidAuthorization") {
			t.Errorf("%s %s: %d %s", r.Method, r.URL, rec.Code, rec.Body)
		}
	}
}
