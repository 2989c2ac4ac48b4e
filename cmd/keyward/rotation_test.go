package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

func aRotation() api.RotationRun {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	return api.RotationRun{
		ID: "0000000000000001", Plan: "pay", Profile: "planned", Archetype: "pair", Step: "rolling", Since: at,
		Route: []string{"waiting", "rehearsing", "creating", "verifying", "rolling", "settling", "grace", "disabling", "observing", "dropping", "deleting", "done"},
		Waves: []api.RotationProgress{
			{Name: "canary", Bake: "10m", PublishedAt: at, ConfirmedAt: at.Add(time.Minute)}, {Name: "east", Bake: "1h", PublishedAt: at.Add(time.Hour)}, {Name: "rest", Approve: true},
		},
		OldKey: "AKOLD", NewKey: "AKNEW", Cause: "the key expires", Trouble: "nodes-behind", Detail: "1 of 2 nodes are there; waiting for shop-2", Late: true,
		FinishBy: at.AddDate(0, 0, 5), Tries: 2, NextTry: at.Add(time.Minute), CanRollBack: true, PointOfNoReturn: "deleting", Next: "keyward rotation status pay",
		CreatedAt: at, ChangedAt: at,
		Events: []api.RotationEvent{
			{At: at, Step: "creating", Text: "created AKNEW"}, {At: at, Step: "rolling", Text: "step rolling"}, {At: at, Step: "rolling", Actor: "acs:ram::1:user/li", Text: "approved"},
		},
	}
}

func rotationAnswers() map[string]any {
	over := aRotation()
	over.ID, over.Step, over.CanRollBack, over.Next, over.Trouble, over.Detail, over.Late, over.Tries = "0000000000000002", "done", false, "", "", "", false, 0
	at := over.CreatedAt
	plan := api.RotationPlan{
		Name: "pay", ARN: "acs:keyward:r:1:rotation/pay", Provider: "prod", Principal: "u1", Key: "AKOLD", Secret: "pay/key", Rollout: "pay", Auto: true, LastAt: at, CreatedAt: at,
		Care: api.RotationCare{
			Every: "90d", Confirm: "30m", Grace: "1d", Observe: "1d", Waves: []api.RotationWave{{Name: "canary", Bake: "10m"}, {Name: "rest", Approve: true}}, MaxRefused: 3,
			Windows: api.RotationWindows{Zone: "Asia/Shanghai", Allow: []string{}, Deny: []string{"Sat,Sun", "11-11"}},
		},
	}
	return map[string]any{
		"GET /v1/rotations/pay": aRotation(), "GET /v1/rotations/0000000000000002": over, "GET /v1/rotations": api.RotationRunList{Rotations: []api.RotationRun{over, aRotation()}},
		"GET /v1/rotation-plans": api.RotationPlanList{Plans: []api.RotationPlan{plan}},
		"GET /v1/rotation-plans/pay": api.RotationForecast{
			Plan: plan, Archetype: "pair", PointOfNoReturn: "deleting", Takes: "2h", Expires: at.AddDate(0, 1, 0), Due: at.AddDate(0, 0, 20), Latest: at.AddDate(0, 0, 21),
		},
	}
}

// A plan is what the flags say, and an update changes what they name.
func TestRotationPlanAsksForWhatTheFlagsSay(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers = rotationAnswers()
	s.Answers["POST /v1/rotation-plans"] = s.Answers["GET /v1/rotation-plans/pay"]
	s.Answers["PATCH /v1/rotation-plans/pay"] = s.Answers["GET /v1/rotation-plans/pay"]
	for _, args := range [][]string{
		{"create", "pay", "--provider", "prod", "--principal", "u1", "--secret", "pay/key"},
		{"create", "pay", "--provider", "prod", "--principal", "u1", "--secret", "pay/key", "--key", "AK", "--rollout", "pay", "--every", "90d", "--grace", "0", "--bake", "canary=30m",
			"--approve-wave", "rest", "--approve", "--max-refused", "0", "--deny", "Sat,Sun", "--deny", "11-11", "--zone", "Asia/Shanghai", "--auto"},
		{"update", "pay", "--auto=false", "--grace", "12h"},
		{"update", "pay", "--bake", "canary=1h"},
	} {
		if status := s.Do(append([]string{"rotation", "plan"}, args...)...); status != cli.ExitOK {
			t.Errorf("%v: status %d: %s", args, status, &s.Stderr)
		}
	}
	want := []string{
		`POST /v1/rotation-plans {"name":"pay","provider":"prod","principal":"u1","secret":"pay/key"}`,
		`POST /v1/rotation-plans {"name":"pay","provider":"prod","principal":"u1","secret":"pay/key","key":"AK","rollout":"pay","care":{"every":"90d","grace":"0","waves":[{"name":"canary","bake":"30m"},{"name":"rest","approve":true}],"maxRefused":0,"approve":true,"zone":"Asia/Shanghai","deny":["Sat,Sun","11-11"]},"auto":true}`,
		`PATCH /v1/rotation-plans/pay {"care":{"grace":"12h"},"auto":false}`,
		`GET /v1/rotation-plans/pay`,
		`PATCH /v1/rotation-plans/pay {"care":{"waves":[{"name":"canary","bake":"1h"},{"name":"rest","bake":"","approve":true}]}}`,
	}
	if diff := cmp.Diff(want, s.Requests); diff != "" {
		t.Error(diff)
	}
	for _, args := range [][]string{{"create", "pay"}, {"update", "pay", "--grace", "soon"}, {"update", "pay", "--bake", "canary"}, {"update", "pay", "--bake", "=1h"}} {
		if status := s.Do(append([]string{"rotation", "plan"}, args...)...); status != cli.ExitLocal {
			t.Errorf("%v: status %d", args, status)
		}
	}
}

