package interop_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/google/go-cmp/cmp"
)

// An inventory is all that an account can see.
type inventory struct {
	keys     []*kms.DescribeKeyResponseBodyKeyMetadata
	tags     []labels
	versions []string
	aliases  []string
	public   []byte
}

// look takes the inventory.
func look(t *testing.T, c *kms.Client, sign handle) (out inventory) {
	t.Helper()
	for _, id := range listKeys(t, c, "") {
		out.keys = append(out.keys, describe(t, c, id))
		out.tags = append(out.tags, labelsOf(t, c, id))
		for _, v := range must(c.ListKeyVersions(&kms.ListKeyVersionsRequest{KeyId: &id}))(t).Body.KeyVersions.KeyVersion {
			out.versions = append(out.versions, *v.KeyVersionId+" "+*v.KeyId+" "+*v.CreationDate)
		}
	}
	out.aliases, _ = aliasPage(t, c, "", 1, 100)
	out.public = publicKey(t, c, sign)
	return out
}

// TestRestart finds everything as it was, after a stop and after a crash.
func TestRestart(t *testing.T) {
	eachOwn(t, func(t *testing.T, o options) {
		s := newServer(t, o)
		a := s.account(t)
		c := a.sdk(t)
		aes := create(t, c, aes256, "")
		must(c.UpdateRotationPolicy(&kms.UpdateRotationPolicyRequest{KeyId: &aes.id, EnableAutomaticRotation: new(true), RotationInterval: new("30d")}))(t)
		must(c.TagResource(&kms.TagResourceRequest{KeyId: &aes.id, Tags: document(t, labels{"team": "pay", "组": ""})}))(t)
		must(c.CreateAlias(&kms.CreateAliasRequest{KeyId: &aes.id, AliasName: new("alias/kept")}))(t)
		must(c.UpdateKeyDescription(&kms.UpdateKeyDescriptionRequest{KeyId: &aes.id, Description: new("stays 在此")}))(t)
		must(c.SetDeletionProtection(&kms.SetDeletionProtectionRequest{ProtectedResourceArn: &aes.arn, EnableDeletionProtection: new(true)}))(t)
		off, gone, sign, rsa := create(t, c, sm4Spec, ""), create(t, c, aes128, ""), create(t, c, sm2Spec, ""), create(t, c, rsa2048, encryptDecrypt)
		must(c.DisableKey(&kms.DisableKeyRequest{KeyId: &off.id}))(t)
		must(c.ScheduleKeyDeletion(&kms.ScheduleKeyDeletionRequest{KeyId: &gone.id, PendingWindowInDays: new(int32(30))}))(t)
		bound := binding{"a": "b"}
		blob := encrypt(t, c, "alias/kept", []byte("kept"), bound)
		sealed := oaepSHA256(t, publicKey(t, c, rsa), []byte("kept"))
		before := look(t, c, sign)
		if len(before.keys) != 5 || len(before.versions) != 5 || len(before.aliases) != 1 {
			t.Fatalf("there are %d keys, %d versions and %d aliases", len(before.keys), len(before.versions), len(before.aliases))
		}
		check := func(after string) {
			t.Helper()
			if diff := cmp.Diff(before, look(t, c, sign), cmp.AllowUnexported(inventory{})); diff != "" {
				t.Errorf("after %s (-before +after):\n%s", after, diff)
			}
			opened := must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob, EncryptionContext: bound}))(t).Body
			private := must(c.AsymmetricDecrypt(&kms.AsymmetricDecryptRequest{KeyId: &rsa.id, KeyVersionId: &rsa.version, Algorithm: new("RSAES_OAEP_SHA_256"), CiphertextBlob: encoded(sealed)}))(t).Body
			if string(decoded(t, opened.Plaintext)) != "kept" || string(decoded(t, private.Plaintext)) != "kept" {
				t.Errorf("after %s ciphertexts are decrypted differently", after)
			}
			refused(c.Encrypt(&kms.EncryptRequest{KeyId: &off.id, Plaintext: encoded("x")}))(t, 409, rejectedDisabled)
		}
		check("nothing at all")
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s.restart(t)
		check("a stop")
		s.kill(t)
		s.restart(t)
		check("a crash")
	})
}

// TestDrain stops the server while a request is under way: it is answered, new ones are
// refused, and the process ends with status 0.
func TestDrain(t *testing.T) {
	eachOwn(t, func(t *testing.T, o options) {
		s := newServer(t, o)
		a := s.account(t)
		k := create(t, a.sdk(t), aes256, "")
		r := rpc(a, call{action: "DescribeKey", params: []pair{{"KeyId", k.id}}, form: true})
		body := must(r.GetBody())(t)
		content := make([]byte, r.ContentLength)
		must(body.Read(content))(t)

		conn := must(net.Dial("tcp", s.address))(t)
		defer conn.Close() //nolint:errcheck // the test is over
		answers := bufio.NewReader(conn)
		must(fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", s.address, len(content)))(t)
		if line := must(answers.ReadString('\n'))(t); !strings.Contains(line, "100 Continue") {
			t.Fatalf("the server says %q", line)
		}
		must(answers.ReadString('\n'))(t)
		// The server reads the body now: the request is under way.
		succeed(t, s.process.Signal(syscall.SIGTERM))
		for { // until it has heard the signal
			late, err := net.Dial("tcp", s.address)
			if err != nil {
				break
			}
			succeed(t, late.Close())
		}
		must(conn.Write(content))(t)
		response := must(http.ReadResponse(answers, r))(t)
		succeed(t, response.Body.Close())
		if response.StatusCode != http.StatusOK {
			t.Errorf("the request under way is answered with %s", response.Status)
		}
		if err := s.wait(); err != nil {
			t.Error(err)
		}
	})
}
