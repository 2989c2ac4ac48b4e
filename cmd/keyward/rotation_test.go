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
	s := newSession(t, english)
	s.answers = rotationAnswers()
	s.answers["POST /v1/rotation-plans"] = s.answers["GET /v1/rotation-plans/pay"]
	s.answers["PATCH /v1/rotation-plans/pay"] = s.answers["GET /v1/rotation-plans/pay"]
	for _, args := range [][]string{
		{"create", "pay", "--provider", "prod", "--principal", "u1", "--secret", "pay/key"},
		{"create", "pay", "--provider", "prod", "--principal", "u1", "--secret", "pay/key", "--key", "AK", "--rollout", "pay", "--every", "90d", "--grace", "0", "--bake", "canary=30m",
			"--approve-wave", "rest", "--approve", "--max-refused", "0", "--deny", "Sat,Sun", "--deny", "11-11", "--zone", "Asia/Shanghai", "--auto"},
		{"update", "pay", "--auto=false", "--grace", "12h"},
		{"update", "pay", "--bake", "canary=1h"},
	} {
		if status := s.run(append([]string{"rotation", "plan"}, args...)...); status != exitOK {
			t.Errorf("%v: status %d: %s", args, status, &s.stderr)
		}
	}
	want := []string{
		`POST /v1/rotation-plans {"name":"pay","provider":"prod","principal":"u1","secret":"pay/key"}`,
		`POST /v1/rotation-plans {"name":"pay","provider":"prod","principal":"u1","secret":"pay/key","key":"AK","rollout":"pay","care":{"every":"90d","grace":"0","waves":[{"name":"canary","bake":"30m"},{"name":"rest","approve":true}],"maxRefused":0,"approve":true,"zone":"Asia/Shanghai","deny":["Sat,Sun","11-11"]},"auto":true}`,
		`PATCH /v1/rotation-plans/pay {"care":{"grace":"12h"},"auto":false}`,
		`GET /v1/rotation-plans/pay`,
		`PATCH /v1/rotation-plans/pay {"care":{"waves":[{"name":"canary","bake":"1h"},{"name":"rest","bake":"","approve":true}]}}`,
	}
	if diff := cmp.Diff(want, s.requests); diff != "" {
		t.Error(diff)
	}
	for _, args := range [][]string{{"create", "pay"}, {"update", "pay", "--grace", "soon"}, {"update", "pay", "--bake", "canary"}, {"update", "pay", "--bake", "=1h"}} {
		if status := s.run(append([]string{"rotation", "plan"}, args...)...); status != exitLocal {
			t.Errorf("%v: status %d", args, status)
		}
	}
}

// A rollback says what will happen, and happens only then; what is too late is not asked for.
func TestRollbackAsksFirst(t *testing.T) {
	for _, lang := range []language{english, chinese} {
		s := newSession(t, lang)
		s.answers = rotationAnswers()
		s.answers["POST /v1/rotation-plans/pay/rollback"] = aRotation()
		s.interactive, s.in = true, strings.NewReader("no\n")
		if status := s.run("rotation", "rollback", "pay", "--reason", "refunds fail"); status != exitLocal || len(s.requests) != 1 {
			t.Errorf("status %d, requests %v", status, s.requests)
		}
		golden(t, "rotation-rollback."+string(lang), s.stderr.String())
		if status := s.run("rotation", "rollback", "pay", "--reason", "refunds fail", "--yes"); status != exitOK || s.requests[2] != `POST /v1/rotation-plans/pay/rollback {"reason":"refunds fail"}` {
			t.Errorf("status %d, requests %v", status, s.requests)
		}
		before := len(s.requests)
		if status := s.run("rotation", "rollback", "0000000000000002", "--reason", "x", "--yes"); status != exitLocal || len(s.requests) != before+1 {
			t.Errorf("too late: status %d, requests %v", status, s.requests[before:])
		}
	}
}

