package interop_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// user makes a user of a's account who may do nothing, with an access key.
func (s *server) user(t *testing.T, a account) account {
	t.Helper()
	_, key := s.namedUser(t, a)
	return key
}

func (s *server) namedUser(t *testing.T, a account) (string, account) {
	t.Helper()
	name := "u" + strings.ToLower(rand.Text())
	s.command(t, a, "user", "create", name)
	return name, must(s.issueAs(a, "user", "accesskey", "create", name))(t)
}

// TestAccess checks what the SDK hears when its access key may not do something, or is
// none. That the refusals begin at once is the matter of whoever changes access keys;
// here it is the next request that is refused.
func TestAccess(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		root := s.account(t)
		k := create(t, root.sdk(t), aes256, "")
		blob := encrypt(t, root.sdk(t), k.id, []byte("x"), nil)
		name, user := s.namedUser(t, root)
		c := user.sdk(t)
		in := &kms.EncryptRequest{KeyId: &k.id, Plaintext: encoded("x")}
		refused(c.Encrypt(in))(t, 403, "Forbidden.NoPermission")
		refused(c.ListKeys(&kms.ListKeysRequest{}))(t, 403, "Forbidden.NoPermission")
		must(c.DescribeRegions())(t)

		policy := filepath.Join(t.TempDir(), "policy.json")
		document := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:Encrypt","Resource":"` + k.arn + `"}]}`
		succeed(t, os.WriteFile(policy, []byte(document), 0o600))
		s.command(t, root, "policy", "create", "encrypt-only", "--file", policy)
		s.command(t, root, "policy", "attach", "encrypt-only", name)
		must(c.Encrypt(in))(t)
		refused(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob}))(t, 403, "Forbidden.NoPermission")
		// Who may not use a key does not learn whether it is there.
		refused(c.DescribeKey(&kms.DescribeKeyRequest{KeyId: &k.id}))(t, 403, "Forbidden.NoPermission")
		refused(c.DescribeKey(&kms.DescribeKeyRequest{KeyId: new("key-none")}))(t, 403, "Forbidden.NoPermission")

		s.command(t, root, "user", "accesskey", "disable", user.id)
		refused(c.Encrypt(in))(t, 403, "InvalidAccessKeyId.Inactive")
		s.command(t, root, "user", "accesskey", "enable", user.id)
		must(c.Encrypt(in))(t)
		s.command(t, root, "user", "accesskey", "reset", user.id, "--yes")
		refused(c.Encrypt(in))(t, 400, "SignatureDoesNotMatch")
		s.command(t, root, "user", "accesskey", "disable", user.id)
		s.command(t, root, "user", "accesskey", "delete", user.id, "--yes")
		refused(c.Encrypt(in))(t, 404, "InvalidAccessKeyId.NotFound")
	})
}
