package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNode drives the server with the clients for Node.js, in the versions that
// node/package-lock.json names.
func TestNode(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil {
		missing(t, "npm is not installed: run make deps")
	}
	t.Parallel()
	dir := t.TempDir()
	succeed(t, os.CopyFS(dir, os.DirFS("node")))
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	onShared(t, func(t *testing.T, s *server) {
		a := s.account(t)
		cmd := exec.Command("node", "clients.mjs")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "KEYWARD_HOST="+s.address, "ALIBABA_CLOUD_ACCESS_KEY_ID="+a.id, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+a.secret)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("the clients for Node.js: %v\n%s", err, out)
		}
	})
}

// TestLock checks that the lock of the Node.js clients names no registry: whoever runs the
// tests has their own.
func TestLock(t *testing.T) {
	lock := string(must(os.ReadFile(filepath.Join("node", "package-lock.json")))(t))
	if strings.Contains(lock, "://") || strings.Contains(lock, `"resolved"`) {
		t.Error("node/package-lock.json names a registry; write it with npm config set omit-lockfile-registry-resolved true")
	}
	if !strings.Contains(lock, `"integrity": "sha512-`) {
		t.Error("node/package-lock.json has no checksums")
	}
}
