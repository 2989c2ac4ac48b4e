package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	c := &Run{Lang: English}
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
		err := Place{c, test.force}.Replace(path, 0o640, test.write)
		var p *Problem
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
	c := &Run{Lang: English}
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	err := Place{Run: c}.Replace(path, 0o600, func(io.Writer) error { return os.WriteFile(path, []byte("somebody's"), 0o600) })
	content, readErr := os.ReadFile(path)
	if err == nil || readErr != nil || string(content) != "somebody's" {
		t.Errorf("error %v; it holds %q, error %v", err, content, readErr)
	}
	if diff := cmp.Diff([]string{"f"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestReplaceRefusesWhatIsNoFile(t *testing.T) {
	c := &Run{Lang: English}
	for _, path := range []string{t.TempDir(), os.DevNull} {
		if err := (Place{c, true}).Replace(path, 0o600, func(io.Writer) error { return nil }); err == nil {
			t.Errorf("%s was replaced", path)
		}
	}
}
