package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

func aStock() api.InventoryKey {
	created := time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)
	return api.InventoryKey{
		Provider: "prod", Kind: "aws", ID: "a/1", Name: "deploy", Status: "active", Owner: "ann", CreatedAt: created,
		Principal: api.InventoryPrincipal{ID: "u", Name: "ci", Kind: "user", Disabled: "no", Console: "no", ConsoleMFA: "unknown", Grants: []api.GrantedRight{}},
		Expiry:    api.KeyExpiry{}, Due: api.KeyExpiry{At: time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC), Basis: "declared"},
		Use: api.KeyUse{Known: "yes", At: created.AddDate(0, 1, 0), Lag: "4h", Service: "s3"}, Tags: map[string]string{"env": "live"}, Detail: map[string]string{}, Undo: &api.KeyUndo{Disable: true, OffFirst: true, Restore: "30d"},
		Remark: api.KeyRemark{Purpose: "=HYPERLINK(支付)", Consumers: []string{"checkout"}, Tags: map[string]string{}, ExpiresAt: time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)},
	}
}

func stockAnswers() map[string]any {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	never := aStock()
	never.ID, never.Due, never.Owner, never.Use, never.Remark.Purpose = "b", api.KeyExpiry{}, "", api.KeyUse{Known: "unknown"}, ""
	never.Undo, never.Status, never.Expiry = nil, "inactive", api.KeyExpiry{At: at.AddDate(0, 1, 0), Basis: "provider"} // nothing is due of it
	over := aStock()
	over.ID, over.Due = "c", api.KeyExpiry{At: at, Basis: "certificate"}
	over.Undo = &api.KeyUndo{Overlap: "24h"}
	return map[string]any{
		"GET /v1/inventory":          api.InventoryList{Keys: []api.InventoryKey{over, aStock(), never}},
		"GET /v1/inventory/prod/a~1": aStock(), "GET /v1/inventory/prod/a~11": aStock(),
		"GET /v1/providers": api.ProviderList{Providers: []api.Provider{{
			Name: "prod", Kind: "aws", MaxAge: "180d", Pace: "1h", Sync: api.ProviderSync{SucceededAt: at, Keys: 3, Problems: []api.ProviderProblem{{What: "iam:ListUsers", Reason: "denied"}}},
		}}},
		"GET /v1/providers/prod": api.Provider{Name: "prod", Kind: "aws", Sync: api.ProviderSync{Identity: api.ProviderIdentity{Account: "123456789012"}}},
		"GET /v1/provider-kinds": api.ProviderKindList{Kinds: []api.ProviderKind{{
			Name: "aws", Title: api.Text{English: "AWS", Chinese: "AWS 密钥"}, Pace: "1h", MaxKeys: 2, Disable: true, UseLag: "4h", Policy: "{}\n", Rotation: "{\"Resource\": \"ACCOUNT/USER\"}\n",
			Settings: []api.Field{{Name: "region", Required: true, Help: api.Text{English: "Region", Chinese: "地域"}, Example: "us-east-1"}},
			Parts:    []api.Field{{Name: "id", Required: true, Help: api.Text{English: "Id", Chinese: "编号"}}, {Name: "pem", Help: api.Text{English: "File", Chinese: "文件"}}},
		}}},
		"GET /v1/channels": api.ChannelList{Channels: []api.Channel{{Name: "ops", Kind: "dingtalk", Health: api.ChannelHealth{SentAt: at, FailedAt: at, Failures: 1, Error: "DingTalk did not answer", ErrorZh: "钉钉：没有应答"}}}},
		"GET /v1/people":   api.PersonList{People: []api.Person{{Name: "ann", Mobile: "+8613800000000", IDs: map[string]string{"dingtalk": "1"}}}},
		"GET /v1/rotas":    api.RotaList{Rotas: []api.Rota{{Name: "night", People: []string{"ann", "bo"}, Start: at, Turn: "7d", OnCall: "bo"}}},
		"GET /v1/escalation": api.Escalation{
			Rungs:  []api.Rung{{Left: "7d", Severity: "warning", Families: []string{"mail", "chat"}, Wait: "1d"}, {Severity: "emergency", Families: []string{"phone"}, Wait: "15m", Everybody: true}},
			Levels: [][]string{{"owner"}, {"rota:night"}}, Quiet: api.QuietHours{From: "22:00", To: "08:00", Zone: "Asia/Shanghai"}, Language: "zh",
		},
		"GET /v1/incidents/ABCDEFGH": api.IncidentFile{
			Incident: api.Incident{
				ID: "ABCDEFGH", Title: api.Text{English: "Key x expires in 2 days", Chinese: "密钥 x 即将到期，剩余 2 天"}, Severity: "critical", OpenedAt: at,
				Facts: []api.IncidentFact{{Name: "key", Value: "x"}},
			},
			Deliveries: []api.IncidentDelivery{
				{At: at, Channel: "ops", Why: "opened", Progress: "sent"},
				{At: at, Channel: "mail", Person: "ann", Why: "opened", Progress: "lost", Error: "the mail server refuses the recipient", ErrorZh: "邮件服务器拒绝该收件人"},
			},
		},
	}
}

