package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server/wire"
)

func TestEveryFaultHasAStatus(t *testing.T) {
	for _, k := range fault.Kinds() {
		status, ok := wire.Status(k)
		if !ok || status/100 != 4 && status/100 != 5 || http.StatusText(status) == "" {
			t.Errorf("%s has the status %d, %t", k, status, ok)
		}
	}
	if _, ok := wire.Status("NoSuchKind"); ok {
		t.Error("a kind that does not exist has a status")
	}
}

func TestFailKeepsTheCauseToItself(t *testing.T) {
	for _, c := range []struct {
		err  error
		want api.Problem
	}{
		{
			fault.KeyNotFound.Wrap(errors.New("cause"), "no such key"),
			api.Problem{Type: "about:blank", Title: "Not Found", Status: 404, Code: "KeyNotFound", Detail: "no such key", RequestID: "R"},
		},
		{
			errors.New("cause"),
			api.Problem{Type: "about:blank", Title: "Internal Server Error", Status: 500, Code: "Internal", Detail: fault.Message(errors.New("")), RequestID: "R"},
		},
		{
			fault.Kind("Newer").New("from a later release"),
			api.Problem{Type: "about:blank", Title: "Internal Server Error", Status: 500, Code: "Internal", Detail: "from a later release", RequestID: "R"},
		},
	} {
		w := httptest.NewRecorder()
		wire.Fail(w, httptest.NewRequest("GET", "/", nil), "R", c.err)
		var have api.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &have); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, have); diff != "" || w.Code != c.want.Status || w.Header().Get("Content-Type") != api.ProblemType {
			t.Errorf("%v: %d %s\n%s", c.err, w.Code, w.Header().Get("Content-Type"), diff)
		}
	}
}

func TestFailSpeaksTheLanguageOfTheRequest(t *testing.T) {
	const english, chinese = "there is no such node", "没有该节点"
	for accept, want := range map[string]string{
		"": english, "en": english, "zh": chinese, "zh-CN,zh;q=0.9,en;q=0.8": chinese, "en-US,en;q=0.9,zh;q=0.8": english,
		"ZH-Hant-TW": chinese, "de,zh;q=0.5": chinese, "en;q=0.5, zh ; q=0.7": chinese, "en,zh": english, "zh,en": chinese,
		"zh;q=0": english, "zh;q=x": english, "zh;q=NaN": english, "zhx": english, "*": english, ",;,=": english, "zh;q=-1": english,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", accept)
		w := httptest.NewRecorder()
		wire.Fail(w, r, "R", fault.ResourceNotFound.New("there is no such node"))
		var have api.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &have); err != nil || have.Detail != want || have.Code != "ResourceNotFound" {
			t.Errorf("%q: %+v, %v", accept, have, err)
		}
	}
}

var jsonHeader = http.Header{"Content-Type": {"application/json"}}

func TestDecodeBodyTakesWhatItShould(t *testing.T) {
	remark, yes := "für 密钥", true
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for _, want := range []any{
		api.CreateKeyRequest{},
		api.CreateKeyRequest{Spec: "EC_P256", Rotation: &api.RotationRequest{Enabled: true, IntervalSeconds: 604800}, Tags: map[string]string{"a": "", "A": "b"}},
		api.EncryptRequest{Key: "alias/x", Plaintext: []byte{0, 255}, Context: map[string]string{"<&>": "\u2028😀"}, DryRun: true},
		api.DeleteKeyRequest{Days: -1},
		api.UpdateUserRequest{Remark: &remark, Enabled: &yes},
		api.UpdateAccessKeyRequest{ExpiresAt: &at},
		api.UntagRequest{Keys: []string{"a", ""}},
	} {
		body, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for _, spelt := range [][]byte{body, []byte(" \n\t" + string(body) + "\r\n ")} {
			have := reflect.New(reflect.TypeOf(want))
			if err := wire.DecodeBody(http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, spelt, have.Interface()); err != nil {
				t.Errorf("%s: %v", body, err)
			}
			if diff := cmp.Diff(want, have.Elem().Interface()); diff != "" {
				t.Errorf("%s:\n%s", body, diff)
			}
		}
	}
}

