package tencent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/cloud/tencent/tencenttest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// small makes an account of which every fact is known, and answers the reader's key.
func small(cloud *tencenttest.Service, now time.Time) tencenttest.Key {
	day := 24 * time.Hour
	cloud.AddAccount(account)
	cloud.AddUser(account, tencenttest.User{Uin: 11, Name: "reader", CreatedAt: now})
	cloud.AddUser(account, tencenttest.User{
		Uin: 12, Name: "ops\x1b]0;title\x07", Remark: "负责人\u202e", CreatedAt: now.Add(-400 * day), Console: true, LoginAt: now.Add(-3 * day), LoginMFA: true,
		Policies: []tencenttest.Policy{
			{ID: 1, Name: "AdministratorAccess", Preset: true, Groups: []string{"admins", "oncall"}},
			{ID: 9, Name: "QcloudCamFullAccess", Preset: true}, {ID: 10, Name: "QcloudCOSFullAccess", Preset: true},
			{ID: 11, Name: "QcloudCOSFullAccess"}, {ID: 12, Name: "QcloudCVMReadOnlyAccess", Preset: true},
		},
	})
	cloud.AddUser(account, tencenttest.User{Uin: 13, Name: "partner", Kind: tencenttest.Collaborator, CreatedAt: now.Add(-day), ActionMFA: true})
	cloud.AddUser(account, tencenttest.User{Uin: 14, Name: "wecom", Kind: tencenttest.WeCom, CreatedAt: now.Add(-day)})
	cloud.AddKey(12, tencenttest.Key{ID: "AKIDold", Description: "pay", CreatedAt: now.Add(-300 * day), UsedAt: now.Add(-30 * day)})
	cloud.AddKey(12, tencenttest.Key{ID: "AKIDoff", Inactive: true, CreatedAt: now.Add(-200 * day)})
	cloud.AddKey(13, tencenttest.Key{ID: "AKIDpartner", CreatedAt: now.Add(-day), UsedAt: now.Add(-time.Hour)}) // not told yet
	cloud.AddKey(account, tencenttest.Key{ID: "AKIDroot", CreatedAt: now.Add(-900 * day)})
	return cloud.AddKey(11, tencenttest.Key{ID: "AKIDreader", CreatedAt: now})
}

// virtual is the clock of a bubble; the simulator's seconds are whole.
func virtual(t *testing.T, f func(t *testing.T, cloud *tencenttest.Service, now time.Time)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, tencenttest.New(time.Now), time.Now().UTC()) })
}

