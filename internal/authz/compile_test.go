package authz_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

func TestCompileRefuses(t *testing.T) {
	valid := `"Effect":"Allow","Action":"kms:*","Resource":"*"`
	in := func(statement string) string {
		return `{"Version":"1","Statement":[{` + valid + `},{` + statement + `}]}`
	}
	with := func(condition string) string { return in(valid + `,"Condition":` + condition) }
	for document, want := range map[string]string{
		``:                       "not JSON",
		`{`:                      "not JSON",
		`[]`:                     "must be a JSON object",
		`"x"`:                    "must be a JSON object",
		"{\"Version\":\"\xff\"}": "UTF-8",
		`{"Version":"1","Statement":{` + valid + `}} {}`:            "more data",
		`{"Version":"1","Statement":{` + valid + `}}x`:              "more data",
		`{"Version":"1","Statement":{` + valid + `},}`:              "not JSON",
		`{"Statement":{` + valid + `}}`:                             "Version",
		`{"Version":"2","Statement":{` + valid + `}}`:               "Version",
		`{"Version":1,"Statement":{` + valid + `}}`:                 "Version",
		`{"version":"1","Statement":{` + valid + `}}`:               `"version" is unknown`,
		`{"Version":"1","Id":"x","Statement":{` + valid + `}}`:      `"Id" is unknown`,
		`{"Version":"1","Version":"1","Statement":{` + valid + `}}`: `"Version" appears twice`,
		`{"Version":"1"}`:                   "at least one",
		`{"Version":"1","Statement":[]}`:    "at least one",
		`{"Version":"1","Statement":null}`:  "at least one",
		`{"Version":"1","Statement":["x"]}`: "statement 1: it must be a JSON object",
		`{"Version":"1","Statement":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`: "deeper",

		in(`"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"`):                             `"Effect" appears twice`,
		in(`"Effect":"allow","Action":"*","Resource":"*"`):                                             "statement 2: the element Effect",
		in(`"Action":"*","Resource":"*"`):                                                              "statement 2: the element Effect",
		in(`"Effect":"Allow","Resource":"*"`):                                                          "statement 2: exactly one of Action and NotAction",
		in(valid + `,"NotAction":"*"`):                                                                 "statement 2: exactly one of Action and NotAction",
		in(valid + `,"Principal":"*"`):                                                                 "statement 2: the element Principal",
		in(valid + `,"NotResource":"*"`):                                                               `statement 2: the element "NotResource" is unknown`,
		in(valid + `,"Sid":""`):                                                                        "statement 2: the element Sid",
		in(valid + `,"Sid":"a\nb"`):                                                                    "statement 2: the element Sid",
		in(`"Effect":"Allow","Action":"kms","Resource":"*"`):                                           `statement 2: in Action: "kms"`,
		in(`"Effect":"Allow","NotAction":["kms:"],"Resource":"*"`):                                     `statement 2: in NotAction: "kms:"`,
		in(`"Effect":"Allow","Action":":x","Resource":"*"`):                                            `statement 2: in Action`,
		in(`"Effect":"Allow","Action":"a:b:c","Resource":"*"`):                                         `statement 2: in Action`,
		in(`"Effect":"Allow","Action":"kms:En crypt","Resource":"*"`):                                  `statement 2: in Action`,
		in(`"Effect":"Allow","Action":[],"Resource":"*"`):                                              `statement 2: in Action: the list is empty`,
		in(`"Effect":"Allow","Action":[["kms:*"]],"Resource":"*"`):                                     `statement 2: in Action: it must be a string`,
		in(`"Effect":"Allow","Action":"*"`):                                                            `statement 2: the element Resource must be there`,
		in(`"Effect":"Allow","Action":"*","Resource":null`):                                            `statement 2: in Resource: it must be a string`,
		in(`"Effect":"Allow","Action":"*","Resource":true`):                                            `statement 2: in Resource: it must be a string`,
		in(`"Effect":"Allow","Action":"*","Resource":"key-1"`):                                         `statement 2: in Resource: "key-1"`,
		in(`"Effect":"Allow","Action":"*","Resource":"acs:kms:*"`):                                     `statement 2: in Resource`,
		in(`"Effect":"Allow","Action":"*","Resource":"acs:kms:*::key/*"`):                              `statement 2: in Resource`,
		in(`"Effect":"Allow","Action":"*","Resource":"acs:kms:*:me:*"`):                                `statement 2: in Resource`,
		in(`"Effect":"Allow","Action":"*","Resource":"acs:kms:*:*:"`):                                  `statement 2: in Resource`,
		in(`"Effect":"Allow","Action":"*","Resource":"arn:kms:*:*:*"`):                                 `statement 2: in Resource`,
		in(`"Effect":"Allow","Action":"*","Resource":"acs:kms:*:*:` + strings.Repeat("a", 1024) + `"`): `at most 1024`,

		with(`[]`):                   "statement 2: in Condition: it must be an object",
		with(`{}`):                   "statement 2: in Condition: it must be an object",
		with(`{"StringEquals":"x"}`): "StringEquals: it must be an object",
		with(`{"StringEquals":{}}`):  "StringEquals: it must be an object",
		with(`{"stringEquals":{"kms:tag/a":"x"}}`):                    `the operator "stringEquals" is unknown`,
		with(`{"StringEqualsIfExists":{"kms:tag/a":"x"}}`):            `the operator "StringEqualsIfExists" is unknown`,
		with(`{"StringEquals":{"kms:tag/a":"x","kms:tag/a":"y"}}`):    `"kms:tag/a" appears twice`,
		with(`{"StringEquals":{"kms:tag/a":[]}}`):                     "the list is empty",
		with(`{"StringEquals":{"kms:tag/a":null}}`):                   "it must be a string",
		with(`{"StringEquals":{"kms:tag/a":{}}}`):                     "it must be a string",
		with(`{"StringEquals":{"kms:tag/":"x"}}`):                     "the condition key is unknown",
		with(`{"StringEquals":{"acs:SourceIP":"x"}}`):                 "the condition key is unknown",
		with(`{"StringEquals":{"acs:SourceIp":"x"}}`):                 "operators of the type IpAddress only",
		with(`{"Bool":{"acs:SecureTransport":"yes"}}`):                "must be true or false",
		with(`{"NumericEquals":{"kms:tag/a":"0x10"}}`):                "not a decimal number",
		with(`{"NumericEquals":{"kms:tag/a":"NaN"}}`):                 "not a decimal number",
		with(`{"NumericEquals":{"kms:tag/a":"1e999"}}`):               "not a decimal number",
		with(`{"DateEquals":{"acs:CurrentTime":"2026-01-01"}}`):       "not a time",
		with(`{"IpAddress":{"acs:SourceIp":"192.0.2.0/33"}}`):         "not an IP address",
		with(`{"IpAddress":{"acs:SourceIp":"fe80::1%eth0"}}`):         "not an IP address",
		with(`{"IpAddress":{"acs:SourceIp":"::ffff:192.0.2.0/120"}}`): "not an IP address",
		with(`{"IpAddress":{"acs:SourceIp":"::ffff:192.0.2.1"}}`):     "not an IP address",
	} {
		p, err := authz.Compile("p", []byte(document))
		if p != nil || !fault.Is(err, fault.InvalidParameter) || !strings.Contains(fault.Message(err), want) {
			t.Errorf("%s: answered %v, want %q", document, err, want)
		}
	}
}

