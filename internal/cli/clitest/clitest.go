// Package clitest runs command lines in the process of a test: the outside is memory, and the
// server is answers that stand ready.
package clitest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

// A Session runs command lines in this process, against answers that stand ready.
type Session struct {
	cli.Run
	Home     string                        // directory
	Root     func(*cli.Run) *cobra.Command // builds the commands
	Answers  map[string]any                // by "METHOD path"; an api.Problem is answered with its status
	Requests []string                      // "METHOD path?query body"
	Stdout   bytes.Buffer                  // of the last command
	Stderr   bytes.Buffer                  // of the last command
}

// New answers a session of the commands under root, in a home directory.
func New(home string, lang cli.Language, root func(*cli.Run) *cobra.Command) *Session {
	s := &Session{Home: home, Root: root, Answers: map[string]any{}}
	variables := map[string]string{"HOME": s.Home, "KEYWARD_LANG": string(lang), remote.EnvKeyID: "KWAKFAKE", remote.EnvKeySecret: "kwsk_fake"}
	s.Run = cli.Run{
		In: strings.NewReader(""), Out: &s.Stdout, Err: &s.Stderr, Width: func() int { return 0 }, Transport: s, Now: func() time.Time { return time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC) },
		Getenv:       func(name string) string { return variables[name] },
		ReadPassword: func(context.Context) ([]byte, error) { return nil, io.EOF },
	}
	return s
}

// Do runs one command line and answers its exit status.
func (s *Session) Do(args ...string) int {
	s.Stdout.Reset()
	s.Stderr.Reset()
	s.Output, s.Yes, s.NoInput = "", false, false
	s.Prepare(args)
	root := s.Root(&s.Run)
	root.SetArgs(args)
	return s.Report(root.ExecuteContext(context.Background()))
}

// RoundTrip implements http.RoundTripper.
func (s *Session) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	s.Requests = append(s.Requests, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	answer, ok := s.Answers[r.Method+" "+r.URL.Path]
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

// Han tells whether there is Chinese in a text.
func Han(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

// Both checks a text in both languages: each is there, and in its own language.
func Both(t *testing.T, what, en, zh string) {
	t.Helper()
	if en == "" || zh == "" || Han(en) || !Han(zh) {
		t.Errorf("%s: English %q, Chinese %q", what, en, zh)
	}
}
