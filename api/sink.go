package api

import "time"

// A Sink is a place at another keeper of secrets to which secrets are copied.
type Sink struct {
	Name        string            `json:"name"`
	ARN         string            `json:"arn"`
	Kind        string            `json:"kind"`     // "vault", which also serves OpenBao
	Settings    map[string]string `json:"settings"` // without the credential
	Secrets     []string          `json:"secrets"`  // names; one that ends in * stands for all that begin so
	TagKeys     []string          `json:"tagKeys"`  // secrets with one of these tags are copied, too
	OverwriteAt time.Time         `json:"overwriteAt,omitzero"`
	CreatedAt   time.Time         `json:"createdAt"`
}

// AddSinkRequest adds a sink. Give names of secrets, tag keys, or both.
type AddSinkRequest struct {
	Name       string                `json:"name"` // lower-case letters, digits and hyphens, at most 63
	Kind       string                `json:"kind"` // "vault"
	Settings   map[string]string     `json:"settings"`
	Credential map[string]SecretText `json:"credential"`
	Secrets    []string              `json:"secrets,omitempty"`
	TagKeys    []string              `json:"tagKeys,omitempty"`
}

// UpdateSinkRequest says what to change of a sink.
type UpdateSinkRequest struct {
	Connection *SinkConnection `json:"connection,omitempty"` // settings and credential, both anew
	Secrets    *[]string       `json:"secrets,omitempty"`    // all of them
	TagKeys    *[]string       `json:"tagKeys,omitempty"`    // all of them
}

// A SinkConnection is where a sink is, and what it is entered with.
type SinkConnection struct {
	Settings   map[string]string     `json:"settings"`
	Credential map[string]SecretText `json:"credential"`
}

// A SinkList is all sinks of the account, by name.
type SinkList struct {
	Sinks []Sink `json:"sinks"`
}

// A SinkStatus is a sink with one page of its copies, by the names of their secrets.
type SinkStatus struct {
	Sink   Sink         `json:"sink"`
	Copies []SecretCopy `json:"copies"`
	Total  int          `json:"total"` // copies, on all pages
	Next   string       `json:"next,omitempty"`
}

// A SecretCopy is how one secret stands at a sink.
type SecretCopy struct {
	Secret   string    `json:"secret"`
	Status   string    `json:"status"`            // "synced", "pending", "failed" or "drifted": somebody changed it there
	Version  string    `json:"version,omitempty"` // id of the version that is there, or that is being written
	Remote   int       `json:"remote,omitempty"`  // number of the version there
	At       time.Time `json:"at,omitzero"`       // of the last change of the status
	SyncedAt time.Time `json:"syncedAt,omitzero"` // when it was last made right, or found to be
	Failures int       `json:"failures,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// SyncSinkRequest has a sink looked at now.
type SyncSinkRequest struct {
	Overwrite bool `json:"overwrite,omitempty"` // also write over what somebody changed there
}
