package interop_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A spoilt call is wrong in one way.
type spoilt struct {
	name string
	sign signer
	call call
	want refusal
}

func bad(code string) refusal { return refusal{400, code} }

// list is a call that would succeed, spoilt by edit.
func list(edit func(*http.Request)) call { return call{action: "ListKeys", edit: edit} }

// skewed is a call at another time.
func skewed(d time.Duration) call { return call{action: "ListKeys", at: time.Now().Add(d)} }

func appendQuery(raw string) call { return list(func(r *http.Request) { r.URL.RawQuery += raw }) }

func replaceQuery(old, with string) call {
	return list(func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, old, with, 1) })
}

// dropQuery takes a parameter out.
func dropQuery(name string) call {
	return list(func(r *http.Request) {
		q := r.URL.Query()
		q.Del(name)
		r.URL.RawQuery = q.Encode()
	})
}

// setHeader sets a header, or takes it out if value is empty.
func setHeader(name, value string) call {
	return list(func(r *http.Request) {
		if r.Header.Del(name); value != "" {
			r.Header.Set(name, value)
		}
	})
}

// setBody puts a body in; size is what the request says, -1 for nothing.
func setBody(kind, content string, size int) call {
	return list(func(r *http.Request) {
		r.Header.Set("Content-Type", kind)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(content)), int64(size)
	})
}

// spoiltRPC are wrong in what RPC 1.0 signs.
func spoiltRPC() []spoilt {
	return []spoilt{
		{"nothing at all", rpc, list(func(r *http.Request) { r.URL.RawQuery = "" }), bad(missingParameter)},
		{"no signature", rpc, dropQuery("Signature"), bad(missingParameter)},
		{"no nonce", rpc, dropQuery("SignatureNonce"), bad(missingParameter)},
		{"no time", rpc, dropQuery("Timestamp"), bad("IllegalTimestamp")},
		{"no access key", rpc, dropQuery("AccessKeyId"), bad(missingParameter)},
		{"no action", rpc, dropQuery("Action"), bad(missingParameter)},
		{"no version", rpc, dropQuery("Version"), bad(missingParameter)},
		{"no method of signing", rpc, dropQuery("SignatureMethod"), bad(missingParameter)},
		{"a parameter that was not signed", rpc, appendQuery("&PageSize=7"), bad("SignatureDoesNotMatch")},
		{"a parameter twice", rpc, appendQuery("&Action=ListAliases"), bad(invalidParameter)},
		{"a broken percent encoding", rpc, appendQuery("&PageSize=%zz"), bad(invalidParameter)},
		{"a percent encoding cut off", rpc, appendQuery("&PageSize=%4"), bad(invalidParameter)},
		{"bytes that are not UTF-8", rpc, appendQuery("&PageSize=%ff%fe"), bad(invalidParameter)},
		{"a parameter without name", rpc, appendQuery("&=x"), bad(invalidParameter)},
		{"an overlong encoding", rpc, appendQuery("&KeyId=%c0%af"), bad(invalidParameter)},
		{"another method of signing", rpc, replaceQuery("HMAC-SHA1", "HMAC-MD5"), bad("IncompleteSignature")},
		{"another version of signing", rpc, replaceQuery("SignatureVersion=1.0", "SignatureVersion=2.0"), bad("IncompleteSignature")},
		{"another format", rpc, replaceQuery("Format=JSON", "Format=YAML"), bad(invalidParameter)},
		{"another access key", rpc, replaceQuery("AccessKeyId=", "AccessKeyId=X"), refusal{404, "InvalidAccessKeyId.NotFound"}},
		{"an access key with a null byte", rpc, replaceQuery("AccessKeyId=", "AccessKeyId=%00"), refusal{404, "InvalidAccessKeyId.NotFound"}},
		{"a security token", rpc, call{action: "ListKeys", params: []pair{{"SecurityToken", "ststoken/+abc=="}}}, bad("InvalidSecurityToken.MismatchWithAccessKey")},
		{"an endless nonce", rpc, call{action: "ListKeys", nonce: strings.Repeat("n", 129)}, bad(invalidParameter)},
		{"a time long ago", rpc, skewed(-16 * time.Minute), bad("InvalidTimeStamp.Expired")},
		{"a time that is none", rpc, replaceQuery("Timestamp=2", "Timestamp=x"), bad("InvalidTimeStamp.Format")},
	}
}

// spoiltACS3 are wrong in what the Authorization header signs.
func spoiltACS3() []spoilt {
	return []spoilt{
		{"a time to come", acs3, skewed(16 * time.Minute), bad("InvalidTimeStamp.Expired")},
		{"another scheme", acs3, setHeader("Authorization", "Bearer x"), bad("IncompleteSignature")},
		{"half a header", acs3, setHeader("Authorization", "ACS3-HMAC-SHA256 Credential=x"), bad("IncompleteSignature")},
		{"a foreign header of the service", acs3, setHeader("x-acs-more", "x"), bad("IncompleteSignature")},
		{"a changed action", acs3, setHeader("x-acs-action", "ListAliases"), bad("SignatureDoesNotMatch")},
		{"a changed hash", acs3, setHeader("x-acs-content-sha256", strings.Repeat("0", 64)), bad("SignatureDoesNotMatch")},
		{"a header of the signature missing", acs3, setHeader("x-acs-date", ""), bad(missingParameter)},
		{"two signatures", acs3, call{action: "ListKeys", params: []pair{{"Action", "ListAliases"}}}, bad(invalidParameter)},
	}
}

