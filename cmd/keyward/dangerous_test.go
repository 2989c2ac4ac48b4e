package main

import (
	"slices"
	"testing"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/server/alibaba"
	"github.com/keyward/keyward/internal/server/rest"
)

// What is dangerous is what there is: an action that nobody offers would protect nothing, and
// those that must be on the list are.
func TestDangerousActionsExist(t *testing.T) {
	offered := slices.Concat(rest.Actions(), alibaba.Actions())
	for _, action := range authz.Dangerous() {
		if !slices.Contains(offered, action) && action != "keyward:ExportAudit" { // which the operator has
			t.Errorf("nothing does %s", action)
		}
	}
	for _, action := range []string{
		"kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:DeleteKeyMaterial", "kms:SetKeyPolicy", "kms:DeleteSecret", "ram:ResetAccessKey", "ram:DeleteAccessKey",
		"ram:UnbindMFADevice", "ram:UpdateLoginProfile", "ram:AttachPolicyToUser", "ram:AttachPolicyToRole", "ram:UpdatePolicy", "ram:UpdateRole", "kms:ExportDataKey",
	} {
		if !slices.Contains(authz.Dangerous(), action) {
			t.Errorf("%s is not taken for dangerous", action)
		}
	}
}