func TestTimesNeedAZone(t *testing.T) {
	for _, test := range []struct{ at, zone, want string }{
		{"2026-03-01", "Asia/Shanghai", "2026-02-28T16:00:00Z"},
		{"2026-03-01", "UTC", "2026-03-01T00:00:00Z"},
		{"2026-03-01T09:30", "Asia/Shanghai", "2026-03-01T01:30:00Z"},
		{"2024-02-29 00:00:00", "America/New_York", "2024-02-29T05:00:00Z"},
		{"2026-03-01T00:00:00+08:00", "", "2026-02-28T16:00:00Z"},
		{"2026-03-01", "", ""},
		{"2026-03-01T09:30", "", ""},
		{"2026-02-29", "UTC", ""},
		{"2026-03-01", "Mars/Base", ""},
		{"2026-03-01", "Local", ""},
		{"2026-03-01T00:00:00Z", "UTC", ""},
		{"01/03/2026", "UTC", ""},
		{"soon", "", ""},
	} {
		s := newSession(t, cli.English)
		s.Answers["PATCH /v1/inventory/prod/k"] = aStock()
		args := []string{"accesskey", "remark", "prod", "k", "--expires", test.at}
		if test.zone != "" {
			args = append(args, "--zone", test.zone)
		}
		status := s.Do(args...)
		var want []string
		if test.want != "" {
			want = []string{`PATCH /v1/inventory/prod/k {"expiresAt":"` + test.want + `"}`}
		}
		if diff := cmp.Diff(want, s.Requests); diff != "" || (status == cli.ExitOK) != (test.want != "") {
			t.Errorf("%s %s: status %d %s\n%s", test.at, test.zone, status, &s.Stderr, diff)
		}
	}
}

// The policy of a provider is that of its kind; for rotations it names the account, if that is
// known.
func TestPolicies(t *testing.T) {
	for line, want := range map[string]string{
		"aws": "{}\n", "prod": "{}\n", "aws --rotation": `{"Resource": "ACCOUNT/USER"}` + "\n", "prod --rotation": `{"Resource": "123456789012/USER"}` + "\n",
	} {
		s := newSession(t, cli.English)
		s.Answers = stockAnswers()
		if status := s.Do(append([]string{"provider", "policy"}, strings.Fields(line)...)...); status != cli.ExitOK || s.Stdout.String() != want {
			t.Errorf("%s: status %d, have %q, want %q; %s", line, status, s.Stdout.String(), want, &s.Stderr)
		}
	}
}

