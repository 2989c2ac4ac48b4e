package xks_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/offer/offertest"
	"github.com/keyward/keyward/internal/store/storetest"
	protocol "github.com/keyward/keyward/internal/xks"
)

const (
	text      = "cGxhaW50ZXh0Cg=="                             // "plaintext\n"
	data      = "cHJvamVjdD1uaWxlLGRlcGFydG1lbnQ9bWFya2V0aW5n" // the specification's example
	otherData = "cHJvamVjdD1ibHVlLGRlcGFydG1lbnQ9ZmluYW5jZQ=="
)

// A members is a JSON object.
type members map[string]any

// with answers the object with another member; a value of "" is none.
func (m members) with(name string, value any) members {
	out := members{}
	for k, v := range m {
		out[k] = v
	}
	if value != "" {
		out[name] = value
	}
	return out
}

// asked is the body of a request for an operation of AWS KMS.
func asked(operation string) members {
	return members{"requestMetadata": members{
		"awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice", "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:/key/1234abcd-12ab-34cd-56ef-1234567890ab",
		"kmsOperation": operation, "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae", "kmsViaService": "ebs",
	}}
}

func encrypt(plain, aad, cdiv string) members {
	return asked("Encrypt").with("plaintext", plain).with("additionalAuthenticatedData", aad).
		with("ciphertextDataIntegrityValueAlgorithm", cdiv).with("encryptionAlgorithm", "AES_GCM")
}

// decrypt is the body of a request that decrypts what an answer has.
func decrypt(answer members, aad string) members {
	out := asked("Decrypt").with("additionalAuthenticatedData", aad).with("encryptionAlgorithm", "AES_GCM")
	for _, name := range []string{"ciphertext", "initializationVector", "authenticationTag", "ciphertextMetadata"} {
		if v, ok := answer[name]; ok {
			out[name] = v
		}
	}
	return out
}

// A party is the other side.
type party struct {
	*offertest.World
	protocol.Credential
	prefix string
	checks int
}

func newParty(t testing.TB) *party {
	w := offertest.Start(t, storetest.SQLite(t))
	return &party{World: w, Credential: w.Credential, prefix: w.Prefix()}
}

// request signs a request.
func (p *party) request(t testing.TB, target string, body any) *http.Request {
	t.Helper()
	encoded, ok := body.([]byte)
	if !ok {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "http://xks.example.com"+p.prefix+"/kms/xks/v1/"+target, bytes.NewReader(encoded))
	r.Header.Set("Content-Type", "application/json")
	p.Sign(protocol.Request{Host: r.Host, Path: r.URL.Path, Header: r.Header, Body: encoded}, "us-east-1", p.Now())
	return r
}

// send answers status and body of what a request is answered.
func (p *party) send(t testing.TB, r *http.Request) (int, members) {
	t.Helper()
	w := httptest.NewRecorder()
	p.Handler.ServeHTTP(w, r)
	var out members
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s: the answer is %d %q", r.URL.Path, w.Code, w.Body)
	}
	if name, ok := out["errorName"].(string); ok && protocol.Statuses[protocol.ErrorName(name)] != w.Code && w.Code != http.StatusMethodNotAllowed {
		t.Errorf("%s is answered with %d", name, w.Code)
	}
	return w.Code, out
}

// check is one of AWS's checks: the answer must have the member, or be the error.
func (p *party) check(t testing.TB, name, target string, body members, want string) members {
	t.Helper()
	p.checks++
	_, out := p.send(t, p.request(t, target, body))
	if _, has := out[want]; !has && out["errorName"] != want {
		t.Errorf("%s: have %v, want %s", name, out, want)
	}
	return out
}

// impostors repeats a check with a wrong id, a wrong secret and a wrong path.
func (p *party) impostors(t testing.TB, name, target string, body members) {
	t.Helper()
	id, secret, prefix := *p, *p, *p
	id.ID = "A" + p.ID[:len(p.ID)-1]
	secret.Secret = material.NewBytes([]byte("Invalid" + string(p.Secret.Expose())))
	prefix.prefix += "/invalid"
	id.check(t, name+" with another id", target, body, "AuthenticationFailedException")
	secret.check(t, name+" with another secret", target, body, "AuthenticationFailedException")
	prefix.check(t, name+" at another path", target, body, "InvalidUriPathException")
	p.checks += 3
}

// TestConformance makes the checks that AWS's test client for proxies makes with all of its
// options (aws-samples/aws-kms-xksproxy-test-client 1.1.0), written anew from the specification.
// The client itself is run as docs/design/external-keys.md says.
func TestConformance(t *testing.T) {
	p := newParty(t)
	for id, use := range map[string]offer.Use{"foo": offer.Both, "encrypt_only_key": offer.EncryptOnly, "decrypt_only_key": offer.DecryptOnly, "impotent_key": offer.Nothing} {
		p.NewKey(t, id, use)
	}
	p.checkHealth(t)
	p.checkMetadata(t)
	p.checkCipher(t)
	p.checkUses(t)
	if p.checks != 49 {
		t.Errorf("%d checks were made, want 49", p.checks)
	}
}

func (p *party) checkHealth(t *testing.T) {
	body := members{"requestMetadata": members{"kmsOperation": "KmsHealthCheck", "kmsRequestId": "4112f4d6"}}
	p.check(t, "health", "health", body, "ekmFleetDetails")
	p.check(t, "health without metadata", "health", members{}, "ValidationException")
	p.check(t, "health with empty metadata", "health", members{"requestMetadata": members{}}, "ValidationException")
	p.impostors(t, "health", "health", body)
}

