package authn_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/authn"
)

// A signer signs requests in the way of Alibaba Cloud's documentation. It shares no
// code with the verifier.
type signer struct {
	id, secret, nonce string
	at                time.Time
	bare              bool // leaves the equals sign of empty values out
}

var testSigner = signer{"testak", "testsk", "nonce-1", time.Date(2026, 11, 21, 19, 54, 11, 0, time.UTC), false}

func (s signer) timestamp() string { return s.at.Format("2006-01-02T15:04:05Z") }

func digest(newHash func() hash.Hash, data string) string {
	h := newHash()
	h.Write([]byte(data))
	return hex.EncodeToString(h.Sum(nil))
}

func mac(newHash func() hash.Hash, key, data string) string {
	h := hmac.New(newHash, []byte(key))
	h.Write([]byte(data))
	return string(h.Sum(nil))
}

// escape is url.QueryEscape by the stricter rule.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func canonicalQuery(values url.Values, bareEmpty bool) string {
	var pairs []string
	for name, v := range values {
		if v[0] == "" && bareEmpty {
			pairs = append(pairs, escape(name)+"\x00")
		} else {
			pairs = append(pairs, escape(name)+"\x00"+escape(v[0]))
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		a, _ = url.QueryUnescape(strings.Split(a, "\x00")[0])
		b, _ = url.QueryUnescape(strings.Split(b, "\x00")[0])
		return strings.Compare(a, b)
	})
	for i, p := range pairs {
		name, value, _ := strings.Cut(p, "\x00")
		pairs[i] = name + "=" + value
		if value == "" && bareEmpty {
			pairs[i] = name
		}
	}
	return strings.Join(pairs, "&")
}

func query(s string) url.Values {
	values, err := url.ParseQuery(s)
	if err != nil {
		panic(err)
	}
	return values
}

// rpc signs by RPC 1.0: everything goes into the query.
func (s signer) rpc(r authn.Request, common map[string]string) authn.Request {
	signed := query(r.RawQuery)
	for name, value := range map[string]string{
		"AccessKeyId": s.id, "Action": "Encrypt", "Version": "2016-01-20", "Timestamp": s.timestamp(),
		"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": s.nonce,
	} {
		signed.Set(name, value)
	}
	for name, value := range common {
		if signed.Set(name, value); value == "(none)" {
			signed.Del(name)
		}
	}
	all := url.Values{}
	for name, v := range signed {
		all[name] = v
	}
	for name, v := range query(string(r.Body)) {
		all[name] = v
	}
	signed.Set("Signature", rpcSignature(r.Method, s.secret, all))
	r.RawQuery = signed.Encode()
	return r
}

func rpcSignature(method, secret string, all url.Values) string {
	return base64.StdEncoding.EncodeToString([]byte(mac(sha1.New, secret+"&", method+"&%2F&"+escape(canonicalQuery(all, false)))))
}

