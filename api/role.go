package api

import "time"

// A Role is a set of permissions that is acted with for a while.
type Role struct {
	Name              string    `json:"name"`
	ARN               string    `json:"arn"`
	ID                string    `json:"id"` // a later role of the same name has another one
	Description       string    `json:"description"`
	TrustPolicy       string    `json:"trustPolicy"` // in the RAM policy language: who may act as the role
	Policies          []string  `json:"policies"`    // names of the attached policies
	MaxSessionSeconds int       `json:"maxSessionSeconds"`
	CreatedAt         time.Time `json:"createdAt"`
	UpdatedAt         time.Time `json:"updatedAt"`
}

// CreateRoleRequest says what a new role is to be like.
type CreateRoleRequest struct {
	Name              string `json:"name"` // 1 to 64 letters, digits and . _ -
	Description       string `json:"description,omitempty"`
	TrustPolicy       string `json:"trustPolicy"`
	MaxSessionSeconds int    `json:"maxSessionSeconds,omitempty"` // 3600 to 43200; 0 means 3600
}

// UpdateRoleRequest says what to change of a role. A new trust policy ends all of the
// role's sessions.
type UpdateRoleRequest struct {
	Description       *string `json:"description,omitempty"`
	TrustPolicy       *string `json:"trustPolicy,omitempty"`
	MaxSessionSeconds *int    `json:"maxSessionSeconds,omitempty"`
}

// A RoleList is one page of roles, by name.
type RoleList struct {
	Roles []Role `json:"roles"`
	Next  string `json:"next,omitempty"`
}

// AssumeRoleRequest says which role to act as, and how.
type AssumeRoleRequest struct {
	Role            string `json:"role"`                      // its ARN, or the name of one of the own account
	SessionName     string `json:"sessionName"`               // 2 to 64 letters, digits and . @ _ -; policies and records name it
	DurationSeconds int    `json:"durationSeconds,omitempty"` // 900 to what the role allows; 0 means 3600
	Policy          string `json:"policy,omitempty"`          // narrows what the session may do; at most 2,048 bytes
	ExternalID      string `json:"externalId,omitempty"`      // what the trust policy asks for
}

// FederateRequest says what a session of the calling user is to be like.
type FederateRequest struct {
	SessionName     string `json:"sessionName"`
	DurationSeconds int    `json:"durationSeconds,omitempty"` // 900 to 43200; 0 means 3600
	Policy          string `json:"policy,omitempty"`          // narrows what the session may do; at most 2,048 bytes
}

// TemporaryCredentials sign requests until they expire, or until what they came of changes.
// They are answered this once.
type TemporaryCredentials struct {
	AccessKeyID   string     `json:"accessKeyId"`
	Secret        SecretText `json:"secret"`
	SecurityToken SecretText `json:"securityToken"` // goes with every request
	ARN           string     `json:"arn"`           // of whom they stand for
	ExpiresAt     time.Time  `json:"expiresAt"`
}
