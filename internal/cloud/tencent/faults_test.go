package tencent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/tencent/tencenttest"
	"github.com/keyward/keyward/internal/fault"
)

// Whatever the network does, a key is seen, or a problem says that keys of its owner may
// be missing; the same holds for what is told of keys and users.
func TestNoKeyIsSilentlyMissing(t *testing.T) {
	var whole, partial, none int
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		rate := rapid.SampledFrom([]float64{0, 0.05, 0.2, 0.4, 0.8, 0.95}).Draw(rt, "rate")
		users := rapid.IntRange(1, 25).Draw(rt, "users")
		denied := rapid.SliceOfDistinct(rapid.SampledFrom([]string{
			"cam:ListUsers", "cam:ListCollaborators", "cam:ListWeChatWorkSubAccounts", "cam:ListAccessKeys", "cam:GetSecurityLastUsed",
			"cam:DescribeSubAccounts", "cam:ListAttachedUserAllPolicies", "cam:DescribeSafeAuthFlagColl",
		}), rapid.ID).Draw(rt, "denied")
		var wrong []string
		synctest.Test(t, func(t *testing.T) {
			cloud := tencenttest.New(time.Now)
			reader := cloud.Populate(account, users)
			cloud.AddKey(account, tencenttest.Key{})
			cloud.Deny(readerUin, denied...)
			faults := &cloudtest.Faults{Service: cloud, Rate: rate, Wait: 45 * time.Second}
			faults.Seed(seed)
			s, err := provider(t, faults, reader).Observe(t.Context())
			switch {
			case err != nil:
				none++
				if k := fault.KindOf(err); k != fault.Unavailable && k != fault.Throttled {
					wrong = []string{fmt.Sprintf("a %s: %v", k, err)}
				}
				return
			case len(s.Problems) == 1:
				whole++
			default:
				partial++
			}
			wrong = gaps(cloud, s, users)
		})
		if len(wrong) > 0 {
			rt.Fatal(strings.Join(wrong, "\n"))
		}
	})
	t.Logf("%d times the whole truth, %d times with problems, %d times nothing", whole, partial, none)
	if whole == 0 || partial == 0 || none == 0 {
		t.Errorf("one of these never happened: %d, %d, %d", whole, partial, none)
	}
}

// readerUin is the user whose key Populate answers.
const readerUin = account*100_000 + 1

// gaps compares what was seen with what there is, and answers what no problem explains.
func gaps(cloud *tencenttest.Service, s accesskey.Snapshot, users int) (out []string) {
	has := func(match func(p accesskey.Problem) bool) bool { return slices.ContainsFunc(s.Problems, match) }
	about := func(what string, subjects ...string) bool {
		return has(func(p accesskey.Problem) bool {
			return p.What == what && (p.Subject == "" || slices.Contains(subjects, p.Subject))
		})
	}
	seen, truth := ids(s), cloud.Keys(account)
	for _, id := range truth {
		owner := cloud.Owner(id)
		if !slices.Contains(seen, id) && !has(func(p accesskey.Problem) bool { return p.Lists && (p.Subject == "" || p.Subject == owner) }) {
			out = append(out, "missing without a problem: "+id)
		}
	}
	for _, id := range seen {
		if !slices.Contains(truth, id) {
			out = append(out, "invented: "+id)
		}
	}
	for _, k := range s.Keys {
		if k.Use.Known == accesskey.Unknown && !about("cam:GetSecurityLastUsed", k.ID) {
			out = append(out, "use not told: "+k.ID)
		}
	}
	if len(s.Principals) != users+1 && !has(func(p accesskey.Problem) bool { return p.Lists && p.Subject == "" }) {
		out = append(out, fmt.Sprintf("%d users of %d", len(s.Principals)-1, users))
	}
	for _, p := range s.Principals[1:] {
		if p.Grants == nil && !about("cam:ListAttachedUserAllPolicies", p.ID) || p.ConsoleMFA == accesskey.Unknown && !about("cam:DescribeSafeAuthFlagColl", p.ID) ||
			p.Console == accesskey.Yes && p.ConsoleAt.IsZero() && !about("cam:DescribeSubAccounts", p.ID) {
			out = append(out, fmt.Sprintf("not told of a user: %+v", p))
		}
	}
	return out
}

func TestContextEndsObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := tencenttest.New(time.Now)
		reader := cloud.Populate(account, 500)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		s, err := provider(t, cloud, reader).Observe(ctx)
		if !fault.Is(err, fault.Unavailable) || len(s.Keys) > 0 || time.Since(begun) > 5*time.Second {
			t.Errorf("after %v %d keys: %v", time.Since(begun), len(s.Keys), err)
		}
	})
}

// The secret key is in no error, no problem and no fact, whatever goes wrong.
func TestCanary(t *testing.T) {
	const canary = "canaryKEY0canaryKEY0canaryKEY0ca"
	synctest.Test(t, func(t *testing.T) {
		cloud := tencenttest.New(time.Now)
		cloud.AddAccount(account)
		cloud.AddUser(account, tencenttest.User{Uin: 1, Name: "a"})
		k := cloud.AddKey(1, tencenttest.Key{Secret: canary})
		wrong := cloud.AddKey(1, tencenttest.Key{})
		wrong.Secret = canary
		for name, h := range map[string]http.Handler{
			"fine": cloud, "page": canned(200, "<html>"), "gone": canned(500, ""), "echo": echo{}, "expired": refusal("AuthFailure.SignatureExpire"),
			"lost": &cloudtest.Faults{Service: cloud, Rate: 1, Only: []cloudtest.Fault{cloudtest.LoseAfter}}, "half": patched(cloud, "ListAccessKeys", echo{}),
		} {
			for _, key := range []tencenttest.Key{k, wrong} {
				p := provider(t, h, key)
				s, err := p.Observe(t.Context())
				if all := fmt.Sprintf("%v %+v %#v %+v", err, s, s, p); strings.Contains(all, canary) {
					t.Errorf("%s: %s", name, all)
				}
			}
		}
	})
}

// echo answers with an error that repeats what was sent.
type echo struct{}

func (echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	message, _ := json.Marshal(fmt.Sprint(r.Header))
	_, _ = fmt.Fprintf(w, `{"Response":{"Error":{"Code":"InternalError","Message":%s},"RequestId":"r"}}`, message)
}

// Whatever is answered, nothing panics, and what is taken over is clean and short.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"Response":null}`, `{"Response":{"RequestId":"r"}}`, `{"Response":{"Error":{"Code":"RequestLimitExceeded","Message":"m"},"RequestId":"r"}}`,
		`{"Response":{"AccountId":"1","UserId":"1","Data":[{"Uin":5,"Name":"\u0007","ConsoleLogin":1,"CreateTime":"2021-10-28 18:02:00"}],"TotalNum":1,"TotalCount":1,
		"AccessKeys":[{"AccessKeyId":"AKIDa","Status":"Active","CreateTime":"2021-10-28 18:02:00"}],"PolicyList":[{"PolicyId":"1","PolicyName":"a","StrategyType":2,"Groups":[{"GroupName":"g"}]}],
		"LoginFlag":{"Phone":1},"ActionFlag":{"Phone":0},"SubAccounts":[{"Uin":"5","LastLoginTime":null}],"SecretIdLastUsedRows":[{"SecretId":"AKIDa","LastSecretUsedDate":1616198400000}],"RequestId":"r"}}`,
	} {
		f.Add([]byte(seed), 200)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		if status < 200 || status > 599 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			s, err := provider(t, canned(status, string(body)), tencenttest.Key{ID: "AKIDfake", Secret: "fake"}).Observe(t.Context())
			if err != nil && fault.Is(err, fault.Internal) {
				t.Errorf("%v", err)
			}
			whole, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := json.Unmarshal(whole, &v); err != nil {
				t.Fatal(err)
			}
			look(t, v)
		})
	})
}

// look fails for text in a value that is not fit to be shown.
func look(t *testing.T, v any) {
	switch v := v.(type) {
	case string:
		if strings.ContainsFunc(v, func(r rune) bool { return unicode.Is(unicode.C, r) || r == unicode.ReplacementChar }) || len(v) > 2000 {
			t.Errorf("%q is taken over", v)
		}
	case []any:
		for _, one := range v {
			look(t, one)
		}
	case map[string]any:
		for _, one := range v {
			look(t, one)
		}
	}
}
