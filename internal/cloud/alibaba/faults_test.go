package alibaba_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba/alibabatest"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
)

// Whatever goes wrong on the way, what is observed is the whole truth, or the problems say
// whose keys are missing. No key goes missing silently, and none is made up.
func TestNoKeyGoesMissingSilently(t *testing.T) {
	var whole, partial, errs int
	rapid.Check(t, func(rt *rapid.T) {
		a, truth := drawAccount(rt)
		config := alibabatest.Config{
			Page:        rapid.IntRange(1, 4).Draw(rt, "page"),
			ReportTakes: rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(rt, "report"),
		}
		faults := &cloudtest.Faults{Rate: rapid.SampledFrom([]float64{0, 0.2, 0.5, 0.6, 0.7}).Draw(rt, "rate"), Wait: 30 * time.Second}
		faults.Seed(rapid.Uint64().Draw(rt, "seed"))
		var s accesskey.Snapshot
		var err error
		synctest.Test(t, func(t *testing.T) {
			faults.Service = cloud(a, config)
			s, err = providerOf(t, faults, credential()).Observe(t.Context())
		})
		switch {
		case err != nil:
			errs++
			return
		case len(s.Problems) == 0:
			whole++
		default:
			partial++
		}
		if wrong := judge(s, truth); wrong != "" {
			rt.Fatal(wrong)
		}
	})
	if whole == 0 || partial == 0 {
		t.Errorf("the draws saw %d whole, %d partial readings and %d errors; they must see the first two", whole, partial, errs)
	}
}

// judge holds what was observed against the truth.
func judge(s accesskey.Snapshot, truth map[string]accesskey.Observed) string {
	got := map[string]accesskey.Observed{}
	for _, k := range s.Keys {
		if got[k.ID].ID != "" {
			return "a key is there twice: " + k.ID
		}
		got[k.ID] = k
	}
	for id, want := range truth {
		if want.Principal == account {
			id = account + "/root/1"
		}
		k, ok := got[id]
		switch {
		case !ok && !excused(s, want.Principal):
			return fmt.Sprintf("the key %s is missing, and the problems do not say so: %+v", id, s.Problems)
		case ok && (k.Status != want.Status || k.Principal != want.Principal):
			return fmt.Sprintf("the key %s is %+v, want %+v", id, k, want)
		}
		delete(got, id)
	}
	if len(got) != 0 {
		return fmt.Sprintf("keys that nobody has: %v", got)
	}
	for _, p := range s.Problems {
		if p.What == "" || p.Reason == "" || strings.Contains(p.Reason, readerSecret) {
			return fmt.Sprintf("a problem that says nothing, or too much: %+v", p)
		}
	}
	return ""
}

// excused tells whether the problems say that keys of a principal may be missing.
func excused(s accesskey.Snapshot, principal string) bool {
	for _, p := range s.Problems {
		if p.Lists && (p.Subject == "" || p.Subject == principal) {
			return true
		}
	}
	return false
}

// drawAccount makes an account and what is true of its keys.
func drawAccount(t *rapid.T) (alibabatest.Account, map[string]accesskey.Observed) {
	a := alibabatest.Account{Users: []alibabatest.User{reader()}}
	truth := map[string]accesskey.Observed{readerID: {Principal: reader().ID, Status: accesskey.Active}}
	if rapid.Bool().Draw(t, "root key") {
		a.RootKeys = []alibabatest.Key{{ID: rootID, Created: day(1)}}
		truth[rootID] = accesskey.Observed{Principal: account, Status: accesskey.Active}
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "users") {
		u := alibabatest.User{Name: fmt.Sprintf("user%d", i), ID: fmt.Sprintf("21%016d", i), Created: day(1), Disabled: rapid.Bool().Draw(t, "disabled")}
		if rapid.IntRange(0, 4).Draw(t, "fate") == 0 {
			u.Deleted = start.Add(-time.Hour)
		}
		for j := range rapid.IntRange(0, 2).Draw(t, "keys") {
			k := alibabatest.Key{ID: fmt.Sprintf("LTAIfake%04d%04d", i, j), Created: day(2), Inactive: rapid.Bool().Draw(t, "inactive")}
			want := accesskey.Observed{Principal: u.ID, Status: accesskey.Active}
			if k.Inactive {
				want.Status = accesskey.Inactive
			}
			if rapid.IntRange(0, 3).Draw(t, "bin") == 0 {
				k.Deleted = start.Add(-time.Hour)
			}
			if !k.Deleted.IsZero() || !u.Deleted.IsZero() {
				want.Status = accesskey.Deleted
			}
			u.Keys, truth[k.ID] = append(u.Keys, k), want
		}
		a.Users = append(a.Users, u)
	}
	return a, truth
}

// A few faults are overcome altogether.
func TestAFewFaultsLeaveNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := &cloudtest.Faults{Service: cloud(company(), alibabatest.Config{UseLag: time.Hour}), Rate: 0.1, Wait: time.Minute}
		faults.Seed(7)
		s := observe(t, faults, credential())
		if diff := cmp.Diff(append(wantKeys(), reportedKey()), s.Keys); diff != "" {
			t.Errorf("keys differ (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantPrincipals(), s.Principals); diff != "" {
			t.Errorf("principals differ (-want +got):\n%s", diff)
		}
		failed := 0
		for f := cloudtest.LoseBefore; f <= cloudtest.Garbage; f++ {
			failed += faults.Count(f)
		}
		if failed == 0 || s.Calls <= failed {
			t.Errorf("%d faults in %d calls", failed, s.Calls)
		}
	})
}

