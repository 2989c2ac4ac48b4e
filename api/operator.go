package api

import "time"

// OperatorStatus is how a server stands, as its operator sees it.
type OperatorStatus struct {
	Initialized     bool   `json:"initialized"`
	Sealed          bool   `json:"sealed"`
	Version         string `json:"version"`         // release of the server
	Envelopes       int    `json:"envelopes"`       // ways to unseal it
	Node            string `json:"node"`            // its name, and that of its audit log
	AuditCheckpoint string `json:"auditCheckpoint"` // newest signed head of its audit log; empty while sealed
	PublicKey       string `json:"publicKey"`       // that the checkpoint is verified with; empty before initialisation

	RootEnvelopes  []RootEnvelope `json:"rootEnvelopes"`  // the ways to unseal it
	RecoveryTested bool           `json:"recoveryTested"` // a recovery envelope was opened at least once; false while sealed
	Epoch          int            `json:"epoch"`          // newest epoch of the keyring; 0 while sealed
	Rewrapping     bool           `json:"rewrapping"`     // something is yet to be wrapped under the newest epoch

	Witnesses []WitnessStatus `json:"witnesses"` // that cosign the audit log; empty while sealed

	Clock ClockStatus `json:"clock"`

	ScrubbedAt time.Time `json:"scrubbedAt,omitzero"` // when the newest scrub began; none while sealed and soon after
	Findings   int64     `json:"findings"`            // of that scrub; anything but 0 is an incident
}

// A ScrubReport is what a look at everything that the server keeps has found.
type ScrubReport struct {
	StartedAt    time.Time `json:"startedAt"`
	Milliseconds int64     `json:"milliseconds"` // that it took
	Rows         int64     `json:"rows"`         // that were looked at
	Records      int64     `json:"records"`      // of the audit logs, verified
	Findings     []Finding `json:"findings"`
	More         int64     `json:"more"` // findings beyond those
}

// A Finding is one thing that is not as keyward wrote it.
type Finding struct {
	Problem string `json:"problem"` // forged, stale, missing, unreadable, sealed, dangling, job or log
	Table   string `json:"table"`   // empty if it is about the file or a log
	ID      string `json:"id"`      // of the row, or the log
	Detail  string `json:"detail"`  // for whoever investigates
}

// A RootEnvelope is the root key as a passphrase, shares or a hardware token open it.
type RootEnvelope struct {
	Name      string     `json:"name"`
	Kind      string     `json:"kind"`                // "passphrase", "shamir" or "pkcs11"
	Recovery  bool       `json:"recovery"`            // meant for recovery only
	Threshold int        `json:"threshold,omitempty"` // shares that open it
	Shares    int        `json:"shares,omitempty"`    // that there are
	CreatedAt time.Time  `json:"createdAt"`
	TestedAt  *time.Time `json:"testedAt,omitempty"` // when it was last opened; absent while sealed
}

// HSMStatus is how the hardware token stands.
type HSMStatus struct {
	State    string     `json:"state"`              // "ready", "searching", "refused", or "away": the helper cannot be reached
	Detail   string     `json:"detail,omitempty"`   // what is wrong and what to do
	DetailZh string     `json:"detailZh,omitempty"` // Detail in Chinese
	Since    *time.Time `json:"since,omitempty"`    // when the state began
	Label    string     `json:"label,omitempty"`    // of the token
	Serial   string     `json:"serial,omitempty"`   // of the token
	Maker    string     `json:"maker,omitempty"`    // manufacturer and model
	Sessions int        `json:"sessions,omitempty"` // at once
	Lost     int        `json:"lost"`               // how often the token was lost since the helper began
	Offers   []HSMOffer `json:"offers"`             // key specs; empty unless it is ready
}

// An HSMOffer is a key spec that the token makes keys of, or why it does not.
type HSMOffer struct {
	Spec     string `json:"spec"`
	Reason   string `json:"reason,omitempty"`   // why not
	ReasonZh string `json:"reasonZh,omitempty"` // Reason in Chinese
}

// WitnessStatus is how one witness of the audit log stands.
type WitnessStatus struct {
	Name       string    `json:"name"`                // as its key names it
	URL        string    `json:"url"`                 // where it is asked
	Size       int64     `json:"size"`                // records of the newest checkpoint that it cosigned
	CosignedAt time.Time `json:"cosignedAt,omitzero"` // when it did, by its clock; missing for never
	Conflict   bool      `json:"conflict"`            // it has seen a history that this server's log does not continue
	Problem    string    `json:"problem,omitempty"`   // why the last attempt failed
}

// ClockStatus is how far a server believes its clock.
type ClockStatus struct {
	State         string `json:"state"`         // "steady", "settling" for ten minutes after a reboot, or "jumped"; empty while sealed
	OffsetSeconds int64  `json:"offsetSeconds"` // how far the clock is from what it should be
	ServedSeconds int64  `json:"servedSeconds"` // how long the service has served; deletions wait for it
}

