package authz_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

const (
	alice = "acs:ram::" + account + ":user/alice"
	whole = "acs:ram::" + account + ":*"
)

// owned makes the policy of a key of the account, of statements that are written as JSON objects.
func owned(t testing.TB, statements ...string) *authz.ResourcePolicy {
	t.Helper()
	p, err := authz.KeyTerms().Compile(account, []byte(`{"Version":"1","Statement":[`+strings.Join(statements, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// concerning writes a statement of a key policy.
func concerning(effect, principal, action, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return fmt.Sprintf(`{"Effect":%q,"Principal":{"RAM":[%q]},"Action":%q,"Resource":"*"%s}`, effect, principal, action, condition)
}

func TestKeyPolicyRefuses(t *testing.T) {
	stranger := "acs:ram::" + foreign + ":user/bob"
	for statement, want := range map[string]string{
		`{"Effect":"Allow","Action":"kms:*","Resource":"*"}`:                                                     `in Principal: it must be {"RAM": [...]}`,
		`{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}`:                                     `in Principal: it must be {"RAM": [...]}`,
		`{"Effect":"Allow","Principal":{"Service":["x"]},"Action":"kms:*","Resource":"*"}`:                       `in Principal: it must be {"RAM": [...]}`,
		`{"Effect":"Allow","Principal":{"RAM":["` + alice + `"],"Service":"x"},"Action":"*","Resource":"*"}`:     `in Action: "*" does not begin with kms:`,
		`{"Effect":"Allow","Principal":{"RAM":[]},"Action":"kms:*","Resource":"*"}`:                              `the list is empty`,
		`{"Effect":"Allow","Principal":{"RAM":"` + alice + `"},"NotAction":"kms:*","Resource":"*"}`:              `"NotAction" is unknown`,
		`{"Effect":"Allow","Principal":{"RAM":"` + alice + `"},"Action":"kms:*"}`:                                `the element Resource must be "*"`,
		`{"Effect":"Allow","Principal":{"RAM":"` + alice + `"},"Action":"kms:*","Resource":["*","` + key + `"]}`: `the element Resource must be "*"`,
		`{"Effect":"Allow","NotPrincipal":{"RAM":"` + alice + `"},"Action":"kms:*","Resource":"*"}`:              `"NotPrincipal" is unknown`,
		concerning("Allow", alice, "*", ""):                                                                      `"*" does not begin with kms:`,
		concerning("Allow", alice, "k?s:*", ""):                                                                  `"k?s:*" does not begin with kms:`,
		concerning("Allow", alice, "ram:*", ""):                                                                  `"ram:*" does not begin with kms:`,
		concerning("Allow", "*", "kms:*", ""):                                                                    `"*" must be acs:ram::ACCOUNT:`,
		concerning("Allow", "acs:ram::*:user/alice", "kms:*", ""):                                                `must be acs:ram::ACCOUNT:`,
		concerning("Allow", "acs:ram::1111:user/alice", "kms:*", ""):                                             `must be acs:ram::ACCOUNT:`,
		concerning("Allow", "acs:ram::"+account+":user/*", "kms:*", ""):                                          `must be acs:ram::ACCOUNT:`,
		concerning("Allow", "acs:ram::"+account+":user/", "kms:*", ""):                                           `must be acs:ram::ACCOUNT:`,
		concerning("Allow", "acs:ram::"+account+":group/a", "kms:*", ""):                                         `must be acs:ram::ACCOUNT:`,
		concerning("Allow", "acs:ram::"+account+":service/kms", "kms:*", ""):                                     `must be acs:ram::ACCOUNT:`,
		concerning("Allow", "acs:ram:cn:"+account+":user/alice", "kms:*", ""):                                    `must be acs:ram::ACCOUNT:`,
		concerning("Allow", "ACS:ram::"+account+":user/alice", "kms:*", ""):                                      `must be acs:ram::ACCOUNT:`,
		concerning("Allow", "acs:ram::"+account+":user/al/ice", "kms:*", ""):                                     `must be acs:ram::ACCOUNT:`,
		concerning("Allow", "acs:ram::"+foreign+":*", "kms:Encrypt", ""):                                         `only a user or a role can be named`,
		concerning("Allow", "acs:ram::"+foreign+":root", "kms:Encrypt", ""):                                      `only a user or a role can be named`,
		concerning("Deny", "acs:ram::"+foreign+":*", "kms:Encrypt", ""):                                          `only a user or a role can be named`,
		concerning("Deny", "acs:ram::"+account+":root", "kms:Encrypt", ""):                                       `nothing can be denied to root`,
		concerning("Deny", whole, "kms:*", ""):                                                                   `denies kms:SetKeyPolicy to the whole account`,
		concerning("Deny", whole, "KMS:set*", `{"Bool":{"acs:MFAPresent":false}}`):                               `denies kms:SetKeyPolicy to the whole account`,
		concerning("Allow", stranger, "kms:*", ""):                                                               `cannot be granted to another account`,
		concerning("Allow", stranger, "kms:*crypt", ""):                                                          `cannot be granted to another account`,
		concerning("Allow", stranger, "kms:SetKeyPolicy", ""):                                                    `cannot be granted to another account`,
		concerning("Allow", stranger, "kms:ScheduleKeyDeletion", ""):                                             `cannot be granted to another account`,
		concerning("Allow", stranger, "kms:CreateKeyVersion", ""):                                                `cannot be granted to another account`,
		concerning("Allow", alice, "kms:Encrypt", `{"StringEquals":{"kms:x":"y"}}`):                              `the condition key is unknown`,
	} {
		p, err := authz.KeyTerms().Compile(account, []byte(`{"Version":"1","Statement":[`+statement+`]}`))
		if p != nil || !fault.Is(err, fault.InvalidParameter) || !strings.Contains(fault.Message(err), want) {
			t.Errorf("%s: answered %v, want %q", statement, err, want)
		}
	}
	document := authz.KeyTerms().Default(account)
	document += strings.Repeat(" ", authz.MaxDocument-len(document))
	if _, err := authz.KeyTerms().Compile(account, []byte(document)); err != nil {
		t.Errorf("%d bytes: %v", len(document), err)
	}
	if _, err := authz.KeyTerms().Compile(account, []byte(document+" ")); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("%d bytes: %v", len(document)+1, err)
	}
}

// TestOwnAccountEitherMayAllow holds it for every pair of what the identity policy and the
// key policy say.
func TestOwnAccountEitherMayAllow(t *testing.T) {
	for _, test := range []struct {
		identity, resource string
		want               bool
	}{
		{"", "", false}, {"Allow", "", true}, {"", "Allow", true}, {"Allow", "Allow", true},
		{"Deny", "Allow", false}, {"Allow", "Deny", false}, {"Deny", "", false}, {"", "Deny", false}, {"Deny", "Deny", false},
	} {
		call, r := user(), authz.Request{Action: "kms:Encrypt", Resource: key}
		if test.identity != "" {
			call.Policies = []*authz.Policy{compile(t, "p", statement(test.identity, "kms:Encrypt", "*", ""))}
		}
		if test.resource != "" {
			r.Policy = owned(t, concerning(test.resource, alice, "kms:Encrypt", ""))
		}
		if d := call.Decide(r); d.Allowed != test.want {
			t.Errorf("identity %q, key %q: %+v", test.identity, test.resource, d)
		}
	}
}

func TestAcrossAccountsBothMustAllow(t *testing.T) {
	written := "acs:kms:*:" + account + ":key/*"
	lent := owned(t, concerning("Allow", "acs:ram::"+foreign+":user/bob", "kms:Encrypt", ""), concerning("Deny", "acs:ram::"+foreign+":user/carol", "kms:*", ""),
		concerning("Allow", "acs:ram::"+foreign+":user/carol", "kms:Encrypt", ""))
	for _, test := range []struct {
		name, action, effect, resource string // of the user, and of its identity policy
		want                           authz.Reason
	}{
		{"bob", "kms:Encrypt", "Allow", written, authz.ByBoth},
		{"bob", "kms:Encrypt", "Allow", key, authz.ByBoth},
		{"bob", "kms:Encrypt", "Allow", "*", authz.ByDefault},
		{"bob", "kms:Encrypt", "Allow", "acs:kms:*:*:key/*", authz.ByDefault},
		{"bob", "kms:Encrypt", "Allow", "acs:kms:*:111111111111111?:key/*", authz.ByDefault},
		{"bob", "kms:Encrypt", "Deny", "*", authz.ByDeny},
		{"bob", "kms:Decrypt", "Allow", written, authz.OtherAccount},
		{"Bob", "kms:Encrypt", "Allow", written, authz.OtherAccount},
		{"alice", "kms:Encrypt", "Allow", written, authz.OtherAccount},
		{"carol", "kms:Encrypt", "Allow", written, authz.OtherAccount}, // is not told of the denial
	} {
		call := user(compile(t, "p", statement(test.effect, "kms:*", test.resource, "")))
		call.Account, call.Name = foreign, test.name
		if d := call.Decide(authz.Request{Action: test.action, Resource: key, Policy: lent}); d.Reason != test.want || d.Allowed != (test.want == authz.ByBoth) {
			t.Errorf("%+v: %+v", test, d)
		}
		for _, kind := range []authz.Kind{authz.Root, authz.Service} {
			call.Kind = kind
			if d := call.Decide(authz.Request{Action: test.action, Resource: key, Policy: lent}); d.Reason != authz.OtherAccount || d.Allowed {
				t.Errorf("%s of another account: %+v", kind, d)
			}
		}
	}
}

// TestDefaultGrantsNobody holds that the default leaves everything to identity policies: a
// user without any may do nothing.
func TestDefaultGrantsNobody(t *testing.T) {
	p, err := authz.KeyTerms().Compile(account, []byte(authz.KeyTerms().Default(account)))
	if err != nil {
		t.Fatal(err)
	}
	r := authz.Request{Action: "kms:Encrypt", Resource: key, Policy: p}
	if d := user().Decide(r); d.Allowed {
		t.Errorf("without a policy: %+v", d)
	}
	if d := user(compile(t, "p", statement("Allow", "kms:Encrypt", "*", ""))).Decide(r); !d.Allowed {
		t.Errorf("with a policy: %+v", d)
	}
}

// TestGrants holds what the three kinds of people of a custom policy may do.
func TestGrants(t *testing.T) {
	const stranger = "acs:ram::" + foreign + ":user/mallory"
	text := authz.KeyTerms().Custom(account, authz.Grants{Administrators: []string{"acs:ram::" + account + ":user/kate"}, Users: []string{alice}, Others: []string{stranger}})
	p, err := authz.KeyTerms().Compile(account, []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	manage := []string{"kms:ListKeyVersions", "kms:DescribeKey", "kms:CreateKeyVersion", "kms:CreateAlias", "kms:EnableKey", "kms:DisableKey", "kms:GetKeyPolicy", "kms:GetParametersForImport",
		"kms:SetKeyPolicy", "kms:SetDeletionProtection", "kms:UpdateRotationPolicy", "kms:UpdateKeyDescription", "kms:DeleteAlias", "kms:DeleteKeyMaterial", "kms:CancelKeyDeletion",
		"kms:TagResource", "kms:UntagResource", "kms:ImportKeyMaterial", "kms:ScheduleKeyDeletion", "kms:DescribeKeyVersion", "kms:ListAliasesByKeyId"}
	use := []string{"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateAndExportDataKey", "kms:AsymmetricEncrypt", "kms:AsymmetricDecrypt",
		"kms:DescribeKey", "kms:DescribeKeyVersion", "kms:ListKeyVersions", "kms:ListAliasesByKeyId", "kms:TagResource"}
	neither := []string{"kms:AsymmetricSign", "kms:GenerateMac", "kms:ReEncryptFrom", "kms:ExportDataKey", "ram:CreateUser"}
	may := func(account, name string) map[string]bool {
		call := user()
		call.Account, call.Name = account, name
		if account == foreign {
			call.Policies = []*authz.Policy{compile(t, "p", statement("Allow", "*", key, ""))}
		}
		out := map[string]bool{}
		for _, list := range [][]string{manage, use, neither} {
			for _, action := range list {
				if call.Decide(authz.Request{Action: action, Resource: key, Policy: p}).Allowed {
					out[action] = true
				}
			}
		}
		return out
	}
	set := func(names []string) map[string]bool {
		out := map[string]bool{}
		for _, n := range names {
			out[n] = true
		}
		return out
	}
	for _, who := range []struct {
		account, name string
		want          map[string]bool
	}{{account, "kate", set(manage)}, {account, "alice", set(use)}, {foreign, "mallory", set(use)}, {account, "mallory", set(nil)}, {foreign, "alice", set(nil)}} {
		if diff := cmp.Diff(who.want, may(who.account, who.name)); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", who.name, who.account, diff)
		}
	}
	if got := authz.KeyTerms().Custom(account, authz.Grants{}); got != authz.KeyTerms().Default(account) {
		t.Errorf("no grants: %s", got)
	}
}

// TestPitfallKeyPolicyLocksNobodyOut holds that no key policy can bind root, and that none
// keeps the whole account from changing it.
func TestPitfallKeyPolicyLocksNobodyOut(t *testing.T) {
	p := owned(t, concerning("Deny", whole, "kms:*crypt", ""), concerning("Deny", alice, "kms:*", ""))
	call := user(compile(t, "p", statement("Allow", "*", "*", "")))
	for name, want := range map[string]bool{"alice": false, "bob": true} {
		call.Name = name
		if d := call.Decide(authz.Request{Action: "kms:SetKeyPolicy", Resource: key, Policy: p}); d.Allowed != want {
			t.Errorf("%s: %+v", name, d)
		}
		if d := call.Decide(authz.Request{Action: "kms:Encrypt", Resource: key, Policy: p}); d.Allowed {
			t.Errorf("%s encrypts: %+v", name, d)
		}
	}
	call.Kind = authz.Root
	if d := call.Decide(authz.Request{Action: "kms:Encrypt", Resource: key, Policy: p}); !d.Allowed {
		t.Errorf("root: %+v", d)
	}
}

func TestNotActionNeverGivesTheKeyPolicyAway(t *testing.T) {
	call := user(compile(t, "p", `{"Effect":"Allow","NotAction":"kms:Decrypt","Resource":"*"}`))
	for _, action := range []string{"kms:SetKeyPolicy", "KMS:setkeypolicy", "kms:SetSecretPolicy"} {
		if d := call.Decide(authz.Request{Action: action, Resource: key}); d.Allowed {
			t.Errorf("%s: %+v", action, d)
		}
	}
}

func TestExplain(t *testing.T) {
	call := user(compile(t, "work", statement("Allow", "kms:Decrypt", "*", ""), statement("Deny", "kms:Encrypt", "*", `{"Bool":{"acs:SecureTransport":false}}`),
		`{"Effect":"Allow","NotAction":"kms:Decrypt","Resource":"acs:kms:*:*:alias/*"}`))
	p := owned(t, concerning("Allow", whole, "kms:*", ""), concerning("Allow", "acs:ram::"+account+":role/alice", "kms:Encrypt", ""), concerning("Allow", alice, "kms:Encrypt", ""))
	d, verdicts := call.Explain(authz.Request{Action: "kms:Encrypt", Resource: key, Policy: p})
	if want := (authz.Decision{Allowed: true, Reason: authz.ByAllow, Policy: authz.OfResource, Statement: "3"}); d != want {
		t.Errorf("decided %+v", d)
	}
	want := []authz.Verdict{
		{Policy: "work", Statement: "1", Miss: authz.MissAction},
		{Policy: "work", Statement: "2", Deny: true, Miss: authz.MissCondition, Condition: "Bool acs:SecureTransport"},
		{Policy: "work", Statement: "3", Miss: authz.MissResource},
		{Policy: authz.OfResource, Statement: "1", Miss: authz.MissDelegated},
		{Policy: authz.OfResource, Statement: "2", Miss: authz.MissPrincipal},
		{Policy: authz.OfResource, Statement: "3"},
	}
	if diff := cmp.Diff(want, verdicts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	call.Account = foreign
	if d, verdicts := call.Explain(authz.Request{Action: "kms:Encrypt", Resource: key, Policy: p}); d.Reason != authz.OtherAccount || len(verdicts) != 3 {
		t.Errorf("another account is told %+v, %+v", d, verdicts)
	}
	if _, verdicts := user(compile(t, "p", `{"Effect":"Allow","NotAction":"kms:Decrypt","Resource":"*"}`)).Explain(authz.Request{Action: "ram:CreateUser", Resource: key}); verdicts[0].Miss != authz.MissReserved {
		t.Errorf("reserved: %+v", verdicts)
	}
}

func FuzzCompileOwned(f *testing.F) {
	f.Add([]byte(authz.KeyTerms().Default(account)))
	f.Add([]byte(authz.KeyTerms().Custom(account, authz.Grants{Administrators: []string{alice}, Others: []string{"acs:ram::" + foreign + ":role/r"}})))
	f.Fuzz(func(t *testing.T, document []byte) {
		p, err := authz.KeyTerms().Compile(account, document)
		if (p == nil) == (err == nil) || err == nil && !json.Valid(document) {
			t.Fatalf("answered %v and %v", p, err)
		}
		if err != nil {
			return
		}
		call := user()
		call.Account = "3333333333333333"
		if call.Decide(authz.Request{Action: "kms:Encrypt", Resource: key, Policy: p}).Allowed {
			t.Fatal("lets somebody in who has no policy")
		}
		call.Account, call.Name = account, "somebody-who-sets-it" // as no policy of the corpus says
		call.Policies = []*authz.Policy{compile(t, "p", statement("Allow", "*", "*", ""))}
		if d := call.Decide(authz.Request{Action: "kms:SetKeyPolicy", Resource: key, Policy: p}); !d.Allowed && !strings.Contains(string(document), call.Name) {
			t.Fatalf("locks everybody out: %+v", d)
		}
	})
}

// An account that lent the place where a key is may be let in as a whole and given more than
// use, and its own identity policies must allow it, too; nobody else may.
func TestLenders(t *testing.T) {
	terms := authz.KeyTerms()
	policy, err := terms.Compile(account, []byte(terms.Default(account, foreign)), foreign)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{account, foreign}, policy.LetsIn()); diff != "" {
		t.Error(diff)
	}
	written := "acs:kms:*:" + account + ":key/*"
	for _, test := range []struct {
		account, effect, resource string
		want                      authz.Reason
	}{
		{foreign, "Allow", written, authz.ByBoth},
		{foreign, "Allow", "*", authz.ByDefault},
		{foreign, "Deny", written, authz.ByDeny},
		{"3333333333333333", "Allow", written, authz.OtherAccount},
		{account, "Allow", "*", authz.ByAllow},
		{account, "Allow", "acs:kms:*:*:key/nothing", authz.ByDefault}, // the own identity policies decide
	} {
		call := user(compile(t, "p", statement(test.effect, "kms:*", test.resource, "")))
		call.Account = test.account
		if d := call.Decide(authz.Request{Action: "kms:ScheduleKeyDeletion", Resource: key, Policy: policy}); d.Reason != test.want {
			t.Errorf("%+v: %+v", test, d)
		}
	}
	for _, document := range []string{terms.Default(account, "3333333333333333"), terms.Default(account, foreign, "3333333333333333")} {
		if _, err := terms.Compile(account, []byte(document), foreign); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", document, err)
		}
	}
	if _, err := terms.Compile(account, []byte(terms.Default(account, foreign))); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("an account that lent nothing is let in: %v", err)
	}
}
