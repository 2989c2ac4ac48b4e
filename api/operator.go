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

// InitializeRequest initialises a server: it gets its root key and its first account.
type InitializeRequest struct {
	Passphrase SecretBytes `json:"passphrase"` // unseals the server from now on
	Account    string      `json:"account"`    // name of the first account
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
