package authz_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authz"
)

var known = []string{"kms:ListKeys", "ram:CreateUser"}

func TestLint(t *testing.T) {
	for _, test := range []struct {
		statements []string
		want       []authz.Remark
	}{
		{[]string{statement("Allow", "kms:Encrypt", "*", "")}, nil},
		{[]string{statement("Allow", "kms:*crypt", "*", "")}, nil},
		{[]string{statement("Allow", "kms:Encypt", "*", "")}, []authz.Remark{{"1", authz.UnknownAction, []string{"kms:encypt"}}}},
		{[]string{statement("Deny", "kms:Dekrypt", "*", "")}, []authz.Remark{{"1", authz.UnknownAction, []string{"kms:dekrypt"}}}},
		{[]string{statement("Deny", "*", "*", "")}, nil},
		{[]string{statement("Allow", "kms:DisableKey", key, "")}, []authz.Remark{{"1", authz.WithoutMFA, []string{"kms:DisableKey"}}}},
		{[]string{statement("Allow", "kms:DisableKey", key, `{"Bool":{"acs:MFAPresent":true}}`)}, nil},
		{[]string{statement("Allow", "kms:DisableKey", key, `{"Bool":{"acs:MFAPresent":["true","false"]}}`)}, []authz.Remark{{"1", authz.WithoutMFA, []string{"kms:DisableKey"}}}},
		{[]string{statement("Allow", "kms:DisableKey", "*", `{"Bool":{"acs:MFAPresent":"true"}}`)}, []authz.Remark{{"1", authz.AnyResource, []string{"kms:DisableKey"}}}},
		{[]string{statement("Allow", "kms:Disable*", "acs:kms:*:*:*", "")}, []authz.Remark{
			{"1", authz.AnyResource, []string{"kms:DisableKey"}}, {"1", authz.WithoutMFA, []string{"kms:DisableKey"}},
		}},
		{[]string{statement("Allow", "kms:DisableKey", key, ""), statement("Deny", "kms:Disable*", "*", `{"Bool":{"acs:MFAPresent":false}}`)}, nil},
		{[]string{statement("Allow", "kms:DisableKey", key, ""), statement("Deny", "kms:Disable*", "acs:kms:*:*:key/x", `{"Bool":{"acs:MFAPresent":false}}`)},
			[]authz.Remark{{"1", authz.WithoutMFA, []string{"kms:DisableKey"}}}},
		{[]string{statement("Allow", "kms:DisableKey", key, ""), statement("Deny", "kms:Disable*", "*", `{"Bool":{"acs:MFAPresent":false,"acs:SecureTransport":false}}`)},
			[]authz.Remark{{"1", authz.WithoutMFA, []string{"kms:DisableKey"}}}},
		{[]string{statement("Allow", "kms:Encrypt", key, ""), statement("Deny", "kms:*", "*", "")}, []authz.Remark{{Statement: "1", Rule: authz.Unreachable}}},
		{[]string{statement("Allow", "kms:Encrypt*", key, ""), statement("Deny", "kms:?ncrypt*", "*", "")}, nil},
		{[]string{statement("Allow", "kms:Encrypt", key, ""), statement("Deny", "kms:*", "*", `{"Bool":{"acs:SecureTransport":false}}`)}, nil},
		{[]string{`{"Sid":"all but","Effect":"Allow","NotAction":["kms:Decrypt","kms:*Policy","kms:*Export*","kms:Delete*","kms:SetDeletionProtection","kms:ScheduleKeyDeletion"],"Resource":"` + key + `"}`}, []authz.Remark{
			{"all but", authz.AllButAction, []string{"kms:decrypt", "kms:*policy", "kms:*export*", "kms:delete*", "kms:setdeletionprotection", "kms:schedulekeydeletion"}},
			{"all but", authz.WithoutMFA, []string{"kms:DisableKey"}},
		}},
	} {
		if diff := cmp.Diff(test.want, compile(t, "p", test.statements...).Lint(known)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.statements, diff)
		}
	}
	all := compile(t, "p", statement("Allow", "*", "*", "")).Lint(known)
	if len(all) != 3 || all[0].Rule != authz.AnyAction || all[1].Rule != authz.AnyResource || all[2].Rule != authz.WithoutMFA || len(all[2].Patterns) != len(authz.Dangerous()) {
		t.Errorf("everything is allowed: %+v", all)
	}
}