// A rollback says what will happen, and happens only then; what is too late is not asked for.
func TestRollbackAsksFirst(t *testing.T) {
	for _, lang := range []cli.Language{cli.English, cli.Chinese} {
		s := newSession(t, lang)
		s.Answers = rotationAnswers()
		s.Answers["POST /v1/rotation-plans/pay/rollback"] = aRotation()
		s.Interactive, s.In = true, strings.NewReader("no\n")
		if status := s.Do("rotation", "rollback", "pay", "--reason", "refunds fail"); status != cli.ExitLocal || len(s.Requests) != 1 {
			t.Errorf("status %d, requests %v", status, s.Requests)
		}
		golden(t, "rotation-rollback."+string(lang), s.Stderr.String())
		if status := s.Do("rotation", "rollback", "pay", "--reason", "refunds fail", "--yes"); status != cli.ExitOK || s.Requests[2] != `POST /v1/rotation-plans/pay/rollback {"reason":"refunds fail"}` {
			t.Errorf("status %d, requests %v", status, s.Requests)
		}
		before := len(s.Requests)
		if status := s.Do("rotation", "rollback", "0000000000000002", "--reason", "x", "--yes"); status != cli.ExitLocal || len(s.Requests) != before+1 {
			t.Errorf("too late: status %d, requests %v", status, s.Requests[before:])
		}
	}
}

