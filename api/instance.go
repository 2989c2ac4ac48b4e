package api

import "time"

// An Instance is a place for keys, whose class says where their material lives.
type Instance struct {
	ID         string            `json:"id"` // "kst-…"
	ARN        string            `json:"arn"`
	Name       string            `json:"name"`
	Class      string            `json:"class"`                // "software", "hardware" or "external"
	Settings   map[string]string `json:"settings,omitempty"`   // of the connection to an external manager, without its credential
	Account    string            `json:"account"`              // that it belongs to: another one's if that shares it
	SharedWith []string          `json:"sharedWith,omitempty"` // accounts that may make keys in it; not told to them
	CreatedAt  time.Time         `json:"createdAt"`
}

// An InstanceStatus is an instance and how it stands now.
type InstanceStatus struct {
	Instance Instance `json:"instance"`
	Keys     int      `json:"keys"`              // how many it has, those that are being deleted included
	Trouble  string   `json:"trouble,omitempty"` // why its keys cannot be used now; left out if they can
	Guests   int      `json:"guests"`            // other accounts that are let in, to the instance or to a key in it, or were until a while ago
	Quota    int      `json:"quota"`             // how many may be; both are 0 for an account with which it is shared
}

// CreateInstanceRequest makes an instance without keys.
type CreateInstanceRequest struct {
	Name       string      `json:"name"`                 // unique in the account
	Class      string      `json:"class"`                // "software", "hardware" or "external"
	Connection *Connection `json:"connection,omitempty"` // to the external manager, which must answer
}

// ConnectInstanceRequest gives an external instance another connection.
type ConnectInstanceRequest struct {
	Connection Connection `json:"connection"` // all of it
}

// An InstanceList is all instances of the account, by name.
type InstanceList struct {
	Instances []Instance `json:"instances"`
}
