package liveness_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/alibaba/alibabatest"
	"github.com/keyward/keyward/internal/cloud/aws/awstest"
	"github.com/keyward/keyward/internal/cloud/liveness"
	"github.com/keyward/keyward/internal/cloud/tencent/tencenttest"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/watch"
)

func asker(t *testing.T, word string, h http.Handler) *liveness.Asker {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return liveness.New(liveness.Options{
		Now: time.Now, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Elsewhere: map[string]string{word: server.URL},
	})
}

// try answers what is said of a credential, in words.
func try(t *testing.T, a *liveness.Asker, rule, id, secret string) string {
	t.Helper()
	return within(t, 5*time.Second, a, rule, id, secret)
}

// within does so within a time: what is overloaded is asked again until then.
func within(t *testing.T, most time.Duration, a *liveness.Asker, rule, id, secret string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	v := a.Try(ctx, watch.Candidate{Rule: rule, KeyID: id, Value: material.NewBytes([]byte(secret))})
	if v.At.IsZero() {
		t.Error("it does not say when")
	}
	return strings.TrimSpace(fmt.Sprint(v.Liveness, " ", v.As, v.Why))
}

func want(t *testing.T, what, have, want string) {
	t.Helper()
	if have != want {
		t.Errorf("%s: %q, want %q", what, have, want)
	}
}

func TestClouds(t *testing.T) {
	t.Run("aws", func(t *testing.T) {
		cloud := awstest.New(time.Now)
		cloud.AddUser(awstest.User{Name: "shop"}, time.Now().AddDate(-1, 0, 0))
		k, off := cloud.AddKey("shop", time.Now().AddDate(-1, 0, 0)), cloud.AddKey("shop", time.Now().AddDate(-1, 0, 0))
		a := asker(t, "aws", cloud)
		const rule = "aws-secret-access-key"
		want(t, "its key", try(t, a, rule, k.ID, k.Secret), "live 123456789012/user/shop")
		want(t, "a wrong secret", try(t, a, rule, k.ID, "fake"+k.Secret[4:]), "dead")
		want(t, "a secret without an id", try(t, a, rule, "", k.Secret), "unknown unclear")
		want(t, "an id that is none", try(t, a, rule, "AKIA a b", k.Secret), "unknown unclear")
		want(t, "a key that works with a token only", try(t, a, rule, "ASIA"+k.ID[4:], k.Secret), "unknown unclear")
		cloud.Disable(off.ID, time.Now().AddDate(0, -1, 0))
		want(t, "a key that is switched off", try(t, a, rule, off.ID, off.Secret), "dead")
		if cloud.Count("CreateAccessKey")+cloud.Count("UpdateAccessKey")+cloud.Count("ListUsers") > 0 {
			t.Error("it does more than to ask whose a key is")
		}
	})
	t.Run("tencent", func(t *testing.T) {
		cloud := tencenttest.New(time.Now)
		cloud.AddAccount(100000000001)
		cloud.AddUser(100000000001, tencenttest.User{Uin: 100000000002, Name: "shop"})
		k := cloud.AddKey(100000000002, tencenttest.Key{})
		a := asker(t, "tencent", cloud)
		const rule = "tencent-secret-key"
		want(t, "its key", try(t, a, rule, k.ID, k.Secret), "live 100000000001/100000000002")
		want(t, "a wrong secret", try(t, a, rule, k.ID, strings.Repeat("x", 32)), "dead")
		want(t, "a key that is none", try(t, a, rule, "AKID"+strings.Repeat("x", 32), strings.Repeat("x", 32)), "dead")
	})
	t.Run("alibaba", func(t *testing.T) {
		cloud := alibabatest.New(alibabatest.Config{Now: time.Now})
		k := alibabatest.Key{ID: "LTAIfakeShop00000001", Secret: "fakesecret-of-the-shop"}
		cloud.Populate(alibabatest.Account{Users: []alibabatest.User{{Name: "shop", ID: "200000000000000001", Keys: []alibabatest.Key{k}}}})
		a := asker(t, "alibaba", cloud)
		const rule = "alibaba-access-key-secret"
		if have := try(t, a, rule, k.ID, k.Secret); !strings.HasPrefix(have, "live ") || !strings.HasSuffix(have, "/shop") {
			t.Error(have)
		}
		want(t, "a wrong secret", try(t, a, rule, k.ID, "fakesecret-of-another!"), "dead")
		want(t, "a key that is none", try(t, a, rule, "LTAIfakeShop00000009", k.Secret), "dead")
	})
}

// A trial is something that an issuer may be asked about.
type trial struct {
	word string
	watch.Candidate
}

var tried = []trial{
	{"aws", found("aws-secret-access-key", "AKIAFAKEFAKEFAKEFAKE", "fake")},
	{"alibaba", found("alibaba-access-key-secret", "LTAIfakeShop00000001", "fake")},
	{"tencent", found("tencent-secret-key", "AKID"+strings.Repeat("x", 32), strings.Repeat("x", 32))},
	{"github", found("github-token", "", "ghp_fake")},
	{"github", found("github-fine-grained-token", "", "github_pat_fake")},
	{"gitlab.com", found("gitlab-token", "", "glpat-fake")},
	{"huggingface", found("huggingface-token", "", "hf_fake")},
	{"npm", found("npm-token", "", "npm_fake")},
	{"slack", found("slack-token", "", "xoxb-fake")},
}