func (p *party) checkMetadata(t *testing.T) {
	p.check(t, "metadata", "keys/foo/metadata", asked("DescribeKey"), "keyStatus")
	p.check(t, "metadata", "keys/foo/metadata", asked("CreateKey"), "keyStatus")
	p.check(t, "metadata without metadata", "keys/foo/metadata", members{}, "ValidationException")
	p.check(t, "metadata with empty metadata", "keys/foo/metadata", members{"requestMetadata": members{}}, "ValidationException")
	p.check(t, "metadata of no key", "keys/non_existing_key/metadata", asked("DescribeKey"), "KeyNotFoundException")
	p.impostors(t, "metadata", "keys/foo/metadata", asked("DescribeKey"))
}

func (p *party) checkCipher(t *testing.T) {
	p.check(t, "encrypt with no key", "keys/non_existing_key/encrypt", encrypt(text, "", ""), "KeyNotFoundException")
	p.check(t, "encrypt nothing", "keys/foo/encrypt", encrypt("", "", ""), "ValidationException")
	p.impostors(t, "encrypt", "keys/foo/encrypt", encrypt(text, "", ""))
	large := [2]string{}
	for i, size := range []int{4096, 8192} {
		b := make([]byte, size)
		rand.Read(b)
		large[i] = base64.StdEncoding.EncodeToString(b)
	}
	for _, c := range []struct{ name, text, data, cdiv, then, want string }{
		{"data, then none", text, data, "", "", "InvalidCiphertextException"},
		{"data, then none again", text, data, "", "", "InvalidCiphertextException"},
		{"data, then other", text, data, "", otherData, "InvalidCiphertextException"},
		{"no data", text, "", "", "", "plaintext"},
		{"data", text, data, "", data, "plaintext"},
		{"data and integrity", text, data, "SHA_256", data, "plaintext"},
		{"integrity", text, "", "SHA_256", "", "plaintext"},
		{"large", large[0], large[1], "", large[1], "plaintext"},
	} {
		out := p.check(t, "encrypt with "+c.name, "keys/foo/encrypt", encrypt(c.text, c.data, c.cdiv), "ciphertext")
		if want := integrity(t, out, c.data); c.cdiv != "" && out["ciphertextDataIntegrityValue"] != want {
			t.Errorf("%s: the integrity value is %v, want %s", c.name, out["ciphertextDataIntegrityValue"], want)
		}
		back := p.check(t, "decrypt with "+c.name, "keys/foo/decrypt", decrypt(out, c.then), c.want)
		if c.want == "plaintext" && back["plaintext"] != c.text {
			t.Errorf("%s: decrypted to %v", c.name, back)
		}
	}
}

// integrity computes the integrity value as appendix C of the specification has it.
func integrity(t testing.TB, answer members, aad string) string {
	t.Helper()
	h := sha256.New()
	for _, part := range []any{aad, answer["ciphertextMetadata"], answer["initializationVector"], answer["ciphertext"], answer["authenticationTag"]} {
		b, err := base64.StdEncoding.DecodeString(fmt.Sprint(part))
		if err != nil {
			t.Errorf("%v is not base64", part)
		}
		h.Write(b)
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (p *party) checkUses(t *testing.T) {
	for _, aad := range []string{"", data} {
		out := p.check(t, "encrypt-only", "keys/encrypt_only_key/encrypt", encrypt(text, aad, ""), "ciphertext")
		p.check(t, "encrypt-only decrypts", "keys/encrypt_only_key/decrypt", decrypt(out, aad), "InvalidKeyUsageException")
		p.check(t, "encrypt-only assures", "keys/encrypt_only_key/encrypt", encrypt(text, aad, "SHA_256"), "InvalidKeyUsageException")
		for _, key := range []string{"decrypt_only_key", "impotent_key"} {
			p.check(t, key, "keys/"+key+"/encrypt", encrypt(text, aad, ""), "InvalidKeyUsageException")
			p.check(t, key, "keys/"+key+"/encrypt", encrypt(text, aad, "SHA_256"), "InvalidKeyUsageException")
		}
	}
}

// What the specification says beside AWS's checks.
func TestAnswers(t *testing.T) {
	p := newParty(t)
	p.NewKey(t, "foo", offer.Both)
	_, out := p.send(t, p.request(t, "health", asked("Any")))
	var health protocol.HealthResponse
	convert(t, out, &health)
	if err := health.Check(); err != nil || !health.Serves() {
		t.Errorf("%+v: %v", health, err)
	}
	_, out = p.send(t, p.request(t, "keys/foo/metadata", asked("Any").with("aLaterMember", "x")))
	var metadata protocol.MetadataResponse
	convert(t, out, &metadata)
	if err := metadata.Check(); err != nil {
		t.Errorf("%+v: %v", metadata, err)
	}
	_, out = p.send(t, p.request(t, "keys/foo/encrypt", encrypt(text, data, "SHA_256")))
	var sealed protocol.EncryptResponse
	convert(t, out, &sealed)
	if err := sealed.Check(10, []byte("project=nile,department=marketing")); err != nil {
		t.Errorf("%+v: %v", sealed, err)
	}
}

func convert(t testing.TB, from members, to any) {
	t.Helper()
	b, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// repeat answers base64 of n bytes.
func repeat(n int) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", n))) }