// acs signs in the Authorization header; extra headers are signed, too.
func (s signer) acs(r authn.Request, scheme string, extra map[string]string) authn.Request {
	newHash := sha256.New
	if strings.HasSuffix(scheme, "SM3") {
		newHash = sm3.New
	}
	headers := map[string]string{
		"host": r.Host, "x-acs-date": s.timestamp(), "x-acs-signature-nonce": s.nonce,
		"x-acs-content-sha256": digest(newHash, string(r.Body)),
	}
	for name, value := range extra {
		if headers[name] = value; value == "(none)" {
			delete(headers, name)
		}
	}
	signed := map[string][]string{}
	for name, values := range r.Header {
		signed[name] = values
		if strings.EqualFold(name, "content-type") {
			headers["content-type"] = values[0]
		}
	}
	var names []string
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	var lines string
	for _, name := range names {
		lines += name + ":" + strings.TrimSpace(headers[name]) + "\n"
		if name != "host" && name != "content-type" {
			signed[name] = []string{headers[name]}
		}
	}
	path := ""
	for _, segment := range strings.Split(r.Path, "/")[1:] {
		segment, _ = url.PathUnescape(segment)
		path += "/" + escape(segment)
	}
	list := strings.Join(names, ";")
	canonical := strings.Join([]string{r.Method, path, canonicalQuery(query(r.RawQuery), strings.HasPrefix(scheme, "ACS4") || s.bare),
		lines, list, digest(newHash, string(r.Body))}, "\n")
	key, credential := s.secret, s.id
	if strings.HasPrefix(scheme, "ACS4") {
		scope := []string{s.at.Format("20060102"), "center", "Kms", "aliyun_v4_request"}
		key = "aliyun_v4" + key
		for _, part := range scope {
			key = mac(newHash, key, part)
		}
		credential += "/" + strings.Join(scope, "/")
	}
	signature := hex.EncodeToString([]byte(mac(newHash, key, scheme+"\n"+digest(newHash, canonical))))
	signed["Authorization"] = []string{scheme + " Credential=" + credential + ",SignedHeaders=" + list + ",Signature=" + signature}
	r.Header = signed
	return r
}

var rpcAction = map[string]string{"x-acs-action": "Encrypt", "x-acs-version": "2016-01-20"}

// A variant is a way to sign with the entry that checks it.
type variant struct {
	name   string
	sign   func(signer, authn.Request) authn.Request
	verify func(*authn.Verifier, *rapid.T, authn.Request) (authn.Signed, error)
	rest   bool
}

func variants() []variant {
	verify := func(v *authn.Verifier, t *rapid.T, r authn.Request) (authn.Signed, error) {
		return v.Verify(t.Context(), served(r))
	}
	all := []variant{{name: "RPC", sign: func(s signer, r authn.Request) authn.Request { return s.rpc(r, nil) }, verify: verify}}
	for _, scheme := range []string{"ACS3-HMAC-SHA256", "ACS3-HMAC-SM3", "ACS4-HMAC-SHA256"} {
		all = append(all, variant{name: scheme, sign: func(s signer, r authn.Request) authn.Request { return s.acs(r, scheme, rpcAction) }, verify: verify})
	}
	return append(all, variant{
		name: "REST",
		sign: func(s signer, r authn.Request) authn.Request { return s.acs(r, "ACS3-HMAC-SHA256", nil) },
		verify: func(v *authn.Verifier, t *rapid.T, r authn.Request) (authn.Signed, error) {
			return v.VerifyREST(t.Context(), served(r))
		},
		rest: true,
	})
}

var (
	names  = rapid.OneOf(rapid.StringMatching(`[A-Za-z.0-9]{1,6}x`), rapid.StringN(1, 4, 12))
	values = rapid.OneOf(rapid.SampledFrom([]string{"", "aGVsbG8=", `{"a":"1"}`, "a b*c~d/é+", "%2F"}), rapid.StringN(0, 6, 20))
)

// drawRequest draws an unsigned request and answers its parameters, too.
func drawRequest(t *rapid.T, rest bool) (authn.Request, map[string]string) {
	r := authn.Request{Method: "POST", Host: rapid.StringMatching(`[a-z.]{1,8}(:[0-9]{1,4})?`).Draw(t, "host"), Path: "/", Header: map[string][]string{}}
	all, q, form := map[string]string{}, url.Values{}, url.Values{}
	for range rapid.IntRange(0, 4).Draw(t, "parameters") {
		name, value := names.Draw(t, "name"), values.Draw(t, "value")
		if _, ok := all[name]; ok {
			continue
		}
		all[name] = value
		if rest || rapid.Bool().Draw(t, "in the query") {
			q.Set(name, value)
		} else {
			form.Set(name, value)
		}
	}
	r.RawQuery = q.Encode()
	if rapid.Bool().Draw(t, "other spelling") { // decodes to the same
		r.RawQuery = strings.NewReplacer("+", "%20", "%2A", "*", "%2F", "/").Replace(r.RawQuery)
	}
	if len(form) > 0 {
		r.Body = []byte(form.Encode())
		r.Header["Content-Type"] = []string{rapid.SampledFrom([]string{"application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"}).Draw(t, "type")}
	} else if r.Method = rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method"); rest {
		r.Method = rapid.SampledFrom([]string{"GET", "POST", "PUT", "DELETE", "PATCH"}).Draw(t, "method")
		r.Body = []byte(rapid.StringN(0, 8, 30).Draw(t, "body"))
		r.Header["Content-Type"] = []string{"application/json"}
		r.Path = "/v1"
		for range rapid.IntRange(0, 2).Draw(t, "segments") {
			r.Path += "/" + url.PathEscape(rapid.StringMatching(`[a-z @:é]{1,5}x`).Draw(t, "segment"))
		}
	}
	return r, all
}

