// Package federation lets users log in who prove elsewhere who they are: at the OpenID
// Connect provider of their company, by the authorization code flow with PKCE.
//
// A [Provider] is a place where people of an account prove who they are. It alone gives
// nobody power. What does is a [Link]: it says that whom the provider calls so is this user
// of the account. Nobody is linked, and no user made, but by an administrator who could make
// an access key for the user; and the link names the value of a claim that the provider does
// not give to another person, sub unless said otherwise. Values are compared byte by byte.
//
// A login has two requests. [Service.Begin] answers where the browser is to go, and a sealed
// transaction, which says what the login was begun for: nothing is stored. The browser comes
// back to a port of the machine where the login was begun; whoever waits there gives the code
// with the transaction to [Service.Finish], which has the provider tell whose it is and
// begins a session as package people does. Four things tie the two together, so that no one
// can make another finish a login, nor finish one that another began: the state, which comes
// back through the browser; the nonce, which comes back in the signed token; the provider
// and the address to come back to, which are in the transaction; and the verifier, which
// never leaves the machine until the end, so that neither a stolen code nor a stolen
// transaction is of use. A transaction serves once, for ten minutes, on whichever node. So does
// the one that waits for a code of the second factor, and only while nothing of the user changes.
//
// A provider is believed about who somebody is, and about a second factor only if the
// administrator says so. A user who has a second factor here is asked for it here, too. What
// is dangerous needs a code of that one in any case.
//
// Stored are providers, with the client's secret under the tenant key, and links, in bound
// rows. docs/design/sso.md has the states and what remains.
package federation

import (
	"context"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
)

// Limits. docs/people.md tells them to users.
const (
	MaxProviders = 100 // of one account
	Patience     = 10 * time.Minute
	maxText      = 255 // bytes of a client id, of the value of a claim
	maxIssuer    = 512
	maxSecret    = 1 << 10
)

// A Provider is an OpenID Connect provider at which users of an account log in.
type Provider struct {
	Account   string
	Name      string // unique in its account
	ID        string // random: a later provider of the same name is another one
	Issuer    string // URL; what the provider calls itself, to the letter
	ClientID  string // as which keyward is known to the provider
	Secret    []byte // of the client, wrapped under the account's tenant key; empty for none
	Claim     string // of the ID token, by whose value users are linked
	MFA       string // what tells of a second factor: "amr", "acr=VALUE"; "" to believe nothing
	CreatedAt time.Time
	Rev       int64 // revision, kept by the store
}

// A Link says whom a provider means.
type Link struct {
	Account   string
	Provider  string // name
	User      string
	Value     string // of the provider's claim
	CreatedAt time.Time
	Rev       int64 // revision, kept by the store
}

// binding is what the wrapped secret of the client is bound to: it is sent nowhere else.
func (p *Provider) binding() []byte {
	return material.Binding("kms-row/v1", "iam_identity_provider", p.Account, p.Name, p.ID, p.Issuer, p.ClientID)
}

// ARN answers the provider's name for policies and records. What is no name is left out.
func (p *Provider) ARN() string { return providerARN(p.Account, p.Name) }

func providerARN(account, name string) string {
	if !namePattern().MatchString(name) {
		name = ""
	}
	return "acs:ram::" + account + ":oidc-provider/" + name
}

var (
	namePattern  = lazy.Regexp(`^[a-z0-9][a-z0-9-]{0,62}$`)
	claimPattern = lazy.Regexp(`^[A-Za-z][A-Za-z0-9_.:/-]{0,127}$`)
)