func TestCompileAcceptsExactlyMaxDocument(t *testing.T) {
	document := `{"Version":"1","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	document += strings.Repeat(" ", authz.MaxDocument-len(document))
	if _, err := authz.Compile("p", []byte(document)); err != nil {
		t.Errorf("%d bytes: %v", len(document), err)
	}
	if _, err := authz.Compile("p", []byte(document+" ")); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("%d bytes: %v", len(document)+1, err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range authz.SystemPolicies() {
		f.Add([]byte(s.Document))
	}
	f.Add([]byte(`{"Version":"1","Statement":[{"Sid":"s","Effect":"Deny","NotAction":["kms:List*","ram:?et"],"Resource":["acs:kms:*:*:key/*"],` +
		`"Condition":{"IpAddress":{"acs:SourceIp":["192.0.2.0/24","::1"]},"NumericLessThan":{"kms:tag/n":1.5},"DateGreaterThan":{"acs:CurrentTime":"2026-01-01T00:00:00Z"},` +
		`"StringNotLike":{"kms:EncryptionContext:a":["?*a"]},"Bool":{"acs:SecureTransport":false}}}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		p, err := authz.Compile("p", document)
		if (p == nil) == (err == nil) {
			t.Fatalf("answered %v and %v", p, err)
		}
		if err != nil {
			if !fault.Is(err, fault.InvalidParameter) {
				t.Fatalf("the error has the kind %s", fault.KindOf(err))
			}
			return
		}
		if !json.Valid(document) {
			t.Fatal("compiled what is not JSON")
		}
		call := user(p)
		call.Kind = authz.User
		for _, resource := range []string{key, "acs:kms:cn-hangzhou:" + foreign + ":key/key-1"} {
			d := call.Decide(authz.Request{Action: "kms:Encrypt", Resource: resource, Attributes: []authz.Attribute{{Key: "kms:tag/n", Value: "1"}}})
			if d.Allowed && resource != key {
				t.Fatal("reached into another account")
			}
		}
	})
}

// fifty answers a question about 50 statements with patterns and conditions of which only
// the last allows.
func fifty(t testing.TB) (*authz.Call, authz.Request, string) {
	t.Helper()
	var statements []string
	for range 49 {
		statements = append(statements, statement("Allow", "kms:*crypt", "acs:kms:*:*:key/key-*",
			`{"IpAddress":{"acs:SourceIp":"198.51.100.0/24"},"StringLike":{"kms:tag/team":"dev-*"}}`))
	}
	statements = append(statements, statement("Allow", "kms:*", key, ""))
	r := authz.Request{Action: "kms:Decrypt", Resource: key, Attributes: []authz.Attribute{{Key: "kms:KeySpec", Value: "Aliyun_AES_256"}, {Key: "kms:tag/team", Value: "ops"}}}
	return user(compile(t, "p", statements...)), r, `{"Version":"1","Statement":[` + strings.Join(statements, ",") + `]}`
}

// BenchmarkDecide measures the question of fifty.
func BenchmarkDecide(b *testing.B) {
	call, r, _ := fifty(b)
	b.ReportAllocs()
	for b.Loop() {
		if !call.Decide(r).Allowed {
			b.Fatal("denied")
		}
	}
}
