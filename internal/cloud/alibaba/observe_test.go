package alibaba_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba"
	"github.com/keyward/keyward/internal/cloud/alibaba/alibabatest"
	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

// rights are those that the policy of the provider grants.
func rights() []string {
	var policy struct{ Statement []struct{ Action []string } }
	if err := json.Unmarshal([]byte(alibaba.Kind().Policy), &policy); err != nil {
		panic(err)
	}
	return policy.Statement[0].Action
}

// company is an account with one of everything.
func company() alibabatest.Account {
	const custom = `{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:*","ecs:Describe*"],"Resource":"*"}]}`
	return alibabatest.Account{
		RootMFA: true, RootKeys: []alibabatest.Key{{ID: rootID, Secret: "fake-root-secret", Created: day(1)}},
		Groups: map[string][]alibabatest.Policy{"ops": {{Name: "AdministratorAccess"}}},
		Users: []alibabatest.User{
			reader(),
			{
				Name: "alice", ID: "200000000000000002", DisplayName: "Alice\u202e\x1b[2J", Comments: "payments", Created: day(2), LastLogin: day(20),
				Console: true, MFA: true, Groups: []string{"ops"}, Policies: []alibabatest.Policy{{Name: "AliyunRDSFullAccess"}, {Name: "pay", Document: custom}},
				Keys: []alibabatest.Key{
					{ID: "LTAIfakeAlice0000001", Created: day(3), Used: day(10), Service: "Oss"},
					{ID: "LTAIfakeAlice0000002", Created: day(4), Updated: day(5), Inactive: true},
				},
			},
			{Name: "bob", ID: "200000000000000003", Created: day(2), Disabled: true, Keys: []alibabatest.Key{{ID: "LTAIfakeBob000000001", Created: day(3)}}},
			{
				Name: "carol", ID: "200000000000000004", Created: day(2),
				Keys: []alibabatest.Key{{ID: "LTAIfakeCarol0000001", Created: day(3), Deleted: start.Add(-24 * time.Hour)}},
			},
			{
				Name: "dave", ID: "200000000000000005", Created: day(2), Deleted: start.Add(-48 * time.Hour),
				Keys: []alibabatest.Key{{ID: "LTAIfakeDave00000001", Created: day(3)}},
			},
		},
	}
}

// start is when the time of a bubble begins.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func cloud(a alibabatest.Account, c alibabatest.Config) *alibabatest.Cloud {
	c.Now = time.Now
	out := alibabatest.New(c)
	out.Populate(a)
	return out
}

const lag = 24 * time.Hour

func wantPrincipals() []accesskey.Principal {
	return []accesskey.Principal{
		{ID: "200000000000000001", Name: "keyward@example.onaliyun.com", Kind: accesskey.User, CreatedAt: day(1), Disabled: accesskey.No, Console: accesskey.No, ConsoleMFA: accesskey.No, Grants: []accesskey.Grant{}},
		{
			ID: "200000000000000002", Name: "alice@example.onaliyun.com", Kind: accesskey.User, Remark: "payments", CreatedAt: day(2),
			Disabled: accesskey.No, Console: accesskey.Yes, ConsoleAt: day(20), ConsoleMFA: accesskey.Yes,
			Grants: []accesskey.Grant{
				{Name: "AliyunRDSFullAccess", ID: "System/AliyunRDSFullAccess", Wide: []string{"rds"}},
				{Name: "pay", ID: "Custom/pay", Wide: []string{"oss"}},
				{Name: "AdministratorAccess", ID: "System/AdministratorAccess", Via: "ops", Admin: true},
			},
		},
		{ID: "200000000000000003", Name: "bob@example.onaliyun.com", Kind: accesskey.User, CreatedAt: day(2), Disabled: accesskey.Yes, Console: accesskey.No, ConsoleMFA: accesskey.No, Grants: []accesskey.Grant{}},
		{ID: "200000000000000004", Name: "carol@example.onaliyun.com", Kind: accesskey.User, CreatedAt: day(2), Disabled: accesskey.No, Console: accesskey.No, ConsoleMFA: accesskey.No, Grants: []accesskey.Grant{}},
		{ID: "200000000000000005", Name: "dave@example.onaliyun.com", Kind: accesskey.User, CreatedAt: day(2), Disabled: accesskey.Yes, Console: accesskey.No},
		{ID: account, Name: "root", Kind: accesskey.Root, Disabled: accesskey.No, Console: accesskey.Yes, ConsoleMFA: accesskey.Yes},
	}
}

