package seal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
)

func write(t *testing.T, path, content string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadPassphrase(t *testing.T) {
	for content, want := range map[string]string{
		sealtest.Passphrase:          sealtest.Passphrase,
		sealtest.Passphrase + "\n":   sealtest.Passphrase,
		sealtest.Passphrase + "\r\n": sealtest.Passphrase,
		" two lines\n\n":             " two lines\n",
		strings.Repeat("x", 4096):    strings.Repeat("x", 4096),
		"":                           "",
	} {
		path := write(t, filepath.Join(t.TempDir(), "passphrase"), content, 0o600)
		got, err := seal.ReadPassphrase(path)
		if err != nil || string(got.Expose()) != want {
			t.Errorf("%.30q: %.30q, %v", content, got.Expose(), err)
		}
	}
	for _, mode := range []fs.FileMode{0o400, 0o600} {
		path := write(t, filepath.Join(t.TempDir(), "passphrase"), "x", mode)
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{path, link} {
			if _, err := seal.ReadPassphrase(p); err != nil {
				t.Errorf("mode %04o: %v", mode, err)
			}
		}
	}
}

func TestReadPassphraseRefuses(t *testing.T) {
	refuse := func(what, path, say string) {
		t.Helper()
		_, err := seal.ReadPassphrase(path)
		if !fault.Is(err, fault.InvalidParameter) || !strings.Contains(fault.Message(err), say) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o644, 0o610, 0o601, 0o700, 0o440} {
		refuse(mode.String(), write(t, filepath.Join(t.TempDir(), "passphrase"), "x", mode), "chmod 600")
	}
	refuse("missing", filepath.Join(t.TempDir(), "missing"), "check the path")
	refuse("a directory", t.TempDir(), "not a regular file")
	refuse("too long", write(t, filepath.Join(t.TempDir(), "passphrase"), strings.Repeat("x", 4097), 0o600), "more than 4096 bytes")
	if os.Geteuid() == 0 {
		path := write(t, filepath.Join(t.TempDir(), "passphrase"), "x", 0o600)
		if err := os.Chown(path, 12345, -1); err != nil {
			t.Fatal(err)
		}
		refuse("another owner", path, "chown")
	}
}

func TestPassphraseFromEnvironment(t *testing.T) {
	const fromVariable, fromCredential = "fake from the variable", "fake from the credential"
	directory := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", directory)
	t.Setenv("KEYWARD_PASSPHRASE", fromVariable)
	expect := func(want, source string) {
		t.Helper()
		got, from, err := seal.PassphraseFromEnvironment()
		if err != nil || string(got.Expose()) != want || !strings.Contains(from, source) {
			t.Errorf("%q from %q, %v", got.Expose(), from, err)
		}
	}
	expect(fromVariable, "KEYWARD_PASSPHRASE") // the credential does not exist
	if value, found := os.LookupEnv("KEYWARD_PASSPHRASE"); found {
		t.Errorf("the variable is still set to %q", value)
	}
	if _, _, err := seal.PassphraseFromEnvironment(); !fault.Is(err, fault.MissingParameter) {
		t.Errorf("neither: %v", err)
	}
	t.Setenv("KEYWARD_PASSPHRASE", fromVariable)
	credential := filepath.Join(directory, "keyward-passphrase")
	for _, mode := range []fs.FileMode{0o400, 0o440} {
		write(t, credential, fromCredential+"\n", mode)
		expect(fromCredential, "systemd")
		if err := os.Remove(credential); err != nil {
			t.Fatal(err)
		}
	}
	write(t, credential, fromCredential, 0o644)
	if _, _, err := seal.PassphraseFromEnvironment(); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("a credential that others can read: %v", err)
	}
}