// A list of users whose pages go in a circle ends with a problem.
func TestPagesInACircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cloud(company(), alibabatest.Config{})
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("x-acs-action") == "ListUsers" {
				_, _ = io.WriteString(w, `{"RequestId":"r","IsTruncated":true,"Marker":"m","Users":{"User":[]}}`)
				return
			}
			c.ServeHTTP(w, r)
		})
		s := observe(t, h, credential())
		if !excused(s, "") {
			t.Errorf("problems: %+v", s.Problems)
		}
	})
}

// A credential that dies while the account is read ends the reading: what would be
// answered then is not the account.
func TestTheCredentialDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cloud(company(), alibabatest.Config{})
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("x-acs-action") == "ListAccessKeys" {
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, `{"RequestId":"r","Code":"InvalidAccessKeyId.NotFound","Message":"Specified access key is not found."}`)
				return
			}
			c.ServeHTTP(w, r)
		})
		if _, err := providerOf(t, h, credential()).Observe(t.Context()); err == nil || !strings.Contains(err.Error(), "access_key_id") {
			t.Errorf("got %v", err)
		}
	})
}

// answers are what FuzzAnswers lets the service say: each action's answer, by name.
var answers = []string{
	`{"RequestId":"r","IdentityType":"RAMUser","AccountId":"1","UserId":"2","Arn":"acs:ram::1:user/x"}`,
	`{"RequestId":"r","IsTruncated":"false","Users":{"User":[{"UserId":"2","UserPrincipalName":"x@y","DisplayName":"\u001b[2J","Status":"freeze"}]}}`,
	`{"RequestId":"r","AccessKeys":{"AccessKey":[{"AccessKeyId":"LTAI1","Status":"Sleeping","CreateDate":"2020-10-11T09:12:00+08:00"}]}}`,
	`{"RequestId":"r","AccessKeyLastUsed":{"LastUsedDate":"2020-10-11","ServiceName":"x"}}`,
	`{"RequestId":"r","Policies":{"Policy":[{"PolicyName":"p","PolicyType":"Custom"}]}}`,
	`{"RequestId":"r","DefaultPolicyVersion":{"PolicyDocument":"{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}"}}`,
}

// FuzzAnswers puts an answer into the place of every answer of an action: whatever it is,
// the reading ends, and all that it says is fit to be shown.
func FuzzAnswers(f *testing.F) {
	actions := []string{"GetCallerIdentity", "ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed", "ListPoliciesForUser", "GetPolicy"}
	for i, body := range answers {
		f.Add(actions[i], http.StatusOK, body)
	}
	f.Add("ListUsers", http.StatusForbidden, `{"Code":"NoPermission","Message":"\u001b[2J","AccessDeniedDetail":{"AuthAction":"ram:\u202e"}}`)
	f.Add("GetSecurityPreference", http.StatusOK, `{"RequestId":"r","SecurityPreference":{"LoginProfilePreference":{"LoginNetworkMasks":"\u0000"},"MaxIdleDays":{"MaxIdleDaysForUsers":1}}}`)
	f.Add("GetCredentialReport", http.StatusOK, `{"RequestId":"r","Content":"dXNlcgo8cm9vdD4K","IsTruncated":"true","NextToken":"1"}`)
	f.Fuzz(func(t *testing.T, action string, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			c := cloud(company(), alibabatest.Config{})
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("x-acs-action") == action {
					w.WriteHeader(status)
					_, _ = io.WriteString(w, body)
					return
				}
				c.ServeHTTP(w, r)
			})
			s, err := providerOf(t, h, credential()).Observe(t.Context())
			if err != nil {
				printable(t, err.Error())
				return
			}
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var shown any
			if err := json.Unmarshal(text, &shown); err != nil {
				t.Fatal(err)
			}
			walk(shown, func(s string) { printable(t, s) })
		})
	})
}

func walk(v any, visit func(string)) {
	switch v := v.(type) {
	case string:
		visit(v)
	case []any:
		for _, e := range v {
			walk(e, visit)
		}
	case map[string]any:
		for k, e := range v {
			visit(k)
			walk(e, visit)
		}
	}
}

func printable(t *testing.T, s string) {
	t.Helper()
	if len(s) > 2000 || strings.ContainsFunc(s, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) {
		t.Errorf("not fit to be shown: %q", s)
	}
}

// FuzzReport lets the credential report be anything: keys are listed all the same.
func FuzzReport(f *testing.F) {
	f.Add("user,password_exist,mfa_active\n<root>,TRUE,TRUE\nalice@example.onaliyun.com,FALSE,TRUE\n")
	f.Add("\ufeffuser,access_key_1_exist\n<root>,TRUE\n")
	f.Add("user\n\"")
	f.Add("alice\n")
	f.Add("user,user_last_logon\n<root>,9999-99-99\n<root>\n")
	f.Fuzz(func(t *testing.T, table string) {
		synctest.Test(t, func(t *testing.T) {
			c := cloud(company(), alibabatest.Config{UseLag: time.Hour})
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("x-acs-action") == "GetCredentialReport" {
					_ = json.NewEncoder(w).Encode(map[string]any{"RequestId": "r", "Content": base64.StdEncoding.EncodeToString([]byte(table)), "IsTruncated": false})
					return
				}
				c.ServeHTTP(w, r)
			})
			s := observe(t, h, credential())
			users := s.Keys[:min(len(wantKeys()), len(s.Keys))] // what the report tells of the root's comes after them
			if diff := cmp.Diff(wantKeys(), users); diff != "" {
				t.Errorf("keys differ (-want +got):\n%s", diff)
			}
			facts := cmpopts.IgnoreFields(accesskey.Principal{}, "Console", "ConsoleAt", "ConsoleMFA")
			if diff := cmp.Diff(wantPrincipals(), s.Principals, facts); diff != "" {
				t.Errorf("principals differ (-want +got):\n%s", diff)
			}
		})
	})
}
