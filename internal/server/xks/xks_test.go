package xks_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/offer/offertest"
	"github.com/keyward/keyward/internal/server/xks"
)

// Every kind of fault has a name of the protocol.
func TestFaultsHaveNames(t *testing.T) {
	for _, kind := range fault.Kinds() {
		if _, ok := xks.Names[kind]; !ok {
			t.Errorf("%s has no name", kind)
		}
	}
}

// Whatever is wrong with a request is said, in the protocol's words.
func TestRefusals(t *testing.T) {
	p := newParty(t)
	k := p.NewKey(t, "foo", offer.Both)
	_, sealed := p.send(t, p.request(t, "keys/foo/encrypt", encrypt(text, "", "")))
	for name, test := range map[string]struct {
		target string
		body   any
		change func(*http.Request)
		want   string
	}{
		"no JSON":              {"health", []byte("{"), nil, "ValidationException"},
		"JSON of another type": {"health", []byte(`{"requestMetadata":[]}`), nil, "ValidationException"},
		"another algorithm":    {"keys/foo/encrypt", encrypt(text, "", "").with("encryptionAlgorithm", "AES_CBC"), nil, "ValidationException"},
		"another integrity":    {"keys/foo/encrypt", encrypt(text, "", "SHA_1"), nil, "ValidationException"},
		"no base64":            {"keys/foo/encrypt", encrypt("%%%", "", ""), nil, "ValidationException"},
		"a long principal":     {"keys/foo/metadata", members{"requestMetadata": members{"awsPrincipalArn": strings.Repeat("x", 2049), "kmsOperation": "x", "kmsRequestId": "x"}}, nil, "ValidationException"},
		"much text":            {"keys/foo/encrypt", encrypt(repeat(4301), "", ""), nil, "UnsupportedOperationException"},
		"much data":            {"keys/foo/encrypt", encrypt(text, repeat(8193), ""), nil, "UnsupportedOperationException"},
		"much ciphertext":      {"keys/foo/decrypt", decrypt(sealed, "").with("ciphertext", repeat(4301)), nil, "UnsupportedOperationException"},
		"a short tag":          {"keys/foo/decrypt", decrypt(sealed, "").with("authenticationTag", repeat(15)), nil, "ValidationException"},
		"another tag":          {"keys/foo/decrypt", decrypt(sealed, "").with("authenticationTag", repeat(16)), nil, "InvalidCiphertextException"},
		"another iv":           {"keys/foo/decrypt", decrypt(sealed, "").with("initializationVector", repeat(12)), nil, "InvalidCiphertextException"},
		"another version":      {"keys/foo/decrypt", decrypt(sealed, "").with("ciphertextMetadata", "AQ"+strings.Repeat("A", 20)+"A="), nil, "InvalidCiphertextException"},
		"long metadata":        {"keys/foo/decrypt", decrypt(sealed, "").with("ciphertextMetadata", repeat(21)), nil, "ValidationException"},
		"the key's own id":     {"keys/" + string(k.ID) + "/encrypt", encrypt(text, "", ""), nil, "KeyNotFoundException"},
		"a media type":         {"health", asked("x"), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, "AuthenticationFailedException"},
		"a changed body":       {"health", asked("x"), func(r *http.Request) { r.Body = http.NoBody; r.ContentLength = 0 }, "AuthenticationFailedException"},
		"another host":         {"health", asked("x"), func(r *http.Request) { r.Host = "other.example.com" }, "AuthenticationFailedException"},
		"no signature":         {"health", asked("x"), func(r *http.Request) { r.Header.Del("Authorization") }, "AuthenticationFailedException"},
		"two signatures":       {"health", asked("x"), func(r *http.Request) { r.Header.Add("Authorization", "x") }, "AuthenticationFailedException"},
		"a query":              {"health", asked("x"), func(r *http.Request) { r.URL.RawQuery = "a=b" }, "InvalidUriPathException"},
		"a GET":                {"health", asked("x"), func(r *http.Request) { r.Method = http.MethodGet }, "ValidationException"},
		"another operation":    {"keys/foo/sign", asked("x"), nil, "InvalidUriPathException"},
		"a key with a slash":   {"keys/a%2Fb/metadata", asked("x"), nil, "InvalidUriPathException"},
	} {
		r := p.request(t, test.target, test.body)
		if test.change != nil {
			test.change(r)
		}
		code, out := p.send(t, r)
		if out["errorName"] != test.want || name == "a GET" && code != http.StatusMethodNotAllowed {
			t.Errorf("%s: have %d %v, want %s", name, code, out, test.want)
		}
	}
}

