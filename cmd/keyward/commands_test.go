package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/agefile"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/fault"
)

func aKey() api.Key {
	created := time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC)
	return api.Key{
		ID: "key-aaaa", ARN: "acs:kms:cn-hangzhou:1234567890123456:key/key-aaaa", Spec: "Aliyun_AES_256", Usage: "ENCRYPT/DECRYPT",
		State: "PendingDeletion", Origin: "Aliyun_KMS", ProtectionLevel: "SOFTWARE", Description: "支付 reports", Creator: "1234567890123456",
		CreatedAt: created, DeleteAt: created.AddDate(0, 1, 0), PrimaryVersion: "00000000-0000-4000-8000-000000000001", Versions: 2,
		Rotation:   api.Rotation{Status: "Enabled", IntervalSeconds: 30 * 86400, LastAt: created, NextAt: created.AddDate(0, 0, 30)},
		Protection: api.Protection{Enabled: true, Note: "production"}, Tags: map[string]string{"team": "支付", "app": "x"},
	}
}

func aSink() api.Sink {
	return api.Sink{
		Name: "ours", ARN: "acs:keyward:r:1:sink/ours", Kind: "vault", Settings: map[string]string{"address": "https://vault.example.com:8200"},
		Secrets: []string{"pay/*"}, TagKeys: []string{}, CreatedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
	}
}

func aRollout() api.Rollout {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	return api.Rollout{
		Name: "pay", ARN: "acs:keyward:r:1:rollout/pay", Secret: "payment_api_key", Members: map[string]string{"app": "shop"}, Level: "used", Owner: "rot-1",
		Waves: []api.RolloutWave{
			{Name: "canary", Labels: map[string]string{"tier": "canary"}, Percent: 10, Now: &api.Generation{Number: 2, Primary: "v2", Fallback: "v1"}},
			{Name: "rest", Now: &api.Generation{Number: 1, Primary: "v1"}},
		}, CreatedAt: at, ChangedAt: at,
	}
}

func aNode() api.Node {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	return api.Node{
		Name: "web-1", ARN: "acs:keyward:r:1:node/web-1", Kind: "agent", State: "live", Labels: map[string]string{"tier": "canary", "app": "shop"}, JoinedAt: at,
		SeenAt: at.Add(time.Hour), Agent: "v1", Skew: "1.5s", Trouble: "the disk is full",
	}
}

func aTarget() api.Target {
	return api.Target{
		Name: "cdn", ARN: "acs:keyward:r:1:target/cdn", Kind: "edge", CreatedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		Settings: map[string]string{"put_url": "https://cdn.example.com/{rollout}", "pops_url": "https://cdn.example.com/{rollout}/pops", "ca": "-----BEGIN\nfake"},
	}
}

func targetKinds() api.TargetKindList {
	text := api.Text{English: "help", Chinese: "说明"}
	return api.TargetKindList{Kinds: []api.TargetKind{{
		Name: "edge", Settings: []api.Field{{Name: "put_url", Required: true, Help: text}, {Name: "pops_url", Required: true, Help: text}, {Name: "ca", Help: text}},
		Parts: []api.Field{{Name: "hmac_key", Required: true, Help: text}},
	}}}
}

func aMember() api.RolloutMember {
	at := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	return api.RolloutMember{
		Rollout: "pay", Node: "web-1", State: "live", Wave: "canary", Target: 2, Acknowledged: 2, Level: "applied", At: at, UsedAt: at, FallbackAt: at.Add(-time.Minute),
		Fallbacks: 3, Refused: 1, Error: "the probe failed", Trouble: "the disk is full",
	}
}

func aFinding() api.KeyFinding {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	return api.KeyFinding{
		ID: "ak04-aaaaaaaaaaaaaaaa", Rule: "AK04", Title: api.Text{English: "An active key is not used any more", Chinese: "访问密钥长期未使用"},
		Why: api.Text{English: "Nobody would notice.", Chinese: "不会有人察觉。"}, Severity: "high", State: "suppressed",
		Subject: api.FindingSubject{Provider: "prod", Kind: "key", ID: "AKFAKE", Name: "build"}, Owner: "alice", FirstSeen: at, LastSeen: at.Add(time.Hour),
		Evidence:    []api.FindingFact{{Name: "key", Value: "AKFAKE"}, {Name: "used", Value: "2025-01-01T00:00:00Z"}},
		Fix:         api.FindingFix{Line: "aws iam update-access-key --user-name ci --access-key-id AKFAKE --status Inactive", Text: api.Text{English: "Switch it off.", Chinese: "停用该密钥。"}},
		Suppression: &api.KeySuppression{Owner: "bob", Reason: "moves", By: "acs:ram::1:user/admin", At: at, Until: at.AddDate(0, 1, 0)},
	}
}

