package interop_test

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const formType = "application/x-www-form-urlencoded"

// A pair is a parameter. Unlike a map, a list of them can name one twice.
type pair struct{ name, value string }

// A call is a request that this file signs by itself, so that it can be one which no
// client would send.
type call struct {
	action string
	params []pair
	method string              // default POST
	form   bool                // send the parameters in the body
	at     time.Time           // default now
	nonce  string              // default a new one
	edit   func(*http.Request) // spoils the request once it is signed
}

// A signer builds the request of a call.
type signer func(a account, c call) *http.Request

func (c call) complete() call {
	c.method = cmp.Or(c.method, "POST")
	c.nonce = cmp.Or(c.nonce, rand.Text())
	if c.at.IsZero() {
		c.at = time.Now()
	}
	return c
}

// escape is the percent-encoding of RFC 3986.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// query writes parameters in the order of their names, as they are signed.
func query(params []pair) string {
	sorted := slices.Clone(params)
	slices.SortStableFunc(sorted, func(a, b pair) int { return cmp.Compare(a.name, b.name) })
	var parts []string
	for _, p := range sorted {
		parts = append(parts, escape(p.name)+"="+escape(p.value))
	}
	return strings.Join(parts, "&")
}

// request makes a request with the parameters where the call wants them.
func (c call) request(a account, params []pair) *http.Request {
	target, body := "http://"+a.address+"/", ""
	if c.form {
		body = query(params)
	} else {
		target += "?" + query(params)
	}
	r, err := http.NewRequest(c.method, target, strings.NewReader(body))
	if err != nil {
		panic(err) // a test names a method that is none
	}
	if c.form {
		r.Header.Set("Content-Type", formType)
	}
	return r
}

// rpc signs by RPC 1.0.
func rpc(a account, c call) *http.Request {
	c = c.complete()
	params := append(slices.Clone(c.params),
		pair{"AccessKeyId", a.id}, pair{"Action", c.action}, pair{"Version", "2016-01-20"}, pair{"Format", "JSON"},
		pair{"SignatureMethod", "HMAC-SHA1"}, pair{"SignatureVersion", "1.0"}, pair{"SignatureNonce", c.nonce},
		pair{"Timestamp", c.at.UTC().Format(dateLayout)})
	r := c.request(a, append(params, pair{"Signature", rpcSignature(a.secret, c.method, params)}))
	if c.edit != nil {
		c.edit(r)
	}
	return r
}

func rpcSignature(secret, method string, params []pair) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(method + "&%2F&" + escape(query(params))))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// acs3 signs by ACS3-HMAC-SHA256.
func acs3(a account, c call) *http.Request {
	c = c.complete()
	r := c.request(a, c.params)
	r.Header.Set("x-acs-action", c.action)
	r.Header.Set("x-acs-version", "2016-01-20")
	r.Header.Set("x-acs-date", c.at.UTC().Format(dateLayout))
	r.Header.Set("x-acs-signature-nonce", c.nonce)
	signACS3(a, r)
	if c.edit != nil {
		c.edit(r)
	}
	return r
}

func signACS3(a account, r *http.Request) {
	var body []byte
	if r.GetBody != nil {
		reader, _ := r.GetBody() // a string: it cannot fail
		body, _ = io.ReadAll(reader)
	}
	hash := sha256.Sum256(body)
	r.Header.Set("x-acs-content-sha256", hex.EncodeToString(hash[:]))
	names := []string{"host"}
	for name := range r.Header {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	canonical := r.Method + "\n/\n" + r.URL.RawQuery + "\n"
	for _, name := range names {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + value + "\n"
	}
	signed := strings.Join(names, ";")
	canonical += "\n" + signed + "\n" + hex.EncodeToString(hash[:])
	hash = sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(a.secret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n" + hex.EncodeToString(hash[:])))
	r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+a.id+",SignedHeaders="+signed+",Signature="+hex.EncodeToString(mac.Sum(nil)))
}

// An answer is what came back over the wire.
type answer struct {
	refusal // zero if the call succeeded
	body    map[string]any
}

// send sends a request and reads an answer, which must have the API's form.
func send(t testing.TB, r *http.Request) answer {
	t.Helper()
	response := must(http.DefaultClient.Do(r))(t)
	defer response.Body.Close() //nolint:errcheck // it is read whole
	content := must(io.ReadAll(response.Body))(t)
	out := answer{refusal: refusal{status: response.StatusCode}}
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(&out.body); err != nil {
		t.Fatalf("the answer with status %d is not JSON: %.200q", response.StatusCode, content)
	}
	code, failed := out.body["Code"].(string)
	message, _ := out.body["Message"].(string)
	id, _ := out.body["RequestId"].(string)
	if failed == (out.status == http.StatusOK) || failed && message == "" {
		t.Errorf("the answer has status %d and the body %s", out.status, content)
	}
	if out.code = code; out.status == http.StatusOK {
		out.refusal = refusal{}
	}
	if !requestIDPattern.MatchString(id) || response.Header.Get("x-acs-request-id") != id {
		t.Errorf("the answer has the request id %q in the body and %q in the header", id, response.Header.Get("x-acs-request-id"))
	}
	return out
}

// member answers a text in the answer; path leads there.
func (a answer) member(t testing.TB, path ...string) string {
	t.Helper()
	var at any = a.body
	for _, name := range path {
		object, _ := at.(map[string]any)
		at = object[name]
	}
	text, ok := at.(string)
	if !ok {
		t.Fatalf("the answer has no %s: %v", strings.Join(path, "."), a.body)
	}
	return text
}