// check refuses what is no provider. Whether its issuer answers is left to whoever reaches for it.
func (p *Provider) check() error {
	acr, byACR := strings.CutPrefix(p.MFA, "acr=")
	switch {
	case !namePattern().MatchString(p.Name):
		return fault.InvalidParameter.New("the name of an identity provider has 1 to 63 characters, which are lower-case letters, digits or -, and does not begin with -")
	case len(p.Issuer) > maxIssuer:
		return fault.InvalidParameter.New("the issuer has at most %d bytes", maxIssuer)
	case !PlainURL(p.Issuer):
		return fault.InvalidParameter.New("the issuer is the URL of a provider, as it calls itself: https://host/path, without user, query or fragment")
	case !legible(p.ClientID):
		return fault.InvalidParameter.New("the client id has 1 to %d bytes of text", maxText)
	case !claimPattern().MatchString(p.Claim):
		return fault.InvalidParameter.New("the claim is one that an ID token has, such as sub, email or preferred_username")
	case p.MFA != "" && p.MFA != "amr" && !byACR || byACR && !legible(acr):
		return fault.InvalidParameter.New("a second factor is told of by amr or by acr=VALUE")
	}
	return nil
}

// PlainURL tells whether a text is a URL to be reached, to send a person to, and to be told on:
// one that holds no credential. That http is for networks only that the operator allowed, the
// guard of connections sees to.
func PlainURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

// legible tells whether s may be the value of a claim: text that is what it looks like.
func legible(s string) bool {
	return s != "" && len(s) <= maxText && utf8.ValidString(s) && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// A Store keeps identity providers and links. The contract of iam.Store holds for it.
type Store interface {
	// CreateIdentityProvider answers LimitExceeded when the account has MaxProviders already;
	// nodes that race may exceed that number by as many as they are.
	CreateIdentityProvider(ctx context.Context, rec *audit.Record, p *Provider) error
	// DeleteIdentityProvider removes a provider, its links, and the sessions that were begun
	// through it.
	DeleteIdentityProvider(ctx context.Context, rec *audit.Record, p *Provider) error
	IdentityProvider(ctx context.Context, account, name string) (Provider, error)
	// IdentityProviders answers all of an account by name.
	IdentityProviders(ctx context.Context, account string) ([]Provider, error)
	// CreateLink stores a new link; its provider and its user must be there, which has no
	// other link with the provider. ResourceExists is also for a value that is linked.
	CreateLink(ctx context.Context, rec *audit.Record, l *Link) error
	// DeleteLink removes a link, and the sessions that its user began through the provider.
	DeleteLink(ctx context.Context, rec *audit.Record, l *Link) error
	// Links answers all links of a provider, by user.
	Links(ctx context.Context, account, provider string) ([]Link, error)
	// LinkOf answers the link of the value of the provider's claim.
	LinkOf(ctx context.Context, account, provider, value string) (Link, error)
}

// A Request is what a person's browser takes to the provider.
type Request struct {
	Redirect  string // where it comes back to
	State     string
	Nonce     string
	Challenge string // S256 of the verifier
}

// A Return is what the browser brought back.
type Return struct {
	Code     string
	Issuer   string // as the answer itself names it; "" if it does not
	Redirect string
	Nonce    string
	Verifier string
}

// An Assertion is what a provider says of somebody, after all that can be checked was.
type Assertion struct {
	Value string // of the provider's claim
	MFA   bool   // a second factor was proved there, if the provider is believed about it
}

// A Protocol speaks with providers. Its methods may be called concurrently. What is wrong
// with what a provider says is a LoginFailed fault, that it does not say it Unavailable. Their
// messages hold nothing that came from outside.
type Protocol interface {
	// Authorize answers the URL at which the person proves who it is.
	Authorize(ctx context.Context, p Provider, r Request) (url string, err error)
	// Exchange gives the code back and answers whose it was. It does so once.
	Exchange(ctx context.Context, p Provider, secret material.Bytes, r Return) (Assertion, error)
}

// A Sealer seals transactions. Open answers an InvalidCiphertext fault for what Seal did
// not make.
type Sealer interface {
	Seal(transaction material.Bytes) ([]byte, error)
	Open(sealed []byte) (material.Bytes, error)
}
