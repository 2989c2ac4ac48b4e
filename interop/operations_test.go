package interop_test

import (
	"slices"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// A subject is a key with what an operation may need.
type subject struct {
	handle
	alias      string
	blob       *string // encrypted with the key, if it encrypts
	spare      string  // an enabled key
	spareAlias string
}

// An expectation is one row of the table of operations and key states.
type expectation struct {
	name   string
	spec   string                               // of the key it works on
	call   func(c *kms.Client, s subject) error // the operation
	states [3]refusal                           // when the key is enabled, disabled, pending deletion
	absent string                               // code when the key does not exist; "" if it takes no key
}

var (
	ok         = refusal{}
	disabled   = refusal{409, rejectedDisabled}
	pending    = refusal{409, rejectedPending}
	impossible = refusal{409, stateModifiedFailed}

	whenUsed     = [3]refusal{ok, disabled, pending}
	whenEdited   = [3]refusal{ok, ok, pending}
	whenSwitched = [3]refusal{ok, ok, impossible}
	whenRead     = [3]refusal{ok, ok, ok}
)

// operationTable lists every operation on keys with what each state says to it.
func operationTable() []expectation {
	return slices.Concat(cryptography(), changes(), reads())
}

// cryptography are the operations that use a key.
func cryptography() []expectation {
	digest := encoded(make([]byte, 32))
	return []expectation{
		{"Encrypt", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.Encrypt(&kms.EncryptRequest{KeyId: &s.id, Plaintext: encoded("x")}))
		}, whenUsed, keyNotFound},
		{"Decrypt", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: s.blob}))
		}, whenUsed, keyNotFound},
		{"ReEncrypt from", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.ReEncrypt(&kms.ReEncryptRequest{CiphertextBlob: s.blob, DestinationKeyId: &s.spare}))
		}, whenUsed, keyNotFound},
		{"GenerateDataKey", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.GenerateDataKey(&kms.GenerateDataKeyRequest{KeyId: &s.id}))
		}, whenUsed, keyNotFound},
		{"GenerateDataKeyWithoutPlaintext", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.GenerateDataKeyWithoutPlaintext(&kms.GenerateDataKeyWithoutPlaintextRequest{KeyId: &s.id}))
		}, whenUsed, keyNotFound},
		{"AsymmetricSign", p256, func(c *kms.Client, s subject) error {
			return outcome(c.AsymmetricSign(&kms.AsymmetricSignRequest{KeyId: &s.id, KeyVersionId: &s.version, Algorithm: new("ECDSA_SHA_256"), Digest: digest}))
		}, whenUsed, keyNotFound},
		{"AsymmetricVerify", p256, func(c *kms.Client, s subject) error {
			return outcome(c.AsymmetricVerify(&kms.AsymmetricVerifyRequest{KeyId: &s.id, KeyVersionId: &s.version, Algorithm: new("ECDSA_SHA_256"), Digest: digest, Value: digest}))
		}, whenUsed, keyNotFound},
		{"GetPublicKey", p256, func(c *kms.Client, s subject) error {
			return outcome(c.GetPublicKey(&kms.GetPublicKeyRequest{KeyId: &s.id, KeyVersionId: &s.version}))
		}, whenUsed, keyNotFound},
		{"AsymmetricEncrypt", sm2Spec, func(c *kms.Client, s subject) error {
			return outcome(c.AsymmetricEncrypt(&kms.AsymmetricEncryptRequest{KeyId: &s.id, KeyVersionId: &s.version, Algorithm: new("SM2PKE"), Plaintext: encoded("x")}))
		}, whenUsed, keyNotFound},
		{"AsymmetricDecrypt", sm2Spec, func(c *kms.Client, s subject) error {
			return outcome(c.AsymmetricDecrypt(&kms.AsymmetricDecryptRequest{KeyId: &s.id, KeyVersionId: &s.version, Algorithm: new("SM2PKE"), CiphertextBlob: s.blob}))
		}, whenUsed, keyNotFound},
		// A version can be made by hand only seven days after the last one.
		{"CreateKeyVersion", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.CreateKeyVersion(&kms.CreateKeyVersionRequest{KeyId: &s.id}))
		}, [3]refusal{{400, unsupportedOperation}, disabled, pending}, keyNotFound},
		{"UpdateRotationPolicy", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.UpdateRotationPolicy(&kms.UpdateRotationPolicyRequest{KeyId: &s.id, EnableAutomaticRotation: new(true), RotationInterval: new("7d")}))
		}, whenUsed, keyNotFound},
	}
}

