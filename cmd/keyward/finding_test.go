package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey/check"
	"github.com/keyward/keyward/internal/cli"
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
				s := newSession(t, cli.English)
				s.Prepare(nil)
				cmd, rest, err := newRoot(&s.Run).Find(strings.Fields(program))
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

func TestSuppressAsksForWhatTheFlagsSay(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["POST /v1/findings/f/suppress"] = aFinding()
	s.Answers["POST /v1/findings/f/resolve"] = aFinding()
	if status := s.Do("finding", "suppress", "f", "--owner", "bob", "--reason", "moves", "--until", "2026-04-02"); status != cli.ExitOK {
		t.Errorf("status %d: %s", status, &s.Stderr)
	}
	if status := s.Do("finding", "resolve", "f"); status != cli.ExitOK || !strings.Contains(s.Stderr.String(), "opens again") {
		t.Errorf("status %d: %s", status, &s.Stderr)
	}
	want := []string{`POST /v1/findings/f/suppress {"owner":"bob","reason":"moves","until":"2026-04-02T00:00:00Z"}`, "POST /v1/findings/f/resolve"}
	if diff := cmp.Diff(want, s.Requests); diff != "" {
		t.Error(diff)
	}
	s.Requests = nil
	for _, args := range [][]string{{"--owner", "x", "--reason", "y"}, {"--owner", "x", "--until", "1d"}, {"--reason", "y", "--until", "1d"}} {
		if status := s.Do(slices.Concat([]string{"finding", "suppress", "f"}, args)...); status != cli.ExitLocal || len(s.Requests) > 0 {
			t.Errorf("%q: status %d, requests %q", args, status, s.Requests)
		}
	}
}