func TestObserve(t *testing.T) {
	virtual(t, func(t *testing.T, cloud *tencenttest.Service, now time.Time) {
		day := 24 * time.Hour
		p := provider(t, cloud, small(cloud, now))
		got, err := p.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		never := accesskey.Use{Known: accesskey.No, Lag: day}
		want := accesskey.Snapshot{
			Identity: accesskey.Identity{Account: "100000000", Principal: "11", KeyID: "AKIDreader"},
			Principals: []accesskey.Principal{
				{ID: "100000000", Name: "100000000", Kind: accesskey.Root},
				{ID: "11", Name: "reader", Kind: accesskey.User, CreatedAt: now, Console: accesskey.No, ConsoleMFA: accesskey.No, ActionMFA: accesskey.No, Grants: []accesskey.Grant{}},
				{
					ID: "12", Name: "ops]0;title", Remark: "负责人", Kind: accesskey.User, CreatedAt: now.Add(-400 * day),
					Console: accesskey.Yes, ConsoleAt: now.Add(-3 * day), ConsoleMFA: accesskey.Yes, ActionMFA: accesskey.No,
					Grants: []accesskey.Grant{
						{Name: "AdministratorAccess", ID: "1", Via: "admins", Admin: true}, {Name: "AdministratorAccess", ID: "1", Via: "oncall", Admin: true},
						{Name: "QcloudCamFullAccess", ID: "9", Admin: true, Wide: []string{"cam"}}, {Name: "QcloudCOSFullAccess", ID: "10", Wide: []string{"cos"}},
						{Name: "QcloudCOSFullAccess", ID: "11"}, {Name: "QcloudCVMReadOnlyAccess", ID: "12"},
					},
				},
				{ID: "13", Name: "partner", Kind: accesskey.Collaborator, CreatedAt: now.Add(-day), Console: accesskey.No, ConsoleMFA: accesskey.No, ActionMFA: accesskey.Yes, Grants: []accesskey.Grant{}},
				{ID: "14", Name: "wecom", Kind: accesskey.User, CreatedAt: now.Add(-day), Console: accesskey.No, ConsoleMFA: accesskey.No, ActionMFA: accesskey.No, Grants: []accesskey.Grant{}},
			},
			Keys: []accesskey.Observed{
				{ID: "AKIDreader", Principal: "11", Status: accesskey.Active, CreatedAt: now, Use: never},
				{ID: "AKIDold", Principal: "12", Name: "pay", Status: accesskey.Active, CreatedAt: now.Add(-300 * day), Use: accesskey.Use{Known: accesskey.Yes, At: now.Add(-30 * day), Lag: day}},
				{ID: "AKIDoff", Principal: "12", Status: accesskey.Inactive, CreatedAt: now.Add(-200 * day), Use: never},
				{ID: "AKIDpartner", Principal: "13", Status: accesskey.Active, CreatedAt: now.Add(-day), Use: never},
			},
			Account:  accesskey.Account{Quota: 2},
			Problems: []accesskey.Problem{{What: "cam:ListAccessKeys", Subject: "100000000", Lists: true}},
			Calls:    19, // who, 3 lists, 5 lists of keys, 4 times 2 of users, logins, uses
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(accesskey.Problem{}, "Reason")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if r := got.Problems[0].Reason; !strings.Contains(r, "the console") {
			t.Errorf("of the account's own keys it is said: %s", r)
		}

		time.Sleep(25 * time.Hour)
		if got, err = p.Observe(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := got.Keys[slices.IndexFunc(got.Keys, func(k accesskey.Observed) bool { return k.ID == "AKIDpartner" })].Use.At
		if !at.Equal(now.Add(-time.Hour)) {
			t.Errorf("a day later the use is told as %v", at)
		}
	})
}

func TestObserveAsTheAccountItself(t *testing.T) {
	virtual(t, func(t *testing.T, cloud *tencenttest.Service, now time.Time) {
		small(cloud, now)
		p := provider(t, cloud, cloud.AddKey(account, tencenttest.Key{ID: "AKIDroot2"}))
		s, err := p.Observe(t.Context())
		if err != nil || len(s.Problems) != 0 || !s.Identity.Root || s.Account.RootKey != accesskey.Yes {
			t.Errorf("%+v, %+v, %v: %v", s.Identity, s.Account, s.Problems, err)
		}
		if diff := cmp.Diff(cloud.Keys(account), ids(s)); diff != "" {
			t.Errorf("(-all +seen):\n%s", diff)
		}
	})
}

// A role has no key of its own that a list would show, and is not the account although its
// principal may have the account's number.
func TestCheckOfTemporaryCredentials(t *testing.T) {
	answer := `{"Response":{"Arn":"qcs::sts:100:assumed-role/46","AccountId":"100","UserId":"46:session","PrincipalId":"100","Type":"AssumedRole","RequestId":"r"}}`
	s := tencent.Signer{SecretID: "AKIDtemporary", SecretKey: material.NewBytes([]byte("fake")), Token: material.NewBytes([]byte("fake"))}
	c, err := tencent.NewClient(tencent.Options{Signer: s, Now: time.Now, HTTP: &http.Client{Transport: wire{canned(200, answer)}}})
	if err != nil {
		t.Fatal(err)
	}
	who, err := tencent.New(c, "").Check(t.Context())
	if diff := cmp.Diff(accesskey.Identity{Account: "100", Principal: "46:session"}, who); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func ids(s accesskey.Snapshot) []string {
	var out []string
	for _, k := range s.Keys {
		out = append(out, k.ID)
	}
	slices.Sort(out)
	return out
}

// Without each of the rights of the policy it is that right that is named, with the
// statement that grants it; and the policy suffices.
func TestRights(t *testing.T) {
	var document struct {
		Statement []struct{ Action []string }
	}
	if err := json.Unmarshal([]byte(tencent.Kind().Policy), &document); err != nil {
		t.Fatal(err)
	}
	actions := document.Statement[0].Action
	if len(actions) != 9 {
		t.Fatalf("the policy has %d actions", len(actions))
	}
	lists := []string{"cam:ListUsers", "cam:ListCollaborators", "cam:ListWeChatWorkSubAccounts", "cam:ListAccessKeys"}
	for _, action := range actions {
		t.Run(action, func(t *testing.T) {
			virtual(t, func(t *testing.T, cloud *tencenttest.Service, now time.Time) {
				p := provider(t, cloud, small(cloud, now))
				if before, err := p.Observe(t.Context()); err != nil || cloud.Calls(strings.SplitN(action, ":", 2)[1]) == 0 {
					t.Fatalf("%s is not used: %v, %v", action, before.Problems, err)
				}
				cloud.Deny(11, action)
				s, err := p.Observe(t.Context())
				statement := fmt.Sprintf(`"action":[%q]`, action)
				if action == "sts:GetCallerIdentity" {
					if !fault.Is(err, fault.InvalidParameter) || !strings.Contains(fault.Message(err), statement) {
						t.Errorf("%v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				named := slices.DeleteFunc(s.Problems, func(p accesskey.Problem) bool {
					return p.Subject == "100000000" && !p.Denied && strings.Contains(p.Reason, "the console") // whatever the rights
				})
				if len(named) != 1 {
					t.Fatalf("%d problems: %+v", len(named), named)
				}
				if got := named[0]; got.What != action || !got.Denied || got.Subject != "" || got.Lists != slices.Contains(lists, action) || !strings.Contains(got.Reason, statement) {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// A large account: pages, fifties and tens, and never too often. The figures are virtual
// seconds.
func TestLargeAccount(t *testing.T) {
	virtual(t, func(t *testing.T, cloud *tencenttest.Service, _ time.Time) {
		reader := cloud.Populate(account, 1500)
		var refused int
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			cloud.ServeHTTP(rec, r)
			if strings.Contains(rec.Body.String(), "RequestLimitExceeded") {
				refused++
			}
			_, _ = w.Write(rec.Body.Bytes())
		})
		begun := time.Now()
		s, err := provider(t, h, reader).Observe(t.Context())
		if err != nil || refused > 0 || len(s.Principals) != 1501 || len(s.Problems) != 1 {
			t.Fatalf("%d principals, %d requests too many, problems %+v: %v", len(s.Principals), refused, s.Problems, err)
		}
		if diff := cmp.Diff(cloud.Keys(account), ids(s)); diff != "" {
			t.Errorf("(-all +seen):\n%s", diff)
		}
		took := time.Since(begun)
		t.Logf("%d users, %d keys: %d calls in %v", len(s.Principals)-1, len(s.Keys), s.Calls, took.Round(time.Second))
		if took > 150*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// patched answers as the cloud does, but for one action.
func patched(cloud http.Handler, action string, with http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-TC-Action") == action {
			with.ServeHTTP(w, r)
			return
		}
		cloud.ServeHTTP(w, r)
	})
}

// An answer that lacks what it should have is not an answer that there is nothing.
func TestLackIsNotNothing(t *testing.T) {
	for _, one := range []struct{ action, result string }{
		{"ListUsers", ``}, {"ListUsers", `"Data":null,`}, {"ListUsers", `"Data":[{"Name":"x"}],`}, {"ListUsers", `"Data":[{"Uin":"a b"}],`},
		{"ListUsers", `"Data":[{"Uin":"not-a-number"}],`},
		{"ListCollaborators", ``}, {"ListCollaborators", `"TotalNum":1,"Data":null,`}, {"ListCollaborators", `"TotalNum":2,"Data":[],`},
		{"ListCollaborators", `"TotalNum":2,"Data":[{"Uin":1}],`}, {"ListCollaborators", `"Data":[{"Uin":1}],`}, {"ListCollaborators", `"TotalNum":1000000,"Data":[{"Uin":1}],`},
		{"ListWeChatWorkSubAccounts", ``}, {"ListWeChatWorkSubAccounts", `"TotalCount":2,"Data":[{"Uin":1},{"Uin":1}],`}, {"ListWeChatWorkSubAccounts", `"TotalCount":1,"Data":[{}],`},
		{"ListAccessKeys", ``}, {"ListAccessKeys", `"AccessKeys":null,`}, {"ListAccessKeys", `"AccessKeys":[{"Status":"Active"}],`},
		{"ListAccessKeys", `"AccessKeys":[{"AccessKeyId":"a\u001bb"}],`}, {"ListAccessKeys", `"AccessKeys":[{"AccessKeyId":null}],`},
	} {
		t.Run(one.action+one.result, func(t *testing.T) {
			virtual(t, func(t *testing.T, cloud *tencenttest.Service, now time.Time) {
				reader := small(cloud, now)
				s, err := provider(t, patched(cloud, one.action, canned(200, `{"Response":{`+one.result+`"RequestId":"r"}}`)), reader).Observe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(s.Problems, func(p accesskey.Problem) bool { return p.Lists && !p.Denied && p.Subject != "100000000" }) {
					t.Errorf("no problem says that keys may be missing: %+v", s.Problems)
				}
			})
		})
	}
}

// The facts that are missing, and no key with them.
func TestFactsThatAreNotTold(t *testing.T) {
	for _, one := range []struct {
		action, result string
		problem        bool
	}{
		{"GetSecurityLastUsed", ``, true}, {"GetSecurityLastUsed", `"SecretIdLastUsedRows":[],`, false},
		{"DescribeSubAccounts", ``, true}, {"ListAttachedUserAllPolicies", ``, true}, {"ListAttachedUserAllPolicies", `"TotalNum":3,"PolicyList":[],`, true},
		{"ListAttachedUserAllPolicies", `"TotalNum":3,`, true}, {"DescribeSafeAuthFlagColl", ``, false}, {"DescribeSafeAuthFlagColl", `"LoginFlag":[],`, true},
	} {
		t.Run(one.action+one.result, func(t *testing.T) {
			virtual(t, func(t *testing.T, cloud *tencenttest.Service, now time.Time) {
				reader := small(cloud, now)
				s, err := provider(t, patched(cloud, one.action, canned(200, `{"Response":{`+one.result+`"RequestId":"r"}}`)), reader).Observe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				has := slices.ContainsFunc(s.Problems, func(p accesskey.Problem) bool { return p.What == "cam:"+one.action && p.Subject == "" && !p.Lists })
				if len(s.Keys) != 4 || has != one.problem {
					t.Errorf("%d keys, problems %+v", len(s.Keys), s.Problems)
				}
				for _, k := range s.Keys {
					if one.action == "GetSecurityLastUsed" && k.Use.Known != accesskey.Unknown {
						t.Errorf("the use of %s is %+v", k.ID, k.Use)
					}
				}
				for _, p := range s.Principals[1:] {
					if one.action == "ListAttachedUserAllPolicies" && p.Grants != nil || one.action == "DescribeSafeAuthFlagColl" && p.ConsoleMFA != accesskey.Unknown {
						t.Errorf("of a user is told %+v", p)
					}
				}
			})
		})
	}
}

// The international site has no list of users from WeCom; a day without a time is its
// first moment, with the day added to the lag; what is no time is not told.
func TestForms(t *testing.T) {
	virtual(t, func(t *testing.T, cloud *tencenttest.Service, now time.Time) {
		reader := small(cloud, now)
		h := patched(cloud, "ListWeChatWorkSubAccounts", refusal("InvalidAction"))
		h = patched(h, "ListAccessKeys", canned(200, `{"Response":{"AccessKeys":[{"AccessKeyId":"AKID1","Status":"Frozen","CreateTime":"0000-00-00 00:00:00"}],"RequestId":"r"}}`))
		h = patched(h, "GetSecurityLastUsed", canned(200, `{"Response":{"SecretIdLastUsedRows":[{"SecretId":"AKID1","LastUsedDate":"2026-03-20"}],"RequestId":"r"}}`))
		s, err := provider(t, h, reader).Observe(t.Context())
		if err != nil || len(s.Problems) > 0 {
			t.Fatalf("%+v: %v", s.Problems, err)
		}
		want := accesskey.Observed{ID: "AKID1", Principal: "100000000", Status: accesskey.Active,
			Use: accesskey.Use{Known: accesskey.Yes, At: time.Date(2026, 3, 19, 16, 0, 0, 0, time.UTC), Lag: 48 * time.Hour}}
		if diff := cmp.Diff(want, s.Keys[0]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// What users read is what the program has.
func TestDocumentedPolicy(t *testing.T) {
	page, err := os.ReadFile("../../../docs/providers/tencent.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```json\n(.*?)^```$").FindSubmatch(page)
	if block == nil || string(block[1]) != tencent.Kind().Policy {
		t.Error("docs/providers/tencent.md shows another policy")
	}
}
