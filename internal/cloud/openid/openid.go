// Package openid speaks OpenID Connect with the providers at which people log in (package
// federation): discovery, the authorization code flow with PKCE, and ID tokens.
//
// Tokens are verified by github.com/coreos/go-oidc, and codes exchanged by
// golang.org/x/oauth2; nothing of a signature is done here. What is done here is all that
// these leave to their callers: the nonce, azp, the time at which a token was made, the
// issuer of the answer (RFC 9207), the list of algorithms, which is ours and never the
// token's, and what a claim must be to name somebody.
//
// Providers are addresses that a person entered: they are reached through package egress, no
// redirect is followed, an answer has ten seconds and a mebibyte. Their configuration and
// keys are kept for an hour; a token with a key that is not among them has the keys read
// again. That a provider cannot be reached is remembered for some seconds, so that nobody
// can make this server knock without pause.
//
// Clocks may differ by a minute. Of what a provider says nothing is passed on in a message:
// it may be anything.
package openid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/federation"
)

const (
	patience  = 10 * time.Second // for one answer
	maxAnswer = 1 << 20          // bytes of it
	keep      = time.Hour        // a provider's configuration and keys
	quiet     = 5 * time.Second  // after one that could not be read
	maxKept   = 1000             // providers
	skew      = time.Minute      // by which clocks may differ
)

// algorithms are those by which ID tokens may be signed: no MAC, which whoever knows the
// client's secret could make, and never none.
func algorithms() []string {
	return []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}
}

// A Client speaks with providers. It may be used concurrently.
type Client struct {
	http *http.Client
	now  func() time.Time

	mu    sync.Mutex        // guards known
	known map[string]*place // by issuer
}

// New makes a client that reaches public addresses by https, and what lies in allow.
func New(allow []netip.Prefix, now func() time.Time) *Client {
	web := egress.HTTP(allow)
	web.Timeout = patience
	web.Transport = bounded{web.Transport}
	return &Client{http: web, now: now, known: map[string]*place{}}
}

// bounded ends answers that are too long, which the libraries would read to the end.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &body{resp.Body, maxAnswer}
	}
	return resp, err
}

type body struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, egress.ErrTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// A place is what is known of a provider. It is never changed.
type place struct {
	at     time.Time // when it was read
	config configuration
	keys   oidc.KeySet
	err    error // why nothing is known
}

// A configuration is what a provider says of itself (OpenID Connect Discovery, RFC 8414).
type configuration struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Responses     []string `json:"response_types_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	Authenticates []string `json:"token_endpoint_auth_methods_supported"`
	NamesIssuer   bool     `json:"authorization_response_iss_parameter_supported"`
}

// place answers what is known of a provider, and reads it if that is nothing or old.
func (c *Client) place(ctx context.Context, issuer string) (*place, error) {
	c.mu.Lock()
	one := c.known[issuer]
	c.mu.Unlock()
	if one != nil {
		if age := c.now().Sub(one.at); age < quiet || age < keep && one.err == nil {
			return one, one.err
		}
	}
	config, err := c.discover(ctx, issuer)
	if err != nil && ctx.Err() != nil {
		return nil, err // which says nothing about the provider
	}
	// A new set of keys, so that those which the provider took back are forgotten.
	one = &place{c.now(), config, oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), c.http), config.Keys), err}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKept {
		clear(c.known)
	}
	c.known[issuer] = one
	return one, err
}

// discover reads a provider's configuration, and refuses one with which no login works.
func (c *Client) discover(ctx context.Context, issuer string) (configuration, error) {
	var out configuration
	content, err := c.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err == nil {
		err = json.Unmarshal(content, &out)
	}
	if err != nil {
		return out, unreachable(err)
	}
	const bad = "the identity provider cannot be used: "
	switch {
	case out.Issuer != issuer:
		return out, fault.Unavailable.New(bad + "it does not call itself what the issuer says, to the letter")
	case !federation.PlainURL(out.Authorization) || !federation.PlainURL(out.Token) || !federation.PlainURL(out.Keys):
		return out, fault.Unavailable.New(bad + "its configuration lacks an endpoint, or has one that is no https URL")
	case strings.HasPrefix(out.Authorization, "http:") && !strings.HasPrefix(issuer, "http:"):
		return out, fault.Unavailable.New(bad + "it sends people to a page without https")
	case len(out.Responses) > 0 && !slices.Contains(out.Responses, "code"):
		return out, fault.Unavailable.New(bad + "it knows no authorization code flow")
	case len(out.Challenges) > 0 && !slices.Contains(out.Challenges, "S256"):
		return out, fault.Unavailable.New(bad + "it knows no PKCE with S256")
	}
	return out, nil
}

func unreachable(err error) error {
	if errors.Is(err, egress.ErrRefused) {
		return fault.UnsupportedOperation.Wrap(err, "the identity provider may not be reached: its address is not public; the operator allows its network with egress.allow")
	}
	return fault.Unavailable.Wrap(err, "the identity provider cannot be reached, or does not answer as it must; try again, then ask the server's operator, whose log has the details")
}

func (c *Client) get(ctx context.Context, from string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	content, err := egress.ReadBody(resp, maxAnswer)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answers %d", resp.StatusCode)
	}
	return content, err
}

// Authorize implements federation.Protocol.
func (c *Client) Authorize(ctx context.Context, p federation.Provider, r federation.Request) (string, error) {
	at, err := c.place(ctx, p.Issuer)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{
		oidc.Nonce(r.Nonce), oauth2.SetAuthURLParam("code_challenge", r.Challenge), oauth2.SetAuthURLParam("code_challenge_method", "S256"),
	}
	if acr, ok := strings.CutPrefix(p.MFA, "acr="); ok {
		options = append(options, oauth2.SetAuthURLParam("acr_values", acr))
	}
	config := at.oauth(p, r.Redirect)
	return config.AuthCodeURL(r.State, options...), nil
}

// oauth answers the provider as golang.org/x/oauth2 knows it.
func (at *place) oauth(p federation.Provider, redirect string) oauth2.Config {
	scopes := []string{oidc.ScopeOpenID}
	switch p.Claim {
	case "sub":
	case "email":
		scopes = append(scopes, "email")
	default:
		scopes = append(scopes, "profile", "email")
	}
	style := oauth2.AuthStyleInHeader // which is the default of the specification
	basic := len(at.config.Authenticates) == 0 || slices.Contains(at.config.Authenticates, "client_secret_basic")
	if len(p.Secret) == 0 || !basic {
		style = oauth2.AuthStyleInParams
	}
	return oauth2.Config{
		ClientID: p.ClientID, RedirectURL: redirect, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: at.config.Authorization, TokenURL: at.config.Token, AuthStyle: style},
	}
}
