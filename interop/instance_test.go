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
		secret := func(name, instance string, key *string) *kms.CreateSecretRequest {
			return &kms.CreateSecretRequest{SecretName: &name, VersionId: new("v1"), SecretData: new("x"), DKMSInstanceId: &instance, EncryptionKeyId: key}
		}
		if got := must(c.CreateSecret(secret("ours", made.ID, in.KeyId)))(t).Body; *got.DKMSInstanceId != made.ID {
			t.Errorf("the secret is in %s", *got.DKMSInstanceId)
		}
		if got := must(c.DescribeSecret(&kms.DescribeSecretRequest{SecretName: new("ours")}))(t).Body; *got.DKMSInstanceId != made.ID {
			t.Errorf("the secret is in %s", *got.DKMSInstanceId)
		}
		must(c.CreateSecret(&kms.CreateSecretRequest{SecretName: new("nowhere"), VersionId: new("v1"), SecretData: new("x")}))(t)
		for instance, want := range map[string]int32{made.ID: 1, "kst-hzz1": 0} {
			filters := filter(t, "DKMSInstanceId", []string{instance})
			if got := must(c.ListSecrets(&kms.ListSecretsRequest{Filters: &filters}))(t).Body; *got.TotalCount != want {
				t.Errorf("%s has %d secrets, want %d: %v", instance, *got.TotalCount, want, got)
			}
		}
		refused(c.CreateSecret(secret("other", "kst-hzz1", in.KeyId)))(t, 403, "Forbidden.DKMSInstanceNotFound")
		refused(c.CreateSecret(secret("other", made.ID, nil)))(t, 400, "MissingParameter")
		outside := create(t, c, aes256, "")
		refused(c.CreateSecret(secret("other", made.ID, &outside.id)))(t, 400, invalidParameter)
		for mechanism, code := range map[string]string{"HsmInternal": "UnsupportedOperation", "HsmEncryptedDatabase": "UnsupportedOperation", "Drawer": invalidParameter} { // it is no hardware instance
			got := send(t, acs3(a, call{action: "CreateKey", params: []pair{{"DKMSInstanceId", made.ID}, {"KeyStorageMechanism", mechanism}}}))
			if got.status != 400 || got.code != code {
				t.Errorf("KeyStorageMechanism=%s: %v", mechanism, got.refusal)
			}
		}
		refused(c.CreateKey(&kms.CreateKeyRequest{DKMSInstanceId: new("kst-hzz1")}))(t, 403, "Forbidden.DKMSInstanceNotFound")
		refused(c.GetKmsInstance(&kms.GetKmsInstanceRequest{KmsInstanceId: new("kst-hzz1")}))(t, 403, "Forbidden.DKMSInstanceNotFound")
	})
}
