// Package absent says what of Alibaba Cloud KMS keyward does not offer, and why. The reason is
// told to whoever asks for it, and stands in docs/alibaba.md, which is held against the two
// tables of this package.
package absent

import (
	"slices"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

// A Withheld is something that Alibaba Cloud KMS documents and keyward does not offer.
type Withheld struct {
	Names  []string // of operations or parameters
	Reason string
}

// Operations are the operations that are not offered.
var Operations = []Withheld{
	{[]string{"ConnectKmsInstance", "UpdateKmsInstanceBindVpc"}, "instances are bound to no network here; keyward instance share lets other accounts in"},
	{[]string{"GetDefaultKmsInstance"}, "keys that name no instance are in none"},
	{[]string{"CreateApplicationAccessPoint", "DescribeApplicationAccessPoint", "UpdateApplicationAccessPoint", "DeleteApplicationAccessPoint", "ListApplicationAccessPoints",
		"CreateClientKey", "GetClientKey", "DeleteClientKey", "ListClientKeys", "CreateNetworkRule", "DescribeNetworkRule", "UpdateNetworkRule", "DeleteNetworkRule", "ListNetworkRules",
		"CreatePolicy", "DescribePolicy", "UpdatePolicy", "DeletePolicy", "ListPolicies"},
		"they are for dedicated gateways, which speak a protocol of their own; here users, access keys and policies with acs:SourceIp say who may call, and from where"},
	{[]string{"CreateCertificate", "UploadCertificate", "GetCertificate", "DescribeCertificate", "DeleteCertificate", "UpdateCertificateStatus",
		"CertificatePrivateKeySign", "CertificatePublicKeyVerify", "CertificatePublicKeyEncrypt", "CertificatePrivateKeyDecrypt"},
		"Alibaba Cloud took certificates out of this API in version 4 of its SDK; GenerateCsr and the Asymmetric operations do what a certificate's key is for"},
	{[]string{"GetManagedDataKey", "ListManagedDataKeyVersions"},
		"no operation makes managed data keys, and what they are is not published; GenerateDataKey makes data keys, and secrets keep versions of values"},
}

// Parameters are the parameters that are refused, by operation.
var Parameters = map[string][]Withheld{
	"SetDeletionProtection": {{[]string{"KmsInstanceId"}, "an instance is protected by its keys: it cannot be deleted while it has some"}},
	"ListKmsInstances":      {{[]string{"Filters"}, "no source says what it may hold"}},
	"ReleaseKmsInstance":    {{[]string{"ForceDeleteWithoutBackup"}, "an instance goes without keys only, so that there is nothing to back up"}},
	"Decrypt":               {{[]string{"Recipient"}, noAttestation}},
	"GenerateDataKey":       {{[]string{"Recipient"}, noAttestation}},
	"TagResource":           {{[]string{"CertificateId"}, "there are no certificates"}},
	"UntagResource":         {{[]string{"CertificateId"}, "there are no certificates"}},
	"CreateSecret": {
		{[]string{"ExtendedConfig"}, "it is for types of secrets that Alibaba Cloud rotates itself; every secret here is Generic"},
		{[]string{"RotationInterval"}, "make the secret first, and then a plan that rotates it, with keyward rotation plan create"},
	},
	"UpdateSecret": {{[]string{"ExtendedConfig", "ExtendedConfig.CustomData"}, "it is for types of secrets that Alibaba Cloud rotates itself; every secret here is Generic"}},
	"AssumeRole":   {{[]string{"SourceIdentity"}, "the session's name says who assumed the role"}},
}

// noAttestation is why nothing is encrypted for an attested machine: the answer would be for a
// public key that is in an attestation, and believing one without a root to verify it by would
// hand the plaintext to whoever wrote it.
const noAttestation = "it is the attestation of a trusted machine, of which neither the form nor a root certificate is documented, so that none can be verified; ExportDataKey hands a data key over under a public key that you vouch for"

// Actions answers the actions that are not offered, as policies know them.
func Actions() (actions []string) {
	for _, w := range Operations {
		for _, name := range w.Names {
			actions = append(actions, "kms:"+name)
		}
	}
	return actions
}

// Fault answers why an action is not offered.
func Fault(action string) error {
	for _, w := range Operations {
		if slices.Contains(w.Names, action) {
			return fault.ActionNotFound.New("The action %s is not offered: %s.", action, w.Reason)
		}
	}
	return fault.ActionNotFound.New("The specified action is not offered; docs/alibaba.md lists the actions of this release.")
}

// Refuse refuses the parameters that an action does not take.
func Refuse(v *rpc.Values, action string) {
	for _, w := range Parameters[action] {
		for _, name := range w.Names {
			v.Unsupported(name, w.Reason)
		}
	}
}
