package api

import "time"

// A NodeToken is what machines join with, without its text.
type NodeToken struct {
	ID        string            `json:"id"`
	Node      string            `json:"node,omitempty"` // name that the node gets; absent if each chooses its own
	Labels    map[string]string `json:"labels"`         // that the nodes get
	Uses      int               `json:"uses"`           // that are left
	ExpiresAt time.Time         `json:"expiresAt"`
	CreatedAt time.Time         `json:"createdAt"`
}

// CreateNodeTokenRequest makes a token.
type CreateNodeTokenRequest struct {
	Node   string            `json:"node,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Uses   int               `json:"uses,omitempty"` // 1 to 10,000; 0 means 1
	Life   string            `json:"life,omitempty"` // "7d" at most; left out it is an hour
}

// An IssuedNodeToken is a new token with its text, which is never shown again.
type IssuedNodeToken struct {
	Info  NodeToken  `json:"info"`
	Token SecretText `json:"token"`
}

// A NodeTokenList is the tokens of the account that can still be used, the newest first.
type NodeTokenList struct {
	Tokens []NodeToken `json:"tokens"`
}

// A Node is a machine, a pod or a site at the edge that holds secrets.
type Node struct {
	Name     string            `json:"name"`
	ARN      string            `json:"arn"`
	Kind     string            `json:"kind"`  // "agent", or the kind of its target
	State    string            `json:"state"` // "live", "lost" or "drained"
	Labels   map[string]string `json:"labels"`
	JoinedAt time.Time         `json:"joinedAt"`
	SeenAt   time.Time         `json:"seenAt,omitzero"` // when it last said something
	Agent    string            `json:"agent,omitempty"` // version of the agent
	Skew     string            `json:"skew,omitempty"`  // of its clock from the server's: "1.5s"
	Trouble  string            `json:"trouble,omitempty"`
}

// ListNodesRequest chooses nodes that fit all of its members.
type ListNodesRequest struct {
	Labels []string `json:"labels,omitempty"` // all of these: "tier" for any value, "tier=web"
	State  string   `json:"state,omitempty"`  // "live", "lost" or "drained"
	Limit  int      `json:"limit,omitempty"`  // nodes at most, 1 to 100; 0 means 100
	Cursor string   `json:"cursor,omitempty"` // Next of the page before, asked for with the same limit
}

// A NodeList is one page of nodes, by name.
type NodeList struct {
	Nodes []Node `json:"nodes"`
	Total int    `json:"total"` // nodes that fit, on all pages
	Next  string `json:"next,omitempty"`
}

// A NodeStatus is a node with what it has of each rollout that it is a member of.
type NodeStatus struct {
	Node     Node            `json:"node"`
	Rollouts []RolloutMember `json:"rollouts"`
}

// LabelNodeRequest replaces the labels of a node.
type LabelNodeRequest struct {
	Labels map[string]string `json:"labels"`
}

// A Rollout delivers one secret to nodes, wave by wave.
type Rollout struct {
	Name      string            `json:"name"`
	ARN       string            `json:"arn"`
	Secret    string            `json:"secret"`          // name
	Members   map[string]string `json:"members"`         // labels that its nodes have; empty for all nodes
	Waves     []RolloutWave     `json:"waves"`           // in order; the last one takes every member that no other took
	Level     string            `json:"level"`           // that counts as having a generation: "used" or "applied"
	Owner     string            `json:"owner,omitempty"` // the rotation that publishes to it now
	CreatedAt time.Time         `json:"createdAt"`
	ChangedAt time.Time         `json:"changedAt"`
}

// A RolloutWave is a part of a rollout's members that gets a generation together.
type RolloutWave struct {
	Name    string            `json:"name"`
	Labels  map[string]string `json:"labels,omitempty"`  // that its nodes have
	Percent int               `json:"percent,omitempty"` // of the nodes with these labels, 1 to 99; absent for all
	Now     *Generation       `json:"now,omitempty"`     // what its nodes are to have; only in answers
}

// A Generation is what nodes are to have.
type Generation struct {
	Number   int64  `json:"number"`
	Primary  string `json:"primary"` // version of the secret
	Fallback string `json:"fallback,omitempty"`
}

// CreateRolloutRequest makes a rollout and publishes the secret's current version to it.
type CreateRolloutRequest struct {
	Name    string            `json:"name"`
	Secret  string            `json:"secret"`
	Members map[string]string `json:"members,omitempty"`
	Waves   []RolloutWave     `json:"waves,omitempty"` // left out: one wave of all members
	Level   string            `json:"level,omitempty"` // left out: "used"
}

// UpdateRolloutRequest changes a rollout. A wave keeps its generation by its name.
type UpdateRolloutRequest struct {
	Members map[string]string `json:"members,omitempty"`
	Waves   []RolloutWave     `json:"waves,omitempty"`
	Level   string            `json:"level,omitempty"`
}

// A RolloutList is all rollouts of the account, by name.
type RolloutList struct {
	Rollouts []Rollout `json:"rollouts"`
}

// PublishRolloutRequest publishes a version to all waves at once.
type PublishRolloutRequest struct {
	Version string `json:"version,omitempty"` // of the secret; left out for the current one
}

// A RolloutCoverage is how a rollout stands, with one page of its members, by name.
type RolloutCoverage struct {
	Rollout Rollout         `json:"rollout"`
	Waves   []WaveCoverage  `json:"waves"`
	Members []RolloutMember `json:"members"`
	Total   int             `json:"total"` // members, on all pages
	Next    string          `json:"next,omitempty"`
}

// A WaveCoverage is how the members of a wave stand.
type WaveCoverage struct {
	Wave      string    `json:"wave"`
	Members   int       `json:"members"`
	There     int       `json:"there"`               // that reached the rollout's level with their generation
	Behind    []string  `json:"behind"`              // names of some others
	Lost      int       `json:"lost,omitempty"`      // of the others those that are silent
	LastAck   time.Time `json:"lastAck,omitzero"`    // when the last of those that are there came there
	UsedAt    time.Time `json:"usedAt,omitzero"`     // earliest last use of the primary version; absent if a member never used it
	OldUseAt  time.Time `json:"oldUseAt,omitzero"`   // latest use of a fallback version
	Fallbacks int       `json:"fallbacks,omitempty"` // uses of fallback versions
	Refused   int       `json:"refused,omitempty"`   // times that primary versions were refused
	Errors    []string  `json:"errors"`              // of some members
}

// A RolloutMember is what one node has of one rollout.
type RolloutMember struct {
	Rollout      string    `json:"rollout"`
	Node         string    `json:"node"`
	State        string    `json:"state"` // of the node: "live" or "lost"
	Wave         string    `json:"wave"`
	Target       int64     `json:"target"`                 // generation that it is to have
	Acknowledged int64     `json:"acknowledged,omitempty"` // generation that it spoke of last
	Level        string    `json:"level,omitempty"`        // "received", "applied" or "used"
	There        bool      `json:"there"`
	At           time.Time `json:"at,omitzero"`         // when the level was reached
	UsedAt       time.Time `json:"usedAt,omitzero"`     // last use of the primary version
	FallbackAt   time.Time `json:"fallbackAt,omitzero"` // last use of the fallback version
	Fallbacks    int       `json:"fallbacks,omitempty"`
	Refused      int       `json:"refused,omitempty"`
	Error        string    `json:"error,omitempty"`
	Trouble      string    `json:"trouble,omitempty"` // of the node
}
