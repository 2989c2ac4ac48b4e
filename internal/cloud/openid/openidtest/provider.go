// Package openidtest is an OpenID Connect provider for tests. It keeps to the protocol, and
// refuses clients that do not, unless a test has it do something wrong.
package openidtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The client that the provider knows.
const (
	ClientID = "keyward-client"
	Secret   = "fake-client-secret" //nolint:gosec // of tests
)

// Claims are those of an ID token.
type Claims map[string]any

// A Provider is an OpenID Connect provider on this machine.
type Provider struct {
	URL string // issuer
	Now func() time.Time

	mu     sync.Mutex // guards what follows
	person Claims     // who logs in next
	codes  map[string]grant
	key    *ecdsa.PrivateKey
	kid    int
	hits   map[string]int
	wrong  Wrong
}

// Wrong is what a provider does wrong. Each may be nil.
type Wrong struct {
	Discovery func(map[string]any)             // changes what it says of itself
	Claims    func(Claims)                     // changes the claims of ID tokens
	Token     func(Claims) string              // makes ID tokens
	Answer    map[string]http.HandlerFunc      // answers at a path: /keys, /token, …
	Back      func(url.Values)                 // changes what the browser brings back
	Check     func(w http.ResponseWriter) bool // asked in place of all checks of a code
}

type grant struct {
	client, redirect, challenge, nonce string
	person                             Claims
}

// New starts a provider for the length of a test; see [Start].
func New(t testing.TB, now func() time.Time) *Provider {
	t.Helper()
	p, stop := Start(now)
	t.Cleanup(stop)
	return p
}

// Start starts a provider, at which the person with the subject 00u-alice logs in.
func Start(now func() time.Time) (p *Provider, stop func()) {
	p = &Provider{Now: now, codes: map[string]grant{}, hits: map[string]int{}, person: Claims{"sub": "00u-alice"}}
	p.Rotate()
	s := httptest.NewServer(p)
	p.URL = s.URL
	return p, s.Close
}

// Person sets who logs in from now on.
func (p *Provider) Person(c Claims) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.person = c
}

// Do has the provider do something wrong from now on.
func (p *Provider) Do(w Wrong) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = w
}

// Rotate replaces the key that tokens are signed with; the old one is published no more.
func (p *Provider) Rotate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // of crypto/rand, which never fails
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = key
	p.kid++
}

// Hits answers how often a path was asked for.
func (p *Provider) Hits(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits[path]
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hits[r.URL.Path]++
	if answer := p.wrong.Answer[r.URL.Path]; answer != nil {
		answer(w, r)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		p.discovery(w)
	case "/authorize":
		p.authorize(w, r)
	case "/token":
		p.token(w, r)
	case "/keys":
		answer(w, http.StatusOK, map[string]any{"keys": []any{p.public()}})
	default:
		http.NotFound(w, r)
	}
}

func (p *Provider) discovery(w http.ResponseWriter) {
	config := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		"subject_types_supported": []string{"public"}, "authorization_response_iss_parameter_supported": true,
	}
	if p.wrong.Discovery != nil {
		p.wrong.Discovery(config)
	}
	answer(w, http.StatusOK, config)
}

// authorize lets the person in, whoever sits at the browser.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != ClientID || q.Get("code_challenge_method") != "S256" || q.Get("state") == "" {
		http.Error(w, "that is no request of a client that is known here", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.codes[code] = grant{q.Get("client_id"), q.Get("redirect_uri"), q.Get("code_challenge"), q.Get("nonce"), maps.Clone(p.person)}
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.URL}}
	if p.wrong.Back != nil {
		p.wrong.Back(back)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(why string) { answer(w, http.StatusBadRequest, map[string]string{"error": why}) }
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if id, err := url.QueryUnescape(id); err != nil || id != ClientID || secret != "" && secret != Secret {
		refuse("invalid_client")
		return
	}
	code := r.PostFormValue("code")
	g, known := p.codes[code]
	if p.wrong.Check == nil {
		delete(p.codes, code)
	}
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !known || g.redirect != r.PostFormValue("redirect_uri") || g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		refuse("invalid_grant")
		return
	}
	now := p.Now()
	claims := Claims{"iss": p.URL, "aud": g.client, "exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(), "nonce": g.nonce}
	maps.Copy(claims, g.person)
	if p.wrong.Claims != nil {
		p.wrong.Claims(claims)
	}
	made := ""
	if p.wrong.Token != nil {
		made = p.wrong.Token(claims)
	} else {
		made = p.sign(claims)
	}
	answer(w, http.StatusOK, map[string]any{"access_token": "fake-access-token", "token_type": "Bearer", "expires_in": 300, "id_token": made})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

// public answers the public key as JSON Web Key Sets have it.
func (p *Provider) public() map[string]string {
	point, err := p.key.PublicKey.Bytes()
	if err != nil {
		panic(err) // the key was made here
	}
	return map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": strconv.Itoa(p.kid), "x": encode(point[1:33]), "y": encode(point[33:]),
	}
}

// sign makes an ID token. The caller holds mu.
func (p *Provider) sign(c Claims) string {
	text := Encode(Claims{"alg": "ES256", "kid": strconv.Itoa(p.kid), "typ": "JWT"}) + "." + Encode(c)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, digest[:])
	if err != nil {
		panic(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + encode(signature)
}

// Encode answers a part of a token.
func Encode(c Claims) string {
	content, err := json.Marshal(c)
	if err != nil {
		panic(err) // of a test's own claims
	}
	return encode(content)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Visit does what a browser does with the address of a login, and answers what it brings
// back to the address that it is sent to, where nobody need wait.
func Visit(t testing.TB, address string) url.Values {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("the browser stays where it is, with %s: %v", resp.Status, err)
	}
	return to.Query()
}