// What commands print, in both languages and in JSON, whose keys programs rely on.
func TestOutput(t *testing.T) {
	other := aKey()
	other.ID, other.State, other.Description = "key-bb", "Enabled", "evil\x1b[2J\u202e\nname"
	used := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	answers := map[string]any{
		"GET /v1/keys/alias~a":                   aKey(),
		"GET /v1/keys":                           api.KeyList{Keys: []api.Key{aKey(), other}, Total: 2},
		"GET /v1/users":                          api.UserList{Users: []api.User{{Name: "admin", Kind: "user", Enabled: true, Policies: []string{"AdministratorAccess"}, Remark: "管理员", CreatedAt: used}}},
		"GET /v1/access-keys":                    api.AccessKeyList{AccessKeys: []api.AccessKey{{ID: "KWAKFAKE", User: "admin", Enabled: true, CreatedAt: used, LastUse: &api.LastUse{At: used, Source: "192.0.2.1", Action: "kms:Encrypt"}}}},
		"POST /v1/users/ci/access-keys":          api.IssuedAccessKey{AccessKey: api.AccessKey{ID: "KWAKNEW", User: "ci", Enabled: true, CreatedAt: used}, Secret: "kwsk_fake_new"},
		"GET /v1/policies/p":                     api.Policy{Name: "p", Document: "{\n\t\"Version\": \"1\"\n}\n", CreatedAt: used, UpdatedAt: used},
		"GET /v1/audit/records":                  api.AuditRecordList{Records: []api.AuditRecord{{Log: "keyward/n", Seq: 7, Time: used, Principal: "acs:ram::1:user/admin", Source: "192.0.2.1", Action: "kms:Encrypt", Resource: "acs:kms:r:1:key/key-aaaa", Result: "OK"}}},
		"GET /v1/findings":                       api.FindingList{Findings: []api.KeyFinding{aFinding()}},
		"GET /v1/findings/ak04-aaaaaaaaaaaaaaaa": aFinding(),
		"GET /v1/checks": api.CheckList{Run: &api.CheckRun{At: used, TookMS: 7, Seen: 10, Of: 10, Error: "the checks did not end; the server's log says why", ErrorZh: "检查未能完成；原因见服务器日志"}, Checks: []api.Check{
			{ID: "AK04", Severity: "medium", Title: aFinding().Title, Why: aFinding().Why, Limits: []api.FindingFact{{Name: "unused_days", Value: "45"}}, Answered: true, Open: 1, Suppressed: 2, Resolved: 3},
			{ID: "AK25", Severity: "critical", Title: api.Text{English: "A key leaked", Chinese: "访问密钥已泄露"}, Limits: []api.FindingFact{}, Needs: api.Text{English: "It needs a search.", Chinese: "需要扫描。"}},
		}},
		"GET /v1/sinks": api.SinkList{Sinks: []api.Sink{aSink()}},
		"GET /v1/sinks/ours": api.SinkStatus{Sink: aSink(), Total: 2, Copies: []api.SecretCopy{
			{Secret: "pay/a", Status: "synced", Version: "v1", Remote: 3, At: used, SyncedAt: used}, {Secret: "pay/b", Status: "drifted", Remote: 2, At: used, Error: "somebody wrote version 4 there", ErrorZh: "他人在目标写入了版本 4"},
		}},
		"GET /v1/node-tokens":  api.NodeTokenList{Tokens: []api.NodeToken{{ID: "0123456789abcdef", Labels: map[string]string{"tier": "canary"}, Uses: 3, ExpiresAt: used, CreatedAt: used}}},
		"POST /v1/node-tokens": api.IssuedNodeToken{Info: api.NodeToken{ID: "0123456789abcdef", Labels: map[string]string{}, Uses: 1, ExpiresAt: used, CreatedAt: used}, Token: "kwjt_fake"},
		"GET /v1/nodes":        api.NodeList{Nodes: []api.Node{aNode(), {Name: "web-2", State: "lost", Labels: map[string]string{}, JoinedAt: used}}, Total: 2},
		"GET /v1/nodes/web-1":  api.NodeStatus{Node: aNode(), Rollouts: []api.RolloutMember{aMember()}},
		"GET /v1/targets":      api.TargetList{Targets: []api.Target{aTarget()}},
		"GET /v1/targets/cdn":  aTarget(),
		"GET /v1/target-kinds": targetKinds(),
		"GET /v1/rollouts":     api.RolloutList{Rollouts: []api.Rollout{aRollout()}},
		"GET /v1/rollouts/pay": aRollout(),
		"GET /v1/rollouts/pay/coverage": api.RolloutCoverage{
			Rollout: aRollout(), Total: 1, Members: []api.RolloutMember{aMember()}, Waves: []api.WaveCoverage{
				{Wave: "canary", Members: 1, Behind: []string{"web-1"}, OldUseAt: used, Fallbacks: 3, Refused: 1, Errors: []string{"web-1: the probe failed"}},
				{Wave: "rest", Behind: []string{}, Errors: []string{}},
			},
		},
		"GET /v1/secrets/pay~a": api.Secret{
			Name: "pay/a", ARN: "acs:kms:r:1:secret/pay/a", Description: "支付", Key: "key-aaaa", Creator: "acs:ram::1:user/admin", CreatedAt: used, UpdatedAt: used,
			Versions: 2, Stages: map[string]string{"ACSCurrent": "v2", "ACSPrevious": "v1"}, Tags: map[string]string{"team": "支付"},
		},
	}
	for path, answer := range stockAnswers() {
		answers[path] = answer
	}
	for path, answer := range rotationAnswers() {
		answers[path] = answer
	}
	for name, args := range map[string][]string{
		"rotation-status": {"rotation", "status", "pay"}, "rotation-status-over": {"rotation", "status", "0000000000000002"}, "rotation-list": {"rotation", "list"},
		"rotation-history": {"rotation", "history", "pay"}, "rotation-plan-show": {"rotation", "plan", "show", "pay"}, "rotation-plan-list": {"rotation", "plan", "list"},
		"accesskey-list": {"accesskey", "list"}, "accesskey-show": {"accesskey", "show", "prod", "a/1"}, "provider-list": {"provider", "list"},
		"provider-kinds": {"provider", "kinds", "aws"}, "channel-list": {"channel", "list"}, "channel-show": {"channel", "show", "ops"}, "incident-show": {"incident", "show", "ABCDEFGH"},
		"escalation-show": {"escalation", "show"}, "rota-list": {"rota", "list"}, "person-list": {"person", "list"},
		"key-show": {"key", "show", "alias/a"}, "key-list": {"key", "list"}, "user-list": {"user", "list"},
		"user-accesskey-list": {"user", "accesskey", "list"}, "user-accesskey-create": {"user", "accesskey", "create", "ci"},
		"finding-list": {"finding", "list", "--state", "all"}, "finding-show": {"finding", "show", "ak04-aaaaaaaaaaaaaaaa"}, "accesskey-checks": {"accesskey", "checks"},
		"policy-show": {"policy", "show", "p"}, "audit-list": {"audit", "list"}, "tag-list": {"key", "tag", "list", "alias/a"},
		"node-token-list": {"node", "token", "list"}, "node-token-create": {"node", "token", "create"}, "node-list": {"node", "list"}, "node-show": {"node", "show", "web-1"},
		"target-list": {"node", "target", "list"}, "target-show": {"node", "target", "show", "cdn"}, "target-kinds": {"node", "target", "kinds", "edge"},
		"rollout-list": {"rollout", "list"}, "rollout-show": {"rollout", "show", "pay"}, "rollout-coverage": {"rollout", "coverage", "pay"},
		"sink-show": {"sink", "show", "ours"}, "sink-list": {"sink", "list"}, "secret-show": {"secret", "show", "pay/a"},
	} {
		for _, form := range []struct {
			lang   cli.Language
			output string
		}{{cli.English, "table"}, {cli.Chinese, "table"}, {cli.English, "json"}} {
			s := newSession(t, form.lang)
			s.Answers = answers
			if status := s.Do(append(args, "-o", form.output)...); status != cli.ExitOK {
				t.Errorf("%s: status %d: %s", name, status, &s.Stderr)
			}
			suffix := string(form.lang)
			if form.output == "json" {
				suffix = "json"
				if !json.Valid(s.Stdout.Bytes()) || s.Stderr.Len() > 0 {
					t.Errorf("%s: it is not JSON alone: %s", name, &s.Stderr)
				}
			}
			golden(t, name+"."+suffix, s.Stdout.String())
		}
	}
}