// wantKeys are the keys of the users; the root's comes after them.
func wantKeys() []accesskey.Observed {
	const alice = "200000000000000002"
	never := accesskey.Use{Known: accesskey.No, Lag: lag}
	return []accesskey.Observed{
		{ID: readerID, Principal: "200000000000000001", Status: accesskey.Active, CreatedAt: day(1), ChangedAt: day(1), Use: never},
		{ID: "LTAIfakeAlice0000001", Principal: alice, Status: accesskey.Active, CreatedAt: day(3), ChangedAt: day(3), Use: accesskey.Use{Known: accesskey.Yes, At: day(10), Service: "Oss", Lag: lag}},
		{ID: "LTAIfakeAlice0000002", Principal: alice, Status: accesskey.Inactive, CreatedAt: day(4), ChangedAt: day(5), Use: never},
		{ID: "LTAIfakeBob000000001", Principal: "200000000000000003", Status: accesskey.Active, CreatedAt: day(3), ChangedAt: day(3), Use: never},
		{
			ID: "LTAIfakeCarol0000001", Principal: "200000000000000004", Status: accesskey.Deleted, CreatedAt: day(3),
			ChangedAt: start.Add(-24 * time.Hour), UndoUntil: start.Add(-24*time.Hour + alibabatest.BinTime),
		},
		{
			ID: "LTAIfakeDave00000001", Principal: "200000000000000005", Status: accesskey.Deleted, CreatedAt: day(3),
			ChangedAt: start.Add(-48 * time.Hour), UndoUntil: start.Add(-48*time.Hour + alibabatest.BinTime),
		},
	}
}

// reportedKey is the root's key as the credential report tells of it.
func reportedKey() accesskey.Observed {
	return accesskey.Observed{ID: account + "/root/1", Principal: account, Status: accesskey.Active, ChangedAt: day(1), Use: accesskey.Use{Known: accesskey.No, Lag: lag}}
}

// The whole account is read alike in one page and in many, with the credential report and
// without, fast and against a rate limit.
func TestObserveReadsTheWholeAccount(t *testing.T) {
	for name, config := range map[string]alibabatest.Config{
		"at once":     {},
		"pages":       {Page: 1},
		"slow report": {ReportTakes: 7 * time.Second},
		"no report":   {ReportTakes: time.Hour},
		"rate limit":  {Rate: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config.UseLag = time.Hour
				s := observe(t, cloud(company(), config), credential())
				if diff := cmp.Diff(wantPrincipals(), s.Principals); diff != "" {
					t.Errorf("principals differ (-want +got):\n%s", diff)
				}
				keys, problems := append(wantKeys(), reportedKey()), []accesskey.Problem(nil)
				if name == "no report" {
					keys, problems = wantKeys(), []accesskey.Problem{{
						What: "ims:GetCredentialReport", Subject: account, Lists: true,
						Reason: "the account itself may have access keys: only the credential report tells of them, and it could not be read; it needs the rights ram:GenerateCredentialReport and ram:GetCredentialReport",
					}}
				}
				if diff := cmp.Diff(keys, s.Keys); diff != "" {
					t.Errorf("keys differ (-want +got):\n%s", diff)
				}
				want := accesskey.Identity{Account: account, Principal: "keyward", KeyID: readerID}
				if diff := cmp.Diff(want, s.Identity); diff != "" {
					t.Errorf("identity differs (-want +got):\n%s", diff)
				}
				a := s.Account
				if a.RootMFA != accesskey.Yes || a.RootKey != accesskey.Yes || a.Quota != 2 || a.Detail["password_min_length"] != "12" || a.Detail["max_idle_days_keys"] != "730" {
					t.Errorf("account: %+v", a)
				}
				if diff := cmp.Diff(problems, s.Problems); diff != "" {
					t.Errorf("problems differ (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTheReportSavesCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with, without := cloud(company(), alibabatest.Config{}), cloud(company(), alibabatest.Config{ReportTakes: time.Hour})
		observe(t, with, credential())
		observe(t, without, credential())
		for _, action := range []string{"GetLoginProfile", "GetUserMFAInfo"} {
			if got := with.Calls(action); got != 0 {
				t.Errorf("%d calls of %s although the report tells", got, action)
			}
			if got := without.Calls(action); got != 4 {
				t.Errorf("%d calls of %s without a report, want 4", got, action)
			}
		}
	})
}

func TestTheRootListsItsOwnKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := observe(t, cloud(company(), alibabatest.Config{UseLag: time.Hour}), rpc.Credential{ID: rootID, Secret: material.NewBytes([]byte("fake-root-secret"))})
		if !s.Identity.Root || s.Account.RootKey != accesskey.Yes || len(s.Problems) != 0 {
			t.Errorf("identity %+v, root key %v, problems %+v", s.Identity, s.Account.RootKey, s.Problems)
		}
		got := s.Keys[len(s.Keys)-1]
		want := accesskey.Observed{ID: rootID, Principal: account, Status: accesskey.Active, CreatedAt: day(1), ChangedAt: day(1), Use: accesskey.Use{Known: accesskey.No, Lag: lag}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the root's key differs (-want +got):\n%s", diff)
		}
	})
}

