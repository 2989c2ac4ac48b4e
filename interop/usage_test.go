package interop_test

import (
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// TestKeyAssociations asks who uses a key, by the actions that only keyward has.
func TestKeyAssociations(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		c := a.sdk(t)
		k := create(t, c, aes256, "")
		must(c.Encrypt(&kms.EncryptRequest{KeyId: &k.id, Plaintext: encoded("x"), EncryptionContext: map[string]any{"acs:oss:arn": "bucket"}}))(t)
		ask := func(action string, params ...pair) answer {
			t.Helper()
			return send(t, acs3(a, call{action: action, params: append(params, pair{"KeyId", k.id})}))
		}
		begun := ask("StartKeyAssociationDetection")
		list := ask("ListKeyAssociations", pair{"DetectionId", begun.member(t, "DetectionId")})
		if status, conclusion := list.member(t, "Status"), list.member(t, "Conclusion"); status != "Detecting" || conclusion != "InUse" {
			t.Errorf("just begun: %s, %s", status, conclusion)
		}
		if got := ask("ListKeyAssociations").member(t, "Status"); got != "Finished" {
			t.Errorf("what is stored: %s", got)
		}
		if got := ask("ListKeyAssociations", pair{"DetectionId", "made up"}).refusal; got != (refusal{400, invalidParameter}) {
			t.Errorf("a detection that nobody began: %v", got)
		}
		if got := ask("RegisterKeyAssociation", pair{"Product", "oss"}, pair{"Resource", "bucket/a"}).refusal; got != ok {
			t.Errorf("registering: %v", got)
		}
		if got := ask("DeregisterKeyAssociation", pair{"Product", "oss"}, pair{"Resource", "bucket/b"}).refusal; got != (refusal{404, resourceNotFound}) {
			t.Errorf("deregistering what is not there: %v", got)
		}
		if got := ask("DeregisterKeyAssociation", pair{"Product", "oss"}, pair{"Resource", "bucket/a"}).refusal; got != ok {
			t.Errorf("deregistering: %v", got)
		}
	})
}