// InitializeRequest initialises a server: it gets its root key and its first account.
type InitializeRequest struct {
	Passphrase SecretBytes `json:"passphrase,omitempty"` // unseals the server from now on
	Account    string      `json:"account"`              // name of the first account
	Shares     int         `json:"shares,omitempty"`     // instead of a passphrase: how many are made
	Threshold  int         `json:"threshold,omitempty"`  // how many of them unseal the server
	Recipients []string    `json:"recipients,omitempty"` // age recipients, one for each share; none: they are answered readable
	HSM        bool        `json:"hsm,omitempty"`        // or: the hardware token unseals the server
}

// UnsealRequest unseals a server.
type UnsealRequest struct {
	Passphrase SecretBytes `json:"passphrase"`
}

// CreateAccountRequest names a new account.
type CreateAccountRequest struct {
	Name string `json:"name"` // 1 to 64 letters, digits and . _ @ -
}

// A FoundedAccount is a new account with the access key that opens it. The secret is
// answered this once.
type FoundedAccount struct {
	AccountID       string     `json:"accountId"`
	UserName        string     `json:"userName"`
	AccessKeyID     string     `json:"accessKeyId"`
	AccessKeySecret SecretText `json:"accessKeySecret"`
	Shares          []Delivery `json:"shares,omitempty"` // of the root key, if it has any
}

// A Delivery is a share of the root key, or a recovery code, on its way to its holder.
// It is answered this once.
type Delivery struct {
	Share     int        `json:"share,omitempty"`     // its index; absent for a recovery code
	Recipient string     `json:"recipient,omitempty"` // that the text is sealed to; absent if it is readable
	Text      SecretText `json:"text"`                // the share, or an armored age file that holds it
}

// RootKeyRequest opens the root key for an act: with a passphrase, with the hardware token,
// or with one share, which begins a session or adds to one. The act and what belongs to it are fixed when
// the session begins; later requests repeat the act only.
type RootKeyRequest struct {
	Act        string      `json:"act"`                  // "unseal", "test", "add", "remove" or "epoch"
	Session    SecretText  `json:"session,omitempty"`    // to add a share to
	Passphrase SecretBytes `json:"passphrase,omitempty"` // either
	Share      SecretText  `json:"share,omitempty"`      // or
	HSM        bool        `json:"hsm,omitempty"`        // or

	Name           string      `json:"name,omitempty"`           // add, remove: of the envelope
	AcceptUntested bool        `json:"acceptUntested,omitempty"` // remove: although no other envelope was ever opened
	Recovery       bool        `json:"recovery,omitempty"`       // add: it is meant for recovery only
	NewPassphrase  SecretBytes `json:"newPassphrase,omitempty"`  // add: what opens it
	Shares         int         `json:"shares,omitempty"`         // add: or how many shares are made
	Threshold      int         `json:"threshold,omitempty"`      // add: and how many open it
	Recipients     []string    `json:"recipients,omitempty"`     // add: age recipients of the shares, or of a recovery code
	NewHSM         bool        `json:"newHsm,omitempty"`         // add: or the hardware token opens it
}

// RootKeySessionRequest names a session.
type RootKeySessionRequest struct {
	Session SecretText `json:"session"`
}

// A RootKeySession is how the opening of the root key stands, and what it is for.
type RootKeySession struct {
	Session    SecretText `json:"session,omitempty"` // tell it to the other holders, and nobody else
	Act        string     `json:"act"`
	Envelope   string     `json:"envelope,omitempty"`  // that the shares open
	Threshold  int        `json:"threshold,omitempty"` // how many shares are needed
	Given      []int      `json:"given,omitempty"`     // indices of the shares that were given
	Complete   bool       `json:"complete"`            // the act is done
	EndsAt     *time.Time `json:"endsAt,omitempty"`    // unless another share comes
	Deliveries []Delivery `json:"deliveries,omitempty"`

	Name           string   `json:"name,omitempty"`           // as RootKeyRequest has them
	AcceptUntested bool     `json:"acceptUntested,omitempty"` //
	Recovery       bool     `json:"recovery,omitempty"`       //
	NewShares      int      `json:"newShares,omitempty"`      //
	NewThreshold   int      `json:"newThreshold,omitempty"`   //
	Recipients     []string `json:"recipients,omitempty"`     //
	NewHSM         bool     `json:"newHsm,omitempty"`         //
}

// An Account is a tenant.
type Account struct {
	ID        string    `json:"id"` // 16 decimal digits
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

// An AccountList is one page of accounts, by id.
type AccountList struct {
	Accounts []Account `json:"accounts"`
	Next     string    `json:"next,omitempty"`
}
