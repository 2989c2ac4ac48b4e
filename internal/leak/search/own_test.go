package search_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/ignore"
	"github.com/keyward/keyward/internal/leak/search"
)

// TestOwnRepository holds that the scanner finds nothing in keyward's own files but what
// .keyward-scan.toml accepts with a reason, and that it needs all that stands there.
func TestOwnRepository(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	out, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Fatalf("listing the repository's files: %v", err)
	}
	var paths []string
	for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		paths = append(paths, filepath.Join(root, filepath.FromSlash(name)))
	}
	content, err := os.ReadFile(filepath.Join(root, ignore.FileName))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ignore.Parse(content, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.Hasher, o.Ignore = leak.NewHasher(accepted.Key()), accepted.Ignores
	s := search.New(o)
	if err := s.Files(t.Context(), paths); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Findings() {
		if f.Severity >= leak.Medium {
			t.Errorf("%s %s %s at %v", f.Rule, f.Redacted, f.Fingerprint, f.Locations)
		}
	}
	c := s.Coverage()
	if c.Partial() || c.Files < 500 {
		t.Errorf("coverage %+v", c)
	}
	if unused, over := accepted.Unused(); len(unused)+len(over) > 0 {
		t.Errorf("unused ignores: %+v, %+v", unused, over)
	}
}
