package api

import "time"

// An ApprovalRule is what an account wants approved by others before it is done.
type ApprovalRule struct {
	Name           string    `json:"name"`
	Need           int       `json:"need"`      // how many must approve
	Approvers      []string  `json:"approvers"` // names of users
	Actions        []string  `json:"actions"`   // patterns, as in policies
	Resources      []string  `json:"resources"` // patterns, as in policies
	Exempt         []string  `json:"exempt"`    // user/NAME and role/NAME, whom it does not bind
	Life           string    `json:"life"`      // of an approval request: "24h"
	SuspendedUntil time.Time `json:"suspendedUntil,omitzero"`
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt"`
}

// SetApprovalRuleRequest says what a rule is to be like.
type SetApprovalRuleRequest struct {
	Need      int      `json:"need"`
	Approvers []string `json:"approvers"`
	Actions   []string `json:"actions"`             // of dangerous actions
	Resources []string `json:"resources,omitempty"` // left out for all
	Exempt    []string `json:"exempt,omitempty"`
	Life      string   `json:"life,omitempty"` // "5m" to "7d"; left out it is 24 hours
}

// An ApprovalRuleList is the rules of an account, by name.
type ApprovalRuleList struct {
	Rules []ApprovalRule `json:"rules"`
}

// An Approval is a request that waits, or waited, for the approval of others.
type Approval struct {
	ID        string          `json:"id"`
	State     string          `json:"state"`     // "open", "approved", "used", "rejected", "lapsed", "void"
	Requester string          `json:"requester"` // ARN of the user or the role
	Behind    string          `json:"behind"`    // ARN of the user whom a session of the requester came of
	Action    string          `json:"action"`
	Resource  string          `json:"resource"`         // ARN
	Also      []ApprovalPart  `json:"also"`             // what the request does besides
	Reason    string          `json:"reason,omitempty"` // the requester's
	Params    []ApprovalParam `json:"params"`           // what the request says; only what is no secret
	Source    string          `json:"source,omitempty"`
	Wants     []ApprovalWant  `json:"wants"`
	Approvals []ApprovalVote  `json:"approvals"` // those that count
	CreatedAt time.Time       `json:"createdAt"`
	ExpiresAt time.Time       `json:"expiresAt"`
	EndedAt   time.Time       `json:"endedAt,omitzero"` // when it was used or rejected
	EndedBy   string          `json:"endedBy,omitempty"`
}

// An ApprovalPart is something that a request does on one resource.
type ApprovalPart struct {
	Action   string `json:"action"`
	Resource string `json:"resource"` // ARN
}

// An ApprovalParam is a parameter of a request, for people.
type ApprovalParam struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// An ApprovalWant is what one rule asks for.
type ApprovalWant struct {
	Rule      string   `json:"rule"`
	Need      int      `json:"need"`
	Approvers []string `json:"approvers"`
	Missing   int      `json:"missing"` // approvals that are still wanted
}

// An ApprovalVote is one approval.
type ApprovalVote struct {
	User   string    `json:"user"`
	At     time.Time `json:"at"`
	Source string    `json:"source,omitempty"`
}

// ListApprovalsRequest chooses approval requests.
type ListApprovalsRequest struct {
	All bool `json:"all,omitempty"` // those that have ended, too
}

// An ApprovalList is approval requests, the newest first, a hundred at most.
type ApprovalList struct {
	Approvals []Approval `json:"approvals"`
}

// SuspendApprovalRuleRequest is the operator's: it has a rule demand nothing for a while.
type SuspendApprovalRuleRequest struct {
	Account string `json:"account"` // id
	Rule    string `json:"rule"`
	For     string `json:"for,omitempty"` // "24h" at most; left out the rule is in force again at once
}

// A SuspendedApprovalRule says until when a rule demands nothing.
type SuspendedApprovalRule struct {
	Name           string    `json:"name"`
	SuspendedUntil time.Time `json:"suspendedUntil,omitzero"`
}
