package authz_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// trusting writes a trust policy with one statement for the principals, a JSON list.
func trusting(effect, principals, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Effect":"` + effect + `","Action":"sts:AssumeRole","Principal":{"RAM":` + principals + `}` + condition + `}`
}

func trustOf(t *testing.T, statements ...string) *authz.Trust {
	t.Helper()
	trust, err := authz.CompileTrust(account, []byte(`{"Version":"1","Statement":[`+strings.Join(statements, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func arnOf(account, relative string) string { return `"acs:ram::` + account + `:` + relative + `"` }

func TestTrust(t *testing.T) {
	alice := authz.Principal{Account: account, Kind: authz.User, Name: "alice"}
	ci := authz.Principal{Account: account, Kind: authz.AssumedRole, Name: "build", Session: &authz.Session{Name: "ci"}}
	part := authz.Principal{Account: account, Kind: authz.Federated, Name: "alice", Session: &authz.Session{Name: "part"}}
	guest := authz.Principal{Account: foreign, Kind: authz.User, Name: "alice"}
	external := `{"StringEquals":{"sts:ExternalId":"e-1"}}`
	for _, test := range []struct {
		name       string
		statements []string
		who        authz.Principal
		attributes []authz.Attribute
		want       bool
	}{
		{"a user by name", []string{trusting("Allow", arnOf(account, "user/alice"), "")}, alice, nil, true},
		{"another user", []string{trusting("Allow", arnOf(account, "user/bob"), "")}, alice, nil, false},
		{"names have a case", []string{trusting("Allow", arnOf(account, "user/Alice"), "")}, alice, nil, false},
		{"everybody by a star", []string{trusting("Allow", arnOf(account, "*"), "")}, alice, nil, true},
		{"everybody of the account", []string{trusting("Allow", arnOf(account, "root"), "")}, alice, nil, true},
		{"the account does not mean others", []string{trusting("Allow", arnOf(account, "root"), "")}, guest, nil, false},
		{"a role's sessions", []string{trusting("Allow", arnOf(account, "role/build"), "")}, ci, nil, true},
		{"a role is no user", []string{trusting("Allow", arnOf(account, "user/build"), "")}, ci, nil, false},
		{"a federated user is the user", []string{trusting("Allow", arnOf(account, "user/alice"), "")}, part, nil, true},
		{"a denial wins", []string{trusting("Allow", arnOf(account, "root"), ""), trusting("Deny", arnOf(account, "user/alice"), "")}, alice, nil, false},
		{"a denial wins in any order", []string{trusting("Deny", arnOf(account, "user/alice"), ""), trusting("Allow", arnOf(account, "root"), "")}, alice, nil, false},
		{"abroad with the external id", []string{trusting("Allow", arnOf(foreign, "user/alice"), external)}, guest, []authz.Attribute{{Key: authz.ExternalID, Value: "e-1"}}, true},
		{"abroad with another external id", []string{trusting("Allow", arnOf(foreign, "root"), external)}, guest, []authz.Attribute{{Key: authz.ExternalID, Value: "e-2"}}, false},
		{"abroad without", []string{trusting("Allow", arnOf(foreign, "root"), external)}, guest, nil, false},
		{"by session name", []string{trusting("Allow", arnOf(account, "root"), `{"StringLike":{"sts:RoleSessionName":"ci-*"}}`)}, alice, []authz.Attribute{{Key: authz.SessionName, Value: "ci-7"}}, true},
	} {
		call := &authz.Call{Principal: test.who}
		if d := trustOf(t, test.statements...).Decide(call, test.attributes...); d.Allowed != test.want {
			t.Errorf("%s: %+v, want %t", test.name, d, test.want)
		}
	}
}

func TestCompileTrustRefuses(t *testing.T) {
	own := arnOf(account, "user/a")
	for document, want := range map[string]string{
		trusting("Allow", arnOf(foreign, "root"), ""):                                                 "external id",
		trusting("Allow", arnOf(foreign, "root"), `{"StringLike":{"sts:ExternalId":"*"}}`):            "external id",
		trusting("Allow", arnOf(foreign, "root"), `{"StringEquals":{"sts:RoleSessionName":"x"}}`):     "external id",
		trusting("Allow", `"*"`, ""):                                                                  "in Principal",
		trusting("Allow", `[]`, ""):                                                                   "in Principal",
		trusting("Allow", arnOf("*", "root"), ""):                                                     "in Principal",
		trusting("Allow", arnOf(account, "user/*"), ""):                                               "in Principal",
		trusting("Allow", arnOf(account, "user/"), ""):                                                "in Principal",
		trusting("Allow", arnOf(account, "group/a"), ""):                                              "in Principal",
		trusting("Allow", arnOf(account, "assumed-role/a/b"), ""):                                     "in Principal",
		`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*"}`:                                "Principal",
		`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":["ecs.aliyuncs.com"]}}`:   "Principal",
		`{"Effect":"Allow","Action":"sts:*","Principal":{"RAM":` + own + `}}`:                         "Action",
		`{"Effect":"Allow","NotAction":"sts:AssumeRole","Principal":{"RAM":` + own + `}}`:             "NotAction",
		`{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*","Principal":{"RAM":` + own + `}}`: "Resource",
		trusting("Maybe", own, ""):                                                                    "Effect",
	} {
		_, err := authz.CompileTrust(account, []byte(`{"Version":"1","Statement":`+document+`}`))
		if !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want the word %q", document, err, want)
		}
	}
}

// A session may do nothing that its own policy does not allow, and nothing that the one it
// stands for may not do.
func TestSessionPolicyOnlyNarrows(t *testing.T) {
	for _, kind := range []authz.Kind{authz.AssumedRole, authz.Federated} {
		call := user(compile(t, "p", statement("Allow", "kms:Encrypt", "*", ""), statement("Allow", "kms:Decrypt", "*", "")))
		call.Kind = kind
		call.Session = &authz.Session{Name: "s", Policy: compile(t, "session", statement("Allow", "kms:Encrypt", "*", ""), statement("Allow", "kms:Sign", "*", ""), statement("Deny", "kms:List*", "*", ""))}
		for action, want := range map[string]authz.Reason{"kms:Encrypt": authz.ByAllow, "kms:Decrypt": authz.BySession, "kms:Sign": authz.ByDefault} {
			if d := call.Decide(authz.Request{Action: action, Resource: key}); d.Reason != want {
				t.Errorf("%s, %s: %+v, want %q", kind, action, d, want)
			}
		}
	}
}

func FuzzCompileTrust(f *testing.F) {
	f.Add([]byte(`{"Version":"1","Statement":[` + trusting("Allow", arnOf(account, "root"), `{"StringEquals":{"sts:ExternalId":"x"}}`) + `]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		trust, err := authz.CompileTrust(account, document)
		if err != nil {
			return
		}
		// Whatever a policy says that was accepted, nobody of another account comes in without an external id.
		guest := &authz.Call{Principal: authz.Principal{Account: foreign, Kind: authz.User, Name: "alice"}}
		if d := trust.Decide(guest); d.Allowed {
			t.Errorf("%s lets a stranger in: %s", document, fmt.Sprint(d))
		}
	})
}