// The new key's credential comes from a file or from standard input, in either form.
func TestEnterKey(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["POST /v1/rotation-plans/pay/enter"] = aRotation()
	file := filepath.Join(s.Home, "new.json")
	if err := os.WriteFile(file, []byte(`{"id":"AKNEW","secret":"fake-new"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.In = strings.NewReader("id=AKNEW\nsecret=fake-new\n")
	for _, from := range []string{file, "-"} {
		if status := s.Do("rotation", "enter", "pay", "--id", "AKNEW", "--file", from); status != cli.ExitOK || strings.Contains(s.Stdout.String()+s.Stderr.String(), "fake-new") {
			t.Errorf("%s: status %d: %s", from, status, &s.Stderr)
		}
	}
	for _, request := range s.Requests {
		if request != `POST /v1/rotation-plans/pay/enter {"id":"AKNEW","credential":{"id":"AKNEW","secret":"fake-new"}}` {
			t.Errorf("asked for %s", request)
		}
	}
	if status := s.Do("rotation", "enter", "pay", "--id", "AKNEW"); status != cli.ExitLocal || len(s.Requests) != 2 {
		t.Errorf("without a file: status %d, %d requests", status, len(s.Requests))
	}
	if err := os.WriteFile(file, []byte("\x30\xff\xfe"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.In = strings.NewReader("pfx@=" + file + "\npassword=fake\n")
	warned := aRotation()
	warned.Warnings = []api.Text{{English: "look here", Chinese: "看这里"}}
	s.Answers["POST /v1/rotation-plans/pay/enter"] = warned
	if status := s.Do("rotation", "enter", "pay", "--set", "mer_id=1", "--file", "-"); status != cli.ExitOK || !strings.Contains(s.Stderr.String(), "look here") {
		t.Errorf("a file without an id: status %d: %s", status, &s.Stderr)
	}
	if got, want := s.Requests[2], `POST /v1/rotation-plans/pay/enter {"settings":{"mer_id":"1"},"credential":{"password":"fake","pfx":"MP/+"}}`; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
}

// While a person is asked, the steps of the guide are shown, in their order and in both languages.
func TestStepsOfTheGuide(t *testing.T) {
	for lang, want := range map[cli.Language][]string{cli.English: {"Step 1", "enter it here", "Step 2", "change it there"}, cli.Chinese: {"操作 1", "先录入", "操作 2", "再更换"}} {
		s := newSession(t, lang)
		r := aRotation()
		r.Trouble, r.Guide, r.Next = "needs-key", "g", "keyward rotation enter pay"
		r.Steps = []api.Text{{English: "enter it here", Chinese: "先录入"}, {English: "change it there", Chinese: "再更换"}}
		s.Answers["GET /v1/rotations/pay"] = r
		s.Do("rotation", "status", "pay")
		shown, at := s.Stdout.String(), 0
		for _, text := range append(want, "keyward rotation enter pay --file FILE") {
			next := strings.Index(shown[at:], text)
			if next < 0 {
				t.Fatalf("%s is not shown, or not in order:\n%s", text, shown)
			}
			at += next
		}
	}
}

// A film answers one rotation after another.
type film []api.RotationRun

// RoundTrip implements http.RoundTripper.
func (f *film) RoundTrip(r *http.Request) (*http.Response, error) {
	run := (*f)[0]
	if len(*f) > 1 {
		*f = (*f)[1:]
	}
	content, err := json.Marshal(run)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(content)), Request: r}, err
}

func at(step, halt string) api.RotationRun {
	r := aRotation()
	r.Step, r.Halt, r.Trouble, r.Detail, r.Late = step, halt, "", "", false
	return r
}

// Watching ends with the rotation, and its exit status says how.
func TestWatchEndsWithTheRotation(t *testing.T) {
	for _, test := range []struct {
		film   film
		status int
		lines  int
	}{
		{film{at("creating", ""), at("creating", ""), at("rolling", ""), at("done", "")}, cli.ExitOK, 3},
		{film{at("withdrawing", ""), at("aborted", "")}, cli.ExitLocal, 2},
		{film{at("creating", ""), at("creating", "no-room")}, cli.ExitLocal, 2},
	} {
		for _, terminal := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newSession(t, cli.English)
				frames := append(film{}, test.film...)
				s.Transport, s.OutTerminal = &frames, terminal
				s.Prepare(nil)
				root := newRoot(&s.Run)
				root.SetArgs([]string{"rotation", "status", "pay", "--watch"})
				if status := s.Report(root.ExecuteContext(t.Context())); status != test.status {
					t.Errorf("status %d: %s", status, &s.Stderr)
				}
				shown := s.Stdout.String()
				redrawn := strings.Count(shown, "\x1b[J")
				if terminal && redrawn != test.lines-1 || !terminal && (strings.Count(shown, "\n") != test.lines || redrawn > 0) {
					t.Errorf("on a terminal %t it showed %q", terminal, shown)
				}
			})
		}
	}
}

// The page about rotations tells of every step and every reason what to do.
func TestRotationPageIsComplete(t *testing.T) {
	source := string(page(t, "internal/rotation/rotation.go"))
	text := string(page(t, "docs/rotation.md"))
	found := 0
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +(?:Step|Reason) += "([\w-]+)"`).FindAllStringSubmatch(source, -1) {
		found++
		if !strings.Contains(text, "| `"+m[1]+"` |") {
			t.Errorf("docs/rotation.md has no row for %s", m[1])
		}
	}
	if found < 31 {
		t.Errorf("found only %d steps and reasons", found)
	}
}

// In Chinese keys of the KMS and access keys of providers are rotated by different words:
// docs/glossary.md.
func TestWordsOfRotations(t *testing.T) {
	for file, never := range map[string]string{
		"cli/rotationcmd/rotation.go": "轮转", "cli/rotationcmd/plan.go": "轮转", "cli/rotationcmd/status.go": "轮转", "cli/nodecmd/rollout.go": "轮转", "cli/nodecmd/node.go": "轮转", "cli/nodecmd/target.go": "轮转", "cli/nodecmd/agent.go": "轮转",
		"cli/servecmd/demo.go": "轮转", "rotation/phrase/words.go": "轮转", "rotation/phrase/detail.go": "轮转", "notify/render.go": "轮转",
		"cli/keycmd/key.go": "轮换", "cli/keycmd/state.go": "轮换",
	} {
		text, err := os.ReadFile(filepath.Join(root, "internal", file))
		if err != nil || strings.Contains(string(text), never) {
			t.Errorf("%s says %s: %v", file, never, err)
		}
	}
}

// An old key of which nobody knows when it expires is said to be one.
func TestAnOldKeyWithoutADate(t *testing.T) {
	for lang, want := range map[cli.Language]string{cli.English: "Old key expires +not known\n", cli.Chinese: "旧密钥到期 +未知到期时间\n"} {
		s := newSession(t, lang)
		r := aRotation()
		r.FinishBy = time.Time{}
		s.Answers["GET /v1/rotations/pay"] = r
		if s.Do("rotation", "status", "pay"); !regexp.MustCompile(want).MatchString(s.Stdout.String()) {
			t.Errorf("have:\n%s", &s.Stdout)
		}
	}
}
