package interop_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/hashicorp/go-kms-wrapping/wrappers/alicloudkms/v2"
)

// sealVariable makes the test's binary do what Vault does when it starts.
const sealVariable = "KEYWARD_INTEROP_SEAL"

const rootKey = "the root key of a vault, not a secret"

// sealMain wraps and unwraps a key with the key that the environment configures, and
// writes which one that was.
func sealMain() int {
	ctx := context.Background()
	w := alicloudkms.NewWrapper()
	if _, err := w.SetConfig(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	wrapped, err := w.Encrypt(ctx, []byte(rootKey))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	plain, err := w.Decrypt(ctx, wrapped)
	if err != nil || string(plain) != rootKey {
		fmt.Println("the key came back differently:", err)
		return 1
	}
	fmt.Println(wrapped.KeyInfo.KeyId)
	return 0
}

// TestSeal seals and unseals as Vault does, over TLS with an authority of its own. It
// takes a process: what authorities are trusted, a process reads once.
func TestSeal(t *testing.T) {
	eachOwn(t, func(t *testing.T, o options) {
		ca := newAuthority(t)
		o.cert = ca.issue(t, filepath.Join(t.TempDir(), "server.pem"), 1)
		s := newServer(t, o)
		a := s.account(t)
		config := a.config()
		config.Protocol, config.Ca = new("HTTPS"), new(string(ca.pem))
		c := must(kms.NewClient(config))(t)
		k := create(t, c, aes256, "")
		must(c.CreateAlias(&kms.CreateAliasRequest{KeyId: &k.id, AliasName: new("alias/vault")}))(t)
		seal := func(trusted string) (string, error) {
			cmd := exec.Command(must(os.Executable())(t))
			cmd.Env = append(os.Environ(), sealVariable+"=1", "SSL_CERT_FILE="+trusted, "SSL_CERT_DIR="+t.TempDir(),
				"ALICLOUD_ACCESS_KEY="+a.id, "ALICLOUD_SECRET_KEY="+a.secret, "ALICLOUD_REGION="+region, "ALICLOUD_DOMAIN="+s.address,
				"VAULT_ALICLOUDKMS_SEAL_KEY_ID=alias/vault")
			out, err := cmd.CombinedOutput()
			return strings.TrimSpace(string(out)), err
		}
		if got, err := seal(ca.file); err != nil || got != k.id {
			t.Errorf("sealed with %q, want %s: %v", got, k.id, err)
		}
		if got, err := seal(newAuthority(t).file); err == nil || !strings.Contains(got, "certificate") {
			t.Errorf("a server of another authority is trusted: %q", got)
		}
	})
}
