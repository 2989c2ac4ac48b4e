package openid

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/material"
)

// Exchange implements federation.Protocol.
func (c *Client) Exchange(ctx context.Context, p federation.Provider, secret material.Bytes, r federation.Return) (federation.Assertion, error) {
	at, err := c.place(ctx, p.Issuer)
	if err != nil {
		return federation.Assertion{}, err
	}
	switch { // before the code goes anywhere
	case r.Issuer != "" && r.Issuer != p.Issuer:
		return federation.Assertion{}, refused("the answer that the browser brought is of another provider")
	case r.Issuer == "" && at.config.NamesIssuer:
		return federation.Assertion{}, refused("the answer that the browser brought does not name the provider, which names itself")
	case r.Code == "":
		return federation.Assertion{}, refused("the answer that the browser brought has no code")
	}
	config := at.oauth(p, r.Redirect)
	config.ClientSecret = string(secret.Expose())
	token, err := config.Exchange(oidc.ClientContext(ctx, c.http), r.Code, oauth2.VerifierOption(r.Verifier))
	if err != nil {
		return federation.Assertion{}, explain(err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return federation.Assertion{}, refused("there is no ID token")
	}
	return c.verify(ctx, at, p, raw, r.Nonce)
}

// refused says why what a provider said is not believed.
func refused(why string) error {
	return fault.LoginFailed.New("what the identity provider says cannot be believed: %s", why)
}

// explain answers why a provider gives no token. What it wrote is not passed on, nor kept:
// it may repeat what it was sent.
func explain(err error) error {
	var of *oauth2.RetrieveError
	if !errors.As(err, &of) || of.Response != nil && of.Response.StatusCode >= 500 {
		if of != nil {
			err = errors.New(of.Response.Status)
		}
		return unreachable(err)
	}
	switch of.ErrorCode { // RFC 6749 section 5.2
	case "invalid_grant":
		return fault.LoginFailed.New("the identity provider does not take the code: it was used, is too old, or is another client's; begin again")
	case "invalid_client", "unauthorized_client":
		return fault.Unavailable.New("the identity provider does not know keyward by its client id and secret; ask an administrator")
	}
	return fault.Unavailable.New("the identity provider gives no token for the code; ask an administrator")
}

// verify answers whom an ID token of a provider is about (OpenID Connect Core section
// 3.1.3.7).
func (c *Client) verify(ctx context.Context, at *place, p federation.Provider, raw, nonce string) (federation.Assertion, error) {
	now := c.now()
	verifier := oidc.NewVerifier(p.Issuer, at.keys, &oidc.Config{
		ClientID: p.ClientID, SupportedSigningAlgs: algorithms(), Now: func() time.Time { return now.Add(-skew) }, // of what it compares, exp is exact
	})
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return federation.Assertion{}, distrust(ctx, err)
	}
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return federation.Assertion{}, refused("its claims are no object")
	}
	azp, known := read[string](claims, "azp")
	notBefore, dated := read[float64](claims, "nbf")
	verified, _ := read[bool](claims, "email_verified") // only true is true
	switch {
	case token.Issuer != p.Issuer:
		return federation.Assertion{}, refused("the ID token is of another issuer")
	case token.Nonce != nonce:
		return federation.Assertion{}, refused("the ID token is of another login (nonce)")
	case claims["azp"] != nil && (!known || azp != p.ClientID) || claims["azp"] == nil && len(token.Audience) != 1:
		return federation.Assertion{}, refused("the ID token was made for another client (azp)")
	case token.IssuedAt.IsZero() || token.IssuedAt.After(now.Add(skew)) || dated && notBefore > float64(now.Add(skew).Unix()):
		return federation.Assertion{}, refused("the ID token is of the future; compare the clocks")
	case p.Claim == "email" && !verified:
		return federation.Assertion{}, refused("the e-mail address is not verified")
	}
	value, _ := read[string](claims, p.Claim)
	if value == "" {
		return federation.Assertion{}, refused("the ID token has no claim " + p.Claim + " of text")
	}
	amr, _ := read[[]string](claims, "amr")
	acr, _ := read[string](claims, "acr")
	wanted, byACR := strings.CutPrefix(p.MFA, "acr=")
	return federation.Assertion{
		Value: value, MFA: p.MFA == "amr" && slices.Contains(amr, "mfa") || byACR && acr == wanted, // RFC 8176
	}, nil
}

// read answers a claim, or the zero value and false if it is not there or of another type.
func read[T any](claims map[string]json.RawMessage, name string) (T, bool) {
	var v, none T
	if json.Unmarshal(claims[name], &v) != nil {
		return none, false // and not what was read of it
	}
	return v, true
}

// distrust says why a token does not verify. The library's words may have what the token has,
// so that they go no further.
func distrust(ctx context.Context, err error) error {
	var old *oidc.TokenExpiredError
	switch text := err.Error(); {
	case ctx.Err() != nil:
		return unreachable(ctx.Err())
	case errors.As(err, &old):
		return refused("the ID token has expired; compare the clocks")
	case strings.Contains(text, "fetching keys"):
		return unreachable(errors.New("the keys cannot be read"))
	case strings.Contains(text, "malformed jwt"):
		return refused("the ID token is malformed, or signed by an algorithm that is not on the list")
	case strings.Contains(text, "verify"):
		return refused("the ID token is not signed by the provider")
	case strings.Contains(text, "different provider"):
		return refused("the ID token is of another issuer")
	case strings.Contains(text, "audience"):
		return refused("the ID token was made for another client (aud)")
	case strings.Contains(text, "not before"):
		return refused("the ID token is of the future; compare the clocks")
	}
	return refused("the ID token does not verify")
}
