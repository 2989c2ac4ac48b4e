package identity_test

import (
	"crypto/ed25519"
	"crypto/hpke"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent/identity"
)

func node() identity.Node {
	return identity.Node{Account: "acme", Name: "shop-1", Labels: map[string]string{"tier": "test"}, Server: "https://keyward.example.com"}
}

// The keys are made once, are read again as they were, and are nobody else's to read.
func TestKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := identity.Load(dir); !errors.Is(err, identity.ErrNotJoined) {
		t.Errorf("before joining: %v", err)
	}
	made, err := identity.MakeKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := identity.MakeKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	sign, seal := made.Public()
	if sign2, seal2 := again.Public(); string(sign) != string(sign2) || string(seal) != string(seal2) || len(sign) != 32 || len(seal) != 1216 {
		t.Errorf("the keys changed, or are of %d and %d bytes", len(sign), len(seal))
	}
	if !ed25519.Verify(sign, []byte("message"), again.Sign([]byte("message"))) {
		t.Error("a signature does not verify")
	}
	if err := identity.Save(dir, node()); err != nil {
		t.Fatal(err)
	}
	n, _, err := identity.Load(dir)
	if diff := cmp.Diff(node(), n); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
	seed := filepath.Join(dir, "seed")
	for _, c := range []struct {
		name  string
		spoil func() error
		want  string
	}{
		{"others may read it", func() error { return os.Chmod(seed, 0o644) }, "chmod 600"}, //nolint:gosec // that is the test
		{"others may enter", func() error { return errors.Join(os.Chmod(seed, 0o600), os.Chmod(dir, 0o755)) }, "chmod 700"},
		{"it is cut", func() error { return errors.Join(os.Chmod(dir, 0o700), os.Truncate(seed, 20)) }, "damaged"},
		{"it is longer", func() error { return os.WriteFile(seed, []byte(strings.Repeat("0", 80)), 0o600) }, "damaged"},
		{"it is no seed", func() error { return os.WriteFile(seed, []byte(strings.Repeat("x", 64)), 0o600) }, "damaged"},
		{"the node is damaged", func() error { return os.WriteFile(filepath.Join(dir, "node.json"), []byte("{}"), 0o600) }, "damaged"},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := identity.Load(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// A value opens only where it was sealed for: account, rollout, node, version.
func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k, err := identity.MakeKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, public := k.Public()
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(account, rollout, node, version string) delivery.Sealed {
		value, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), delivery.SealedInfo(account, rollout, node, version), []byte("EXAMPLE-secret"))
		if err != nil {
			t.Fatal(err)
		}
		return delivery.Sealed{Version: "v1", Value: value}
	}
	if value, err := k.Open(node(), "pay", seal("acme", "pay", "shop-1", "v1")); err != nil || string(value.Expose()) != "EXAMPLE-secret" {
		t.Errorf("%v", err)
	}
	for _, other := range []delivery.Sealed{
		seal("other", "pay", "shop-1", "v1"), seal("acme", "mail", "shop-1", "v1"), seal("acme", "pay", "shop-2", "v1"), seal("acme", "pay", "shop-1", "v2"), {Version: "v1"},
	} {
		if _, err := k.Open(node(), "pay", other); err == nil {
			t.Error("what was sealed for another place was opened")
		}
	}
}