func TestDecodeBodyIsStrict(t *testing.T) {
	pairs := map[string]string{}
	for i := range 513 {
		pairs[strconv.Itoa(i)] = ""
	}
	many, err := json.Marshal(api.TagRequest{Tags: pairs})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, body string
		into       any
		want       fault.Kind
	}{
		{"empty", ``, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"byte order mark", "\ufeff{}", new(api.CreateKeyRequest), fault.InvalidParameter},
		{"comment", `{} //`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"comma too many", `{"spec":"a",}`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"colon missing", `{"spec" "a"}`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"name no text", `{1:"a"}`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"text cut off", `{"spec":"a`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"name cut off", `{"spec`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"object cut off", `{"spec":"a"`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"two objects", `{}{}`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"a word after it", `{} x`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"unknown inside", `{"rotation":{"enabled":true,"every":1}}`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"missing inside", `{"rotation":{"intervalSeconds":1}}`, new(api.CreateKeyRequest), fault.MissingParameter},
		{"other case", `{"Spec":"a"}`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"name of the field", `{"PlainText":"","key":""}`, new(api.EncryptRequest), fault.InvalidParameter},
		{"escaped twice", `{"spec":"a","sp\u0065c":"b"}`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"null inside", `{"rotation":null}`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"list for object", `{"rotation":[]}`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"object for list", `{"keys":{}}`, new(api.UntagRequest), fault.InvalidParameter},
		{"text for list", `{"keys":"a"}`, new(api.UntagRequest), fault.InvalidParameter},
		{"list for bytes", `{"ciphertext":[1]}`, new(api.DecryptRequest), fault.InvalidParameter},
		{"object for time", `{"expiresAt":{}}`, new(api.CreateAccessKeyRequest), fault.InvalidParameter},
		{"number for time", `{"expiresAt":1}`, new(api.CreateAccessKeyRequest), fault.InvalidParameter},
		{"date for time", `{"expiresAt":"2026-01-02"}`, new(api.CreateAccessKeyRequest), fault.InvalidParameter},
		{"number for flag", `{"enabled":1}`, new(api.Protection), fault.InvalidParameter},
		{"flag for number", `{"days":true}`, new(api.DeleteKeyRequest), fault.InvalidParameter},
		{"text for number", `{"days":"7"}`, new(api.DeleteKeyRequest), fault.InvalidParameter},
		{"negative zero", `{"days":-0}`, new(api.DeleteKeyRequest), fault.InvalidParameter},
		{"fraction", `{"days":7.5}`, new(api.DeleteKeyRequest), fault.InvalidParameter},
		{"number in a map", `{"tags":{"a":1}}`, new(api.TagRequest), fault.InvalidParameter},
		{"map in a map", `{"tags":{"a":{"b":"c"}}}`, new(api.TagRequest), fault.InvalidParameter},
		{"twice in a map", `{"tags":{"a":"","\u0061":""}}`, new(api.TagRequest), fault.InvalidParameter},
		{"many in a map", string(many), new(api.TagRequest), fault.InvalidParameter},
		{"many in a list", `{"keys":["a"` + strings.Repeat(`,"a"`, 600) + `]}`, new(api.UntagRequest), fault.InvalidParameter},
		{"half a surrogate", `{"spec":"\udc00"}`, new(api.CreateKeyRequest), fault.InvalidParameter},
		{"half a surrogate in a name", `{"tags":{"\udc00":""}}`, new(api.TagRequest), fault.InvalidParameter},
		{"URL base64", `{"ciphertext":"__8="}`, new(api.DecryptRequest), fault.InvalidParameter},
		{"loose base64", `{"ciphertext":"AB=="}`, new(api.DecryptRequest), fault.InvalidParameter},
		{"missing", `{}`, new(api.DecryptRequest), fault.MissingParameter},
	}
	for _, c := range cases {
		if err := wire.DecodeBody(jsonHeader, []byte(c.body), c.into); fault.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func TestDecodeBodyWantsItsContentType(t *testing.T) {
	for _, types := range [][]string{
		nil, {""}, {"text/json"}, {"application/json, application/json"}, {"application/json", "application/json"},
		{"application/json; charset=latin1"}, {"application/json; charset=utf-8; x=y"}, {"application/problem+json"},
	} {
		if err := wire.DecodeBody(http.Header{"Content-Type": types}, []byte(`{}`), new(api.CreateKeyRequest)); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%q: %v", types, err)
		}
	}
}

// query yields pairs as the signature's verifier does, each name once.
func query(m map[string]string) iter.Seq2[string, string] { return maps.All(m) }

