package authz_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

const (
	foreign = "2222222222222222"
	key     = "acs:kms:cn-hangzhou:" + account + ":key/key-1"
)

// compile makes a policy of statements that are written as JSON objects.
func compile(t testing.TB, name string, statements ...string) *authz.Policy {
	t.Helper()
	p, err := authz.Compile(name, []byte(`{"Version":"1","Statement":[`+strings.Join(statements, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func user(policies ...*authz.Policy) *authz.Call {
	return &authz.Call{
		Principal: authz.Principal{Account: account, Kind: authz.User, Name: "alice", Policies: policies},
		Time:      time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
		Source:    netip.MustParseAddr("192.0.2.1"),
		Secure:    true,
	}
}

func statement(effect, action, resource, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q%s}`, effect, action, resource, condition)
}

func TestDenyWinsInEveryOrder(t *testing.T) {
	allow := compile(t, "a", statement("Allow", "kms:*", "*", ""))
	deny := compile(t, "d", statement("Deny", "kms:Decrypt", "*", ""))
	both := compile(t, "b", statement("Deny", "kms:Decrypt", "*", ""), statement("Allow", "*", "*", ""))
	for _, policies := range [][]*authz.Policy{{allow, deny}, {deny, allow}, {both}, {both, allow}, {allow, both}} {
		call := user(policies...)
		if d := call.Decide(authz.Request{Action: "kms:Decrypt", Resource: key}); d.Allowed || d.Reason != authz.ByDeny {
			t.Errorf("decided %+v", d)
		}
		if d := call.Decide(authz.Request{Action: "kms:Encrypt", Resource: key}); !d.Allowed {
			t.Errorf("decided %+v", d)
		}
	}
}

func TestDecisionNamesItsStatement(t *testing.T) {
	p := compile(t, "p", statement("Allow", "kms:Encrypt", "*", ""),
		`{"Sid":"no decryption","Effect":"Deny","Action":"kms:Decrypt","Resource":"*"}`)
	call := user(p)
	for action, want := range map[string]authz.Decision{
		"kms:Encrypt":  {Allowed: true, Reason: authz.ByAllow, Policy: "p", Statement: "1"},
		"kms:Decrypt":  {Reason: authz.ByDeny, Policy: "p", Statement: "no decryption"},
		"kms:ListKeys": {Reason: authz.ByDefault},
	} {
		if diff := cmp.Diff(want, call.Decide(authz.Request{Action: action, Resource: key})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", action, diff)
		}
	}
}

func TestPrincipals(t *testing.T) {
	own, other := authz.Request{Action: "kms:Decrypt", Resource: key}, authz.Request{Action: "kms:Decrypt", Resource: strings.Replace(key, account, foreign, 1)}
	everything := compile(t, "everything", statement("Allow", "*", "*", ""), statement("Allow", "*", "acs:*:*:*:*", ""),
		statement("Allow", "*", "acs:kms:*:"+foreign+":*", ""))
	for kind, want := range map[authz.Kind]authz.Reason{
		authz.Root: authz.ByRoot, authz.Service: authz.ByService, authz.User: authz.ByAllow, "": authz.NoPrincipal, "role": authz.NoPrincipal,
	} {
		call := user(everything)
		call.Kind = kind
		if d := call.Decide(own); d.Reason != want || d.Allowed != (want != authz.NoPrincipal) {
			t.Errorf("%q on its own key: %+v", kind, d)
		}
		if d := call.Decide(other); d.Allowed || d.Reason != authz.OtherAccount {
			t.Errorf("%q on a foreign key: %+v", kind, d)
		}
	}
	if d := (&authz.Call{}).Decide(authz.Request{Action: "kms:Decrypt", Resource: "acs:kms:cn-hangzhou::key/key-1"}); d.Allowed {
		t.Errorf("nobody on nobody's key: %+v", d)
	}
}

func TestMalformedResourceIsDenied(t *testing.T) {
	call := user(compile(t, "p", statement("Allow", "*", "*", "")))
	call.Kind = authz.Root
	for _, name := range []string{"", "*", "key-1", "acs:kms:cn:" + account, "acs::cn:" + account + ":key/1", "acs:kms:cn:" + account + ":", "ACS:kms:cn:" + account + ":key/1"} {
		if d := call.Decide(authz.Request{Action: "kms:Decrypt", Resource: name}); d.Allowed || d.Reason != authz.Malformed {
			t.Errorf("%q: %+v", name, d)
		}
	}
}

func TestMatching(t *testing.T) {
	for _, test := range []struct {
		action, resource string // of the policy
		wantAction       string
		wantResource     string
		want             bool
	}{
		{"KMS:encrypt", "*", "kms:Encrypt", key, true},
		{"kms:Encrypt", "*", "kms:EncryptX", key, false},
		{"kms:E*t", "*", "kms:Encrypt", key, true},
		{"kms:?ncrypt", "*", "kms:Encrypt", key, true},
		{"kms:?ncrypt", "*", "kms:ncrypt", key, false},
		{"*", key, "kms:Encrypt", key, true},
		{"*", "acs:kms:*:*:key/*", "kms:Encrypt", key, true},
		{"*", "acs:kms:*:*:key", "kms:Encrypt", key, false},
		{"*", "acs:kms:*:*:Key/*", "kms:Encrypt", key, false},
		{"*", "acs:KMS:*:*:key/*", "kms:Encrypt", key, false},
		{"*", "acs:kms:cn-*:*:key/key-?", "kms:Encrypt", key, true},
		{"*", "acs:kms:*:*:1", "kms:Encrypt", key, false},
		{"*", "acs:*:*:*:x", "kms:Encrypt", key + ":x", false}, // a star stops at its colon
		{"*", "acs:kms::*:*", "kms:Encrypt", key, false},
		{"*", "acs:ram::*:user/*", "ram:DeleteUser", "acs:ram::" + account + ":user/bob", true},
	} {
		call := user(compile(t, "p", statement("Allow", test.action, test.resource, "")))
		if d := call.Decide(authz.Request{Action: test.wantAction, Resource: test.wantResource}); d.Allowed != test.want {
			t.Errorf("%s on %s for a policy of %s on %s: %+v", test.wantAction, test.wantResource, test.action, test.resource, d)
		}
	}
}

func TestAllowOfNotActionLeavesPowerOut(t *testing.T) {
	except := compile(t, "except", `{"Effect":"Allow","NotAction":"kms:Decrypt","Resource":"*"}`)
	named := compile(t, "named", statement("Allow", "ram:CreateUser", "*", ""))
	denied := compile(t, "denied", statement("Allow", "*", "*", ""), `{"Effect":"Deny","NotAction":"kms:*","Resource":"*"}`)
	for _, test := range []struct {
		policies []*authz.Policy
		action   string
		want     bool
	}{
		{[]*authz.Policy{except}, "kms:Encrypt", true},
		{[]*authz.Policy{except}, "kms:Decrypt", false},
		{[]*authz.Policy{except}, "ram:CreateUser", false},
		{[]*authz.Policy{except}, "RAM:CreateUser", false},
		{[]*authz.Policy{except}, "keyward:ExportAudit", false},
		{[]*authz.Policy{except, named}, "ram:CreateUser", true},
		{[]*authz.Policy{except, named}, "ram:DeleteUser", false},
		{[]*authz.Policy{denied}, "ram:CreateUser", false},
		{[]*authz.Policy{denied}, "kms:Encrypt", true},
	} {
		if d := user(test.policies...).Decide(authz.Request{Action: test.action, Resource: key}); d.Allowed != test.want {
			t.Errorf("%s: %+v, want %t", test.action, d, test.want)
		}
	}
}

// TestConditions decides each condition on an Allow, and on a Deny beside an Allow of everything.
func TestConditions(t *testing.T) {
	call := user()
	attributes := []authz.Attribute{{Key: "kms:tag/team", Value: "Dev"}, {Key: "kms:tag/empty", Value: ""}, {Key: "kms:tag/size", Value: "10"}, {Key: "kms:tag/day", Value: "2026-01-01T00:00:00Z"}}
	for _, test := range []struct {
		condition   string
		allow, deny bool // whether the Allow, and the Deny, match
	}{
		{`{"StringEquals":{"kms:tag/team":"Dev"}}`, true, true},
		{`{"StringEquals":{"kms:tag/team":"dev"}}`, false, false},
		{`{"StringEquals":{"kms:tag/team":["x","Dev"]}}`, true, true},
		{`{"StringNotEquals":{"kms:tag/team":["x","Dev"]}}`, false, false},
		{`{"StringNotEquals":{"kms:tag/team":["x","y"]}}`, true, true},
		{`{"StringEqualsIgnoreCase":{"kms:tag/team":"dEV"}}`, true, true},
		{`{"StringLike":{"kms:tag/team":"D?*v"}}`, true, true},
		{`{"StringNotLike":{"kms:tag/team":"d*"}}`, true, true},
		// An empty value is there; a missing one is not.
		{`{"StringEquals":{"kms:tag/empty":""}}`, true, true},
		{`{"StringNotEquals":{"kms:tag/empty":"x"}}`, true, true},
		{`{"StringEquals":{"kms:tag/none":""}}`, false, false},
		{`{"StringLike":{"kms:tag/none":"*"}}`, false, false},
		// A negative operator on a missing key never widens what is allowed.
		{`{"StringNotEquals":{"kms:tag/none":"x"}}`, false, true},
		{`{"StringNotLike":{"kms:tag/none":"x"}}`, false, true},
		{`{"NumericNotEquals":{"kms:tag/none":"1"}}`, false, true},
		{`{"DateNotEquals":{"kms:tag/none":"2026-01-01T00:00:00Z"}}`, false, true},
		{`{"NotIpAddress":{"kms:tag/none":"192.0.2.1"}}`, false, true},
		// A value of another type counts as missing.
		{`{"NumericNotEquals":{"kms:tag/team":"1"}}`, false, true},
		{`{"NumericLessThan":{"kms:tag/team":"1"}}`, false, false},
		{`{"NumericEquals":{"kms:tag/size":10}}`, true, true},
		{`{"NumericLessThan":{"kms:tag/size":"9"}}`, false, false},
		{`{"NumericGreaterThan":{"kms:tag/size":["99","9.5"]}}`, true, true},
		{`{"DateEquals":{"kms:tag/day":"2026-01-01T08:00:00+08:00"}}`, true, true},
		{`{"DateLessThan":{"acs:CurrentTime":"2026-11-21T12:00:01Z"}}`, true, true},
		{`{"DateLessThan":{"acs:CurrentTime":"2026-11-21T12:00:00Z"}}`, false, false},
		{`{"IpAddress":{"acs:SourceIp":["198.51.100.0/24","192.0.2.0/24"]}}`, true, true},
		{`{"IpAddress":{"acs:SourceIp":"192.0.2.1"}}`, true, true},
		{`{"IpAddress":{"acs:SourceIp":"192.0.2.99/24"}}`, true, true},
		{`{"NotIpAddress":{"acs:SourceIp":"192.0.2.0/24"}}`, false, false},
		{`{"Bool":{"acs:SecureTransport":true}}`, true, true},
		{`{"Bool":{"acs:SecureTransport":"false"}}`, false, false},
		{`{"Bool":{"acs:MFAPresent":"true"}}`, false, false},
		{`{"Bool":{"acs:MFAPresent":"false"}}`, true, true},
		// Several keys and several operators must all hold.
		{`{"StringEquals":{"kms:tag/team":"Dev","kms:tag/empty":"x"}}`, false, false},
		{`{"StringEquals":{"kms:tag/team":"Dev"},"Bool":{"acs:SecureTransport":"false"}}`, false, false},
		{`{"StringEquals":{"kms:tag/team":"Dev"},"Bool":{"acs:SecureTransport":"true"}}`, true, true},
	} {
		r := authz.Request{Action: "kms:Encrypt", Resource: key, Attributes: attributes}
		call.Policies = []*authz.Policy{compile(t, "p", statement("Allow", "*", "*", test.condition))}
		if d := call.Decide(r); d.Allowed != test.allow {
			t.Errorf("allow with %s: %+v", test.condition, d)
		}
		call.Policies = []*authz.Policy{compile(t, "p", statement("Allow", "*", "*", ""), statement("Deny", "*", "*", test.condition))}
		if d := call.Decide(r); d.Allowed == test.deny {
			t.Errorf("deny with %s: %+v", test.condition, d)
		}
	}
}

func TestAddressesAreComparedUnmappedAndWithoutZone(t *testing.T) {
	for source, pattern := range map[string]string{"::ffff:192.0.2.1": "192.0.2.0/24", "fe80::1%eth0": "fe80::/10"} {
		call := user(compile(t, "p", statement("Allow", "*", "*", `{"IpAddress":{"acs:SourceIp":"`+pattern+`"}}`)))
		call.Source = netip.MustParseAddr(source)
		if d := call.Decide(authz.Request{Action: "kms:Encrypt", Resource: key}); !d.Allowed {
			t.Errorf("%s in %s: %+v", source, pattern, d)
		}
	}
	call := user(compile(t, "p", statement("Allow", "*", "*", `{"NotIpAddress":{"acs:SourceIp":"203.0.113.0/24"}}`)))
	call.Source = netip.Addr{}
	if d := call.Decide(authz.Request{Action: "kms:Encrypt", Resource: key}); d.Allowed {
		t.Errorf("a source that is not known was allowed: %+v", d)
	}
}

// TestWildcardsNeverGoBack compares a name with a pattern of 300 stars, for which a
// matcher that tries every split would need longer than the universe has existed.
func TestWildcardsNeverGoBack(t *testing.T) {
	pattern := strings.Repeat("*a", 300) + "?b"
	call := user(compile(t, "p", statement("Allow", "*", "*", `{"StringLike":{"kms:tag/x":"`+pattern+`"}}`)))
	for suffix, want := range map[string]bool{"": false, "ab": true} {
		r := authz.Request{Action: "kms:Encrypt", Resource: key, Attributes: []authz.Attribute{{Key: "kms:tag/x", Value: strings.Repeat("a", 8192) + suffix}}}
		start := time.Now()
		if d := call.Decide(r); d.Allowed != want {
			t.Errorf("with the suffix %q: %+v", suffix, d)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("one comparison took %v", took)
		}
	}
}

func TestCheckSaysWhatToDo(t *testing.T) {
	p := compile(t, "work", statement("Allow", "kms:Encrypt", "*", ""), statement("Deny", "kms:Decrypt", "*", ""))
	if d, err := user(p).Check(authz.Request{Action: "kms:Encrypt", Resource: key}); err != nil || !d.Allowed {
		t.Errorf("allowed request: %+v, %v", d, err)
	}
	for action, want := range map[string]string{
		"kms:Decrypt":  "acs:ram::" + account + `:user/alice may not perform kms:Decrypt on ` + key + `: statement 2 of the policy "work" denies it; ask an administrator of the account to change that policy`,
		"kms:ListKeys": "acs:ram::" + account + ":user/alice may not perform kms:ListKeys on " + key + " (no statement allows); ask an administrator of the account that owns it for a policy that allows this action on this resource",
	} {
		d, err := user(p).Check(authz.Request{Action: action, Resource: key, Attributes: []authz.Attribute{{Key: "kms:tag/t", Value: "CANARY"}}})
		if d.Allowed || !fault.Is(err, fault.NoPermission) {
			t.Errorf("%s: %+v, %v", action, d, err)
		}
		if diff := cmp.Diff(want, fault.Message(err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", action, diff)
		}
	}
}

func TestSystemPolicies(t *testing.T) {
	allowed := map[string][]string{
		"AdministratorAccess":       {"kms:Decrypt", "kms:CreateKey", "kms:ListKeys", "kms:GetSecretValue", "ram:CreateUser", "keyward:ListAuditRecords", "keyward:RemarkAccessKey", "keyward:AcknowledgeIncident", "keyward:StartRotation", "keyward:ApproveRotation"},
		"AliyunKMSFullAccess":       {"kms:Decrypt", "kms:CreateKey", "kms:ListKeys", "kms:GetSecretValue"},
		"AliyunKMSSecretUserAccess": {"kms:Decrypt", "kms:GetSecretValue"},
		"KeywardWatchFullAccess":    {"keyward:RemarkAccessKey", "keyward:AcknowledgeIncident"},
		"KeywardOnCallAccess":       {"keyward:AcknowledgeIncident", "keyward:ApproveRotation"},
		"KeywardRotationFullAccess": {"keyward:StartRotation", "keyward:ApproveRotation"},
		"AliyunKMSReadOnlyAccess":   {"kms:ListKeys"},
		"AliyunKMSCryptoUserAccess": {"kms:Decrypt"},
		"KeywardAuditReadAccess":    {"keyward:ListAuditRecords"},
	}
	got := map[string][]string{}
	for _, s := range authz.SystemPolicies() {
		p, err := authz.Compile(s.Name, []byte(s.Document))
		if err != nil {
			t.Fatal(err)
		}
		for _, action := range []string{"kms:Decrypt", "kms:CreateKey", "kms:ListKeys", "kms:GetSecretValue", "ram:CreateUser", "keyward:ListAuditRecords", "keyward:RemarkAccessKey", "keyward:AcknowledgeIncident", "keyward:StartRotation", "keyward:ApproveRotation"} {
			if user(p).Decide(authz.Request{Action: action, Resource: key}).Allowed {
				got[s.Name] = append(got[s.Name], action)
			}
		}
	}
	if diff := cmp.Diff(allowed, got); diff != "" {
		t.Errorf("allowed actions (-want +got):\n%s", diff)
	}
}

// People need a fresh code for what is dangerous, in whatever spelling and under whatever
// policy; programs do not, and nobody for what is not.
func TestFreshCode(t *testing.T) {
	all, err := authz.Compile("all", []byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range append(authz.Dangerous(), "KMS:schedulekeydeletion", "kms:Encrypt", "kms:EnableKey") {
		dangerous := action != "kms:Encrypt" && action != "kms:EnableKey"
		for _, kind := range []authz.Kind{authz.User, authz.AssumedRole} {
			c := &authz.Call{Principal: authz.Principal{Account: "1", Kind: kind, Name: "x", Policies: []*authz.Policy{all}}}
			request := authz.Request{Action: action, Resource: "acs:kms:cn:1:key/x"}
			want := func(kind fault.Kind) {
				t.Helper()
				if d, err := c.Check(request); fault.KindOf(err) != kind || d.Allowed != (kind == "") {
					t.Errorf("%s by %s with %+v: %+v, %v", action, c.Kind, c.Session, d, err)
				}
			}
			want("")
			c.Session = &authz.Session{Name: "s", MFA: true}
			want("")
			c.Session.Person = true
			if dangerous {
				want(fault.MFARequired)
				c.Session.MFA = false
				want(fault.MFANotSetUp)
				c.Session.Vouched = true // a provider's word is no proof for this
				want(fault.MFANotSetUp)
				c.Session.MFA = true
			} else {
				want("")
			}
			c.Fresh = true
			want("")
			c.Policies = nil
			want(fault.NoPermission)
		}
	}
}