// Each right of the policy is needed: without it a problem names it with the statement
// that grants it, or the credential report tells the same.
func TestEachRightOfThePolicy(t *testing.T) {
	cheaper := map[string]bool{"ram:GetLoginProfile": true, "ram:GetUserMFAInfo": true, "ram:GetAccountSecurityPracticeReport": true}
	lists := map[string]bool{"ram:ListUsers": true, "ram:ListUsersInRecycleBin": true, "ram:ListAccessKeys": true, "ram:ListAccessKeysInRecycleBin": true}
	for _, right := range rights() {
		t.Run(right, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cloud(company(), alibabatest.Config{})
				var others []string
				for _, r := range rights() {
					if r != right {
						others = append(others, r)
					}
				}
				c.Permit("keyward", others...)
				got := observe(t, c, credential()).Problems
				if strings.HasSuffix(right, "CredentialReport") {
					if len(got) != 1 || got[0].Subject != account || !got[0].Lists || !strings.Contains(got[0].Reason, right) {
						t.Errorf("without %s the problems are %+v", right, got)
					}
					return
				}
				if cheaper[right] {
					if len(got) != 0 {
						t.Errorf("problems although something else tells: %+v", got)
					}
					return
				}
				if len(got) != 1 || got[0].Subject != "" || got[0].Lists != lists[right] || !strings.Contains(got[0].Reason, fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":"*"}`, right)) {
					t.Errorf("without %s the problems are %+v", right, got)
				}
			})
		})
	}
}

// Without any right nothing can be said of keys, and that is said.
func TestNoRightsAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cloud(company(), alibabatest.Config{})
		c.Permit("keyward")
		s := observe(t, c, credential())
		var lists bool
		for _, p := range s.Problems {
			lists = lists || p.Lists && p.What == "ims:ListUsers"
		}
		if !lists || len(s.Keys) != 0 || s.Account.RootKey != accesskey.Unknown {
			t.Errorf("keys %v, root key %v, problems %+v", s.Keys, s.Account.RootKey, s.Problems)
		}
	})
}

func TestWrongCredentials(t *testing.T) {
	for name, test := range map[string]struct {
		credential rpc.Credential
		change     func(*alibabatest.Account)
		want       string
	}{
		"unknown key":  {rpc.Credential{ID: "LTAIfakeNobody", Secret: material.NewBytes([]byte(readerSecret))}, nil, "access_key_id: Alibaba Cloud does not know the access key LTAIfakeNobody; it was mistyped or deleted"},
		"wrong secret": {rpc.Credential{ID: readerID, Secret: material.NewBytes([]byte("fake-other"))}, nil, "access_key_secret: the secret does not belong to the access key " + readerID + "; enter it again"},
		"token": {
			rpc.Credential{ID: readerID, Secret: material.NewBytes([]byte(readerSecret)), Token: material.NewBytes([]byte("fake-token"))}, nil,
			"security_token: the token has expired or does not belong to the access key " + readerID + "; get new temporary credentials",
		},
		"disabled": {credential(), func(a *alibabatest.Account) { a.Users[0].Keys[0].Inactive = true }, "access_key_id: the access key " + readerID + " is disabled; enable it in the RAM console or use another"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := company()
				if test.change != nil {
					test.change(&a)
				}
				c := cloud(a, alibabatest.Config{})
				_, err := providerOf(t, c, test.credential).Check(t.Context())
				if !fault.Is(err, fault.InvalidParameter) || fault.Message(err) != test.want {
					t.Errorf("got  %v\nwant %s", err, test.want)
				}
				if _, err := providerOf(t, c, test.credential).Observe(t.Context()); fault.Message(err) != test.want {
					t.Errorf("observing answers %v", err)
				}
				if since := time.Since(start); since > time.Second {
					t.Errorf("it took %v, so it was tried again", since)
				}
			})
		})
	}
}

func TestTemporaryCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := company()
		a.Users[0].Keys = append(a.Users[0].Keys, alibabatest.Key{ID: "STS.fakeTemporary", Secret: "fake-temporary", Token: "fake-token/+="})
		s := observe(t, cloud(a, alibabatest.Config{}), rpc.Credential{ID: "STS.fakeTemporary", Secret: material.NewBytes([]byte("fake-temporary")), Token: material.NewBytes([]byte("fake-token/+="))})
		if diff := cmp.Diff(append(wantKeys(), reportedKey()), s.Keys, cmpopts.IgnoreFields(accesskey.Observed{}, "Use")); diff != "" {
			t.Errorf("keys differ (-want +got):\n%s", diff)
		}
	})
}

// Over a real network, as the kind opens it.
func TestKindOverLoopback(t *testing.T) {
	server := httptest.NewServer(cloud(company(), alibabatest.Config{}))
	defer server.Close()
	opening := accesskey.Opening{
		Filling: form.Filling{
			Settings:   map[string]string{"endpoint": server.URL},
			Credential: map[string]material.Bytes{"access_key_id": material.NewBytes([]byte(readerID)), "access_key_secret": material.NewBytes([]byte(readerSecret))},
		},
		Now: time.Now,
	}
	kind := alibaba.Kind()
	if err := kind.Form.Check(opening.Filling); err != nil {
		t.Fatal(err)
	}
	refused, err := kind.Open(opening)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refused.Check(t.Context()); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(fault.Message(err), "guard") {
		t.Errorf("a network that is not allowed: %v", err)
	}
	opening.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	p, err := kind.Open(opening)
	if err != nil {
		t.Fatal(err)
	}
	id, err := p.Check(t.Context())
	if diff := cmp.Diff(accesskey.Identity{Account: account, Principal: "keyward", KeyID: readerID}, id); err != nil || diff != "" {
		t.Errorf("identity: %v (-want +got):\n%s", err, diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, in := range map[string]struct{ endpoint, id string }{
		"path":      {"https://ims.aliyuncs.com/x", readerID},
		"query":     {"https://ims.aliyuncs.com?a=b", readerID},
		"user":      {"https://a:b@ims.aliyuncs.com", readerID},
		"scheme":    {"ftp://ims.aliyuncs.com", readerID},
		"no host":   {"https://", readerID},
		"id":        {"", "LTAI\n"},
		"empty id":  {"", ""},
		"id commas": {"", "a,SignedHeaders=b"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := alibaba.New(clientOf(http.NotFoundHandler(), rpc.Credential{ID: in.id}), in.endpoint)
			if !fault.Is(err, fault.InvalidParameter) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The services beside IMS are found beside it.
func TestEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{"": "sts.aliyuncs.com", "https://ims.vpc.example.com": "sts.vpc.example.com", "https://cloud.example.com:8443": "cloud.example.com:8443"} {
		var got string
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.Host
			w.WriteHeader(http.StatusFound)
		})
		p, err := alibaba.New(clientOf(h, credential()), endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Check(context.Background()); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("a redirect answers %v", err)
		}
		if got != want {
			t.Errorf("%q leads to %s, want %s", endpoint, got, want)
		}
	}
}

// A key that is deleted while the account is read stands in one place, the later one.
func TestAKeyIsDeletedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cloud(company(), alibabatest.Config{})
		root := clientOf(c, rpc.Credential{ID: rootID, Secret: material.NewBytes([]byte("fake-root-secret"))})
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("x-acs-action") == "ListAccessKeysInRecycleBin" && r.URL.Query().Get("UserId") == "200000000000000003" {
				for _, action := range []string{"UpdateAccessKey", "DeleteAccessKey"} {
					op := rpc.Operation{
						Endpoint: "https://ims.aliyuncs.com", Version: "2019-08-15", Action: action,
						Params: map[string]string{"UserPrincipalName": "bob@example.onaliyun.com", "UserAccessKeyId": "LTAIfakeBob000000001", "Status": "Inactive"},
					}
					if err := root.Call(r.Context(), op, &struct{}{}); err != nil {
						t.Error(err)
					}
				}
			}
			c.ServeHTTP(w, r)
		})
		var got []accesskey.Status
		for _, k := range observe(t, h, credential()).Keys {
			if k.ID == "LTAIfakeBob000000001" {
				got = append(got, k.Status)
			}
		}
		if diff := cmp.Diff([]accesskey.Status{accesskey.Deleted}, got); diff != "" {
			t.Errorf("the key's states differ (-want +got):\n%s", diff)
		}
	})
}

