package api

import "time"

// A Secret is a named value that changes, without the value.
type Secret struct {
	Name        string            `json:"name"`
	ARN         string            `json:"arn"`
	Description string            `json:"description"`
	Key         string            `json:"key"`     // id of the key that the next version will be encrypted with
	Creator     string            `json:"creator"` // ARN
	CreatedAt   time.Time         `json:"createdAt"`
	UpdatedAt   time.Time         `json:"updatedAt"`
	DeleteAt    time.Time         `json:"deleteAt,omitzero"` // while deletion is pending: never before
	Versions    int               `json:"versions"`          // how many there are
	Stages      map[string]string `json:"stages"`            // the version that each stage stands on
	Tags        map[string]string `json:"tags"`
}

// CreateSecretRequest makes a secret with its first value.
type CreateSecretRequest struct {
	Name        string            `json:"name"` // 1 to 192 letters, digits and / _ + = . @ -
	Value       SecretBytes       `json:"value"`
	Type        string            `json:"type,omitempty"`    // "text" (default) or "binary"
	Version     string            `json:"version,omitempty"` // id of the version; left out for a random one
	Key         string            `json:"key,omitempty"`     // id, alias or ARN; left out for the account's default key for secrets
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"` // at most 20
}

// PutSecretRequest adds a version with a new value.
type PutSecretRequest struct {
	Value   SecretBytes `json:"value"`             // 1 to 30,720 bytes
	Type    string      `json:"type,omitempty"`    // "text" (default) or "binary"
	Version string      `json:"version,omitempty"` // id of the version: with the same one the request may be repeated
	Stages  []string    `json:"stages,omitempty"`  // that move to the version; left out for "ACSCurrent"
}

// GetSecretRequest chooses a value; with neither member it is the current one.
type GetSecretRequest struct {
	Version string `json:"version,omitempty"` // id
	Stage   string `json:"stage,omitempty"`
}

// A SecretValue is one value of a secret, in the clear.
type SecretValue struct {
	Name    string        `json:"name"`
	Version SecretVersion `json:"version"`
	Value   SecretBytes   `json:"value"`
}

// A SecretPolicy says who may do what with a secret, beside what identity policies say.
type SecretPolicy struct {
	Document string `json:"document"` // empty for the default: identity policies decide
}

// RandomPasswordRequest asks for a password with at least one small letter, capital, digit and punctuation mark, unless it says
// otherwise.
type RandomPasswordRequest struct {
	Length        int    `json:"length,omitempty"`        // 8 to 128 characters; 0 means 32
	Exclude       string `json:"exclude,omitempty"`       // characters that do not occur
	NoLower       bool   `json:"noLower,omitempty"`       // small letters do not occur
	NoUpper       bool   `json:"noUpper,omitempty"`       // capitals do not
	NoDigits      bool   `json:"noDigits,omitempty"`      // digits do not
	NoPunctuation bool   `json:"noPunctuation,omitempty"` // punctuation marks do not
	Any           bool   `json:"any,omitempty"`           // not each kind of character that may occur must
}

// A RandomPassword is a password, each that fits the request being as likely as any other. The server keeps nothing of it.
type RandomPassword struct {
	Password SecretText `json:"password"`
}

// A SecretVersion is one version of a secret without its value.
type SecretVersion struct {
	ID        string    `json:"id"`
	Number    int       `json:"number"` // 1 for the first
	Type      string    `json:"type"`   // "text" or "binary"
	Stages    []string  `json:"stages"`
	Key       string    `json:"key"` // id of the key that protects it
	CreatedAt time.Time `json:"createdAt"`
}

// A SecretVersionList is one page of a secret's versions, newest first.
type SecretVersionList struct {
	Versions []SecretVersion `json:"versions"`
	Total    int             `json:"total"`
	Next     string          `json:"next,omitempty"`
}

// ListSecretsRequest chooses secrets that fit all of its members. In a list one entry
// must fit.
type ListSecretsRequest struct {
	Limit      int      `json:"limit,omitempty"`      // secrets at most, 1 to 100; 0 means 100
	Cursor     string   `json:"cursor,omitempty"`     // Next of the page before, asked for with the same limit
	Names      []string `json:"names,omitempty"`      //
	StartsWith string   `json:"startsWith,omitempty"` // beginning of the name
	TagKeys    []string `json:"tagKeys,omitempty"`    //
	TagValues  []string `json:"tagValues,omitempty"`  //
	Deleting   bool     `json:"deleting,omitempty"`   // only those that are about to be deleted
}

// A SecretList is one page of secrets, by name.
type SecretList struct {
	Secrets []Secret `json:"secrets"`
	Total   int      `json:"total"` // secrets that match, on all pages
	Next    string   `json:"next,omitempty"`
}

// UpdateSecretRequest changes a secret; what is left out stays as it is.
type UpdateSecretRequest struct {
	Description *string `json:"description,omitempty"`
	Key         *string `json:"key,omitempty"` // id, alias or ARN of the key for versions to come
}

// RollbackSecretRequest makes an older version current again.
type RollbackSecretRequest struct {
	Version string `json:"version,omitempty"` // id; left out for the previous version
}

// MoveStageRequest moves a stage of a secret.
type MoveStageRequest struct {
	From string `json:"from,omitempty"` // id of the version on which it must stand now; left out for any
	To   string `json:"to,omitempty"`   // id of the version on which it will stand; left out to take it away
}

// DeleteSecretRequest deletes a secret.
type DeleteSecretRequest struct {
	Days  int  `json:"days,omitempty"`  // 7 to 30, in which it can be restored; 0 means 30
	Force bool `json:"force,omitempty"` // delete it now, for ever
}

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
	Error    string    `json:"error,omitempty"`   // why the last attempt failed, or what somebody changed there
	ErrorZh  string    `json:"errorZh,omitempty"` // Error in Chinese
}

// SyncSinkRequest has a sink looked at now.
type SyncSinkRequest struct {
	Overwrite bool `json:"overwrite,omitempty"` // also write over what somebody changed there
}
