package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/fault"
)

// What a directory is called has no part in what is found in it.
func TestList(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[a-c]*\\")
	for _, name := range []string{"x/b.txt", "x/a.txt", "x/c.md", "y.txt"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string][]string{
		"*.txt": {filepath.Join(dir, "y.txt")}, "*/?.txt": {filepath.Join(dir, "x/a.txt"), filepath.Join(dir, "x/b.txt")}, "z*": nil,
	} {
		if got, err := durable.List(dir, pattern); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", pattern, got, err, want)
		}
	}
	if got, err := durable.List(filepath.Join(dir, "none"), "*"); err != nil || len(got) > 0 {
		t.Errorf("no directory: %q, %v", got, err)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"one", "", "three"} {
		if err := durable.Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("holds %q, %v; want %q", got, err, content)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.Replace(filepath.Join(dir, "taken"), nil); err == nil {
		t.Error("a directory was replaced")
	}
	if err := durable.Replace(filepath.Join(dir, "missing", "file"), nil); err == nil {
		t.Error("a file in no directory was written")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := durable.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.Lock(path); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	again, err := durable.Lock(path)
	if err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	again()
	if _, err := durable.Lock(filepath.Join(path, "missing")); err == nil || errors.Is(err, durable.ErrLocked) {
		t.Errorf("a lock in no directory: %v", err)
	}
}

func TestRequirePrivate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := durable.RequirePrivate(path); err != nil {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode := range os.FileMode(0o100) {
		if err := os.Chmod(path, 0o600|mode); err != nil {
			t.Fatal(err)
		}
		if err := durable.RequirePrivate(path); (err == nil) != (mode == 0) || err != nil && !strings.Contains(err.Error(), "run: chmod 600 "+path) {
			t.Errorf("mode %04o: %v", 0o600|mode, err)
		}
	}
	if err := os.Chmod(dir, 0o750); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	err := durable.RequirePrivate(dir)
	if err == nil || !strings.Contains(err.Error(), "run: chmod 700 "+dir) {
		t.Errorf("a directory: %v", err)
	}
	if chinese := fault.TextOf(err).Chinese(); !strings.Contains(chinese, "请运行：chmod 700 "+dir) {
		t.Errorf("in Chinese: %s", chinese)
	}
}
