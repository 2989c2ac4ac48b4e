package openid_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/openid"
	"github.com/keyward/keyward/internal/cloud/openid/openidtest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/material"
)

const (
	home     = "http://127.0.0.1:8400/callback"
	verifier = "a-fake-verifier-of-forty-three-characters-0"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// A bench is a client and a provider, with a clock.
type bench struct {
	*openid.Client
	provider *openidtest.Provider
	as       federation.Provider
	clock    atomic.Int64
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{}
	b.clock.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix())
	b.provider = openidtest.New(t, b.now)
	b.Client = openid.New(loopback, b.now)
	b.as = federation.Provider{Issuer: b.provider.URL, ClientID: openidtest.ClientID, Claim: "sub"}
	return b
}

func (b *bench) now() time.Time { return time.Unix(b.clock.Load(), 0) }

func (b *bench) later(d time.Duration) { b.clock.Add(int64(d / time.Second)) }

// begin answers what a browser brings back.
func (b *bench) begin(t testing.TB) (back url.Values, err error) {
	t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	to, err := b.Authorize(t.Context(), b.as, federation.Request{Redirect: home, State: "the-state", Nonce: "the-nonce", Challenge: base64.RawURLEncoding.EncodeToString(sum[:])})
	if err != nil {
		return nil, err
	}
	return openidtest.Visit(t, to), nil
}

func (b *bench) finish(t testing.TB, back url.Values) (federation.Assertion, error) {
	t.Helper()
	return b.Exchange(t.Context(), b.as, material.NewBytes([]byte(openidtest.Secret)), federation.Return{
		Code: back.Get("code"), Issuer: back.Get("iss"), Redirect: home, Nonce: "the-nonce", Verifier: verifier,
	})
}

func (b *bench) login(t testing.TB) (federation.Assertion, error) {
	t.Helper()
	back, err := b.begin(t)
	if err != nil {
		return federation.Assertion{}, err
	}
	return b.finish(t, back)
}

// Whoever logs in is whom the claim names, and a second factor is believed as was said.
func TestAssertion(t *testing.T) {
	for name, c := range map[string]struct {
		claim, mfa string
		person     openidtest.Claims
		want       federation.Assertion
	}{
		"the subject":          {"sub", "", openidtest.Claims{"sub": "00u"}, federation.Assertion{Value: "00u"}},
		"a verified address":   {"email", "", openidtest.Claims{"sub": "00u", "email": "a@example.com", "email_verified": true}, federation.Assertion{Value: "a@example.com"}},
		"a name":               {"preferred_username", "", openidtest.Claims{"sub": "00u", "preferred_username": "张三"}, federation.Assertion{Value: "张三"}},
		"amr, not believed":    {"sub", "", openidtest.Claims{"sub": "00u", "amr": []string{"mfa"}}, federation.Assertion{Value: "00u"}},
		"amr":                  {"sub", "amr", openidtest.Claims{"sub": "00u", "amr": []string{"pwd", "mfa"}}, federation.Assertion{Value: "00u", MFA: true}},
		"amr is a text":        {"sub", "amr", openidtest.Claims{"sub": "00u", "amr": "mfa"}, federation.Assertion{Value: "00u"}},
		"amr of other things":  {"sub", "amr", openidtest.Claims{"sub": "00u", "amr": []any{"mfa", 7}}, federation.Assertion{Value: "00u"}},
		"an empty acr":         {"sub", "acr=phr", openidtest.Claims{"sub": "00u", "acr": ""}, federation.Assertion{Value: "00u"}},
		"amr without mfa":      {"sub", "amr", openidtest.Claims{"sub": "00u", "amr": []string{"pwd", "otp"}}, federation.Assertion{Value: "00u"}},
		"acr":                  {"sub", "acr=phr", openidtest.Claims{"sub": "00u", "acr": "phr"}, federation.Assertion{Value: "00u", MFA: true}},
		"another acr":          {"sub", "acr=phr", openidtest.Claims{"sub": "00u", "acr": "phrh"}, federation.Assertion{Value: "00u"}},
		"amr in place of acr":  {"sub", "acr=phr", openidtest.Claims{"sub": "00u", "amr": []string{"mfa"}}, federation.Assertion{Value: "00u"}},
		"several audiences":    {"sub", "", openidtest.Claims{"sub": "00u", "aud": []string{"other", openidtest.ClientID}, "azp": openidtest.ClientID}, federation.Assertion{Value: "00u"}},
		"clocks that differ":   {"sub", "", openidtest.Claims{"sub": "00u", "iat": time.Date(2026, 1, 2, 3, 5, 4, 0, time.UTC).Unix()}, federation.Assertion{Value: "00u"}},
		"just before the end":  {"sub", "", openidtest.Claims{"sub": "00u", "exp": time.Date(2026, 1, 2, 3, 3, 6, 0, time.UTC).Unix()}, federation.Assertion{Value: "00u"}},
		"case is not changed":  {"sub", "", openidtest.Claims{"sub": "00U"}, federation.Assertion{Value: "00U"}},
		"a claim of a company": {"https://example.com/id", "", openidtest.Claims{"sub": "x", "https://example.com/id": "7"}, federation.Assertion{Value: "7"}},
	} {
		b := newBench(t)
		b.as.Claim, b.as.MFA = c.claim, c.mfa
		b.provider.Person(c.person)
		if have, err := b.login(t); err != nil || have != c.want {
			t.Errorf("%s: %+v, %v", name, have, err)
		}
	}
}

