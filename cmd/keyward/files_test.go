package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

func TestEncryptIsNotForTerminals(t *testing.T) {
	s := newSession(t, cli.English)
	s.Answers["POST /v1/crypto/encrypt"] = api.Encrypted{Key: "key-aaaa", Ciphertext: []byte("wrapped")}
	s.OutTerminal = true
	if status := s.Do("encrypt", "--key", "k"); status != cli.ExitLocal || s.Stdout.Len() > 0 || len(s.Requests) > 0 {
		t.Errorf("status %d, %d bytes, %d requests", status, s.Stdout.Len(), len(s.Requests))
	}
	s.OutTerminal, s.In = false, strings.NewReader("x")
	if status := s.Do("encrypt", "--key", "k"); status != cli.ExitOK || !bytes.HasPrefix(s.Stdout.Bytes(), []byte("age-encryption.org/v1\n-> keyward key-aaaa\n")) {
		t.Errorf("status %d: %q", status, &s.Stdout)
	}
	if len(s.Requests) != 1 || !strings.Contains(s.Requests[0], `"context":{"purpose":"keyward-file"}`) {
		t.Errorf("asked for %q", s.Requests)
	}
}

// With an error of the server in the middle of many files the ones before are there and
// the one at fault has left nothing.
func TestFilesOneByOne(t *testing.T) {
	s := newSession(t, cli.English)
	dir := t.TempDir()
	for _, name := range []string{"a", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.Answers["POST /v1/crypto/encrypt"] = api.Encrypted{Key: "key-aaaa", Ciphertext: []byte("wrapped")}
	missing := filepath.Join(dir, "b")
	if status := s.Do("encrypt", "--key", "k", filepath.Join(dir, "a"), missing, filepath.Join(dir, "c")); status != cli.ExitLocal || !strings.Contains(s.Stderr.String(), missing) {
		t.Errorf("status %d: %s", status, &s.Stderr)
	}
	if diff := cmp.Diff([]string{"a", "a.kw", "c"}, listing(t, dir)); diff != "" {
		t.Error(diff)
	}
	if status := s.Do("encrypt", "--key", "k", "--out", filepath.Join(dir, "x"), filepath.Join(dir, "a"), filepath.Join(dir, "c")); status != cli.ExitLocal {
		t.Errorf("two files into one: status %d", status)
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("two files went into one")
	}
}

// What a key made goes to a file only if there is none, or if it is forced to; who is refused
// has asked the server for nothing.
func TestOutputReplacesNothing(t *testing.T) {
	version := "keys/key-aaaa/versions/" + aKey().PrimaryVersion
	digest := strings.Repeat("00", 32)
	for _, test := range []struct {
		args   []string
		path   string
		answer any
		want   string
	}{
		{[]string{"key", "sign", "key-aaaa", "--algorithm", "ECDSA_SHA_256", "--digest", digest}, "POST /v1/crypto/sign", api.Signature{Signature: []byte("signature")}, "signature"},
		{[]string{"mac", "generate", "key-aaaa"}, "POST /v1/crypto/mac", api.MAC{MAC: []byte("code")}, "code"},
		{[]string{"key", "csr", "key-aaaa", "--cn", "pay.example.com"}, "POST /v1/" + version + "/csr", api.CSR{PEM: "request\n"}, "request\n"},
		{[]string{"key", "public-key", "key-aaaa"}, "GET /v1/" + version + "/public-key", api.PublicKey{PEM: "public\n"}, "public\n"},
	} {
		s := newSession(t, cli.English)
		s.Answers["GET /v1/keys/key-aaaa"], s.Answers[test.path] = aKey(), test.answer
		path := filepath.Join(t.TempDir(), "f")
		args := append(test.args, "--out", path)
		do := func(want int, content string, args ...string) {
			t.Helper()
			s.In, s.Requests = strings.NewReader("message"), nil
			status := s.Do(args...)
			got, err := os.ReadFile(path)
			if status != want || err != nil || string(got) != content {
				t.Errorf("%q: status %d, the file holds %q, error %v: %s", args, status, got, err, &s.Stderr)
			}
		}
		do(cli.ExitOK, test.want, args...)
		if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
			t.Fatal(err)
		}
		do(cli.ExitLocal, "somebody's", args...)
		if len(s.Requests) > 0 || !strings.Contains(s.Stderr.String(), "--force") {
			t.Errorf("%q: %d requests, said %q", args, len(s.Requests), &s.Stderr)
		}
		do(cli.ExitOK, test.want, append(args, "--force")...)
	}
}

// listing lists a directory.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
