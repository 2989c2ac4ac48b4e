package aws_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/aws"
	"github.com/keyward/keyward/internal/cloud/aws/awstest"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/fault"
)

// missing answers the first key that a snapshot neither has nor says may be missing.
func missing(c *awstest.Cloud, ids map[string]string, s accesskey.Snapshot) string {
	hidden := map[string]bool{}
	for _, p := range s.Problems {
		if p.Lists {
			hidden[p.Subject] = true
		}
	}
	seen, roots := told(s), 0
	for id := range seen {
		if strings.Contains(id, "/root/") {
			roots++
		}
	}
	for _, k := range c.Keys() {
		want := accesskey.Inactive
		if k.Active {
			want = accesskey.Active
		}
		switch status, ok := seen[k.ID]; {
		case k.User == awstest.Root && (roots == 1 || hidden[c.Account]), hidden[""], !ok && hidden[ids[k.User]]:
		case !ok:
			return fmt.Sprintf("key %s of %s is missing silently; problems: %+v", k.ID, k.User, s.Problems)
		case status != want:
			return fmt.Sprintf("key %s is %s, not %s", k.ID, status, want)
		}
		delete(seen, k.ID)
	}
	for id := range seen {
		if !strings.Contains(id, "/root/") {
			return "there is no key " + id
		}
	}
	return ""
}

// TestWholeTruthOrProblems has everything go wrong on the way: what an observation ends
// with is everything there is, or it says what may be missing.
func TestWholeTruthOrProblems(t *testing.T) {
	var whole, partial, nothing int
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		rate := rapid.SampledFrom([]float64{0, 0.1, 0.4, 0.8, 1}).Draw(rt, "rate")
		from := rapid.IntRange(0, 12).Draw(rt, "requests before the first fault")
		var wrong string
		virtual(t, func(t *testing.T) {
			cloud := awstest.New(time.Now)
			cloud.PageSize = 4
			reader := cloud.Populate(12, aws.Kind().Policy)
			cloud.AddKey(awstest.Root, time.Now().AddDate(-1, 0, 0))
			faults := &cloudtest.Faults{Service: cloud, Rate: rate, Wait: 40 * time.Second}
			faults.Next(make([]cloudtest.Fault, from)...)
			faults.Seed(seed)
			s, err := open(t, faults, opening(reader)).Observe(context.Background())
			if err != nil {
				nothing++
				if k := fault.KindOf(err); k != fault.Unavailable && k != fault.Throttled {
					wrong = fmt.Sprintf("it ended with %v", err)
				}
				return
			}
			if len(s.Problems) == 0 {
				whole++
			} else {
				partial++
			}
			ids := map[string]string{}
			for _, p := range s.Principals {
				ids[p.Name] = p.ID
			}
			wrong = missing(cloud, ids, s)
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
	t.Logf("the whole truth %d times, a part %d times, nothing %d times", whole, partial, nothing)
	if whole == 0 || partial == 0 {
		t.Error("the property was not tried in all its cases")
	}
}

// TestBrokenAnswers replaces the answers to one action by what looks like an answer and
// leaves something out.
func TestBrokenAnswers(t *testing.T) {
	for name, one := range map[string]struct{ action, answer string }{
		"no keys at all":       {"ListAccessKeys", `<ListAccessKeysResponse/>`},
		"neither keys nor end": {"ListAccessKeys", `<ListAccessKeysResponse><ListAccessKeysResult><Marker>x</Marker></ListAccessKeysResult></ListAccessKeysResponse>`},
		"cut off":              {"ListAccessKeys", `<ListAccessKeysResponse><ListAccessKeysResult><IsTruncated>false</IsTruncated></ListAccessKeysResult>`},
		"more without where":   {"ListAccessKeys", `<ListAccessKeysResponse><ListAccessKeysResult><IsTruncated>true</IsTruncated></ListAccessKeysResult></ListAccessKeysResponse>`},
		"in circles":           {"ListAccessKeys", `<ListAccessKeysResponse><ListAccessKeysResult><IsTruncated>true</IsTruncated><Marker>x</Marker></ListAccessKeysResult></ListAccessKeysResponse>`},
		"another action's":     {"ListAccessKeys", `<ListUsersResponse><ListUsersResult><IsTruncated>false</IsTruncated></ListUsersResult></ListUsersResponse>`},
		"a date without zone": {"ListAccessKeys", `<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata><member><AccessKeyId>AKIA0000000000000009</AccessKeyId><Status>Active</Status>` +
			`<CreateDate>2026-01-01T00:00:00</CreateDate></member></AccessKeyMetadata><IsTruncated>false</IsTruncated></ListAccessKeysResult></ListAccessKeysResponse>`},
		"a report that is none":     {"GetCredentialReport", `<GetCredentialReportResponse><GetCredentialReportResult><Content>eA==</Content></GetCredentialReportResult></GetCredentialReportResponse>`},
		"a report without root":     {"GetCredentialReport", `<GetCredentialReportResponse><GetCredentialReportResult><Content>` + base64.StdEncoding.EncodeToString([]byte(header+userRow)) + `</Content></GetCredentialReportResult></GetCredentialReportResponse>`},
		"a report that is no text":  {"GetCredentialReport", `<GetCredentialReportResponse><GetCredentialReportResult><Content>%%</Content></GetCredentialReportResult></GetCredentialReportResponse>`},
		"a report that never comes": {"GenerateCredentialReport", `<GenerateCredentialReportResponse><GenerateCredentialReportResult><State>INPROGRESS</State></GenerateCredentialReportResult></GenerateCredentialReportResponse>`},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				cloud := awstest.New(time.Now)
				reader := cloud.Populate(2, aws.Kind().Policy)
				cloud.AddKey(awstest.Root, time.Now().AddDate(-1, 0, 0))
				s, err := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := r.ParseForm(); err != nil {
						t.Error(err)
					}
					if r.Form.Get("Action") == one.action {
						_, _ = w.Write([]byte(one.answer))
						return
					}
					r.Body = http.NoBody
					again := r.Clone(r.Context())
					again.Body = bodyOf(r.PostForm)
					cloud.ServeHTTP(w, again)
				}), opening(reader)).Observe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				found := false
				for _, p := range s.Problems {
					found = found || p.What == "iam:"+one.action && p.Lists && !p.Denied && p.Reason != ""
				}
				if !found {
					t.Errorf("nothing tells that keys may be missing: %+v", s.Problems)
				}
			})
		})
	}
}

