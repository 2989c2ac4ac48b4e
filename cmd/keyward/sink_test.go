package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
)

// The credential of a sink comes from files; what the flags say is what is asked for.
func TestAddSinkAsksForWhatTheFlagsSay(t *testing.T) {
	s := newSession(t, english)
	s.answers["POST /v1/sinks"] = aSink()
	token, secretID, empty := filepath.Join(s.home, "token"), filepath.Join(s.home, "secret-id"), filepath.Join(s.home, "empty")
	for name, content := range map[string]string{token: "fake-token\n", secretID: "fake-secret-id\n", empty: "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args   []string
		status int
	}{
		{[]string{"--token-file", token, "--name", "pay/*", "--name", "b", "--path", "keyward"}, exitOK},
		{[]string{"--role-id", "fake-role", "--secret-id-file", secretID, "--tag-key", "vault", "--namespace", "team", "--mount", "kv"}, exitOK},
		{[]string{"--token-file", token}, exitLocal},
		{[]string{"--token-file", empty, "--name", "a"}, exitLocal},
		{[]string{"--token-file", filepath.Join(s.home, "missing"), "--name", "a"}, exitLocal},
	} {
		if status := s.run(append([]string{"sink", "add", "vault", "ours", "--address", "https://vault.example.com:8200"}, test.args...)...); status != test.status {
			t.Errorf("%v: status %d: %s", test.args, status, &s.stderr)
		}
	}
	want := []string{
		`POST /v1/sinks {"name":"ours","kind":"vault","settings":{"address":"https://vault.example.com:8200","path":"keyward"},"credential":{"token":"fake-token"},"secrets":["pay/*","b"]}`,
		`POST /v1/sinks {"name":"ours","kind":"vault","settings":{"address":"https://vault.example.com:8200","mount":"kv","namespace":"team"},"credential":{"role_id":"fake-role","secret_id":"fake-secret-id"},"tagKeys":["vault"]}`,
	}
	if diff := cmp.Diff(want, s.requests); diff != "" {
		t.Error(diff)
	}
}

// Overwriting what somebody changed asks first; a secret is not for a terminal.
func TestWhatAsksFirst(t *testing.T) {
	s := newSession(t, english)
	s.answers["POST /v1/sinks/ours/sync"] = struct{}{}
	s.answers["GET /v1/secrets/a/value"] = api.SecretValue{Name: "a", Value: []byte("fake\x1b[2Jvalue")}
	if status := s.run("sink", "sync", "ours", "--overwrite"); status == exitOK || len(s.requests) != 0 {
		t.Errorf("status %d, requests %v", status, s.requests)
	}
	if status := s.run("sink", "sync", "ours", "--overwrite", "--yes"); status != exitOK || s.requests[0] != `POST /v1/sinks/ours/sync {"overwrite":true}` {
		t.Errorf("status %d, requests %v", status, s.requests)
	}
	s.outTerminal, s.requests = true, nil
	if status := s.run("secret", "get", "a"); status != exitLocal || len(s.requests) != 0 || s.stdout.Len() > 0 {
		t.Errorf("on a terminal: status %d, %s", status, &s.stdout)
	}
	if status := s.run("secret", "get", "a", "--show"); status != exitOK || s.stdout.String() != "fake\uFFFD[2Jvalue\n" {
		t.Errorf("shown on a terminal: status %d, %q", status, &s.stdout)
	}
	s.outTerminal = false
	if status := s.run("secret", "get", "a"); status != exitOK || s.stdout.String() != "fake\x1b[2Jvalue" {
		t.Errorf("redirected: status %d, %q", status, &s.stdout)
	}
	if strings.Contains(s.stderr.String(), "value") {
		t.Errorf("it said %q", &s.stderr)
	}
}