// The new key's credential comes from a file or from standard input, in either form.
func TestEnterKey(t *testing.T) {
	s := newSession(t, english)
	s.answers["POST /v1/rotation-plans/pay/enter"] = aRotation()
	file := filepath.Join(s.home, "new.json")
	if err := os.WriteFile(file, []byte(`{"id":"AKNEW","secret":"fake-new"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.in = strings.NewReader("id=AKNEW\nsecret=fake-new\n")
	for _, from := range []string{file, "-"} {
		if status := s.run("rotation", "enter", "pay", "--id", "AKNEW", "--file", from); status != exitOK || strings.Contains(s.stdout.String()+s.stderr.String(), "fake-new") {
			t.Errorf("%s: status %d: %s", from, status, &s.stderr)
		}
	}
	for _, request := range s.requests {
		if request != `POST /v1/rotation-plans/pay/enter {"id":"AKNEW","credential":{"id":"AKNEW","secret":"fake-new"}}` {
			t.Errorf("asked for %s", request)
		}
	}
	if status := s.run("rotation", "enter", "pay", "--id", "AKNEW"); status != exitLocal || len(s.requests) != 2 {
		t.Errorf("without a file: status %d, %d requests", status, len(s.requests))
	}
	if err := os.WriteFile(file, []byte("\x30\xff\xfe"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.in = strings.NewReader("pfx@=" + file + "\npassword=fake\n")
	warned := aRotation()
	warned.Warnings = []api.Text{{English: "look here", Chinese: "看这里"}}
	s.answers["POST /v1/rotation-plans/pay/enter"] = warned
	if status := s.run("rotation", "enter", "pay", "--set", "mer_id=1", "--file", "-"); status != exitOK || !strings.Contains(s.stderr.String(), "look here") {
		t.Errorf("a file without an id: status %d: %s", status, &s.stderr)
	}
	if got, want := s.requests[2], `POST /v1/rotation-plans/pay/enter {"settings":{"mer_id":"1"},"credential":{"password":"fake","pfx":"MP/+"}}`; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
}

// While a person is asked, the steps of the guide are shown, in their order and in both languages.
func TestStepsOfTheGuide(t *testing.T) {
	for lang, want := range map[language][]string{english: {"Step 1", "enter it here", "Step 2", "change it there"}, chinese: {"操作 1", "先录入", "操作 2", "再更换"}} {
		s := newSession(t, lang)
		r := aRotation()
		r.Trouble, r.Guide, r.Next = "needs-key", "g", "keyward rotation enter pay"
		r.Steps = []api.Text{{English: "enter it here", Chinese: "先录入"}, {English: "change it there", Chinese: "再更换"}}
		s.answers["GET /v1/rotations/pay"] = r
		s.run("rotation", "status", "pay")
		shown, at := s.stdout.String(), 0
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
		{film{at("creating", ""), at("creating", ""), at("rolling", ""), at("done", "")}, exitOK, 3},
		{film{at("withdrawing", ""), at("aborted", "")}, exitLocal, 2},
		{film{at("creating", ""), at("creating", "no-room")}, exitLocal, 2},
	} {
		for _, terminal := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newSession(t, english)
				frames := append(film{}, test.film...)
				s.transport, s.outTerminal = &frames, terminal
				s.prepare(nil)
				root := newRoot(&s.cli)
				root.SetArgs([]string{"rotation", "status", "pay", "--watch"})
				if status := s.report(root.ExecuteContext(t.Context())); status != test.status {
					t.Errorf("status %d: %s", status, &s.stderr)
				}
				shown := s.stdout.String()
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
		"rotation.go": "轮转", "rotationplan.go": "轮转", "rotationstatus.go": "轮转", "rollout.go": "轮转", "node.go": "轮转", "target.go": "轮转", "agent.go": "轮转",
		"demo.go": "轮转", "../../internal/rotation/phrase/words.go": "轮转", "../../internal/rotation/phrase/detail.go": "轮转", "../../internal/notify/render.go": "轮转",
		"key.go": "轮换", "keystate.go": "轮换",
	} {
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), never) {
			t.Errorf("%s says %s: %v", file, never, err)
		}
	}
}