// TestNoAnswerIsNotNever: what says nothing of a use does not say that there was none.
func TestNoAnswerIsNotNever(t *testing.T) {
	for _, result := range []string{"", "<GetAccessKeyLastUsedResult/>"} {
		virtual(t, func(t *testing.T) {
			cloud := awstest.New(time.Now)
			reader := cloud.Populate(0, strings.Replace(aws.Kind().Policy, "iam:GetCredentialReport", "iam:None", 1))
			s, err := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if strings.Contains(string(body), "GetAccessKeyLastUsed") {
					_, _ = io.WriteString(w, "<GetAccessKeyLastUsedResponse>"+result+"</GetAccessKeyLastUsedResponse>")
					return
				}
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				cloud.ServeHTTP(w, r)
			}), opening(reader)).Observe(t.Context())
			if err != nil || len(s.Problems) != 2 || s.Problems[1].Subject != reader.ID || s.Keys[0].Use.Known != accesskey.Unknown {
				t.Errorf("%q: %+v, %v", result, s, err)
			}
		})
	}
}

// TestUserGoesMeanwhile deletes a user after the users were listed.
func TestUserGoesMeanwhile(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cloud := awstest.New(time.Now)
		reader := cloud.Populate(3, aws.Kind().Policy)
		s, err := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cloud.Count("ListAccessKeys") == 1 {
				cloud.DeleteUser("user-00002")
			}
			cloud.ServeHTTP(w, r)
		}), opening(reader)).Observe(t.Context())
		if err != nil || len(s.Problems) > 0 {
			t.Fatalf("%+v, %v", s.Problems, err)
		}
		for _, p := range s.Principals {
			if p.Name == "user-00002" {
				t.Error("a deleted user is there")
			}
		}
	})
}

// TestReportIsLate: what the report alone tells is missing once, and there the next time.
func TestReportIsLate(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cloud := awstest.New(time.Now)
		cloud.ReportTakes = 10 * time.Minute
		reader := cloud.Populate(3, aws.Kind().Policy)
		p := open(t, cloud, opening(reader))
		s, err := p.Observe(t.Context())
		if err != nil || len(s.Problems) != 1 || s.Problems[0].What != "iam:GenerateCredentialReport" || s.Problems[0].Lists {
			t.Fatalf("%+v, %v", s.Problems, err) // without a key of root nothing can be missing
		}
		time.Sleep(time.Hour)
		if s, err = p.Observe(t.Context()); err != nil || len(s.Problems) > 0 {
			t.Errorf("%+v, %v", s.Problems, err)
		}
		// A key that root gets now is in no report before four hours have passed.
		cloud.AddKey(awstest.Root, time.Now())
		if s, err = p.Observe(t.Context()); err != nil || len(s.Problems) != 1 || !s.Problems[0].Lists || s.Account.RootKey != accesskey.Yes {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func bodyOf(form url.Values) io.ReadCloser { return io.NopCloser(strings.NewReader(form.Encode())) }
