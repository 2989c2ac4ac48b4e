package api

import "time"

// ListAuditRecordsRequest chooses audit records of the caller's account. What is left
// out chooses everything.
type ListAuditRecordsRequest struct {
	Action    string    `json:"action,omitempty"`    // as policies name it: "kms:Encrypt", in any case; "kms:*" is all that begin so
	Resource  string    `json:"resource,omitempty"`  // ARN, or a part of it
	Principal string    `json:"principal,omitempty"` // ARN, or a part of it
	AccessKey string    `json:"accessKey,omitempty"` // id
	Result    string    `json:"result,omitempty"`    // "OK" or the code of a Problem
	RequestID string    `json:"requestId,omitempty"` //
	From      time.Time `json:"from,omitzero"`       // inclusive
	To        time.Time `json:"to,omitzero"`         // exclusive
	Oldest    bool      `json:"oldest,omitempty"`    // oldest first; otherwise newest first
	Limit     int       `json:"limit,omitempty"`     // records at most, 1 to 1,000; 0 means 100
	Cursor    string    `json:"cursor,omitempty"`    // Next of the answer before, to the same question
}

// An AuditRecord is what the audit log keeps of one operation. Log and Seq name it.
type AuditRecord struct {
	Log       string            `json:"log"`
	Seq       int64             `json:"seq"`
	Time      time.Time         `json:"time"`
	RequestID string            `json:"requestId,omitempty"`
	Account   string            `json:"account,omitempty"`
	Principal string            `json:"principal,omitempty"` // ARN
	AccessKey string            `json:"accessKey,omitempty"` // id
	Scheme    string            `json:"scheme,omitempty"`    // how the caller was authenticated
	Source    string            `json:"source,omitempty"`    // IP address
	UserAgent string            `json:"userAgent,omitempty"`
	Action    string            `json:"action"`
	Resource  string            `json:"resource,omitempty"` // ARN
	Version   string            `json:"version,omitempty"`  // key version that did the work
	Params    map[string]string `json:"params,omitempty"`
	Decision  string            `json:"decision,omitempty"` // what allowed or denied it
	Result    string            `json:"result"`             // "OK" or the code of a Problem
}

// An AuditRecordList is one page of audit records. A page may be empty and still have a
// Next: the server looks at a bounded number of records for each answer.
type AuditRecordList struct {
	Records []AuditRecord `json:"records"`
	Next    string        `json:"next,omitempty"` // Cursor to go on with; empty at the end
}

// An AuditLog is the identity and the newest signed head of one node's log.
type AuditLog struct {
	Origin     string    `json:"origin"`     // its name
	PublicKey  string    `json:"publicKey"`  // note verifier key, golang.org/x/mod/sumdb/note
	CreatedAt  time.Time `json:"createdAt"`  // when its first record was written
	Size       int64     `json:"size"`       // records
	Checkpoint string    `json:"checkpoint"` // c2sp.org/tlog-checkpoint; empty for an empty log
}

// AuditLogList has all logs of the server's store, by name.
type AuditLogList struct {
	Logs []AuditLog `json:"logs"`
}

// AuditProofRequest names an audit record.
type AuditProofRequest struct {
	Log string `json:"log"`
	Seq int64  `json:"seq"`
}

// An AuditProof shows that a log holds a record. It is checked offline with the log's
// public key: keyward audit prove --check.
type AuditProof struct {
	Proof string `json:"proof"` // c2sp.org/tlog-proof@v1, with the record in it
}
