package api

import "time"

// A User is somebody, or some program, of an account.
type User struct {
	Name      string    `json:"name"`
	ARN       string    `json:"arn"`
	Kind      string    `json:"kind"` // "root" or "user"
	Remark    string    `json:"remark"`
	Enabled   bool      `json:"enabled"`
	Policies  []string  `json:"policies"` // names of the attached policies
	CreatedAt time.Time `json:"createdAt"`
}

// CreateUserRequest says what a new user is called.
type CreateUserRequest struct {
	Name   string `json:"name"` // 1 to 64 letters, digits and . _ @ -
	Remark string `json:"remark,omitempty"`
}

// UpdateUserRequest says what to change of a user.
type UpdateUserRequest struct {
	Remark  *string `json:"remark,omitempty"`
	Enabled *bool   `json:"enabled,omitempty"` // a disabled user's access keys are refused
}

// A UserList is one page of users, by name.
type UserList struct {
	Users []User `json:"users"`
	Next  string `json:"next,omitempty"`
}

// An AccessKey lets a program sign requests as its user. Its secret is not part of it.
type AccessKey struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Enabled   bool      `json:"enabled"`
	Remark    string    `json:"remark"`
	CreatedAt time.Time `json:"createdAt"`
	ResetAt   time.Time `json:"resetAt,omitzero"`   // when the secret was last replaced
	ExpiresAt time.Time `json:"expiresAt,omitzero"` // from then on it is refused
	LastUse   *LastUse  `json:"lastUse,omitempty"`  // absent if it was never used, and where a request changed the key
}

// LastUse is when, from where and for what an access key was last used.
type LastUse struct {
	At     time.Time `json:"at"`
	Source string    `json:"source"` // IP address
	Action string    `json:"action"` // as policies name it: "kms:Encrypt"
}

// CreateAccessKeyRequest says what an access key is to be like.
type CreateAccessKeyRequest struct {
	Remark    string    `json:"remark,omitempty"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"` // left out for never
}

// An IssuedAccessKey is an access key with its secret, which is answered this once.
type IssuedAccessKey struct {
	AccessKey AccessKey  `json:"accessKey"`
	Secret    SecretText `json:"secret"`
}

// UpdateAccessKeyRequest says what to change of an access key.
type UpdateAccessKeyRequest struct {
	Enabled      *bool      `json:"enabled,omitempty"`
	Remark       *string    `json:"remark,omitempty"`
	ExpiresAt    *time.Time `json:"expiresAt,omitempty"`
	NeverExpires bool       `json:"neverExpires,omitempty"` // removes the expiry
}

// ListAccessKeysRequest chooses access keys.
type ListAccessKeysRequest struct {
	User   string `json:"user,omitempty"`   // of this user; left out for all of the account
	Limit  int    `json:"limit,omitempty"`  // access keys at most, 1 to 100; 0 means 100
	Cursor string `json:"cursor,omitempty"` // Next of the page before
}

// An AccessKeyList is one page of access keys, by id.
type AccessKeyList struct {
	AccessKeys []AccessKey `json:"accessKeys"`
	Next       string      `json:"next,omitempty"`
}

// A Policy is a document in the RAM policy language that can be attached to users.
type Policy struct {
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Document    string    `json:"document"` // JSON, as it was sent
	System      bool      `json:"system"`   // every account has it and nobody can change it
	CreatedAt   time.Time `json:"createdAt,omitzero"`
	UpdatedAt   time.Time `json:"updatedAt,omitzero"`
}

// CreatePolicyRequest says what a custom policy is to be like.
type CreatePolicyRequest struct {
	Name        string `json:"name"` // 1 to 128 letters, digits and -
	Description string `json:"description,omitempty"`
	Document    string `json:"document"` // JSON
}

// UpdatePolicyRequest says what to change of a custom policy.
type UpdatePolicyRequest struct {
	Description *string `json:"description,omitempty"`
	Document    *string `json:"document,omitempty"` // JSON
}

// A PolicyList is one page of policies, system ones too, by name.
type PolicyList struct {
	Policies []Policy `json:"policies"`
	Next     string   `json:"next,omitempty"`
}

// SimulatePolicyRequest asks what a user may do. What is left out is not known to the
// policies' conditions, but for the time, which is now.
type SimulatePolicyRequest struct {
	User       string            `json:"user"`
	Action     string            `json:"action"`               // such as "kms:Encrypt"
	Resource   string            `json:"resource"`             // its full name, "acs:kms:…"; of a key, an alias too
	Source     string            `json:"source,omitempty"`     // IP address
	Time       time.Time         `json:"time,omitzero"`        // when the request would be made
	Insecure   bool              `json:"insecure,omitempty"`   // not over TLS
	Attributes map[string]string `json:"attributes,omitempty"` // further condition keys, such as "kms:EncryptionContext:app"
}

// A Simulation is what would be decided, and why.
type Simulation struct {
	Allowed    bool                 `json:"allowed"`
	Reason     string               `json:"reason"`              // as the audit log keeps it
	Policy     string               `json:"policy,omitempty"`    // the policy that settled it; "resource policy" for that of the resource
	Statement  string               `json:"statement,omitempty"` // its Sid, or its number counted from 1
	Resource   string               `json:"resource"`            // the key, where an alias was named
	Statements []SimulatedStatement `json:"statements"`          // all that were asked, in this order
}

// A SimulatedStatement is what one statement makes of the question.
type SimulatedStatement struct {
	Policy    string `json:"policy"`
	Statement string `json:"statement"`
	Effect    string `json:"effect"` // "Allow" or "Deny"
	Applies   bool   `json:"applies"`
	Miss      string `json:"miss,omitempty"`      // why it does not apply: "principal", "delegated", "action", "reserved", "resource", "account" or "condition"
	Condition string `json:"condition,omitempty"` // operator and key of the condition that does not hold
}