// What is to be taken away must be something.
func TestCheckSpelling(t *testing.T) {
	for _, test := range []struct {
		statement string
		want      string
	}{
		{statement("Deny", "kms:Dekrypt", "*", ""), "kms:dekrypt,"},
		{statement("Deny", "kms:Dekrypt*", "*", ""), "kms:dekrypt*,"},
		{statement("Deny", "kms:Decrypt", "*", ""), ""},
		{statement("Deny", "KMS:decrypt", "*", ""), ""},
		{statement("Deny", "kms:De*", "*", ""), ""},
		{statement("Deny", "*", "*", ""), ""},
		{statement("Deny", "oss:PutObjekt", "*", ""), ""}, // another service's, in a policy that came from elsewhere
		{statement("Allow", "kms:Dekrypt", "*", ""), ""},  // allows nothing
		{`{"Effect":"Allow","NotAction":["kms:Dekrypt","kms:Encrypt"],"Resource":"*"}`, "kms:dekrypt,"},
		{`{"Effect":"Deny","NotAction":"kms:Dekrypt","Resource":"*"}`, ""}, // denies that, too
	} {
		err := compile(t, "p", test.statement).CheckSpelling(known)
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), "from "+test.want) {
			t.Errorf("%s: %v", test.statement, err)
		}
	}
}

// So must what the policy of a key takes away.
func TestCheckSpellingOfKeyPolicies(t *testing.T) {
	for action, right := range map[string]bool{"kms:Decrypt": true, "kms:De*": true, "kms:Dekrypt": false, "kms:Dekrypt*": false} {
		if err := owned(t, concerning("Deny", alice, action, "")).CheckSpelling(known); (err == nil) != right {
			t.Errorf("a denial of %s: %v", action, err)
		}
	}
	if err := owned(t, concerning("Allow", alice, "kms:Dekrypt", "")).CheckSpelling(known); err != nil {
		t.Errorf("what allows nothing: %v", err)
	}
}

func TestLintOfKeyPolicies(t *testing.T) {
	bob := "acs:ram::" + account + ":user/bob"
	for _, test := range []struct {
		statements []string
		want       []authz.Remark
	}{
		{[]string{concerning("Allow", alice, "kms:Encrypt", "")}, nil},
		{[]string{concerning("Allow", whole, "kms:Encrypt", "")}, []authz.Remark{{Statement: "1", Rule: authz.Delegated}}},
		{[]string{concerning("Allow", alice, "kms:AsymmetricSign", "")}, []authz.Remark{{"1", authz.NotElsewhere, []string{"kms:asymmetricsign"}}}},
		{[]string{concerning("Allow", alice, "kms:Describe*", "")}, nil},
		{[]string{concerning("Allow", alice, "kms:Encrypt", ""), concerning("Deny", bob, "kms:*", "")}, nil},
		{[]string{concerning("Allow", alice, "kms:Encrypt", ""), concerning("Deny", alice, "kms:*", "")}, []authz.Remark{{Statement: "1", Rule: authz.Unreachable}}},
		{[]string{concerning("Allow", alice, "kms:Encrypt", ""), concerning("Deny", whole, "kms:Enc*", "")}, []authz.Remark{{Statement: "1", Rule: authz.Unreachable}}},
		{[]string{concerning("Allow", "acs:ram::"+foreign+":user/a", "kms:Encrypt", ""), concerning("Deny", whole, "kms:Enc*", "")}, nil},
		{[]string{concerning("Allow", alice, "kms:DisableKey", ""), concerning("Deny", whole, "kms:DisableKey", `{"Bool":{"acs:MFAPresent":false}}`)}, nil},
		{[]string{concerning("Allow", alice, "kms:DisableKey", "")}, []authz.Remark{{"1", authz.WithoutMFA, []string{"kms:DisableKey"}}}},
	} {
		if diff := cmp.Diff(test.want, owned(t, test.statements...).Lint(known)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.statements, diff)
		}
	}
}
