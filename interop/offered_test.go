package interop_test

import (
	"net/http"
	"slices"
	"testing"
)

// offered are the operations of this release.
var offered = []string{
	"CreateKey", "DescribeKey", "ListKeys", "UpdateKeyDescription", "EnableKey", "DisableKey", "ScheduleKeyDeletion",
	"CancelKeyDeletion", "SetDeletionProtection", "GetKeyPolicy", "SetKeyPolicy", "ListKeyPolicies", "CreateAlias", "UpdateAlias", "DeleteAlias", "ListAliases",
	"ListAliasesByKeyId", "TagResource", "TagResources", "UntagResource", "UntagResources", "ListTagResources",
	"ListResourceTags", "CreateKeyVersion", "DescribeKeyVersion", "ListKeyVersions", "UpdateRotationPolicy", "Encrypt",
	"Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateAndExportDataKey", "ExportDataKey", "AsymmetricSign", "AsymmetricVerify",
	"AsymmetricEncrypt", "AsymmetricDecrypt", "GetPublicKey", "GenerateMac", "VerifyMac", "GenerateCsr", "GetParametersForImport", "ImportKeyMaterial", "DeleteKeyMaterial", "DescribeRegions", "DescribeAccountKmsStatus", "OpenKmsService",
	"CreateSecret", "DescribeSecret", "ListSecrets", "UpdateSecret", "PutSecretValue", "GetSecretValue", "ListSecretVersionIds",
	"UpdateSecretVersionStage", "DeleteSecret", "RestoreSecret", "GetRandomPassword", "UpdateSecretRotationPolicy", "RotateSecret", "GetSecretPolicy", "SetSecretPolicy",
	"StartKeyAssociationDetection", "ListKeyAssociations", "ListKmsInstances", "GetKmsInstance", "ReleaseKmsInstance", "GetKmsInstanceQuotaInfos", "RegisterKeyAssociation", "DeregisterKeyAssociation",
}

// TestOffered calls every operation without parameters: each must be there.
func TestOffered(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		for _, action := range offered {
			for _, sign := range []signer{rpc, acs3} {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					got := send(t, sign(a, call{action: action, method: method}))
					if !slices.Contains([]refusal{ok, {400, missingParameter}, {400, "Forbidden.Opened"}}, got.refusal) {
						t.Errorf("%s %s answers %v", method, action, got.refusal)
					}
				}
			}
		}
		for _, action := range []string{"CreateCertificate", "createkey", "CreateKey ", "DropDatabase", "密钥", "../CreateKey"} {
			if got := send(t, rpc(a, call{action: action})); got.refusal != (refusal{404, "InvalidAction.NotFound"}) {
				t.Errorf("%q answers %v", action, got.refusal)
			}
		}
	})
}

// TestBooleans writes switches as Go does, and as the SDK for Python does.
func TestBooleans(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		for value, want := range map[string]string{"true": "Enabled", "True": "Enabled", "false": "Disabled", "False": "Disabled"} {
			got := send(t, acs3(a, call{action: "CreateKey", params: []pair{{"EnableAutomaticRotation", value}, {"RotationInterval", "7d"}}}))
			if status := got.member(t, "KeyMetadata", "AutomaticRotation"); status != want {
				t.Errorf("rotation switched %s is %s", value, status)
			}
		}
	})
}