func TestDecodeQuery(t *testing.T) {
	var have api.ListAuditRecordsRequest
	err := wire.DecodeQuery(query(map[string]string{
		"action": "kms:Encrypt", "from": "2026-01-02T03:04:05.000006Z", "oldest": "true", "limit": "1000", "cursor": "",
	}), &have)
	want := api.ListAuditRecordsRequest{
		Action: "kms:Encrypt", From: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Oldest: true, Limit: 1000,
	}
	if diff := cmp.Diff(want, have); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	var keys api.ListKeysRequest
	err = wire.DecodeQuery(query(map[string]string{"states": "Enabled,Disabled", "specs": ""}), &keys)
	if diff := cmp.Diff(api.ListKeysRequest{States: []string{"Enabled", "Disabled"}}, keys); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, c := range []struct {
		name, value string
		into        any
		want        fault.Kind
	}{
		{"Limit", "1", new(api.ListAuditRecordsRequest), fault.InvalidParameter},
		{"limit", "", new(api.ListAuditRecordsRequest), fault.InvalidParameter},
		{"limit", "01", new(api.ListAuditRecordsRequest), fault.InvalidParameter},
		{"limit", "+1", new(api.ListAuditRecordsRequest), fault.InvalidParameter},
		{"limit", "99999999999999999999", new(api.ListAuditRecordsRequest), fault.InvalidParameter},
		{"oldest", "TRUE", new(api.ListAuditRecordsRequest), fault.InvalidParameter},
		{"to", "2026-01-02T03:04:05", new(api.ListAuditRecordsRequest), fault.InvalidParameter},
		{"action", "\ufffd", new(api.ListAuditRecordsRequest), fault.InvalidParameter},
		{"log", "x", new(api.AuditProofRequest), fault.MissingParameter},
	} {
		if err := wire.DecodeQuery(query(map[string]string{c.name: c.value}), c.into); fault.KindOf(err) != c.want {
			t.Errorf("%s=%s: %v, want %s", c.name, c.value, err, c.want)
		}
	}
	if err := wire.CheckNoQuery(query(map[string]string{"a": ""})); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("a parameter where there are none: %v", err)
	}
}

// requests are the types that the fuzzer decodes into, all kinds of members among them.
func requests() []any {
	return []any{
		new(api.CreateKeyRequest), new(api.EncryptRequest), new(api.UpdateAccessKeyRequest), new(api.UntagRequest),
		new(api.DeleteKeyRequest), new(api.ListAuditRecordsRequest),
	}
}

// What is accepted is what package json makes of it, and its own encoding is accepted
// as the same.
func FuzzDecodeBody(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"spec":"a","rotation":{"enabled":true,"intervalSeconds":1},"tags":{"a":"b"}}`, `{"key":"k","plaintext":"AAE="}`,
		`{"enabled":false,"remark":"","expiresAt":"2026-01-02T15:04:05+08:00"}`, `{"keys":["a","b"]}`, `{"days":7}`,
		`{"from":"2026-01-02T15:04:05Z","oldest":true,"limit":1}`, `{"spec":"\ud83d\ude00"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, into := range requests() {
			err := wire.DecodeBody(jsonHeader, body, into)
			if err != nil {
				if !fault.Is(err, fault.InvalidParameter) && !fault.Is(err, fault.MissingParameter) {
					t.Errorf("%T: %v", into, err)
				}
				continue
			}
			plain := reflect.New(reflect.TypeOf(into).Elem()).Interface()
			d := json.NewDecoder(bytes.NewReader(body))
			d.DisallowUnknownFields()
			if err := d.Decode(plain); err != nil || !cmp.Equal(plain, into) {
				t.Errorf("package json disagrees: %v\n%s", err, cmp.Diff(plain, into))
			}
			again, err := json.Marshal(into)
			if err != nil {
				t.Fatal(err)
			}
			second := reflect.New(reflect.TypeOf(into).Elem()).Interface()
			if err := wire.DecodeBody(jsonHeader, again, second); err != nil {
				t.Errorf("its own encoding %s is refused: %v", again, err)
			}
		}
	})
}

func FuzzDecodeQuery(f *testing.F) {
	f.Add("limit", "1")
	f.Add("from", "2026-01-02T15:04:05Z")
	f.Add("states", "a,b")
	f.Add("oldest", "true")
	f.Add("\xff", "\xff")
	f.Fuzz(func(t *testing.T, name, value string) {
		for _, into := range []any{new(api.ListKeysRequest), new(api.ListAuditRecordsRequest), new(api.PageRequest)} {
			err := wire.DecodeQuery(query(map[string]string{name: value}), into)
			if err != nil && !fault.Is(err, fault.InvalidParameter) {
				t.Errorf("%T: %v", into, err)
			}
		}
	})
}
