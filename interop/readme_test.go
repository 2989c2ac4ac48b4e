package interop_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// TestReadme runs the program that the project's README shows.
func TestReadme(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		c := a.sdk(t)
		k := create(t, c, aes256, "")
		must(c.CreateAlias(&kms.CreateAliasRequest{KeyId: &k.id, AliasName: new("alias/reports")}))(t)
		cmd := exec.Command("go", "run", "./readme")
		cmd.Env = append(os.Environ(), "KEYWARD_ENDPOINT=http://"+s.address, "ALIBABA_CLOUD_ACCESS_KEY_ID="+a.id, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+a.secret)
		out, err := cmd.Output()
		blob := strings.TrimSpace(string(must(out, err)(t)))
		if got := decoded(t, must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: &blob}))(t).Body.Plaintext); string(got) != "hello" {
			t.Errorf("the program encrypted %q", got)
		}
	})
}
