package interop_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// The clients that the provider knows. Another port than the one that is registered must do.
const (
	ssoPublic  = "keyward"
	ssoPrivate = "keyward-with-a-secret"
	ssoSecret  = "fake-client-secret"
)

// provider starts a certified OpenID Connect provider, with a page to log in at.
func provider(t *testing.T) (issuer string) {
	t.Helper()
	storage.RegisterClients(storage.NativeClient(ssoPublic, "http://127.0.0.1/callback"), storage.WebClient(ssoPrivate, ssoSecret, "http://127.0.0.1:8400/callback"))
	var handler http.Handler
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	before := slog.Default()
	handler = exampleop.SetupServer(s.URL+"/", storage.NewStorage(storage.NewUserStore(s.URL)), slog.New(slog.DiscardHandler), true, op.WithAllowInsecure())
	slog.SetDefault(before)
	return s.URL + "/"
}

// visit logs somebody in at the provider's page, as a browser does, and answers what the
// browser brings back to the port.
func visit(t *testing.T, address, user string) url.Values {
	t.Helper()
	jar := must(cookiejar.New(nil))(t)
	var back url.Values
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/callback" && r.URL.Query().Has("state") {
			back = r.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	page := must(browser.Get(address))(t)
	text := string(must(io.ReadAll(page.Body))(t))
	succeed(t, page.Body.Close())
	id := page.Request.URL.Query().Get("authRequestID")
	if id == "" {
		t.Fatalf("no page to log in at, but %s: %s", page.Request.URL, text)
	}
	answer := must(browser.PostForm(page.Request.URL.String(), url.Values{"username": {user}, "password": {"verysecure"}, "id": {id}}))(t)
	text = string(must(io.ReadAll(answer.Body))(t))
	succeed(t, answer.Body.Close())
	if back == nil {
		t.Fatalf("the browser stays at %s: %s", answer.Request.URL, text)
	}
	return back
}

// patiently repeats what an address does too often, as a person would.
func patiently[T any](ask func() (T, error)) (out T, err error) {
	for range 20 {
		if out, err = ask(); err == nil || !strings.Contains(err.Error(), "Throttled") {
			break
		}
		time.Sleep(300 * time.Millisecond)
	}
	return out, err
}

// TestSSO logs people in at a provider that nobody here wrote, with the client's secret and
// without one, over the keys, the discovery and the tokens that it makes.
func TestSSO(t *testing.T) {
	eachOwn(t, func(t *testing.T, o options) {
		o.more = "[egress]\nallow = [\"127.0.0.0/8\"]\n"
		s := newServer(t, o)
		a := s.account(t)
		admin := must(client.New(client.Config{Endpoint: "http://" + a.address, AccessKeyID: a.id, AccessKeySecret: a.secret}))(t)
		me := must(admin.WhoAmI(t.Context()))(t)
		must(admin.CreateUser(t.Context(), api.CreateUserRequest{Name: "alice"}))(t)
		issuer := provider(t)
		for name, in := range map[string]api.CreateIdentityProviderRequest{
			"public":  {Name: "public", Issuer: issuer, ClientID: ssoPublic},
			"private": {Name: "private", Issuer: issuer, ClientID: ssoPrivate, ClientSecret: ssoSecret},
		} {
			must(admin.CreateIdentityProvider(t.Context(), in))(t)
			must(admin.LinkUser(t.Context(), name, "alice", api.LinkUserRequest{Value: "id1"}))(t)
			config := client.Config{Endpoint: "http://" + a.address}
			login := func(user, verifier string) (api.SSOLogin, error) {
				t.Helper()
				sum := sha256.Sum256([]byte("a-fake-verifier-of-forty-three-characters-0"))
				begun := must(patiently(func() (api.SSOTransaction, error) {
					return client.BeginSSO(t.Context(), config, api.BeginSSORequest{
						Account: me.Account, Provider: name, RedirectURI: "http://127.0.0.1:8400/callback", CodeChallenge: base64.RawURLEncoding.EncodeToString(sum[:]),
					})
				}))(t)
				back := visit(t, begun.URL, user)
				return patiently(func() (api.SSOLogin, error) {
					return client.FinishSSO(t.Context(), config, api.FinishSSORequest{
						Transaction: begun.Transaction, CodeVerifier: api.SecretText(verifier), State: back.Get("state"), Code: api.SecretText(back.Get("code")), Issuer: back.Get("iss"),
					})
				})
			}
			out := must(login("test-user@127.0.0.1", "a-fake-verifier-of-forty-three-characters-0"))(t)
			person := must(client.New(client.Config{
				Endpoint: config.Endpoint, AccessKeyID: out.Session.AccessKeyID, AccessKeySecret: string(out.Session.Secret), SecurityToken: string(out.Session.SecurityToken),
			}))(t)
			if who := must(person.WhoAmI(t.Context()))(t); who.ARN != out.Session.ARN || !strings.HasSuffix(who.ARN, ":user/alice") {
				t.Errorf("%s: it is %s", name, who.ARN)
			}
			if _, err := login("test-user2", "a-fake-verifier-of-forty-three-characters-0"); err == nil || !strings.Contains(err.Error(), "LoginFailed") {
				t.Errorf("%s: somebody whom nobody is linked with: %v", name, err)
			}
			if _, err := login("test-user@127.0.0.1", "another-fake-verifier-of-forty-three-charact"); err == nil || !strings.Contains(err.Error(), "LoginFailed") {
				t.Errorf("%s: another verifier: %v", name, err)
			}
			succeed(t, admin.UnlinkUser(t.Context(), name, "alice"))
			if _, err := person.WhoAmI(t.Context()); err == nil {
				t.Errorf("%s: the session outlives the link", name)
			}
		}
	})
}
