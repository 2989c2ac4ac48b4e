package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit"
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
	s := newSession(t, english)
	s.prepare([]string{"-o", "json"})
	asked := 0
	s.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if asked == len(answers) {
			cancel()
			return nil, errors.New("enough")
		}
		s.answers["GET /v1/audit/records"] = answers[asked]
		asked++
		return s.RoundTrip(r)
	})
	server, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	tail := &tail{cli: &s.cli, server: server, seen: map[recordID]time.Time{}}
	if err := tail.begin(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := tail.follow(ctx, time.Nanosecond); err != nil {
		t.Fatal(err)
	}
	var actions []string
	for line := range strings.Lines(s.stdout.String()) {
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

// What a person trusts decides what verification proves.
func TestTrust(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, key, err := audit.GenerateKey("keyward/a")
	if err != nil {
		t.Fatal(err)
	}
	_, forged, err := audit.GenerateKey("keyward/a")
	if err != nil {
		t.Fatal(err)
	}
	empty := `{"format":"keyward-audit-export","v":1,"log":"keyward/a","publicKey":"` + key + `","size":0,"checkpoint":""}` + "\n"
	export, unsigned := write("export", empty), write("checkpoint", "keyward/a\n1\nAAAA\n\n— keyward/a AAAA\n")
	other := write("other", "keyward/b\n1\nAAAA\n")
	for _, test := range []struct {
		name string
		args []string
		want int
	}{
		{"the claimed key", nil, exitOK},
		{"the right key", []string{"--public-key", key}, exitOK},
		{"the right key in a file", []string{"--public-key", write("key", key+"\n")}, exitOK},
		{"a log that is missing", []string{"--public-key", strings.Replace(key, "keyward/a", "keyward/b", 1)}, exitTampered},
		{"a checkpoint of a log that is missing", []string{"--checkpoint", other}, exitTampered},
		{"a claimed key that did not sign the checkpoint", []string{"--checkpoint", unsigned}, exitTampered},
		{"a given key that did not sign the checkpoint", []string{"--public-key", forged, "--checkpoint", unsigned}, exitLocal},
		{"no such key file", []string{"--public-key", "missing"}, exitLocal},
		{"no such checkpoint", []string{"--checkpoint", "missing"}, exitLocal},
		{"two things to verify", []string{"--data-dir", dir}, exitLocal},
	} {
		s := newSession(t, english)
		if status := s.run(append([]string{"audit", "verify", "--export", export}, test.args...)...); status != test.want {
			t.Errorf("%s: status %d, want %d: %s", test.name, status, test.want, &s.stderr)
		}
	}
}

// A passphrase is asked for twice when it is new, and never shown.
func TestPassphraseFromTheTerminal(t *testing.T) {
	t.Setenv("KEYWARD_PASSPHRASE", "")
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	for _, test := range []struct {
		name  string
		typed []string
		isNew bool
		want  string
	}{
		{"known", []string{"a fake passphrase"}, false, "a fake passphrase"},
		{"new", []string{"a fake passphrase", "a fake passphrase"}, true, "a fake passphrase"},
		{"mistyped", []string{"a fake passphrase", "another"}, true, ""},
		{"ended", nil, true, ""},
	} {
		s := newSession(t, english)
		s.prepare(nil)
		s.interactive = true
		s.readPassword = func(context.Context) ([]byte, error) {
			if len(test.typed) == 0 {
				return nil, errors.New("the terminal is gone")
			}
			line := []byte(test.typed[0])
			test.typed = test.typed[1:]
			return line, nil
		}
		p, err := (&operation{cli: &s.cli}).passphrase(t.Context(), test.isNew)
		if !bytes.Equal(p.Expose(), []byte(test.want)) || (err == nil) != (test.want != "") || len(test.typed) > 0 {
			t.Errorf("%s: error %v, %d left", test.name, err, len(test.typed))
		}
	}
}