func found(rule, id, secret string) watch.Candidate {
	return watch.Candidate{Rule: rule, KeyID: id, Value: material.NewBytes([]byte(secret))}
}

// Whatever is not clearly yes or no is unknown, of every issuer.
func TestDoubtIsUnknown(t *testing.T) {
	for what, h := range map[string]http.HandlerFunc{
		"500":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"503":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"429":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"403":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) },
		"404":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"nonsense":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"nothing":         func(http.ResponseWriter, *http.Request) {},
		"an empty answer": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") },
		"another error":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"ok":false,"error":"ratelimited"}`) },
		"a long answer":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 1<<20)) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		for _, c := range tried {
			a := asker(t, c.word, h)
			t.Run(what+", "+c.Rule, func(t *testing.T) {
				t.Parallel()
				if said := within(t, 200*time.Millisecond, a, c.Rule, c.KeyID, string(c.Value.Expose())); !slices.Contains([]string{"unknown unavailable", "unknown unclear"}, said) {
					t.Error(said)
				}
			})
		}
	}
	a := asker(t, "github", http.NotFoundHandler())
	want(t, "a rule that nobody asks about", try(t, a, "wecom-webhook", "", "fake"), "unknown unclear")
	want(t, "an issuer that is down", try(t, asker(t, "github", status(503)), "github-token", "", "ghp_fake"), "unknown unavailable")
	want(t, "a token that may not say whose it is", try(t, asker(t, "github", status(403)), "github-token", "", "ghu_fake"), "unknown unclear")
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// strict answers one token as its issuer does, and refuses any other request.
func strict(t *testing.T, method, path, prefix, answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method || r.URL.String() != path || r.ContentLength > 0 {
			t.Errorf("%s %s with %d bytes", r.Method, r.URL, r.ContentLength)
		}
		if r.Header.Get("Authorization") != "Bearer "+prefix+"live" {
			if path == "/api/auth.test" {
				fmt.Fprint(w, `{"ok":false,"error":"token_revoked"}`)
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, answer)
	}
}

func TestTokens(t *testing.T) {
	for rule, c := range map[string]struct {
		word, method, path, prefix, answer, as, refused string
	}{
		"github-token":              {"github", "GET", "/user", "ghp_", `{"login":"octo\u001b[2Jcat"}`, "octo.[2Jcat", "dead"},
		"github-fine-grained-token": {"github", "GET", "/user", "github_pat_", `{"login":"octocat"}`, "octocat", "dead"},
		"gitlab-token":              {"gitlab.com", "GET", "/api/v4/personal_access_tokens/self", "glpat-", `{"id":4,"name":"ci","revoked":false,"scopes":["read_api"],"user_id":24,"active":true}`, "24/ci", "dead"},
		"huggingface-token":         {"huggingface", "GET", "/api/whoami-v2", "hf_", `{"type":"user","name":"ann"}`, "ann", "dead"},
		"npm-token":                 {"npm", "GET", "/-/whoami", "npm_", `{"username":"ann"}`, "ann", "unknown unclear"},
		"slack-token":               {"slack", "POST", "/api/auth.test", "xoxb-", `{"ok":true,"team":"shop","user":"bot"}`, "shop/bot", "dead"},
	} {
		a := asker(t, c.word, strict(t, c.method, c.path, c.prefix, c.answer))
		want(t, rule, try(t, a, rule, "", c.prefix+"live"), "live "+c.as)
		want(t, rule, try(t, a, rule, "", c.prefix+"dead"), c.refused)
	}
}

// Only what is certain is tried: no webhook, nothing whose issuer is not known by its form.
func TestRules(t *testing.T) {
	a := liveness.New(liveness.Options{Now: time.Now})
	known := map[string]leak.Rule{}
	for _, r := range rules.All() {
		known[r.ID] = r
	}
	var asked []string
	for _, rule := range a.Rules(a.Issuers()) {
		asked = append(asked, rule)
		if r, is := known[rule]; !is || r.Class != leak.Secret || strings.Contains(rule, "webhook") || strings.Contains(rule, "robot") {
			t.Errorf("%s is tried", rule)
		}
	}
	var have []string
	for _, c := range tried {
		have = append(have, c.Rule)
		if a.Asks(c.Candidate) != c.word {
			t.Errorf("%s asks %q", c.Rule, a.Asks(c.Candidate))
		}
	}
	slices.Sort(have)
	if diff := cmp.Diff(have, asked); diff != "" || a.Rules(nil) != nil {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"alibaba", "aws", "github", "gitlab.com", "huggingface", "npm", "slack", "tencent"}, a.Issuers()); diff != "" {
		t.Error(diff)
	}
	for what, c := range map[string]watch.Candidate{
		"a GitLab token of a deployment":      found("gitlab-token", "", "gldt-fake"),
		"a webhook":                           found("slack-webhook", "", "https://hooks.slack.com/services/fake"),
		"a token that fetches others":         found("github-token", "", "ghr_fake"),
		"a token of an installation":          found("github-token", "", "ghs_fake"),
		"a token of an app":                   found("slack-token", "", "xapp-fake"),
		"an id that needs a session":          found("aws-secret-access-key", "ASIAFAKEFAKEFAKEFAKE", "fake"),
		"a secret whose id stood nowhere":     found("alibaba-access-key-secret", "", "fake"),
		"a secret that begins as an id would": found("tencent-secret-key", "", "AKIDfake"),
	} {
		if by := a.Asks(c); by != "" {
			t.Errorf("%s: %s is asked", what, by)
		}
	}
}
