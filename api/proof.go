package api

import "time"

// Where people who log in are asked to approve that with a security key, and where anybody
// who holds a proof asks what became of it. Requests are not signed: the password, and the
// proof, speak.
const (
	LoginProofPath = LoginPath + "/proof"
	ProofStatePath = LoginProofPath + "/state"
)

// A Proof is asked for where a security key is to be used: a person opens the URL in a
// browser, sees what is to be approved and uses the key. From then on the proof stands for a
// code, once, for what it was asked for.
type Proof struct {
	Proof     SecretText `json:"proof"`
	URL       string     `json:"url"`
	Code      string     `json:"code"` // which the page shows, too; if it shows another one, it is not this page
	ExpiresAt time.Time  `json:"expiresAt"`
	HasApp    bool       `json:"hasApp"` // a code of an authenticator app would do as well
}

// HeldProof is a proof that somebody holds.
type HeldProof struct {
	Proof SecretText `json:"proof"`
}

// The states of a proof. One that was used, or has expired, is not there.
const (
	ProofWaiting  = "waiting"
	ProofApproved = "approved"
	ProofRefused  = "refused" // by the person, on the page
)

// ProofState is what became of a proof.
type ProofState struct {
	State string `json:"state"`
}

// ProofRequest is the request that is to be approved, as it is going to be sent. The proof
// serves for no other, and for no other session.
type ProofRequest struct {
	Method string `json:"method"`
	Target string `json:"target"` // path and query: "/v1/keys/alias~reports/disable"
	Body   string `json:"body,omitempty"`
}

// AddSecurityKeyRequest names a security key that is to be registered.
type AddSecurityKeyRequest struct {
	Name string `json:"name"` // 1 to 64 letters, digits, dots, hyphens and underscores
}

// RemoveMFARequest says which second factor is taken away.
type RemoveMFARequest struct {
	Factor string `json:"factor,omitempty"` // "app", or the name of a security key; none for all of them
}

// The kinds of second factors.
const (
	AuthenticatorApp = "app"
	SecurityKey      = "key"
)

// A Factor is a second factor of somebody.
type Factor struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind"` // "app" or "key"
	AddedAt  time.Time `json:"addedAt"`
	UsedAt   time.Time `json:"usedAt,omitzero"`     // when a security key last approved something
	Host     string    `json:"belongsTo,omitempty"` // the server's name that a security key works at
	Eligible bool      `json:"eligible,omitempty"`  // its credential may be copied to other devices of the person's
	BackedUp bool      `json:"backedUp,omitempty"`  // and was
}

// Factors are somebody's second factors.
type Factors struct {
	Factors       []Factor `json:"factors"`
	RecoveryCodes int      `json:"recoveryCodes"` // that are left
}