// TestSignedRequestsVerifyAndChangedOnesDoNot signs 10,000 random requests in each way,
// and changes one byte in each.
func TestSignedRequestsVerifyAndChangedOnesDoNot(t *testing.T) {
	const perCheck = 100 // times rapid's 100 checks
	for _, way := range variants() {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			refused := 0
			rapid.Check(t, func(t *rapid.T) {
				v := verifier(testSigner.at, "")
				for range perCheck {
					unsigned, want := drawRequest(t, way.rest)
					r := way.sign(testSigner, unsigned)
					s, err := way.verify(v, t, r)
					if err != nil {
						t.Fatalf("%+v: %v", r, err)
					}
					if diff := cmp.Diff(want, params(s.Params)); diff != "" {
						t.Fatalf("parameters (-want +got):\n%s", diff)
					}
					fields := slices.DeleteFunc(signedFields(r), func(f field) bool { return len(f.value) == 0 })
					f := rapid.SampledFrom(fields).Draw(t, "field")
					at := rapid.IntRange(0, len(f.value)-1).Draw(t, "position")
					changed := change(r, f, at, f.value[at]^rapid.ByteRange(1, 255).Draw(t, "difference"))
					if _, err := way.verify(v, t, changed); err != nil {
						refused++
					} else if meaning(changed) != meaning(r) {
						t.Fatalf("verifies with byte %d of the %s changed to %q", at, f.name, f.value[at])
					}
				}
			})
			if refused < 90*perCheck {
				t.Errorf("only %d of %d changed requests were refused", refused, 100*perCheck)
			}
		})
	}
}

// TestPublishedVectors checks the signer of these tests against published signatures.
func TestPublishedVectors(t *testing.T) {
	got := rpcSignature("GET", "testsecret", query("AccessKeyId=testid&Action=CreateKey&Format=json&SignatureMethod=HMAC-SHA1&"+
		"SignatureVersion=1.0&Timestamp=2016-03-28T03:13:08Z&Version=2016-01-20"))
	if got != "41wk2SSX1GJh7fwnc5eqOfiJPFg=" {
		t.Errorf("RPC 1.0: %s", got)
	}
	if got := hex.EncodeToString([]byte(mac(sm3.New, "secret", "source"))); got != "b9ff646822f41ef647c1416fa2b8408923828abc0464af6706e18db3e8553da8" {
		t.Errorf("HMAC-SM3: %s", got)
	}
	example := signer{"YourAccessKeyId", "YourAccessKeySecret", "3156853299f313e23d1673dc12e1703d", time.Date(2023, 10, 26, 10, 22, 32, 0, time.UTC), false}
	r := example.acs(authn.Request{
		Method: "POST", Host: "ecs.cn-shanghai.aliyuncs.com", Path: "/",
		RawQuery: "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
	}, "ACS3-HMAC-SHA256", map[string]string{"x-acs-action": "RunInstances", "x-acs-version": "2014-05-26"})
	_, signature, _ := strings.Cut(r.Header["Authorization"][0], ",Signature=")
	if signature != "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0" {
		t.Errorf("ACS3: %s", signature)
	}
}
