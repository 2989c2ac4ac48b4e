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
