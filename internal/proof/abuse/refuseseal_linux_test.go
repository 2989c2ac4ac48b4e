package abuse

import (
	"strings"
	"testing"
)

// An engine that cannot record how the root key was opened does not begin. Sealing is
// done in any case: who must take the keys out of a machine cannot wait for its disk. The
// answer says that it has no record.
func TestAuditFailureOfSealing(t *testing.T) {
	r := newRefusing(t)
	seal := operation{dialect: operatorDialect, name: "Seal", method: "POST", path: "/v1/seal"}
	unseal := operation{
		dialect: operatorDialect, name: "Unseal", method: "POST", path: "/v1/unseal",
		fields: []field{{value: `{"passphrase":"$passphrase"}`}},
	}
	sealed := func(after string) {
		t.Helper()
		if a := r.call(t, whoAmI); a.status != 503 || !strings.Contains(a.body, `"Sealed"`) {
			t.Errorf("%s: %d %s", after, a.status, a.body)
		}
	}
	for _, f := range []failure{
		{step: atBegin, err: errInjected}, {step: atClaim, err: errInjected}, {step: atCommit, err: errInjected},
		{step: atBegin}, {step: afterward, err: errInjected, probe: errInjected},
	} {
		disarm := r.arm(t, f)
		a := r.call(t, seal)
		if code, _, _ := errorOf(a); a.status != 503 || code != "AuditUnavailable" || !strings.Contains(a.body, "the server is sealed") {
			t.Errorf("sealing: %d %s", a.status, a.body)
		}
		sealed("after sealing")
		if err := r.checkRefused(unseal, r.call(t, unseal)); err != nil {
			t.Errorf("unsealing: %v", err)
		}
		sealed("after unsealing was refused")
		disarm()
		if a := r.call(t, unseal); a.status >= 300 {
			t.Fatalf("unsealing after the failure: %d %s", a.status, a.body)
		}
		r.heal(t)
	}
	r.verify(t)
}
