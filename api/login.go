package api

import "time"

// LoginPath is where people log in. Its requests are not signed: the password speaks.
const LoginPath = "/v1/login"

// LoginRequest is what somebody says who logs in.
type LoginRequest struct {
	Account         string     `json:"account,omitempty"` // id or name; none for the only one of the server
	User            string     `json:"user"`
	Password        SecretText `json:"password"`
	Code            SecretText `json:"code,omitempty"`            // of the second factor, a recovery code, or the proof of an approval
	NewPassword     SecretText `json:"newPassword,omitempty"`     // to be the password from now on; 12 to 128 characters
	DurationSeconds int        `json:"durationSeconds,omitempty"` // 900 to 43200; 0 means 3600
}

// An InitialPassword serves for one login, which must replace it. It is answered this once.
type InitialPassword struct {
	User      string     `json:"user"`
	Password  SecretText `json:"password"`
	ExpiresAt time.Time  `json:"expiresAt"`
}

// A LoginProfile is how a user logs in.
type LoginProfile struct {
	User          string         `json:"user"`
	CanLogIn      bool           `json:"canLogIn"`       // there is a password
	SetAt         time.Time      `json:"setAt,omitzero"` // when the password was set
	Initial       bool           `json:"initial"`        // the password is one that the next login must replace
	HasMFA        bool           `json:"hasMFA"`
	MFAAt         time.Time      `json:"mfaAt,omitzero"` // when an authenticator app was set up
	Factors       []Factor       `json:"factors,omitempty"`
	RecoveryCodes int            `json:"recoveryCodes"` // that are left
	Sessions      []LoginSession `json:"sessions"`      // that are in force
}

// A LoginSession is a login that is in force.
type LoginSession struct {
	ID        string    `json:"id"`
	BegunAt   time.Time `json:"begunAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	Source    string    `json:"source,omitempty"` // address that it began from
	MFA       bool      `json:"mfa"`              // a second factor was proved

	Provider string `json:"provider,omitempty"` // identity provider that vouched for the user; none for a password
}

// An MFAEnrollment is the secret of an authenticator app. It is answered this once and has no
// effect until it is confirmed with a code.
type MFAEnrollment struct {
	Secret SecretText `json:"secret"` // as people type it into an authenticator app
	URI    SecretText `json:"uri"`    // as an app reads it from a QR code
}

// ConfirmMFARequest proves that the caller has the secret.
type ConfirmMFARequest struct {
	Code SecretText `json:"code"`
}

// RecoveryCodes each stand for a code of the second factor one time. They are answered this
// once, with the first of somebody's second factors; with others there are none.
type RecoveryCodes struct {
	Codes []SecretText `json:"codes"`
}
