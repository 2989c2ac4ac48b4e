package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
)

// A session runs command lines in this process, against answers that stand ready.
type session struct {
	cli
	home     string
	answers  map[string]any // by "METHOD path"; an api.Problem is answered with its status
	requests []string       // "METHOD path?query body"
	stdout   bytes.Buffer
	stderr   bytes.Buffer
}

func newSession(t *testing.T, lang language) *session { return newSessionIn(t.TempDir(), lang) }

func newSessionIn(home string, lang language) *session {
	s := &session{home: home, answers: map[string]any{}}
	variables := map[string]string{"HOME": s.home, "KEYWARD_LANG": string(lang), envKeyID: "KWAKFAKE", envKeySecret: "kwsk_fake"}
	s.cli = cli{
		in: strings.NewReader(""), out: &s.stdout, err: &s.stderr, width: func() int { return 0 }, transport: s, now: func() time.Time { return time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC) },
		getenv:       func(name string) string { return variables[name] },
		readPassword: func(context.Context) ([]byte, error) { return nil, io.EOF },
	}
	return s
}

// run runs one command line and answers its exit status.
func (s *session) run(args ...string) int {
	s.stdout.Reset()
	s.stderr.Reset()
	s.output, s.yes, s.noInput = "", false, false
	s.prepare(args)
	return run(&s.cli, args)
}

// RoundTrip implements http.RoundTripper.
func (s *session) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	s.requests = append(s.requests, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	answer, ok := s.answers[r.Method+" "+r.URL.Path]
	if !ok {
		answer = api.Problem{Status: http.StatusNotFound, Code: "ResourceNotFound", Detail: "nothing stands ready for " + r.URL.Path, RequestID: "REQUEST"}
	}
	status := http.StatusOK
	if p, ok := answer.(api.Problem); ok {
		status = p.Status
	}
	content, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(content)), Request: r}, nil
}

// golden compares with a file of testdata/golden, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}
