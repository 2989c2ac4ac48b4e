package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/rotation/engine"
)

// A crash while a new key was kept leaves a part of a file, which does not stay; what is
// whole does.
func TestSpoolIsSweptOfHalfFiles(t *testing.T) {
	s := engine.Spool{Directory: filepath.Join(t.TempDir(), "spool")}
	check(t, s.Sweep()) // there is none yet
	check(t, os.Mkdir(s.Directory, 0o700))
	for _, name := range []string{".tmp-1", ".tmp-2", "0123456789abcdef-1"} {
		check(t, os.WriteFile(filepath.Join(s.Directory, name), []byte("some"), 0o600))
	}
	check(t, s.Sweep())
	left, err := filepath.Glob(filepath.Join(s.Directory, "*"))
	check(t, err)
	if diff := cmp.Diff([]string{filepath.Join(s.Directory, "0123456789abcdef-1")}, left); diff != "" {
		t.Error(diff)
	}
}