// mac makes a token with a MAC, under a key that an attacker may know.
func mac(alg, key string) func(openidtest.Claims) string {
	return func(c openidtest.Claims) string {
		text := openidtest.Encode(openidtest.Claims{"alg": alg, "kid": "1"}) + "." + openidtest.Encode(c)
		m := hmac.New(sha256.New, []byte(key))
		m.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
}

func set(name string, value any) openidtest.Wrong {
	return openidtest.Wrong{Claims: func(c openidtest.Claims) { c[name] = value }}
}

func without(name string) openidtest.Wrong {
	return openidtest.Wrong{Claims: func(c openidtest.Claims) { delete(c, name) }}
}

// Nothing that is wrong with an ID token gets through, and the words say what it is, in words
// of ours.
func TestTokensThatAreNotBelieved(t *testing.T) {
	at := func(d time.Duration) int64 { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(d).Unix() }
	for name, c := range map[string]struct {
		wrong openidtest.Wrong
		want  string
	}{
		"another nonce":          {set("nonce", "other"), "nonce"},
		"no nonce":               {without("nonce"), "nonce"},
		"another audience":       {set("aud", "other"), "aud"},
		"no audience":            {without("aud"), "aud"},
		"audiences without azp":  {set("aud", []string{openidtest.ClientID, "other"}), "azp"},
		"another azp":            {set("azp", "other"), "azp"},
		"another issuer":         {set("iss", "https://evil.example.com"), "issuer"},
		"an issuer with a slash": {openidtest.Wrong{Claims: func(c openidtest.Claims) { c["iss"] = c["iss"].(string) + "/" }}, "issuer"},
		"no issuer":              {without("iss"), "issuer"},
		"expired":                {set("exp", at(-61*time.Second)), "expired"},
		"no expiry":              {without("exp"), "expired"},
		"made in the future":     {set("iat", at(61*time.Second)), "future"},
		"made never":             {without("iat"), "future"},
		"not valid yet":          {set("nbf", at(2*time.Minute)), "future"},
		"nbf is a text":          {set("nbf", "soon"), "not verify"},
		"no subject":             {without("sub"), "no claim sub"},
		"an empty subject":       {set("sub", ""), "no claim sub"},
		"a subject of numbers":   {set("sub", 7), "not verify"},
		"azp is a list":          {set("azp", []string{openidtest.ClientID}), "azp"},
		"azp is empty":           {set("azp", ""), "azp"},
		"alg none": {openidtest.Wrong{Token: func(c openidtest.Claims) string {
			return openidtest.Encode(openidtest.Claims{"alg": "none"}) + "." + openidtest.Encode(c) + "."
		}}, "algorithm"},
		"alg NONE": {openidtest.Wrong{Token: func(c openidtest.Claims) string {
			return openidtest.Encode(openidtest.Claims{"alg": "NONE"}) + "." + openidtest.Encode(c) + "."
		}}, "algorithm"},
		"HS256 with the secret": {openidtest.Wrong{Token: mac("HS256", openidtest.Secret)}, "algorithm"},
		"HS256 with the id":     {openidtest.Wrong{Token: mac("HS256", openidtest.ClientID)}, "algorithm"},
		"a MAC called ES256":    {openidtest.Wrong{Token: mac("ES256", openidtest.Secret)}, "not signed"},
		"a MAC called RS256":    {openidtest.Wrong{Token: mac("RS256", openidtest.Secret)}, "not signed"},
		"no token":              {openidtest.Wrong{Token: func(openidtest.Claims) string { return "" }}, "malformed"},
		"no JWT":                {openidtest.Wrong{Token: func(openidtest.Claims) string { return "a.b" }}, "malformed"},
		"claims that are none":  {openidtest.Wrong{Token: func(openidtest.Claims) string { return "e30.W10.AA" }}, "malformed"},
	} {
		b := newBench(t)
		b.provider.Do(c.wrong)
		_, err := b.login(t)
		if !fault.Is(err, fault.LoginFailed) || !strings.Contains(fault.Message(err), c.want) || strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An address that nobody verified names nobody, whatever stands in place of true.
func TestUnverifiedAddresses(t *testing.T) {
	for name, verified := range map[string]any{"false": false, "a text": "true", "a number": 1, "nothing": nil, "a list": []bool{true}} {
		b := newBench(t)
		b.as.Claim = "email"
		person := openidtest.Claims{"sub": "00u", "email": "root@example.com", "email_verified": verified}
		if verified == nil {
			delete(person, "email_verified")
		}
		b.provider.Person(person)
		if _, err := b.login(t); !fault.Is(err, fault.LoginFailed) || !strings.Contains(fault.Message(err), "verified") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the browser brings back is held against what was begun, before a code goes anywhere.
func TestMixedUp(t *testing.T) {
	for name, back := range map[string]func(url.Values){
		"another issuer": func(v url.Values) { v.Set("iss", "https://evil.example.com") },
		"no issuer":      func(v url.Values) { v.Del("iss") },
		"no code":        func(v url.Values) { v.Del("code") },
	} {
		b := newBench(t)
		b.provider.Do(openidtest.Wrong{Back: back})
		if _, err := b.login(t); !fault.Is(err, fault.LoginFailed) || b.provider.Hits("/token") != 0 {
			t.Errorf("%s: %v, and %d codes went out", name, err, b.provider.Hits("/token"))
		}
	}
	b := newBench(t) // a provider that does not say that it names itself need not
	b.provider.Do(openidtest.Wrong{
		Discovery: func(c map[string]any) { delete(c, "authorization_response_iss_parameter_supported") }, Back: func(v url.Values) { v.Del("iss") },
	})
	if _, err := b.login(t); err != nil {
		t.Errorf("a provider that does not name itself: %v", err)
	}
}

// A provider refuses a code that was used, is of another client, or comes with another
// verifier or address.
func TestCodes(t *testing.T) {
	b := newBench(t)
	back, err := b.begin(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.finish(t, back); err != nil {
		t.Fatal(err)
	}
	if _, err := b.finish(t, back); !fault.Is(err, fault.LoginFailed) {
		t.Errorf("a code that was used: %v", err)
	}
	for name, r := range map[string]federation.Return{
		"another verifier": {Redirect: home, Verifier: "b" + verifier[1:]},
		"another address":  {Redirect: "http://127.0.0.1:8401/callback", Verifier: verifier},
	} {
		back, err := b.begin(t)
		if err != nil {
			t.Fatal(err)
		}
		r.Code, r.Issuer, r.Nonce = back.Get("code"), back.Get("iss"), "the-nonce"
		if _, err := b.Exchange(t.Context(), b.as, material.Bytes{}, r); !fault.Is(err, fault.LoginFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
}

func huge(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for range 40 {
		if _, err := w.Write([]byte(strings.Repeat(" ", 64<<10))); err != nil {
			return
		}
	}
}

// A provider that answers otherwise than it must is unavailable, and its words go nowhere.
func TestHostileAnswers(t *testing.T) {
	for path, answers := range map[string]map[string]http.HandlerFunc{
		"/.well-known/openid-configuration": {"huge": huge, "redirect": redirect, "no JSON": status(200, "<html>canary"), "an error": status(500, "canary"), "a list": status(200, "[]")},
		"/keys":                             {"huge": huge, "redirect": redirect, "no JSON": status(200, "<html>canary"), "an error": status(404, "canary")},
		"/token":                            {"huge": huge, "redirect": redirect, "no JSON": status(200, "<html>canary"), "an error": status(503, "canary"), "unknown": status(400, `{"error":"canary"}`), "client": status(401, `{"error":"invalid_client","error_description":"canary"}`)},
	} {
		for name, answer := range answers {
			b := newBench(t)
			b.provider.Do(openidtest.Wrong{Answer: map[string]http.HandlerFunc{path: answer}})
			_, err := b.login(t)
			if !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s at %s: %v", name, path, err)
			}
		}
	}
	b := newBench(t)
	b.provider.Do(openidtest.Wrong{Answer: map[string]http.HandlerFunc{"/token": status(400, `{"error":"invalid_grant","error_description":"canary"}`)}})
	if _, err := b.login(t); !fault.Is(err, fault.LoginFailed) || strings.Contains(err.Error(), "canary") {
		t.Errorf("a code that the provider does not take: %v", err)
	}
	b.provider.Do(openidtest.Wrong{Answer: map[string]http.HandlerFunc{"/token": status(200, `{"access_token":"x","token_type":"Bearer"}`)}})
	if _, err := b.login(t); !fault.Is(err, fault.LoginFailed) || !strings.Contains(fault.Message(err), "no ID token") {
		t.Errorf("no ID token: %v", err)
	}
}

// What a provider says of itself must fit, and be whom the administrator named.
func TestConfigurations(t *testing.T) {
	for name, change := range map[string]func(c map[string]any){
		"another issuer":        func(c map[string]any) { c["issuer"] = "https://evil.example.com" },
		"a slash":               func(c map[string]any) { c["issuer"] = c["issuer"].(string) + "/" },
		"no keys":               func(c map[string]any) { delete(c, "jwks_uri") },
		"a file of keys":        func(c map[string]any) { c["jwks_uri"] = "file:///etc/passwd" },
		"a script to log in":    func(c map[string]any) { c["authorization_endpoint"] = "javascript:alert(1)" },
		"a user in the URL":     func(c map[string]any) { c["token_endpoint"] = "https://u:p@example.com/" },
		"no code flow":          func(c map[string]any) { c["response_types_supported"] = []string{"id_token"} },
		"plain challenges":      func(c map[string]any) { c["code_challenge_methods_supported"] = []string{"plain"} },
		"an endpoint of a list": func(c map[string]any) { c["token_endpoint"] = []string{"x"} },
	} {
		b := newBench(t)
		b.provider.Do(openidtest.Wrong{Discovery: change})
		if _, err := b.begin(t); !fault.Is(err, fault.Unavailable) || strings.Contains(fault.Message(err), "evil") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Addresses that are not public are reached only where the operator allowed it; the keys and
// the tokens are held to that as well.
func TestGuarded(t *testing.T) {
	b := newBench(t)
	b.Client = openid.New(nil, b.now)
	if _, err := b.begin(t); !fault.Is(err, fault.UnsupportedOperation) || !strings.Contains(fault.Message(err), "egress.allow") || b.provider.Hits("/.well-known/openid-configuration") != 0 {
		t.Errorf("an address of this machine: %v", err)
	}
	for _, member := range []string{"token_endpoint", "jwks_uri"} {
		b := newBench(t)
		b.provider.Do(openidtest.Wrong{Discovery: func(c map[string]any) { c[member] = "http://169.254.169.254/latest" }})
		if _, err := b.login(t); err == nil || fault.Is(err, fault.LoginFailed) {
			t.Errorf("a %s at a metadata service: %v", member, err)
		}
	}
}

// Keys that a provider changes are read again when a token needs them, and those that it took
// back are forgotten within the hour.
func TestKeysChange(t *testing.T) {
	b := newBench(t)
	login := func() {
		t.Helper()
		if _, err := b.login(t); err != nil {
			t.Fatal(err)
		}
	}
	login()
	login()
	if n := b.provider.Hits("/keys"); n != 1 {
		t.Errorf("the keys were read %d times for two logins", n)
	}
	b.provider.Rotate()
	login()
	if n := b.provider.Hits("/keys"); n != 2 {
		t.Errorf("the keys were read %d times around a new one", n)
	}
	if n := b.provider.Hits("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("the configuration was read %d times", n)
	}
	b.later(time.Hour)
	login()
	if keys, config := b.provider.Hits("/keys"), b.provider.Hits("/.well-known/openid-configuration"); keys != 3 || config != 2 {
		t.Errorf("after an hour the keys were read %d times, the configuration %d", keys, config)
	}
}

// A provider that is down is asked again after some seconds, and not before.
func TestDown(t *testing.T) {
	b := newBench(t)
	b.provider.Do(openidtest.Wrong{Answer: map[string]http.HandlerFunc{"/.well-known/openid-configuration": status(503, "")}})
	for range 5 {
		if _, err := b.begin(t); !fault.Is(err, fault.Unavailable) {
			t.Error(err)
		}
	}
	if n := b.provider.Hits("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("it was asked %d times at once", n)
	}
	b.provider.Do(openidtest.Wrong{})
	b.later(5 * time.Second)
	if _, err := b.login(t); err != nil {
		t.Error(err)
	}
}

// An ended has just ended, when nothing is waited for any more.
type ended struct{ context.Context }

func (ended) Err() error { return context.Canceled }

// Who goes away when the provider has answered is no trouble.
func TestGoneAfterTheAnswer(t *testing.T) {
	b := newBench(t)
	if to, err := b.Authorize(ended{t.Context()}, b.as, federation.Request{Redirect: home, State: "the-state", Nonce: "the-nonce"}); err != nil || to == "" {
		t.Errorf("%q, %v", to, err)
	}
}

// A provider that does not answer holds nobody up for longer than they wait.
func TestSlow(t *testing.T) {
	b := newBench(t)
	b.provider.Do(openidtest.Wrong{Answer: map[string]http.HandlerFunc{"/.well-known/openid-configuration": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Authorize(ctx, b.as, federation.Request{}); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	b.provider.Do(openidtest.Wrong{})
	if _, err := b.login(t); err != nil {
		t.Errorf("that somebody hung up is remembered of the provider: %v", err)
	}
}
