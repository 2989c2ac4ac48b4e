package api

import "time"

// A TargetKind is one kind of place at which the server itself delivers secrets.
type TargetKind struct {
	Name     string  `json:"name"` // "kubernetes" or "edge"
	Settings []Field `json:"settings"`
	Parts    []Field `json:"parts"` // of the credential
}

// A TargetKindList is all kinds of targets.
type TargetKindList struct {
	Kinds []TargetKind `json:"kinds"`
}

// A Target is how a node is reached for which the server speaks. The node has its name.
type Target struct {
	Name      string            `json:"name"`
	ARN       string            `json:"arn"`
	Kind      string            `json:"kind"`
	Settings  map[string]string `json:"settings"`  // without the credential
	Overwrite bool              `json:"overwrite"` // what somebody changed there is overwritten the next time
	CreatedAt time.Time         `json:"createdAt"`
}

// AddTargetRequest makes a target and its node, after the place has accepted the credential.
type AddTargetRequest struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	Labels     map[string]string `json:"labels,omitempty"` // of the node
	Connection Connection        `json:"connection"`
}

// A TargetList is all targets of the account, by name.
type TargetList struct {
	Targets []Target `json:"targets"`
}

// UpdateTargetRequest gives a target other settings and a credential, all anew.
type UpdateTargetRequest struct {
	Connection Connection `json:"connection"`
}

// SyncTargetRequest has a target looked at now.
type SyncTargetRequest struct {
	Overwrite bool `json:"overwrite,omitempty"` // also write over what somebody changed there
}