// spoiltHTTP are wrong before anybody looks at a signature.
func spoiltHTTP() []spoilt {
	large := strings.Repeat("y", 64<<10+1)
	return []spoilt{
		{"PUT", rpc, call{action: "ListKeys", method: "PUT"}, refusal{403, "UnsupportedHTTPMethod"}},
		{"DELETE", acs3, call{action: "ListKeys", method: "DELETE"}, refusal{403, "UnsupportedHTTPMethod"}},
		{"a JSON body", rpc, setBody("application/json", "{}", 2), bad(invalidParameter)},
		{"a body of no type", rpc, setBody("", "x=y", 3), bad(invalidParameter)},
		{"a body that was not signed", acs3, setBody(formType, "PageSize=7", 10), bad("IncompleteSignature")},
		{"a body that is too large", rpc, setBody(formType, large, len(large)), refusal{413, invalidParameter}},
		{"a body of no length that is too large", rpc, setBody(formType, large, -1), refusal{413, invalidParameter}},
		{"a URL that is too large", rpc, appendQuery("&x=" + large), refusal{413, invalidParameter}},
		{"headers that are too large", rpc, setHeader("X-Large", strings.Repeat("y", 17<<10)), refusal{413, invalidParameter}},
		{"too many parameters", rpc, appendQuery(strings.Repeat("&x=y", 129)), bad(invalidParameter)},
	}
}

// spoiltParameters are signed right and wrong in what one operation takes. KEY stands for
// the id of a key that is there.
func spoiltParameters() []spoilt {
	with := func(action, name, value string, more ...pair) call {
		return call{action: action, params: append(more, pair{name, value}), form: len(value) > 32<<10}
	}
	key := pair{"KeyId", "KEY"}
	plain := pair{"Plaintext", "eA=="}
	deep := strings.Repeat("[", 9000)
	rows := []spoilt{
		{"an unknown parameter", acs3, with("ListKeys", "Color", "red"), bad(invalidParameter)},
		{"a parameter of another case", rpc, with("DescribeKey", "keyid", "KEY", key), bad(invalidParameter)},
		{"a key id with a null byte", rpc, with("DescribeKey", "KeyId", "KEY\x00"), bad(invalidParameter)},
		{"an alias with a null byte", acs3, with("DescribeKey", "KeyId", "alias/a\x00"), bad(invalidParameter)},
		{"a foreign region", rpc, with("DescribeKey", "KeyId", "acs:kms:mars:1234567890123456:key/KEY"), refusal{404, keyNotFound}},
		{"half an ARN", acs3, with("DescribeKey", "KeyId", "acs:kms:"), refusal{404, keyNotFound}},
		{"a very long key id", rpc, with("DescribeKey", "KeyId", strings.Repeat("k", 50_000)), bad(invalidParameter)},
		{"a description with a null byte", rpc, with("UpdateKeyDescription", "Description", "a\x00b", key), bad(invalidParameter)},
		{"a page number in words", rpc, with("ListKeys", "PageNumber", "one"), bad(invalidParameter)},
		{"a page number with a sign", acs3, with("ListKeys", "PageNumber", "+1"), bad(invalidParameter)},
		{"a page number with a fraction", rpc, with("ListKeys", "PageNumber", "1.0"), bad(invalidParameter)},
		{"a page number beyond all", acs3, with("ListKeys", "PageNumber", "99999999999999999999"), bad(invalidParameter)},
		{"days in words", rpc, with("ScheduleKeyDeletion", "PendingWindowInDays", "7 days", key), bad(invalidParameter)},
		{"a switch that is neither", acs3, with("SetDeletionProtection", "EnableDeletionProtection", "yes", pair{"ProtectedResourceArn", "KEY"}), bad(invalidParameter)},
		{"rotation of no interval", rpc, with("UpdateRotationPolicy", "EnableAutomaticRotation", "1", key), bad(invalidParameter)},
		{"another resource type", acs3, with("TagResources", "ResourceType", "certificate", pair{"ResourceId.1", "KEY"}, pair{"Tag.1.Key", "k"}), bad(invalidParameter)},
		{"a list with a gap", rpc, with("TagResources", "ResourceId.2", "KEY", pair{"ResourceId.1", "KEY"}, pair{"ResourceId.4", "KEY"}, pair{"ResourceType", "key"}, pair{"Tag.1.Key", "k"}), bad(invalidParameter)},
		{"a tag without key", acs3, with("TagResources", "Tag.1.Value", "v", pair{"ResourceId.1", "KEY"}, pair{"ResourceType", "key"}), bad(missingParameter)},
		{"a ciphertext of rubbish", rpc, with("Decrypt", "CiphertextBlob", strings.Repeat("AAAA", 12_000)), bad(invalidParameter)},
		{"a digest of rubbish", rpc, with("AsymmetricSign", "Digest", "====", key, pair{"KeyVersionId", "x"}, pair{"Algorithm", "RSA_PSS_SHA_256"}), bad(invalidParameter)},
	}
	for name, value := range map[string]string{
		"not JSON": "{", "a list": "[]", "null": "null", "a number": "1", "a name twice": `{"a":"1","a":"2"}`, "nested": `{"a":{"b":"c"}}`,
		"half a surrogate": `{"a":"\ud800"}`, "deep": deep, "deep objects": strings.Repeat(`{"a":`, 1500), "two documents": `{} {}`, "not strings": `{"a":1}`,
	} {
		rows = append(rows,
			spoilt{"an encryption context, " + name, rpc, with("Encrypt", "EncryptionContext", value, key, plain), bad(invalidParameter)})
	}
	for name, value := range map[string]string{
		"not JSON": "[", "an object": "{}", "null": "null", "a member twice": `[{"TagKey":"a","TagKey":"b","TagValue":"c"}]`, "a null": `[null]`,
		"a member null": `[{"TagKey":"a","TagValue":null}]`, "a member of another case": `[{"tagkey":"a","TagValue":"b"}]`, "deep": deep,
		"a member too many": `[{"TagKey":"a","TagValue":"b","Color":"c"}]`, "not a string": `[{"TagKey":1,"TagValue":"b"}]`, "half a surrogate": `[{"TagKey":"\udc00","TagValue":"b"}]`,
		"two documents": `[] []`,
	} {
		rows = append(rows, spoilt{"tags, " + name, acs3, with("TagResource", "Tags", value, key), bad(invalidParameter)})
	}
	for name, value := range map[string]string{"a null byte": `[{"Key":"AliasName","Values":["alias/a\u0000"]}]`, "deep": deep} {
		rows = append(rows, spoilt{"filters, " + name, acs3, with("ListKeys", "Filters", value), bad(invalidParameter)})
	}
	for name, value := range map[string]string{"an object": "{}", "null": "null", "a null": "[null]", "numbers": "[1]", "deep": deep} {
		rows = append(rows, spoilt{"keys of tags, " + name, rpc, with("UntagResource", "TagKeys", value, key), bad(invalidParameter)})
	}
	return rows
}

