package remote

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/cli"
)

// Whatever stands around it in the profile file, no error repeats the secret.
func FuzzProfiles(f *testing.F) {
	f.Add("[default]\nendpoint = \"https://x\"", "")
	f.Add("", "")
	f.Add("[default]\nendpoint = \"\"\"", "")
	f.Add("[default]\nendpoint = [", "]")
	f.Add("[[default]]", "[default.more]\nx = 1")
	home := f.TempDir()
	c := &cli.Run{Lang: cli.English, Getenv: func(name string) string { return map[string]string{"HOME": home}[name] }}
	dir := filepath.Join(home, ".config", "keyward")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		content := before + "\naccess_key_secret = \"kwsk_fake\"\n" + after
		if err := os.WriteFile(filepath.Join(dir, "profiles.toml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := FindSettings(c); err != nil && strings.Contains(err.Error(), "kwsk_fake") {
			t.Errorf("it says %v", err)
		}
	})
}
