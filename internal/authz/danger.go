package authz

import (
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// Dangerous answers the actions that end something for good, open what is closed, or give
// power away. People need a fresh code of their second factor for each; of programs a policy
// can demand one.
func Dangerous() []string {
	return []string{
		"kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:DeleteKeyMaterial", "kms:SetKeyPolicy", "kms:SetDeletionProtection",
		"kms:ExportDataKey", "kms:GenerateAndExportDataKey", "kms:DeleteSecret", "kms:SetSecretPolicy",
		"ram:AttachPolicyToUser", "ram:AttachPolicyToRole", "ram:UpdateRole", "ram:DetachPolicyFromUser", "ram:DetachPolicyFromRole", "ram:UpdatePolicy",
		"ram:CreateAccessKey", "ram:ResetAccessKey", "ram:DeleteAccessKey", "ram:DeleteUser", "ram:UpdateLoginProfile", "ram:UnbindMFADevice",
		"keyward:ExportAudit",
	}
}

// dangerous tells whether an action, in whatever case, is one of them.
func dangerous(action string) bool {
	return slices.ContainsFunc(Dangerous(), func(name string) bool { return strings.EqualFold(name, action) })
}

// demandCode answers the decision that allows an action, unless a person must prove a second
// factor for it first.
func (c *Call) demandCode(allowed Decision, action string) (Decision, error) {
	if c.Session == nil || !c.Session.Person || c.Fresh || !dangerous(action) {
		return allowed, nil
	}
	if !c.Session.MFA {
		return Decision{Reason: NotFresh}, fault.MFARequired.New("%s is dangerous, so that people need a second factor for it: set one up with keyward user mfa enroll, then log in again", action)
	}
	return Decision{Reason: NotFresh}, fault.MFARequired.New("%s is dangerous: repeat the request with a code of your second factor, which serves for this request only", action)
}
