package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/cli"
)

// What a person trusts decides what verification proves.
func TestTrust(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, key, err := audit.GenerateKey("keyward/a")
	if err != nil {
		t.Fatal(err)
	}
	_, forged, err := audit.GenerateKey("keyward/a")
	if err != nil {
		t.Fatal(err)
	}
	empty := `{"format":"keyward-audit-export","v":1,"log":"keyward/a","publicKey":"` + key + `","size":0,"checkpoint":""}` + "\n"
	export, unsigned := write("export", empty), write("checkpoint", "keyward/a\n1\nAAAA\n\n— keyward/a AAAA\n")
	other := write("other", "keyward/b\n1\nAAAA\n\n— keyward/b AAAA\n")
	for _, test := range []struct {
		name string
		args []string
		want int
	}{
		{"the claimed key", nil, cli.ExitOK},
		{"the right key", []string{"--public-key", key}, cli.ExitOK},
		{"the right key in a file", []string{"--public-key", write("key", key+"\n")}, cli.ExitOK},
		{"a log that is missing", []string{"--public-key", strings.Replace(key, "keyward/a", "keyward/b", 1)}, cli.ExitTampered},
		{"a checkpoint of a log that is missing", []string{"--checkpoint", other}, cli.ExitTampered},
		{"a claimed key that did not sign the checkpoint", []string{"--checkpoint", unsigned}, cli.ExitTampered},
		{"a given key that did not sign the checkpoint", []string{"--public-key", forged, "--checkpoint", unsigned}, cli.ExitLocal},
		{"no such key file", []string{"--public-key", "missing"}, cli.ExitLocal},
		{"no such checkpoint", []string{"--checkpoint", "missing"}, cli.ExitLocal},
		{"two things to verify", []string{"--data-dir", dir}, cli.ExitLocal},
	} {
		s := newSession(t, cli.English)
		if status := s.Do(append([]string{"audit", "verify", "--export", export}, test.args...)...); status != test.want {
			t.Errorf("%s: status %d, want %d: %s", test.name, status, test.want, &s.Stderr)
		}
	}
}
