package rollout

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
)

// A method of these stores that takes a record commits its change together with the
// record, or does neither. What changed since it was read is [fault.Changed], what is not
// there [fault.ResourceNotFound]. Methods may be called concurrently.

// Tokens keeps the tokens with which machines join.
type Tokens interface {
	// CreateToken stores a new token and removes some that are over.
	CreateToken(ctx context.Context, rec *audit.Record, t *Token, over []Token) error
	DeleteToken(ctx context.Context, rec *audit.Record, t *Token) error
	Token(ctx context.Context, account, id string) (Token, error)
	// Tokens answers all tokens of the account, the newest first.
	Tokens(ctx context.Context, account string) ([]Token, error)
}

// Registry keeps the nodes.
type Registry interface {
	// Join stores the token with the uses that it has left and the node, a new one if its
	// revision is 0; what a node of this name ever said is forgotten.
	Join(ctx context.Context, rec *audit.Record, t *Token, n *Node) error
	UpdateNode(ctx context.Context, rec *audit.Record, n *Node) error
	// DeleteNode removes a node and forgets what it said.
	DeleteNode(ctx context.Context, rec *audit.Record, n *Node) error
	Node(ctx context.Context, account, name string) (Node, error)
	CountNodes(ctx context.Context, account string) (int, error)
	// Nodes answers all nodes of the account, by name.
	Nodes(ctx context.Context, account string) ([]Node, error)
}

// Plans keeps the rollouts.
type Plans interface {
	// CreateRollout stores a new rollout, or answers [fault.ResourceExists]. It raises the
	// rollout's generations above those of every rollout that was removed: a node may
	// remember one of the same name.
	CreateRollout(ctx context.Context, rec *audit.Record, r *Rollout) error
	UpdateRollout(ctx context.Context, rec *audit.Record, r *Rollout) error
	// DeleteRollout removes a rollout and forgets what nodes said of it. One that a rotation
	// plan names is [fault.ResourceInUse], also if the plan is stored at the same moment.
	DeleteRollout(ctx context.Context, rec *audit.Record, r *Rollout) error
	// Rollouts answers all rollouts of the account, by name.
	Rollouts(ctx context.Context, account string) ([]Rollout, error)
}

// Reports keeps what nodes say. It is observed, not bound: what a node says next replaces it.
type Reports interface {
	// SaveReports stores what nodes said, perhaps in part if it fails. It is merged with what is
	// stored as [Merge] does it, whoever stored that; of nodes that have joined anew or
	// were removed since, it is passed over.
	SaveReports(ctx context.Context, all []Report) error
	// Presences answers what the nodes of an account last said of themselves, by name.
	Presences(ctx context.Context, account string) (map[string]Presence, error)
	// Acks answers what nodes last said of a rollout, by their names.
	Acks(ctx context.Context, account, rollout string) (map[string]Ack, error)
}

// A Report is what one node said since it was last stored.
type Report struct {
	JoinedAt time.Time // of the node that said it
	Presence Presence
	Acks     []Ack // of different rollouts
}
