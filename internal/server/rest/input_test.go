package rest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit"
)

// A signed request that makes no sense is refused with a 4xx, changes nothing and leaves
// one record of its route's action, or one refusal where not even the signature makes sense.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "Owner")
	k := must(w.client(t, admin).CreateKey(t.Context(), api.CreateKeyRequest{}))(t)
	before := w.size(t)
	const jsonType, encrypt, keys = "application/json", "/v1/crypto/encrypt", "/v1/keys"
	post := func(target, body string) raw { return raw{"POST", target, jsonType, []byte(body)} }
	plain := fmt.Sprintf(`{"key":%q,"plaintext":"ZmFrZQ=="}`, k.ID)
	cases := []struct {
		name   string
		q      raw
		status int
		code   string
		action string
	}{
		{"unknown member", post(encrypt, plain[:len(plain)-1]+`,"contxt":{}}`), 400, "InvalidParameter", "kms:Encrypt"},
		{"member in another case", post(encrypt, strings.Replace(plain, "key", "Key", 1)), 400, "InvalidParameter", "kms:Encrypt"},
		{"member twice", post(encrypt, plain[:len(plain)-1]+`,"key":"other"}`), 400, "InvalidParameter", "kms:Encrypt"},
		{"pair twice", post(encrypt, plain[:len(plain)-1]+`,"context":{"a":"1","a":"2"}}`), 400, "InvalidParameter", "kms:Encrypt"},
		{"member missing", post(encrypt, `{"plaintext":"ZmFrZQ=="}`), 400, "MissingParameter", "kms:Encrypt"},
		{"empty key", post(encrypt, `{"key":"","plaintext":"ZmFrZQ=="}`), 400, "MissingParameter", "kms:Encrypt"},
		{"trailing data", post(encrypt, plain+"{}"), 400, "InvalidParameter", "kms:Encrypt"},
		{"cut off", post(encrypt, plain[:len(plain)-1]), 400, "InvalidParameter", "kms:Encrypt"},
		{"null", post(encrypt, `{"key":null,"plaintext":"ZmFrZQ=="}`), 400, "InvalidParameter", "kms:Encrypt"},
		{"null body", post(encrypt, `null`), 400, "InvalidParameter", "kms:Encrypt"},
		{"list body", post(encrypt, `[]`), 400, "InvalidParameter", "kms:Encrypt"},
		{"no JSON", post(encrypt, `key=x`), 400, "InvalidParameter", "kms:Encrypt"},
		{"number for text", post(encrypt, `{"key":1,"plaintext":"ZmFrZQ=="}`), 400, "InvalidParameter", "kms:Encrypt"},
		{"text for flag", post(encrypt, plain[:len(plain)-1]+`,"dryRun":"true"}`), 400, "InvalidParameter", "kms:Encrypt"},
		{"no base64", post(encrypt, `{"key":"k","plaintext":"ZmFrZQ"}`), 400, "InvalidParameter", "kms:Encrypt"},
		{"deep", post(encrypt, plain[:len(plain)-1]+`,"context":`+strings.Repeat(`{"a":`, 1000)+strings.Repeat(`}`, 1000)+`}`), 400, "InvalidParameter", "kms:Encrypt"},
		{"deep and unknown", post(encrypt, strings.Repeat(`[`, 10000)), 400, "InvalidParameter", "kms:Encrypt"},
		{"invalid UTF-8", post(encrypt, "{\"key\":\"\xff\",\"plaintext\":\"ZmFrZQ==\"}"), 400, "InvalidParameter", "kms:Encrypt"},
		{"half a surrogate", post(encrypt, plain[:len(plain)-1]+`,"context":{"a":"\ud800"}}`), 400, "InvalidParameter", "kms:Encrypt"},
		{"float", post(keys+"/"+k.ID+"/delete", `{"days":7.0}`), 400, "InvalidParameter", "kms:ScheduleKeyDeletion"},
		{"exponent", post(keys+"/"+k.ID+"/delete", `{"days":1e1}`), 400, "InvalidParameter", "kms:ScheduleKeyDeletion"},
		{"overflow", post(keys+"/"+k.ID+"/delete", `{"days":9223372036854775808}`), 400, "InvalidParameter", "kms:ScheduleKeyDeletion"},
		{"out of range", post(keys+"/"+k.ID+"/delete", `{"days":6}`), 400, "InvalidParameter", "kms:ScheduleKeyDeletion"},
		{"interval that wraps", raw{"PUT", keys + "/" + k.ID + "/rotation", jsonType, []byte(`{"enabled":true,"intervalSeconds":18446744074}`)}, 400, "InvalidParameter", "kms:UpdateRotationPolicy"},
		{"protection without saying which", raw{"PUT", keys + "/" + k.ID + "/protection", jsonType, []byte(`{}`)}, 400, "MissingParameter", "kms:SetDeletionProtection"},
		{"no time", post("/v1/users/x/access-keys", `{"expiresAt":"tomorrow"}`), 400, "InvalidParameter", "ram:CreateAccessKey"},
		{"no content type", raw{"POST", encrypt, "", []byte(plain)}, 400, "InvalidParameter", "kms:Encrypt"},
		{"form", raw{"POST", encrypt, "application/x-www-form-urlencoded", []byte(plain)}, 400, "InvalidParameter", "kms:Encrypt"},
		{"other charset", raw{"POST", encrypt, "application/json; charset=utf-16", []byte(plain)}, 400, "InvalidParameter", "kms:Encrypt"},
		{"query on a POST", post(encrypt+"?key=x", plain), 400, "InvalidParameter", "kms:Encrypt"},
		{"body where none is read", post(keys+"/"+k.ID+"/enable", `{}`), 400, "InvalidParameter", "kms:EnableKey"},
		{"body of a GET", raw{"GET", keys, jsonType, []byte(`{}`)}, 400, "InvalidParameter", "kms:ListKeys"},
		{"body of a DELETE", raw{"DELETE", keys + "/" + k.ID + "/tags?keys=a", jsonType, []byte(`{}`)}, 400, "InvalidParameter", "kms:UntagResource"},
		{"unknown parameter", raw{"GET", keys + "?colour=red", "", nil}, 400, "InvalidParameter", "kms:ListKeys"},
		{"parameter missing", raw{"GET", "/v1/audit/proof?seq=1", "", nil}, 400, "MissingParameter", "keyward:ProveAuditRecord"},
		{"parameter no number", raw{"GET", keys + "?limit=ten", "", nil}, 400, "InvalidParameter", "kms:ListKeys"},
		{"parameter out of range", raw{"GET", keys + "?limit=101", "", nil}, 400, "InvalidParameter", "kms:ListKeys"},
		{"limit below zero", raw{"GET", "/v1/users?limit=-1", "", nil}, 400, "InvalidParameter", "ram:ListUsers"},
		{"forged cursor", raw{"GET", keys + "?cursor=abc", "", nil}, 400, "InvalidParameter", "kms:ListKeys"},
		{"forged audit cursor", raw{"GET", "/v1/audit/records?cursor=abc", "", nil}, 400, "InvalidParameter", "keyward:ListAuditRecords"},
		{"parameter no flag", raw{"GET", "/v1/audit/records?oldest=1", "", nil}, 400, "InvalidParameter", "keyward:ListAuditRecords"},
		{"parameter no time", raw{"GET", "/v1/audit/records?from=now", "", nil}, 400, "InvalidParameter", "keyward:ListAuditRecords"},
		{"parameter twice", raw{"GET", keys + "?limit=1&limit=2", "", nil}, 400, "InvalidParameter", "keyward:Authenticate"},
		{"record below zero", raw{"GET", "/v1/audit/proof?log=x&seq=-1", "", nil}, 404, "ResourceNotFound", "keyward:ProveAuditRecord"},
		{"encoded slash", raw{"GET", keys + "/alias%2Fx", "", nil}, 400, "InvalidParameter", "keyward:Authenticate"},
		{"dots", raw{"GET", keys + "/%2E%2E", "", nil}, 400, "InvalidParameter", "keyward:Authenticate"},
		{"half an escape", raw{"GET", "/v1/users/%25zz", "", nil}, 400, "InvalidParameter", "ram:GetUser"},
		{"large", post(encrypt, fmt.Sprintf(`{"key":"k","plaintext":%q}`, strings.Repeat("A", 64<<10))), 413, "TooLarge", "kms:Encrypt"},
		{"policy above its limit", post("/v1/policies", fmt.Sprintf(`{"name":"P","document":%q}`, strings.Repeat("A", 96<<10))), 413, "TooLarge", ""},
		{"no policy", post("/v1/policies", fmt.Sprintf(`{"name":"P","document":%q}`, strings.Repeat("A", 70<<10))), 400, "InvalidParameter", "ram:CreatePolicy"},
		{"expiry and none", raw{"PATCH", "/v1/access-keys/" + admin.id, jsonType, []byte(`{"expiresAt":"2099-01-01T00:00:00Z","neverExpires":true}`)}, 400, "InvalidParameter", "ram:UpdateAccessKey"},
		{"unknown path", raw{"GET", "/v1/nothing", "", nil}, 404, "ActionNotFound", "keyward:UnknownOperation"},
		{"other version", raw{"GET", "/v2/keys", "", nil}, 404, "ActionNotFound", "keyward:UnknownOperation"},
		{"longer path", raw{"GET", keys + "/a/b/c", "", nil}, 404, "ActionNotFound", "keyward:UnknownOperation"},
		{"other method", raw{"PATCH", keys, jsonType, []byte(`{}`)}, 405, "MethodNotAllowed", "keyward:UnknownOperation"},
		{"unknown key", raw{"GET", keys + "/key-unknown", "", nil}, 404, "KeyNotFound", "kms:DescribeKey"},
		{"unknown version", raw{"GET", keys + "/" + k.ID + "/versions/1", "", nil}, 404, "KeyVersionNotFound", "kms:DescribeKeyVersion"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var resp *http.Response
			var p api.Problem
			records := w.during(t, func() { resp, p = do(t, w.sign(t, admin, c.q)) })
			if resp.StatusCode != c.status || p.Code != c.code {
				t.Errorf("answered %d %s (%s), want %d %s", resp.StatusCode, p.Code, p.Detail, c.status, c.code)
			}
			if c.action == "" {
				if len(records) != 0 {
					t.Errorf("left records before anybody was authenticated: %+v", records)
				}
				return
			}
			if len(records) != 1 || records[0].Action != c.action || records[0].Result != c.code {
				t.Errorf("left the records %+v; want one, of %s with %s", records, c.action, c.code)
			}
		})
	}
	for _, r := range w.records(t, before) {
		if r.Result == audit.ResultOK || len(r.Effects) > 0 {
			t.Errorf("something happened: %+v", r)
		}
	}
}

func TestMethodNotAllowedSaysWhatIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var resp *http.Response
	records := w.during(t, func() {
		resp, _ = do(t, must(http.NewRequestWithContext(t.Context(), "TRACE", w.url+"/v1/keys", nil))(t))
	})
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST, GET" || len(records) != 0 {
		t.Errorf("answered %d, Allow: %q, %d records", resp.StatusCode, resp.Header.Get("Allow"), len(records))
	}
}

func TestUnknownPathWithoutSignatureLeavesNoTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/v1/nothing", "/v1/", "/v1/keys/", "/v1//keys", "/v1/keys/%zz"} {
		r := must(http.NewRequestWithContext(t.Context(), "GET", w.url+"/", nil))(t)
		r.URL.Opaque = strings.TrimPrefix(w.url, "http:") + path
		records := w.during(t, func() {
			resp := must(http.DefaultClient.Do(r))(t)
			defer resp.Body.Close()
			if body := must(io.ReadAll(resp.Body))(t); resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s answered %d %s", path, resp.StatusCode, body)
			}
		})
		if len(records) != 0 {
			t.Errorf("%s left %+v", path, records)
		}
	}
}

// Whatever bytes come as a body, the answer is the caller's error: no key is named k.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{}`, `{"key":"k","plaintext":"ZmFrZQ=="}`, `{"key":"k","plaintext":"","context":{"a":"b"}}`, "\xff", `[[[`} {
		f.Add([]byte(seed))
	}
	w := newWorld(f)
	admin := w.account(f, "Owner")
	f.Fuzz(func(t *testing.T, body []byte) {
		r := w.sign(t, admin, raw{"POST", "/v1/crypto/encrypt", "application/json", body})
		r.Body = io.NopCloser(bytes.NewReader(body))
		if resp, p := do(t, r); resp.StatusCode/100 != 4 {
			t.Errorf("answered %d %s", resp.StatusCode, p.Code)
		}
	})
}