// A signature serves for five minutes, before and after.
func TestSignaturesAge(t *testing.T) {
	p := newParty(t)
	for off, want := range map[time.Duration]int{-5*time.Minute - 2*time.Second: 401, -4 * time.Minute: 200, 4 * time.Minute: 200, 5*time.Minute + 2*time.Second: 401} {
		r := p.request(t, "health", asked("x"))
		p.Pass(off)
		if code, out := p.send(t, r); code != want {
			t.Errorf("%v: have %d %v", off, code, out)
		}
		p.Pass(-off)
	}
}

// What the user may not do, nobody may who acts as the user; and both credentials of an offer
// serve until they are removed.
func TestPowerEnds(t *testing.T) {
	p := newParty(t)
	ctx := t.Context()
	k := p.NewKey(t, "foo", offer.Both)
	want := func(name string) {
		t.Helper()
		if _, out := p.send(t, p.request(t, "keys/foo/encrypt", encrypt(text, "", ""))); name == "" && out["ciphertext"] == nil || name != "" && out["errorName"] != name {
			t.Errorf("have %v, want %q", out, name)
		}
	}
	no := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want("")
	no(p.Keys.Disable(ctx, p.Root(), string(k.ID)))
	want("InvalidStateException")
	no(p.Keys.Enable(ctx, p.Root(), string(k.ID)))
	_, second, err := p.AddCredential(ctx, p.Root(), offertest.Name)
	no(err)
	want("")
	first := p.Credential
	p.Credential = second
	want("")
	_, err = p.RemoveCredential(ctx, p.Root(), offertest.Name, first.ID)
	no(err)
	want("")
	p.Credential = first
	want("AuthenticationFailedException")
	p.Credential = second
	no(p.IAM.DetachPolicy(ctx, p.Root(), offertest.User, offertest.User))
	want("AccessDeniedException")
	no(p.IAM.AttachPolicy(ctx, p.Root(), offertest.User, offertest.User))
	off := false
	_, err = p.IAM.UpdateUser(ctx, p.Root(), offertest.User, iam.UserChange{Enabled: &off})
	no(err)
	want("InvalidStateException")
	no(p.IAM.DeleteUser(ctx, p.Root(), offertest.User))
	want("InvalidStateException")
	no(p.Remove(ctx, p.Root(), offertest.Name))
	want("AuthenticationFailedException")
}

// Each call of the other side has one record, which names the request there.
func TestRecords(t *testing.T) {
	p := newParty(t)
	p.NewKey(t, "foo", offer.Both)
	before := len(p.Records(t))
	_, sealed := p.send(t, p.request(t, "keys/foo/encrypt", encrypt(text, data, "SHA_256")))
	p.send(t, p.request(t, "keys/foo/decrypt", decrypt(sealed, data)))
	p.send(t, p.request(t, "keys/foo/decrypt", decrypt(sealed, "")))
	p.send(t, p.request(t, "keys/foo/metadata", asked("CreateKey")))
	p.send(t, p.request(t, "health", asked("KmsHealthCheck")))
	p.send(t, p.request(t, "health", members{}))
	bad := p.request(t, "health", asked("x"))
	bad.Header.Del("Authorization")
	p.send(t, bad)
	var have []string
	for _, e := range p.Records(t)[before:] {
		have = append(have, strings.Join([]string{e.Action, e.Result, e.Params["XksKeyId"], e.Params["KmsOperation"]}, " "))
		if id := e.Params["KmsRequestId"]; id == "" && e.Params["XksKeyId"] != "" {
			t.Errorf("the record %s does not name the request", e.Action)
		}
	}
	if diff := cmp.Diff([]string{
		"keyward:XksEncrypt OK foo Encrypt", "keyward:XksDecrypt OK foo Decrypt", "keyward:XksDecrypt InvalidCiphertext foo Decrypt",
		"keyward:XksGetKeyMetadata OK foo CreateKey", "keyward:XksGetHealthStatus OK  KmsHealthCheck",
		"keyward:XksGetHealthStatus InvalidParameter  ", "keyward:Authenticate IncompleteSignature  ",
	}, have); diff != "" {
		t.Error(diff)
	}
}