// The page shows the policy as it is.
func TestThePageShowsThePolicy(t *testing.T) {
	page, err := os.ReadFile("../../../docs/providers/alibaba.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```json\n"+alibaba.Kind().Policy+"```\n") {
		t.Error("docs/providers/alibaba.md shows another policy")
	}
}

// What a custom policy grants is read from its document.
func TestBreadthOfCustomPolicies(t *testing.T) {
	type breadth struct {
		Admin bool
		Wide  []string
	}
	for document, want := range map[string]breadth{
		`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`:                                   {Admin: true},
		`{"Statement":{"Effect":"Allow","Action":["*:*"],"Resource":["acs:*:*:*:*"]}}`:                     {Admin: true},
		`{"Statement":[{"Effect":"Allow","NotAction":["ram:*"],"Resource":"*"}]}`:                          {Admin: true},
		`{"Statement":[{"Effect":"Allow","Action":"*","NotResource":"acs:oss:*:*:x"}]}`:                    {Admin: true},
		`{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`:                                    {},
		`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"acs:oss:*:*:bucket"}]}`:                  {},
		`{"Statement":[{"Effect":"Allow","Action":["OSS:*","ecs:*","oss:*","rds:List*"],"Resource":"*"}]}`: {Wide: []string{"ecs", "oss"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := alibabatest.Account{Users: []alibabatest.User{reader()}}
			a.Users[0].Policies = []alibabatest.Policy{{Name: "custom", Document: document}}
			s := observe(t, cloud(a, alibabatest.Config{}), credential())
			got := breadth{s.Principals[0].Grants[0].Admin, s.Principals[0].Grants[0].Wide}
			if diff := cmp.Diff(want, got); diff != "" || len(s.Problems) != 0 {
				t.Errorf("%s (-want +got), problems %+v:\n%s", document, s.Problems, diff)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		a := alibabatest.Account{Users: []alibabatest.User{reader()}}
		a.Users[0].Policies = []alibabatest.Policy{{Name: "custom", Document: "no document"}}
		if s := observe(t, cloud(a, alibabatest.Config{}), credential()); len(s.Problems) != 1 || s.Problems[0].What != "ram:GetPolicy" {
			t.Errorf("problems %+v", s.Problems)
		}
	})
}

// A thousand users are read at the pace of the client: as many calls as the page says.
func TestAThousandUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := alibabatest.Account{Users: []alibabatest.User{reader()}}
		for i := range 1000 {
			a.Users = append(a.Users, alibabatest.User{Name: fmt.Sprintf("user%d", i), Keys: make([]alibabatest.Key, 2)})
		}
		s := observe(t, cloud(a, alibabatest.Config{}), credential())
		if len(s.Keys) != 2001 || len(s.Problems) != 0 || len(s.Principals) != 1002 {
			t.Errorf("%d keys, %d principals, problems %+v", len(s.Keys), len(s.Principals), s.Problems)
		}
		if took, most := time.Since(start), 6100*50*time.Millisecond; s.Calls > 6100 || took > most {
			t.Errorf("%d calls in %v", s.Calls, took)
		}
	})
}
