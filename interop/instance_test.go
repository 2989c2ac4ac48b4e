package interop_test

import (
	"encoding/json"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// TestInstances puts a key into an instance and finds both again.
func TestInstances(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		c := a.sdk(t)
		var made struct{ ID, ARN string }
		if err := json.Unmarshal([]byte(must(s.run(a, "instance", "create", "payments", "--output", "json"))(t)), &made); err != nil {
			t.Fatal(err)
		}
		// The provider of Terraform always sends a protection level.
		in := must(c.CreateKey(&kms.CreateKeyRequest{DKMSInstanceId: &made.ID, ProtectionLevel: new("SOFTWARE")}))(t).Body.KeyMetadata
		create(t, c, aes256, "")
		if got := *describe(t, c, *in.KeyId).DKMSInstanceId; got != made.ID || *in.DKMSInstanceId != made.ID {
			t.Errorf("the key is in %s", got)
		}
		if got := listKeys(t, c, filter(t, "DKMSInstanceId", []string{made.ID})); len(got) != 1 || got[0] != *in.KeyId {
			t.Errorf("its keys are %v", got)
		}
		all := must(c.ListKmsInstances(&kms.ListKmsInstancesRequest{}))(t).Body
		if got := all.KmsInstances.KmsInstance; len(got) != 1 || *got[0].KmsInstanceId != made.ID || *got[0].KmsInstanceArn != made.ARN || *all.TotalCount != 1 {
			t.Errorf("instances: %v", all)
		}
		if got := must(c.GetKmsInstance(&kms.GetKmsInstanceRequest{KmsInstanceId: &made.ID}))(t).Body.KmsInstance; *got.InstanceName != "payments" || *got.Status != "Connected" || *got.KeyNum != 1 {
			t.Errorf("the instance is %v", got)
		}
		refused(c.CreateKey(&kms.CreateKeyRequest{DKMSInstanceId: new("kst-hzz1")}))(t, 403, "Forbidden.DKMSInstanceNotFound")
		refused(c.GetKmsInstance(&kms.GetKmsInstanceRequest{KmsInstanceId: new("kst-hzz1")}))(t, 403, "Forbidden.DKMSInstanceNotFound")
	})
}
