package alibaba

import (
	"encoding/json"
	"encoding/xml"
	"net/http/httptest"
	"strings"
	"testing"

	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/fault"
)

func TestEveryFaultHasACode(t *testing.T) {
	for _, kind := range fault.Kinds() {
		if c, ok := codes[kind]; !ok || c.status < 400 || c.name == "" {
			t.Errorf("%s has no code", kind)
		}
	}
	if len(codes) != len(fault.Kinds()) {
		t.Errorf("%d codes for %d kinds", len(codes), len(fault.Kinds()))
	}
}

func TestEveryOperationNamesItsAction(t *testing.T) {
	for name, op := range operations {
		if op.decode == nil || !strings.HasPrefix(op.action, "kms:") {
			t.Errorf("%s: action %q", name, op.action)
		}
		if name != "ReEncrypt" && op.action != "kms:"+name {
			t.Errorf("%s has the action %s", name, op.action)
		}
	}
	if len(operations) != 62 {
		t.Errorf("%d operations; docs/alibaba.md lists 62", len(operations))
	}
}

func TestAnswersInBothFormats(t *testing.T) {
	for _, format := range []authn.Format{authn.JSON, authn.XML} {
		w := httptest.NewRecorder()
		a := answer{w: w, requestID: "ID-1", host: "h", format: format}
		body := &ciphertextReply{KeyId: "k", KeyVersionId: "v", CiphertextBlob: "a+/="}
		body.stamp("ID-1")
		a.succeed("Encrypt", body)
		want := `{"RequestId":"ID-1","KeyId":"k","KeyVersionId":"v","CiphertextBlob":"a+/="}` + "\n"
		if format == authn.XML {
			want = xml.Header + "<EncryptResponse><RequestId>ID-1</RequestId><KeyId>k</KeyId><KeyVersionId>v</KeyVersionId><CiphertextBlob>a+/=</CiphertextBlob></EncryptResponse>"
		}
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d %s", format, w.Code, w.Body)
		}
		w = httptest.NewRecorder()
		a.w = w
		a.fail(fault.KeyNotFound.New("gone"), nil, false)
		if w.Code != 404 || !strings.Contains(w.Body.String(), "Forbidden.KeyNotFound") || !strings.Contains(w.Body.String(), "gone") {
			t.Errorf("%s: %d %s", format, w.Code, w.Body)
		}
	}
}

// A successful answer must not have a member "Code": the Terraform provider takes it for an error.
func TestNoSuccessHasACode(t *testing.T) {
	for _, body := range []any{&keyReply{}, &ciphertextReply{}, &plaintextReply{}, &versionReply{}, &reply{}} {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), `"Code"`) {
			t.Errorf("%s", b)
		}
	}
}

// An internal error's text stays in the log.
func TestInternalErrorsAreNotAnswered(t *testing.T) {
	w := httptest.NewRecorder()
	answer{w: w}.fail(fault.Internal.New("the database password is fake"), nil, false)
	if w.Code != 500 || strings.Contains(w.Body.String(), "fake") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// one is the single parameter P.
type one string

func (o one) Value(name string) (string, bool) { return string(o), name == "P" }
func (o one) Len() int                         { return 1 }
func (o one) At(int) (name, value string)      { return "P", string(o) }

func decode(s string) *values { return newValues(one(s)) }

func TestIntervals(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"7d": 7 * 24 * time.Hour, "168h": 168 * time.Hour, "10080m": 7 * 24 * time.Hour, "604800s": 7 * 24 * time.Hour, "": 0,
		"7": -1, "d": -1, "-7d": -1, "7dd": -1, "7d7": -1, "7.5d": -1, "99999999999d": -1, " 7d": -1, "7D": -1, "0x7d": -1, "0d": -1,
	} {
		v := decode(s)
		have := v.interval("P")
		if bad := v.err != nil; bad != (want < 0) || !bad && have != want {
			t.Errorf("%q: %v, %v", s, have, v.err)
		}
	}
}

func TestTagDocuments(t *testing.T) {
	for s, taken := range map[string]bool{
		"[]": true, `[{"TagKey":"a","TagValue":"b"}]`: true, ` [ {"TagValue":"b"} ] `: true,
		"null": false, "{}": false, "[null]": false, "[] []": false, `[{"TagKey":null}]`: false, `[{"tagkey":"a"}]`: false,
		`[{"TagKey":"a","TagKey":"b"}]`: false, `[{"TagKey":"a","Color":"b"}]`: false, `[{"TagKey":"\ud800"}]`: false,
		`[{"TagKey":"\u0000"}]`: false, "[{\"TagKey\":\"\x00\"}]": false, strings.Repeat("[", 20_000): false,
	} {
		v := decode(s)
		v.tags("P")
		if err := v.finish(); (err == nil) != taken {
			t.Errorf("%.60q: %v", s, err)
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"", "7d", "1", "true", "aGVsbG8=", `{"a":"b"}`, `[{"TagKey":"a","TagValue":"b"}]`, `[{"Key":"KeyState","Values":["Enabled"]}]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, read := range []func(*values){
			func(v *values) { v.integer("P", 0) }, func(v *values) { v.boolean("P") }, func(v *values) { v.binary("P") },
			func(v *values) { v.context("P") }, func(v *values) { v.interval("P") }, func(v *values) { v.tags("P") },
		} {
			v := decode(s)
			read(v)
			if k := fault.KindOf(v.finish()); k != "" && k != fault.InvalidParameter && k != fault.MissingParameter {
				t.Errorf("%q: %s", s, k)
			}
		}
	})
}

// Answers that encode themselves do it as package json would.
func TestQuickAnswers(t *testing.T) {
	r := reply{RequestId: "4B1C2D3E-0000-4000-8000-000000000000"}
	c := ciphertextReply{reply: r, KeyId: "k-1", KeyVersionId: "v-1", CiphertextBlob: "QUJD+/8="}
	for _, q := range []quick{
		&c, &plaintextReply{reply: r, KeyId: "k-1", KeyVersionId: "v-1", Plaintext: "AAA="}, &dataKeyReply{c, "BBB="},
		&signatureReply{reply: r, KeyId: "k-1", KeyVersionId: "v-1", Value: "CCC="},
	} {
		want, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want)+"\n", string(appendJSON(nil, "", q))); diff != "" {
			t.Errorf("%T: -want +have\n%s", q, diff)
		}
	}
}
