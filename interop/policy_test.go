package interop_test

import (
	"strings"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// TestKeyPolicies reads and sets the policies of keys with the SDK, and has one forbid what
// another policy allows.
func TestKeyPolicies(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		name, user := s.namedUser(t, a)
		c, u := a.sdk(t), user.sdk(t)
		k := create(t, c, aes256, "")
		policy := func() string {
			return *must(c.GetKeyPolicy(&kms.GetKeyPolicyRequest{KeyId: &k.id, PolicyName: new("default")}))(t).Body.Policy
		}
		before := policy()
		_, rest, found := strings.Cut(before, `"acs:ram::`)
		owner, _, _ := strings.Cut(rest, ":")
		if !found || len(owner) != 16 || !strings.Contains(before, `"Sid":"kms default key policy"`) {
			t.Fatalf("the default policy is %s", before)
		}
		encrypt := func() error { return outcome(u.Encrypt(&kms.EncryptRequest{KeyId: &k.id, Plaintext: encoded("x")})) }
		write := func(effect string) string {
			return `{"Version":"1","Statement":[{"Effect":"` + effect + `","Principal":{"RAM":["acs:ram::` + owner + `:user/` + name + `"]},"Action":["kms:Encrypt"],"Resource":["*"]}]}`
		}
		set := func(document string) {
			must(c.SetKeyPolicy(&kms.SetKeyPolicyRequest{KeyId: &k.id, Policy: &document}))(t)
		}
		if encrypt() == nil {
			t.Error("a user without policies encrypts under the default")
		}
		set(write("Allow"))
		if err := encrypt(); err != nil {
			t.Errorf("the key's policy allows: %v", err)
		}
		if got := policy(); got != write("Allow") {
			t.Errorf("the policy is %s", got)
		}
		set(write("Deny"))
		if encrypt() == nil {
			t.Error("the key's policy denies")
		}
		set(before)
		refused(c.GetKeyPolicy(&kms.GetKeyPolicyRequest{KeyId: &k.id, PolicyName: new("other")}))(t, 404, "Forbidden.ResourceNotFound")
		for _, document := range []string{"{", "{}", strings.Replace(write("Deny"), "kms:Encrypt", "kms:Enkrypt", 1), strings.Replace(write("Deny"), "user/"+name, "*", 1) + "x", write("Allow") + strings.Repeat(" ", 32768)} {
			refused(c.SetKeyPolicy(&kms.SetKeyPolicyRequest{KeyId: &k.id, Policy: &document}))(t, 400, invalidParameter)
		}
		refused(u.SetKeyPolicy(&kms.SetKeyPolicyRequest{KeyId: &k.id, Policy: &before}))(t, 403, "Forbidden.NoPermission")
		made := must(c.CreateKey(&kms.CreateKeyRequest{Policy: new(write("Allow"))}))(t).Body.KeyMetadata
		if got := *must(c.GetKeyPolicy(&kms.GetKeyPolicyRequest{KeyId: made.KeyId}))(t).Body.Policy; got != write("Allow") {
			t.Errorf("the key was made with %s", got)
		}
		if got := send(t, acs3(a, call{action: "ListKeyPolicies", params: []pair{{"KeyId", k.id}}})); got.refusal != ok {
			t.Errorf("ListKeyPolicies answers %v", got.refusal)
		}
	})
}