// Lists are asked for to their end.
func TestPagesAreFollowed(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["GET /v1/keys"] = api.KeyList{Keys: []api.Key{aKey()}, Total: 2, Next: "same"}
	if status := s.Do("key", "list"); status != cli.ExitLocal || len(s.Requests) != 2 {
		t.Errorf("status %d after %d requests: it must stop when a page repeats", status, len(s.Requests))
	}
}

func TestCreateKeyAsksForWhatTheFlagsSay(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["POST /v1/keys"] = aKey()
	if status := s.Do("key", "create", "--spec", "Aliyun_SM4", "--alias", "alias/x", "--tag", "a=b=c", "--rotate-every", "30d", "--description", "d"); status != cli.ExitOK {
		t.Fatalf("status %d: %s", status, &s.Stderr)
	}
	want := []string{
		`POST /v1/keys {"spec":"Aliyun_SM4","description":"d","rotation":{"enabled":true,"intervalSeconds":2592000},"tags":{"a":"b=c"},"alias":"alias/x"}`,
	}
	if diff := cmp.Diff(want, s.Requests); diff != "" {
		t.Error(diff)
	}
}

func TestConfirmation(t *testing.T) {
	for _, test := range []struct {
		name        string
		interactive bool
		typed       string
		args        []string
		deleted     bool
	}{
		{"typed", true, "key-aaaa\n", nil, true},
		{"typed without an end", true, "key-aaaa", nil, true},
		{"something else typed", true, "alias/a\n", nil, false},
		{"nothing typed", true, "", nil, false},
		{"nobody there", false, "key-aaaa\n", nil, false},
		{"not to be asked", true, "key-aaaa\n", []string{"--no-input"}, false},
		{"confirmed before", false, "", []string{"--yes"}, true},
	} {
		s := newSession(t, cli.English)
		s.Interactive, s.In = test.interactive, strings.NewReader(test.typed)
		s.Answers["GET /v1/keys/alias~a"] = aKey()
		s.Answers["GET /v1/keys/key-aaaa/usage"] = api.KeyUsage{Status: "Unused"}
		s.Answers["POST /v1/keys/key-aaaa/delete"] = struct{}{}
		status := s.Do(append([]string{"key", "delete", "alias/a", "--days", "9"}, test.args...)...)
		deleted := len(s.Requests) == 3 && s.Requests[2] == `POST /v1/keys/key-aaaa/delete {"days":9}`
		if deleted != test.deleted || (status == cli.ExitOK) != test.deleted {
			t.Errorf("%s: status %d, requests %q", test.name, status, s.Requests)
		}
	}
}