// TestBadInput sends what is wrong: each gets its documented error, and nothing changes.
func TestBadInput(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		c := a.sdk(t)
		k := create(t, c, aes256, "")
		before := describe(t, c, k.id)
		for _, row := range slices.Concat(spoiltRPC(), spoiltACS3(), spoiltHTTP(), spoiltParameters()) {
			for i, p := range row.call.params {
				row.call.params[i].value = strings.ReplaceAll(p.value, "KEY", k.id)
			}
			if got := send(t, row.sign(a, row.call)); got.refusal != row.want {
				t.Errorf("%s (%s): the answer is %v, want %v: %v", row.name, row.call.action, got.refusal, row.want, got.body["Message"])
			}
		}
		if diff := cmp.Diff(before, describe(t, c, k.id)); diff != "" {
			t.Errorf("bad input changed the key (-before +after):\n%s", diff)
		}
		checkLabels(t, c, k.id, labels{})
		if got := listKeys(t, c, ""); len(got) != 1 {
			t.Errorf("bad input made keys: %v", got)
		}
	})
}

// TestOddValues gives every parameter values that are odd: whatever comes of it, it is a
// proper answer.
func TestOddValues(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		k := create(t, a.sdk(t), aes256, "")
		odd := []string{
			"", " ", "\x00", "\x7f", "\n", "null", "[]", "{}", "-1", "0", "1e9", "NaN", "true", "'; DROP TABLE kms_key; --", "%00", "../../etc/passwd",
			"\u202e\u0000\ufffd", "𝔘", strings.Repeat("界", 3000), "alias/" + strings.Repeat("x", 400), "acs:kms:::", `{"a":"b"}`, `[{"Key":"KeyState","Values":["Enabled"]}]`, k.id,
		}
		names := []string{
			"KeyId", "KeyVersionId", "Plaintext", "CiphertextBlob", "EncryptionContext", "DryRun", "PageNumber", "PageSize", "Filters", "Tags", "TagKeys",
			"AliasName", "Description", "RotationInterval", "NumberOfBytes", "NextToken", "Algorithm", "Digest", "ResourceId.1", "Tag.1.Key", "RegionId", "PendingWindowInDays",
		}
		for i, name := range names {
			for j, value := range odd {
				for n := range 3 { // over all names and values, every operation has its turn
					action := offered[(i*len(odd)+j*3+n)%len(offered)]
					params := []pair{{name, value}}
					if name != "KeyId" {
						params = append(params, pair{"KeyId", k.id})
					}
					if got := send(t, rpc(a, call{action: action, params: params, form: true})); got.status >= 500 {
						t.Errorf("%s with %s=%.60q answers %v", action, name, value, got.refusal)
					}
				}
			}
		}
	})
}
