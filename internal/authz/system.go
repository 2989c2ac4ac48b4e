package authz

import "strings"

// A SystemPolicy is a policy that every account has and that nobody can change.
type SystemPolicy struct {
	Name        string
	Description string
	Document    string
}

// SystemPolicies answers them in the order in which people should read them. Those
// named Aliyun… grant what the policies of the same name grant at Alibaba Cloud, as
// far as keyward has the operations, so that users can move with their policies.
func SystemPolicies() []SystemPolicy {
	return []SystemPolicy{
		{"AdministratorAccess", "everything in the account", allow("*")},
		{"AliyunKMSFullAccess", "manages and uses every key", allow("kms:*")},
		{"AliyunKMSReadOnlyAccess", "sees keys, aliases, tags and public keys, and uses none", allow(
			"kms:List*", "kms:Describe*", "kms:GetPublicKey", "kms:GetKeyPolicy", "kms:GetSecretPolicy")},
		{"AliyunKMSCryptoUserAccess", "uses every key and manages none", allow(
			"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext",
			"kms:ReEncrypt*", // who may decrypt and encrypt could do the same in two steps
			"kms:AsymmetricEncrypt", "kms:AsymmetricDecrypt", "kms:AsymmetricSign", "kms:AsymmetricVerify",
			"kms:GetPublicKey", "kms:GenerateMac", "kms:VerifyMac")},
		{"AliyunKMSSecretUserAccess", "reads every secret and changes none", allow(
			"kms:GetSecretValue", "kms:DescribeSecret", "kms:ListSecrets", "kms:ListSecretVersionIds", "kms:Decrypt")},
		{"KeywardWatchFullAccess", "takes stock of keys, and decides whom to tell of what", allow(
			"keyward:*Provider", "keyward:*Providers", "keyward:*AccessKey", "keyward:*AccessKeys", "keyward:*Finding", "keyward:*Findings",
			"keyward:*Channel", "keyward:*Channels", "keyward:*Person", "keyward:*People", "keyward:*Rota", "keyward:*Escalation",
			"keyward:*Incident", "keyward:*Incidents", "keyward:GetExpiryScan")},
		{"KeywardRotationFullAccess", "replaces keys; takes the rights to write the secrets and to read the providers, too", allow(
			"keyward:*RotationPlan", "keyward:*RotationPlans", "keyward:*Rotation", "keyward:*Rotations", "keyward:EnterRotationKey")},
		{"KeywardOnCallAccess", "sees keys, findings, incidents and rotations, acknowledges incidents, approves, pauses, resumes and rolls back rotations", allow(
			"keyward:ListRotationPlans", "keyward:DescribeRotationPlan", "keyward:ListRotations", "keyward:DescribeRotation", "keyward:ApproveRotation",
			"keyward:PauseRotation", "keyward:ResumeRotation", "keyward:RollBackRotation",
			"keyward:ListProviders", "keyward:ListAccessKeys", "keyward:GetAccessKey", "keyward:ListFindings", "keyward:GetFinding",
			"keyward:ListIncidents", "keyward:GetIncident", "keyward:AcknowledgeIncident", "keyward:GetEscalation", "keyward:ListPeople", "keyward:GetExpiryScan")},
		{"KeywardDeliveryFullAccess", "manages nodes and what is delivered to them; takes the right to read the secrets, too", allow(
			"keyward:*NodeToken", "keyward:*NodeTokens", "keyward:*Node", "keyward:*Nodes", "keyward:*Rollout", "keyward:*Rollouts", "keyward:GetRolloutCoverage",
			"keyward:*Target", "keyward:*Targets", "keyward:ListTargetKinds")},
		{"KeywardDeliveryReadAccess", "sees nodes and what they have", allow(
			"keyward:ListNodes", "keyward:GetNode", "keyward:ListRollouts", "keyward:GetRollout", "keyward:GetRolloutCoverage", "keyward:ListTargets", "keyward:GetTarget", "keyward:ListTargetKinds")},
		{"KeywardAuditReadAccess", "reads, proves and exports the audit log", allow(
			"keyward:ListAuditRecords", "keyward:GetAuditCheckpoint", "keyward:ProveAuditRecord", "keyward:ExportAudit")},
	}
}

// allow writes a policy that allows actions on every resource of the account.
func allow(actions ...string) string {
	return `{"Version":"1","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"*"}]}`
}
