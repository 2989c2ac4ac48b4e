package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey/check"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/notify"
)

// What a check advises to type is a command of this program where it says so, and of the
// platform's own program elsewhere.
func TestAdviceOfChecksIsTyped(t *testing.T) {
	programs := map[string]string{"aws": "aws iam ", "tencent": "tccli cam ", "alibaba": "aliyun ims "}
	ours := 0
	for _, r := range check.Rules(check.Defaults()) {
		for _, x := range r.Fixes {
			f := &finding.Finding{Platform: x.Platform, Subject: finding.Subject{Provider: "prod"}, Evidence: []notify.Fact{
				{Name: "key", Value: "AKFAKE"}, {Name: "user", Value: "ci"}, {Name: "user-id", Value: "7"},
			}}
			typed := (&finding.Rule{Fixes: []finding.Fix{x}}).Advice(f).Command
			if x.Command == "" {
				continue
			}
			if program, ok := strings.CutPrefix(typed, "keyward "); ok {
				ours++
				s := newSession(t, english)
				s.prepare(nil)
				cmd, rest, err := newRoot(&s.cli).Find(strings.Fields(program))
				if err == nil {
					err = cmd.ParseFlags(rest)
				}
				if err == nil {
					err = cmd.Args(cmd, cmd.Flags().Args())
				}
				if err != nil || cmd.HasSubCommands() {
					t.Errorf("%s advises %q: %v", r.ID, typed, err)
				}
				continue
			}
			if !strings.HasPrefix(typed, programs[x.Platform]) || programs[x.Platform] == "" || regexp.MustCompile(`[{}]`).MatchString(typed) {
				t.Errorf("%s advises %q for %q", r.ID, typed, x.Platform)
			}
		}
	}
	if ours < 2 {
		t.Errorf("only %d commands of this program were tried", ours)
	}
}

// Every fact that checks tell, and every state and severity, has a name in both languages.
func TestFindingsSpeakBothLanguages(t *testing.T) {
	for name, words := range evidence {
		both(t, "evidence "+name, words.en, words.zh)
	}
	told := regexp.MustCompile(`(?:fact|moment|days)\("([a-z-]+)"|return "([a-z-]+)", at|name, at := "([a-z-]+)"|name, at = "([a-z-]+)"`)
	for _, file := range []string{"check.go", "key.go", "principal.go", "account.go"} {
		for _, m := range told.FindAllStringSubmatch(string(page(t, "internal/accesskey/check/"+file)), -1) {
			name := strings.Join(m[1:], "")
			if _, ok := evidence[name]; !ok {
				t.Errorf("%s tells %q, which has no name for people", file, name)
			}
		}
	}
	c := &newSession(t, chinese).cli
	c.lang = chinese
	for _, word := range []string{c.severity("critical"), c.severity("high"), c.severity("medium"), c.severity("low"), c.findingState("open"), c.findingState("suppressed"), c.findingState("resolved")} {
		if !han(word) {
			t.Errorf("%q is not Chinese", word)
		}
	}
}

func TestSuppressAsksForWhatTheFlagsSay(t *testing.T) {
	s := newSession(t, english)
	s.answers["POST /v1/findings/f/suppress"] = aFinding()
	s.answers["POST /v1/findings/f/resolve"] = aFinding()
	if status := s.run("finding", "suppress", "f", "--owner", "bob", "--reason", "moves", "--until", "2026-04-02"); status != exitOK {
		t.Errorf("status %d: %s", status, &s.stderr)
	}
	if status := s.run("finding", "resolve", "f"); status != exitOK || !strings.Contains(s.stderr.String(), "opens again") {
		t.Errorf("status %d: %s", status, &s.stderr)
	}
	want := []string{`POST /v1/findings/f/suppress {"owner":"bob","reason":"moves","until":"2026-04-02T00:00:00Z"}`, "POST /v1/findings/f/resolve"}
	if diff := cmp.Diff(want, s.requests); diff != "" {
		t.Error(diff)
	}
	s.requests = nil
	for _, args := range [][]string{{"--owner", "x", "--reason", "y"}, {"--owner", "x", "--until", "1d"}, {"--reason", "y", "--until", "1d"}} {
		if status := s.run(slices.Concat([]string{"finding", "suppress", "f"}, args)...); status != exitLocal || len(s.requests) > 0 {
			t.Errorf("%q: status %d, requests %q", args, status, s.requests)
		}
	}
}