// changes are the operations that change a key.
func changes() []expectation {
	return []expectation{
		{"UpdateKeyDescription", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.UpdateKeyDescription(&kms.UpdateKeyDescriptionRequest{KeyId: &s.id, Description: new("x")}))
		}, whenEdited, keyNotFound},
		{"TagResource", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.TagResource(&kms.TagResourceRequest{KeyId: &s.id, Tags: new(`[{"TagKey":"a","TagValue":"b"}]`)}))
		}, whenEdited, keyNotFound},
		{"UntagResource", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.UntagResource(&kms.UntagResourceRequest{KeyId: &s.id, TagKeys: new(`["a"]`)}))
		}, whenEdited, keyNotFound},
		{"TagResources", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.TagResources(&kms.TagResourcesRequest{RegionId: new(region), ResourceType: new("key"), ResourceId: []*string{&s.id}, Tag: pairs(labels{"a": "b"})}))
		}, whenEdited, "InvalidResourceId.NotFound"},
		{"UntagResources", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.UntagResources(&kms.UntagResourcesRequest{RegionId: new(region), ResourceType: new("key"), ResourceId: []*string{&s.id}, TagKey: []*string{new("a")}}))
		}, whenEdited, "InvalidResourceId.NotFound"},
		{"EnableKey", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.EnableKey(&kms.EnableKeyRequest{KeyId: &s.id}))
		}, whenSwitched, keyNotFound},
		{"DisableKey", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.DisableKey(&kms.DisableKeyRequest{KeyId: &s.id}))
		}, whenSwitched, keyNotFound},
		{"ScheduleKeyDeletion", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.ScheduleKeyDeletion(&kms.ScheduleKeyDeletionRequest{KeyId: &s.id, PendingWindowInDays: new(int32(7))}))
		}, whenSwitched, keyNotFound},
		{"CancelKeyDeletion", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.CancelKeyDeletion(&kms.CancelKeyDeletionRequest{KeyId: &s.id}))
		}, [3]refusal{impossible, impossible, ok}, keyNotFound},
		{"SetDeletionProtection on", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.SetDeletionProtection(&kms.SetDeletionProtectionRequest{ProtectedResourceArn: &s.arn, EnableDeletionProtection: new(true)}))
		}, whenSwitched, keyNotFound},
		{"SetDeletionProtection off", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.SetDeletionProtection(&kms.SetDeletionProtectionRequest{ProtectedResourceArn: &s.arn, EnableDeletionProtection: new(false)}))
		}, whenRead, keyNotFound},
		{"CreateAlias", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.CreateAlias(&kms.CreateAliasRequest{KeyId: &s.id, AliasName: new(s.alias + "-more")}))
		}, whenSwitched, keyNotFound},
		{"UpdateAlias to", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.UpdateAlias(&kms.UpdateAliasRequest{KeyId: &s.id, AliasName: &s.spareAlias}))
		}, whenEdited, keyNotFound},
		{"UpdateAlias away", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.UpdateAlias(&kms.UpdateAliasRequest{KeyId: &s.spare, AliasName: &s.alias}))
		}, whenRead, ""},
		{"DeleteAlias", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.DeleteAlias(&kms.DeleteAliasRequest{AliasName: &s.alias}))
		}, whenRead, ""},
	}
}

// reads are the operations that tell about a key.
func reads() []expectation {
	return []expectation{
		{"DescribeKey", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.DescribeKey(&kms.DescribeKeyRequest{KeyId: &s.id}))
		}, whenRead, keyNotFound},
		{"GetKeyPolicy", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.GetKeyPolicy(&kms.GetKeyPolicyRequest{KeyId: &s.id}))
		}, whenRead, keyNotFound},
		{"DescribeKeyVersion", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.DescribeKeyVersion(&kms.DescribeKeyVersionRequest{KeyId: &s.id, KeyVersionId: &s.version}))
		}, whenRead, keyNotFound},
		{"ListKeyVersions", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.ListKeyVersions(&kms.ListKeyVersionsRequest{KeyId: &s.id}))
		}, whenRead, keyNotFound},
		{"ListAliasesByKeyId", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.ListAliasesByKeyId(&kms.ListAliasesByKeyIdRequest{KeyId: &s.id}))
		}, whenRead, keyNotFound},
		{"ListResourceTags", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.ListResourceTags(&kms.ListResourceTagsRequest{KeyId: &s.id}))
		}, whenRead, keyNotFound},
		{"ListTagResources", aes256, func(c *kms.Client, s subject) error {
			return outcome(c.ListTagResources(&kms.ListTagResourcesRequest{RegionId: new(region), ResourceType: new("key"), ResourceId: []*string{&s.id}}))
		}, whenRead, "InvalidResourceId.NotFound"},
	}
}