// A program that switches automatic rotation reads what was set.
func TestRotationPolicyAsJSON(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["PUT /v1/keys/alias~a/rotation"] = struct{}{}
	for flag, want := range map[string]string{"--every=30d": `{"enabled":true,"intervalSeconds":2592000}`, "--off": `{"enabled":false}`} {
		status := s.Do("key", "rotate", "alias/a", flag, "-o", "json")
		var out bytes.Buffer
		if err := json.Compact(&out, s.Stdout.Bytes()); err != nil || status != cli.ExitOK || out.String() != `{"key":"alias/a","rotation":`+want+`}` {
			t.Errorf("%s: status %d, it prints %q", flag, status, &s.Stdout)
		}
	}
}

// A new access key's file is private, never replaces another, and is gone if there is no key.
func TestAccessKeyFile(t *testing.T) {
	s := newSession(t, cli.English)
	path := filepath.Join(s.Home, "ci.env")
	if status := s.Do("user", "accesskey", "create", "ci", "--out", path); status != cli.ExitServer {
		t.Errorf("status %d", status)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file without a key: %v", err)
	}
	s.Answers["POST /v1/users/ci/access-keys"] = api.IssuedAccessKey{AccessKey: api.AccessKey{ID: "KWAKNEW", User: "ci"}, Secret: "kwsk_fake_new"}
	if status := s.Do("user", "accesskey", "create", "ci", "--out", path); status != cli.ExitOK || strings.Contains(s.Stdout.String()+s.Stderr.String(), "kwsk_") {
		t.Errorf("status %d, shown: %s%s", status, &s.Stdout, &s.Stderr)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, error %v", info, err)
	}
	content, err := os.ReadFile(path)
	want := "ALIBABA_CLOUD_ACCESS_KEY_ID=KWAKNEW\nALIBABA_CLOUD_ACCESS_KEY_SECRET=kwsk_fake_new\n"
	if err != nil || string(content) != want {
		t.Errorf("it holds %q, error %v", content, err)
	}
	s.Requests = nil
	if status := s.Do("user", "accesskey", "create", "ci", "--out", path); status != cli.ExitLocal || len(s.Requests) > 0 {
		t.Errorf("status %d after %d requests: the file was there", status, len(s.Requests))
	}
}

