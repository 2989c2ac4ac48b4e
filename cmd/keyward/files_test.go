package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
)

// names lists a directory.
func names(t *testing.T, dir string) []string {
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

// A file appears whole, with its mode, or not at all.
func TestReplace(t *testing.T) {
	s := newSession(t, english)
	broken := errors.New("broken off")
	good := func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }
	bad := func(w io.Writer) error { _, err := io.WriteString(w, "ne"); return errors.Join(err, broken) }
	for _, test := range []struct {
		name           string
		exists         bool
		force          bool
		write          func(io.Writer) error
		content        string
		refused, fails bool
	}{
		{name: "new", write: good, content: "new"},
		{name: "new, broken off", write: bad, fails: true},
		{name: "there", exists: true, write: good, content: "old", refused: true},
		{name: "there, forced", exists: true, force: true, write: good, content: "new"},
		{name: "there, forced, broken off", exists: true, force: true, write: bad, content: "old", fails: true},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		if test.exists {
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := place{&s.cli, test.force}.replace(path, 0o640, test.write)
		var p *problem
		if errors.Is(err, broken) != test.fails || errors.As(err, &p) != test.refused {
			t.Errorf("%s: %v", test.name, err)
		}
		content, err := os.ReadFile(path)
		if string(content) != test.content || err != nil && test.content != "" {
			t.Errorf("%s: it holds %q, error %v", test.name, content, err)
		}
		if left := names(t, dir); len(left) > 1 || test.content == "" && len(left) > 0 {
			t.Errorf("%s: left behind: %v", test.name, left)
		}
		if info, err := os.Stat(path); test.content == "new" && (err != nil || info.Mode().Perm() != 0o640) {
			t.Errorf("%s: %v, error %v", test.name, info, err)
		}
	}
}

// What came under the name while the file was written is not replaced.
func TestReplaceDoesNotRace(t *testing.T) {
	s := newSession(t, english)
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	err := place{cli: &s.cli}.replace(path, 0o600, func(io.Writer) error { return os.WriteFile(path, []byte("somebody's"), 0o600) })
	content, readErr := os.ReadFile(path)
	if err == nil || readErr != nil || string(content) != "somebody's" {
		t.Errorf("error %v; it holds %q, error %v", err, content, readErr)
	}
	if diff := cmp.Diff([]string{"f"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestReplaceRefusesWhatIsNoFile(t *testing.T) {
	s := newSession(t, english)
	for _, path := range []string{t.TempDir(), os.DevNull} {
		if err := (place{&s.cli, true}).replace(path, 0o600, func(io.Writer) error { return nil }); err == nil {
			t.Errorf("%s was replaced", path)
		}
	}
}

func TestEncryptIsNotForTerminals(t *testing.T) {
	s := newSession(t, english)
	s.answers["POST /v1/crypto/encrypt"] = api.Encrypted{Key: "key-aaaa", Ciphertext: []byte("wrapped")}
	s.outTerminal = true
	if status := s.run("encrypt", "--key", "k"); status != exitLocal || s.stdout.Len() > 0 || len(s.requests) > 0 {
		t.Errorf("status %d, %d bytes, %d requests", status, s.stdout.Len(), len(s.requests))
	}
	s.outTerminal, s.in = false, strings.NewReader("x")
	if status := s.run("encrypt", "--key", "k"); status != exitOK || !bytes.HasPrefix(s.stdout.Bytes(), []byte("age-encryption.org/v1\n-> keyward key-aaaa\n")) {
		t.Errorf("status %d: %q", status, &s.stdout)
	}
	if len(s.requests) != 1 || !strings.Contains(s.requests[0], `"context":{"purpose":"keyward-file"}`) {
		t.Errorf("asked for %q", s.requests)
	}
}

// With an error of the server in the middle of many files the ones before are there and
// the one at fault has left nothing.
func TestFilesOneByOne(t *testing.T) {
	s := newSession(t, english)
	dir := t.TempDir()
	for _, name := range []string{"a", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.answers["POST /v1/crypto/encrypt"] = api.Encrypted{Key: "key-aaaa", Ciphertext: []byte("wrapped")}
	missing := filepath.Join(dir, "b")
	if status := s.run("encrypt", "--key", "k", filepath.Join(dir, "a"), missing, filepath.Join(dir, "c")); status != exitLocal || !strings.Contains(s.stderr.String(), missing) {
		t.Errorf("status %d: %s", status, &s.stderr)
	}
	if diff := cmp.Diff([]string{"a", "a.kw", "c"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
	if status := s.run("encrypt", "--key", "k", "--out", filepath.Join(dir, "x"), filepath.Join(dir, "a"), filepath.Join(dir, "c")); status != exitLocal {
		t.Errorf("two files into one: status %d", status)
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("two files went into one")
	}
}