// Only what is given is changed; an empty text takes a part away.
func TestRemarkSendsWhatIsGiven(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["PATCH /v1/inventory/prod/k"] = aStock()
	for _, args := range [][]string{{"--owner", ""}, {"--consumer", "a", "--consumer", "b"}, {"--consumer", "", "--tag", ""}, {"--expires", "never"}, {"--permanent=false"}} {
		s.Do(append([]string{"accesskey", "remark", "prod", "k"}, args...)...)
	}
	want := []string{
		`PATCH /v1/inventory/prod/k {"owner":""}`, `PATCH /v1/inventory/prod/k {"consumers":["a","b"]}`, `PATCH /v1/inventory/prod/k {"consumers":[],"tags":{}}`,
		`PATCH /v1/inventory/prod/k {"neverExpires":true}`, `PATCH /v1/inventory/prod/k {"permanent":false}`,
	}
	if diff := cmp.Diff(want, s.Requests); diff != "" {
		t.Error(diff)
	}
}

func TestCredentialsComeFromFilesAndPeople(t *testing.T) {
	dir := t.TempDir()
	pem := filepath.Join(dir, "pem")
	if err := os.WriteFile(pem, []byte("two\nlines\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const added = `POST /v1/providers {"name":"p","kind":"aws","connection":{"settings":{"region":"r"},"credential":{`
	for _, test := range []struct {
		name, input string
		typed       []string
		want        string // of the credential; "" for refused
	}{
		{"lines", "# a comment\r\nid=fake=1\r\n\n", nil, `"id":"ZmFrZT0x"}}}`},
		{"a file in it", "id=x\npem@=" + pem, nil, `"id":"eA==","pem":"dHdvCmxpbmVzCg=="}}}`},
		{"JSON", ` {"id":"a\nb"}`, nil, `"id":"YQpi"}}}`},
		{"typed", "", []string{"fake", ""}, `"id":"ZmFrZQ=="}}}`},
		{"typed nothing", "", []string{"", ""}, ""},
		{"no name", "kwsk_fake", nil, ""},
		{"twice", "id=kwsk_fake\nid=kwsk_fake", nil, ""},
		{"too little", "pem=kwsk_fake", nil, ""},
		{"too much", "id=1\nother=kwsk_fake", nil, ""},
		{"no JSON", `{"id":["kwsk_fake"]}`, nil, ""},
		{"no such file", "id=1\npem@=" + filepath.Join(dir, "none"), nil, ""},
	} {
		s := newSession(t, cli.English)
		s.Answers["GET /v1/provider-kinds"] = stockAnswers()["GET /v1/provider-kinds"]
		s.Answers["POST /v1/providers"] = api.Provider{Name: "p"}
		s.In = strings.NewReader(test.input)
		args := []string{"provider", "add", "aws", "p", "--set", "region=r"}
		if test.typed == nil {
			args = append(args, "--credential", "-")
		} else {
			s.Interactive = true
			s.ReadPassword = func(context.Context) ([]byte, error) {
				line := test.typed[0]
				test.typed = test.typed[1:]
				return []byte(line), nil
			}
		}
		status := s.Do(args...)
		last := s.Requests[len(s.Requests)-1]
		if test.want == "" && (status != cli.ExitLocal || len(s.Requests) != 1) || test.want != "" && last != added+test.want {
			t.Errorf("%s: status %d, %s, %s", test.name, status, last, &s.Stderr)
		}
		if strings.Contains(s.Stderr.String()+s.Stdout.String(), "kwsk_fake") {
			t.Errorf("%s: the credential is shown: %s", test.name, &s.Stderr)
		}
	}
}

func TestCredentialsAreNoSettings(t *testing.T) {
	for _, args := range [][]string{
		{"--set", "region=r", "--set", "id=kwsk_fake"}, {"--set", "region"}, {"--set", "nothing=1"}, {}, {"--set", "region=r"},
	} {
		s := newSession(t, cli.English)
		s.Answers["GET /v1/provider-kinds"] = stockAnswers()["GET /v1/provider-kinds"]
		if status := s.Do(append([]string{"provider", "add", "aws", "p"}, args...)...); status != cli.ExitLocal || len(s.Requests) != 1 || strings.Contains(s.Stderr.String(), "kwsk_fake") {
			t.Errorf("%q: status %d, %q, %s", args, status, s.Requests, &s.Stderr)
		}
	}
}

// A new credential goes with the settings that were there.
func TestUpdateGivesTheConnectionAnew(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["GET /v1/provider-kinds"] = stockAnswers()["GET /v1/provider-kinds"]
	s.Answers["GET /v1/providers/p"] = api.Provider{Name: "p", Kind: "aws", Settings: map[string]string{"region": "old"}}
	s.Answers["PATCH /v1/providers/p"] = api.Provider{Name: "p"}
	s.In = strings.NewReader("id=fake")
	s.Do("provider", "update", "p", "--credential", "-", "--any-age", "--resume")
	want := `PATCH /v1/providers/p {"connection":{"settings":{"region":"old"},"credential":{"id":"ZmFrZQ=="}},"maxAge":"","paused":false}`
	if last := s.Requests[len(s.Requests)-1]; last != want {
		t.Errorf("asked for %s", last)
	}
}

func TestEscalationFileIsStrict(t *testing.T) {
	for _, content := range []string{`{"rungs":[],"nothing":1}`, `{} {}`, `[]`, ``} {
		s := newSession(t, cli.English)
		s.In = strings.NewReader(content)
		if status := s.Do("escalation", "set", "-"); status != cli.ExitLocal || len(s.Requests) > 0 {
			t.Errorf("%q: status %d, %q", content, status, s.Requests)
		}
	}
}

func TestIncidentIDsMayBeTyped(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["POST /v1/incidents/ABCDEFGH/acknowledge"] = api.Incident{ID: "ABCDEFGH"}
	s.Do("incident", "snooze", "abcdefgh", "2h", "--note", "n")
	s.Do("incident", "ack", "ABCDEFGH", "--by", "ann")
	want := []string{`POST /v1/incidents/ABCDEFGH/acknowledge {"note":"n","hold":"2h"}`, `POST /v1/incidents/ABCDEFGH/acknowledge {"by":"ann"}`}
	if !slices.Equal(s.Requests, want) {
		t.Errorf("asked for %q", s.Requests)
	}
}

// What is known of a paused provider is told with its age, wherever it is shown.
func TestPausedProvidersAreNotForgotten(t *testing.T) {
	for _, c := range []struct {
		language   cli.Language
		note, cell string
	}{
		{cli.English, "prod is paused; its keys are as they were 11 days ago", "yes, read 11 days ago"},
		{cli.Chinese, "prod 已暂停，其密钥信息截至 11 天前", "是，11 天前读取"},
	} {
		s := newSession(t, c.language)
		stock := stockAnswers()
		read := api.Provider{Name: "prod", Kind: "aws", Paused: true, Sync: api.ProviderSync{SucceededAt: time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC).Add(-11*cli.Day - time.Hour)}}
		other := api.Provider{Name: "other", Kind: "aws", Paused: true}
		s.Answers["GET /v1/inventory"], s.Answers["GET /v1/inventory/prod/a~11"] = stock["GET /v1/inventory"], aStock()
		s.Answers["GET /v1/providers"], s.Answers["GET /v1/providers/prod"] = api.ProviderList{Providers: []api.Provider{other, read}}, read
		for _, args := range [][]string{{"accesskey", "list"}, {"accesskey", "show", "prod", "a/1"}} {
			if status := s.Do(args...); status != cli.ExitOK || !strings.Contains(s.Stderr.String(), c.note) || strings.Contains(s.Stderr.String(), "other") {
				t.Errorf("%v: status %d: %s", args, status, &s.Stderr)
			}
		}
		for _, args := range [][]string{{"provider", "list"}, {"provider", "show", "prod"}} {
			if status := s.Do(args...); status != cli.ExitOK || !strings.Contains(s.Stdout.String(), c.cell) {
				t.Errorf("%v: status %d: %s", args, status, &s.Stdout)
			}
		}
	}
}
