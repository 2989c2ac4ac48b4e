package api

import "time"

// Where people log in who prove elsewhere who they are. Neither request is signed.
const (
	SSOPath       = "/v1/login/sso"
	FinishSSOPath = "/v1/login/sso/finish"
)

// BeginSSORequest begins a login at an identity provider.
type BeginSSORequest struct {
	Account       string `json:"account,omitempty"`  // id or name; none for the only one of the server
	Provider      string `json:"provider,omitempty"` // name; none for the only one of the account
	RedirectURI   string `json:"redirectUri"`        // http://127.0.0.1:PORT/callback, where the browser comes back to
	CodeChallenge string `json:"codeChallenge"`      // S256 of a verifier that stays where the login was begun
}

// SSOTransaction is a login that was begun.
type SSOTransaction struct {
	Transaction SecretText `json:"transaction"` // to be given back at the end
	URL         string     `json:"url"`         // where the browser is to go
	State       string     `json:"state"`       // what it brings back
	ExpiresAt   time.Time  `json:"expiresAt"`
}

// FinishSSORequest is what the browser brought back.
type FinishSSORequest struct {
	Transaction     SecretText `json:"transaction"`
	CodeVerifier    SecretText `json:"codeVerifier"`
	State           string     `json:"state"`
	Code            SecretText `json:"code,omitempty"`            // of the provider
	Issuer          string     `json:"issuer,omitempty"`          // what the browser brought as iss (RFC 9207)
	MFACode         SecretText `json:"mfaCode,omitempty"`         // of keyward's own second factor, a recovery code or a proof
	DurationSeconds int        `json:"durationSeconds,omitempty"` // 900 to 43200; 0 means 3600
}

// SSOLogin is a login that succeeded or, if Transaction is there, one for which only a code
// of keyward's own second factor is missing: finish it with that transaction and the code. If
// Proof is there the user has a security key: as soon as it was used on the page, the proof
// stands for the code.
type SSOLogin struct {
	Session     *TemporaryCredentials `json:"session,omitempty"`
	Transaction SecretText            `json:"transaction,omitempty"`
	Proof       *Proof                `json:"proof,omitempty"`
}

// An IdentityProvider is an OpenID Connect provider at which users of the account log in.
type IdentityProvider struct {
	Name      string         `json:"name"`
	ARN       string         `json:"arn"`
	Issuer    string         `json:"issuer"`
	ClientID  string         `json:"clientId"`
	Public    bool           `json:"public"` // the client has no secret
	Claim     string         `json:"claim"`  // of the ID token, by whose value users are linked
	MFA       string         `json:"mfa"`    // what tells of a second factor: "amr", "acr=VALUE"; "" if nothing is believed
	CreatedAt time.Time      `json:"createdAt"`
	Links     []IdentityLink `json:"links,omitempty"` // of one provider; lists have none
}

// An IdentityLink says whom an identity provider means.
type IdentityLink struct {
	User      string    `json:"user"`
	Value     string    `json:"value"` // of the provider's claim
	CreatedAt time.Time `json:"createdAt"`
}

// CreateIdentityProviderRequest says what an identity provider is to be like.
type CreateIdentityProviderRequest struct {
	Name         string     `json:"name"`
	Issuer       string     `json:"issuer"`
	ClientID     string     `json:"clientId"`
	ClientSecret SecretText `json:"clientSecret,omitempty"`
	Claim        string     `json:"claim,omitempty"` // none means sub
	MFA          string     `json:"mfa,omitempty"`   // amr, or acr=VALUE
}

// IdentityProviderList is all identity providers of the account.
type IdentityProviderList struct {
	Providers []IdentityProvider `json:"providers"`
}

// LinkUserRequest says what an identity provider calls a user.
type LinkUserRequest struct {
	Value string `json:"value"` // of the provider's claim
}
