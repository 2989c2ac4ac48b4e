package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

// The credential of a sink comes from files; what the flags say is what is asked for.
func TestAddSinkAsksForWhatTheFlagsSay(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["POST /v1/sinks"] = aSink()
	token, secretID, empty := filepath.Join(s.Home, "token"), filepath.Join(s.Home, "secret-id"), filepath.Join(s.Home, "empty")
	for name, content := range map[string]string{token: "fake-token\n", secretID: "fake-secret-id\n", empty: "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args   []string
		status int
	}{
		{[]string{"--token-file", token, "--name", "pay/*", "--name", "b", "--path", "keyward"}, cli.ExitOK},
		{[]string{"--role-id", "fake-role", "--secret-id-file", secretID, "--tag-key", "vault", "--namespace", "team", "--mount", "kv"}, cli.ExitOK},
		{[]string{"--token-file", token}, cli.ExitLocal},
		{[]string{"--token-file", empty, "--name", "a"}, cli.ExitLocal},
		{[]string{"--token-file", filepath.Join(s.Home, "missing"), "--name", "a"}, cli.ExitLocal},
	} {
		if status := s.Do(append([]string{"sink", "add", "vault", "ours", "--address", "https://vault.example.com:8200"}, test.args...)...); status != test.status {
			t.Errorf("%v: status %d: %s", test.args, status, &s.Stderr)
		}
	}
	want := []string{
		`POST /v1/sinks {"name":"ours","kind":"vault","settings":{"address":"https://vault.example.com:8200","path":"keyward"},"credential":{"token":"fake-token"},"secrets":["pay/*","b"]}`,
		`POST /v1/sinks {"name":"ours","kind":"vault","settings":{"address":"https://vault.example.com:8200","mount":"kv","namespace":"team"},"credential":{"role_id":"fake-role","secret_id":"fake-secret-id"},"tagKeys":["vault"]}`,
	}
	if diff := cmp.Diff(want, s.Requests); diff != "" {
		t.Error(diff)
	}
}

// Overwriting what somebody changed asks first; a secret is not for a terminal.
func TestWhatAsksFirst(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["POST /v1/sinks/ours/sync"] = struct{}{}
	s.Answers["GET /v1/secrets/a/value"] = api.SecretValue{Name: "a", Value: []byte("fake\x1b[2Jvalue")}
	if status := s.Do("sink", "sync", "ours", "--overwrite"); status == cli.ExitOK || len(s.Requests) != 0 {
		t.Errorf("status %d, requests %v", status, s.Requests)
	}
	if status := s.Do("sink", "sync", "ours", "--overwrite", "--yes"); status != cli.ExitOK || s.Requests[0] != `POST /v1/sinks/ours/sync {"overwrite":true}` {
		t.Errorf("status %d, requests %v", status, s.Requests)
	}
	s.OutTerminal, s.Requests = true, nil
	if status := s.Do("secret", "get", "a"); status != cli.ExitLocal || len(s.Requests) != 0 || s.Stdout.Len() > 0 {
		t.Errorf("on a terminal: status %d, %s", status, &s.Stdout)
	}
	if status := s.Do("secret", "get", "a", "--show"); status != cli.ExitOK || s.Stdout.String() != "fake\uFFFD[2Jvalue\n" {
		t.Errorf("shown on a terminal: status %d, %q", status, &s.Stdout)
	}
	s.OutTerminal = false
	if status := s.Do("secret", "get", "a"); status != cli.ExitOK || s.Stdout.String() != "fake\x1b[2Jvalue" {
		t.Errorf("redirected: status %d, %q", status, &s.Stdout)
	}
	if strings.Contains(s.Stderr.String(), "value") {
		t.Errorf("it said %q", &s.Stderr)
	}
}
