package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever stands around it in the profile file, no error repeats the secret.
func FuzzProfiles(f *testing.F) {
	f.Add("[default]\nendpoint = \"https://x\"", "")
	f.Add("", "")
	f.Add("[default]\nendpoint = \"\"\"", "")
	f.Add("[default]\nendpoint = [", "]")
	f.Add("[[default]]", "[default.more]\nx = 1")
	s := newSessionIn(f.TempDir(), english)
	dir := filepath.Join(s.home, ".config", "keyward")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		content := before + "\naccess_key_secret = \"kwsk_fake\"\n" + after
		if err := os.WriteFile(filepath.Join(dir, "profiles.toml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s.prepare(nil)
		if _, err := s.settings(); err != nil && strings.Contains(err.Error(), "kwsk_fake") {
			t.Errorf("it says %v", err)
		}
	})
}
