package auditcmd

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/clitest"
	"github.com/keyward/keyward/internal/cli/remote"
)

// Tail shows each record once and in order, also one that comes late, and not its own looks.
func TestTail(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	record := func(seq int64, second int, action string) api.AuditRecord {
		return api.AuditRecord{Log: "l", Seq: seq, Time: start.Add(time.Duration(second) * time.Second), Action: action, Result: "OK"}
	}
	old, a, b, late, c := record(0, 0, "old"), record(1, 5, "a"), record(2, 10, "b"), record(3, 9, "late"), record(4, 20, "c")
	own := record(5, 21, actionList)
	answers := []api.AuditRecordList{
		{Records: []api.AuditRecord{b, a}},                         // the last two, newest first
		{Records: []api.AuditRecord{old, a, b}},                    // the overlap
		{Records: []api.AuditRecord{a, late, b, c, own}, Next: ""}, // news
		{Records: []api.AuditRecord{a, late, b, c, own}},
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := clitest.New(t.TempDir(), cli.English, nil)
	s.Prepare([]string{"-o", "json"})
	asked := 0
	s.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if asked == len(answers) {
			cancel()
			return nil, errors.New("enough")
		}
		s.Answers["GET /v1/audit/records"] = answers[asked]
		asked++
		return s.RoundTrip(r)
	})
	server, err := remote.Connect(&s.Run)
	if err != nil {
		t.Fatal(err)
	}
	tail := &tail{Run: &s.Run, server: server, seen: map[recordID]time.Time{}}
	if err := tail.begin(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := tail.follow(ctx, time.Nanosecond); err != nil {
		t.Fatal(err)
	}
	var actions []string
	for line := range strings.Lines(s.Stdout.String()) {
		_, after, _ := strings.Cut(line, `"action":"`)
		action, _, _ := strings.Cut(after, `"`)
		actions = append(actions, action)
	}
	if diff := cmp.Diff([]string{"a", "b", "late", "c"}, actions); diff != "" {
		t.Error(diff)
	}
	tail.newest = start.Add(time.Hour)
	if tail.forget(); len(tail.seen) > 0 {
		t.Errorf("it remembers %d records for ever", len(tail.seen))
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
