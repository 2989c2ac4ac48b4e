package contract_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/httpapi/client"
	"github.com/keyward/keyward/internal/cloud/httpapi/contract"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/httpapitest"
	"github.com/keyward/keyward/internal/material"
)

// Every shipped definition keeps its own contract, and no report shows a credential.
func TestShippedDefinitions(t *testing.T) {
	want := []string{"adyen", "cloudflare", "gitlab", "grafana", "openai", "paddle", "sendgrid", "story", "stripe", "twilio", "twilio-auth-token"}
	if got := strings.Join(httpapi.Shipped(), " "); got != strings.Join(want, " ") {
		t.Errorf("shipped are %s", got)
	}
	for _, name := range httpapi.Shipped() {
		t.Run(name, func(t *testing.T) {
			text, _ := httpapi.ShippedText(name)
			report, err := contract.Recorded(t.Context(), text)
			if err != nil {
				t.Fatal(err)
			}
			if report.Definition != name {
				t.Errorf("the file %s.yaml names itself %s", name, report.Definition)
			}
			if len(report.Results) < 20 {
				t.Errorf("only %d results", len(report.Results))
			}
			for _, r := range report.Results {
				if !r.OK {
					t.Errorf("%s: %s: %s", r.Operation, r.Case, r.Evidence)
				}
				if strings.Contains(r.Evidence, "fake-") {
					t.Errorf("%s: %s: the evidence shows a secret: %s", r.Operation, r.Case, r.Evidence)
				}
			}
		})
	}
}

// A definition that is wrong in one place does not pass, and the report says where.
func TestWhatContractsFind(t *testing.T) {
	text, _ := httpapi.ShippedText("story")
	for name, c := range map[string]struct{ old, new, want string }{
		"another path":        {"request: {method: GET, path: /keys,", "request: {method: GET, path: /key,", "recorded is GET"},
		"another header":      {"Authorization: \"Bearer {{secret.token}}\"", "X-Token: \"{{secret.token}}\"", "or has other headers"},
		"another zone":        {"zone: Asia/Shanghai, round: start-of-day}\n      statusMap", "zone: UTC}\n      statusMap", "expiresAt is \"2026-12-01T00:00:00Z\""},
		"another status":      {"statusMap: {active: active, reset: inactive}\n    verify", "statusMap: {active: active, reset: expired}\n    verify", "status is \"expired\""},
		"one page":            {"page: {kind: number, pages: /pages, total: /total}", "page: {kind: number, size: 50, total: /total}", "its pages have 1"},
		"no test":             {"success: {test: {pointer: /status, equals: active}}\n      identity: /id", "success: {test: {pointer: /status, equals: active}}", "expected is stranger"},
		"no case of paging":   {"operation: list", "operation: status", "coverage"},
		"no case of success":  {"expect: {verdict: accepted}", "expect: {verdict: refused}", "no case shows that it works"},
		"another body":        {"json: {name: \"{{tag}}\"}", "json: {name: \"{{tag}}\", scope: all}", "or another body"},
		"another secret":      {"map: {id: /id, secret: /key,", "map: {id: /id, secret: /id,", "another secret than expected"},
		"another expiry":      {"map: {id: /id, secret: /key, expiresAt: {pointer: /expiry_date, layout: \"2006-01-02\", zone: Asia/Shanghai}}", "map: {id: /id, secret: /key}", "the new key expires"},
		"secret is optional":  {"secret: /key,", "secret: {pointer: /secret, optional: true},", "the secret is empty"},
		"no case of writing":  {"    operation: delete\n", "    operation: create\n", "no case shows that it works"},
		"no case of fullness": {"{error: LimitExceeded, effect: full}", "{error: LimitExceeded}", "no case has the error quota"},
		"a bold promise":      {"    quota: {", "    permanent: {status: [500]}\n    quota: {", "expected one of the errors [Unavailable]"},
		"a bolder promise":    {"    quota: {", "    throttled: {status: [503, 500]}\n    quota: {", "expected one of the errors [Unavailable]"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(string(text), c.old) {
				t.Fatalf("the definition has no %q", c.old)
			}
			report, err := contract.Recorded(t.Context(), []byte(strings.Replace(string(text), c.old, c.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, r := range report.Results {
				found = found || !r.OK && strings.Contains(r.Case+": "+r.Evidence, c.want)
			}
			if !found || report.OK() {
				t.Errorf("reported is %+v", report)
			}
		})
	}
}

func TestBadContracts(t *testing.T) {
	text, _ := httpapi.ShippedText("story")
	first, second, _ := strings.Cut(string(text), "\n---\n")
	if _, err := contract.Recorded(t.Context(), []byte(first)); !errors.Is(err, contract.ErrNoContract) {
		t.Errorf("without a contract: %v", err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":     {"    operation: status", "    operation: status\n    live: true", "there is no such field"},
		"unknown operation": {"    operation: status", "    operation: mint", "is not one of list, status, verify, create"},
		"a real secret":     {"secret: fake-story-key-2", "secret: abcdef", "does not look like ^fake-"},
		"a real attempt":    {"old: k1", "old: k1, count: 2", "there is no such field"},
		"a real credential": {"token: fake-story-key-1", "token: abcdef", "does not look like ^fake-"},
		"no source":         {"    source: https://keys.example.com/docs\n", "", `"source" is missing`},
	} {
		changed := first + "\n---\n" + strings.Replace(second, c.old, c.new, 1)
		if changed == string(text) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := contract.Recorded(t.Context(), []byte(changed)); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Live makes the calls of a synchronisation, and names what is odd about single keys.
func TestLive(t *testing.T) {
	story, secret := httpapitest.NewStory(time.Now, time.Time{})
	text, _ := httpapi.ShippedText("story")
	def, err := definition.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string) contract.Report {
		report, err := contract.Live(t.Context(), def, client.Target{
			Vars: map[string]string{"url": "https://story.example"}, Credential: map[string]material.Bytes{"token": material.NewBytes([]byte(token))},
			HTTP: httpapitest.Client(story), Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	if report := ask(secret); !report.OK() || len(report.Results) != 2 || !report.Live {
		t.Errorf("reported is %+v", report)
	}
	report := ask("fake-wrong")
	if report.OK() || len(report.Results) != 2 || !strings.Contains(report.Results[0].Evidence, "refuses the credential") {
		t.Errorf("reported is %+v", report)
	}
}