func TestErrorsHaveTheirExitStatus(t *testing.T) {
	s := newSession(t, cli.English)
	s.Prepare(nil)
	denied := problemOf(fault.NoPermission)
	s.Answers["GET /v1/whoami"] = denied
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("a disk is full"), 1},
		{&url.Error{Op: "Get", URL: "http://localhost", Err: errors.New("refused")}, 1},
		{agefile.ErrDamaged, 1},
		{&audit.TamperError{Log: "l", Where: fault.Say("here")}, 3},
		{&cli.Problem{Code: "Tampered", Status: cli.ExitTampered}, 3},
		{errors.Join(&audit.TamperError{Log: "l", Where: fault.Say("here")}, errors.New("closing")), 3},
	} {
		if got := s.Report(test.err); got != test.want {
			t.Errorf("%v: status %d, want %d", test.err, got, test.want)
		}
	}
	if got := s.Do("whoami"); got != cli.ExitServer {
		t.Errorf("an answer of the server: status %d", got)
	}
	for _, args := range [][]string{
		{"nothing"}, {"key", "nothing"}, {"key", "show"}, {"key", "show", "a", "b"}, {"key", "list", "--nothing"}, {"key", "list", "-o", "xml"},
		{"key", "create", "--rotate-every", "soon"}, {"encrypt"}, {"audit", "prove"}, {"key", "create", "--tag", "novalue"}, {"user", "accesskey", "expire", "x"},
		{"user", "update", "x", "--enable", "--disable"}, {"help", "nothing"}, {"key", "create", "--spec"},
	} {
		if got := s.Do(args...); got != cli.ExitLocal || s.Stdout.Len() > 0 || !strings.HasPrefix(s.Stderr.String(), "keyward: ") {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, got, &s.Stdout, &s.Stderr)
		}
	}
}

func problemOf(kind fault.Kind) api.Problem {
	return api.Problem{Status: http.StatusForbidden, Code: string(kind), Detail: "the particulars", RequestID: "REQUEST"}
}

func TestErrorsAreShown(t *testing.T) {
	for _, lang := range []cli.Language{cli.English, cli.Chinese} {
		for _, output := range []string{"table", "json"} {
			s := newSession(t, lang)
			s.Answers["GET /v1/whoami"] = problemOf(fault.NoPermission)
			var all strings.Builder
			for _, args := range [][]string{{"whoami"}, {"key", "shwo"}, {"key", "show"}, {"key", "list", "--accesskey-secret", "x"}, {"key", "delete", "k", "--days", "many"}, {"decrypt", filepath.Join("no", "file.kw")}} {
				s.Do(append([]string{"-o", output}, args...)...)
				all.WriteString(s.Stderr.String())
				if output == "json" && !json.Valid(s.Stderr.Bytes()) {
					t.Errorf("%q: %s is not JSON", args, &s.Stderr)
				}
			}
			golden(t, "errors-"+output+"."+string(lang), all.String())
		}
	}
}

// A value given in the wrong place may be a secret, and is not repeated.
func TestErrorsDoNotRepeatValues(t *testing.T) {
	s := newSession(t, cli.English)
	for _, args := range [][]string{
		{"key", "delete", "k", "--days", "kwsk_fake"}, {"key", "list", "--secret=kwsk_fake"}, {"key", "show", "k", "kwsk_fake"},
		{"key", "verify", "k", "--signature", "kwsk_fake"}, {"key", "sign", "k", "--digest", "kwsk_fake"}, {"key", "rotate", "k", "--every", "kwsk_fake"},
	} {
		if s.Do(args...); strings.Contains(s.Stderr.String(), "kwsk_fake") {
			t.Errorf("%q: %s", args, &s.Stderr)
		}
	}
}

// A language that keyward does not speak is refused where it is named, not where a locale has it.
func TestUnknownLanguage(t *testing.T) {
	s := newSession(t, "fr")
	if status := s.Do("version"); status != 1 || !strings.Contains(s.Stderr.String(), "KEYWARD_LANG must be one of en, zh") {
		t.Errorf("%d: %s", status, &s.Stderr)
	}
	if status := s.Do("version", "--lang", "zh"); status != 0 {
		t.Errorf("%d: %s", status, &s.Stderr)
	}
}
