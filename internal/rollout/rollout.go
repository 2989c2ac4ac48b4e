// Package rollout delivers secrets to the machines that use them, wave by wave, and knows
// which machine has what.
//
// A [Node] is a machine, a pod or a site at the edge, that joined once with a token and
// signs everything it says since then. A [Rollout] delivers one secret to the nodes that
// it selects. Its members are parted into waves; each wave stands on a [Generation]: the
// version of the secret that its nodes use first, and the one that they fall back to. To
// publish is to write one row, whatever the number of nodes: what a node is to have
// follows from its labels and that row ([Rollout.For]).
//
// Generations only grow, also when an older version is published again: a node ignores
// what is not newer than what it has ([Newer]), so an answer that was late cannot undo a
// rollback. A node acknowledges the generation, not the version: received, then applied,
// then used. Of a generation that is older than what the node is to have no acknowledgement
// counts ([Member.There]).
//
// Who may call: package rotation publishes; the API for agents serves nodes; the other
// dialects manage nodes and rollouts. What is stored: nodes, tokens' hashes and rollouts in
// bound rows; what nodes say of themselves in rows that are not bound, each replaced by the
// next. What is trusted: a node, for what it says of itself and after its signature was
// checked; that it holds a value, only if it proves that ([Claim.Proof]).
//
// docs/design/rollout.md has the protocol of agents and what is durable when.
package rollout

import (
	"slices"
	"time"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/form"
)

// Limits. docs/rollouts.md tells them to users.
const (
	MaxNodes    = 100_000 // of one account
	MaxRollouts = 1000
	MaxWaves    = 20  // of one rollout
	MaxLabels   = 20  // of one node
	MaxLabel    = 128 // characters of a label's name, and of its value
	MaxName     = 128 // characters of a node's or a rollout's name
	MaxTokens   = 1000
	MaxUses     = 10_000             // of one token
	MaxLife     = 7 * 24 * time.Hour // of a token
)

// A Generation is what the nodes of a wave are to have.
type Generation struct {
	Number   int64  `json:"number"`             // 0 for nothing
	Primary  string `json:"primary"`            // version of the secret
	Fallback string `json:"fallback,omitempty"` // "" for none
}

// Newer tells whether a node that has reached one generation takes another: only a higher
// one, however late the lower one comes.
func Newer(have, got int64) bool { return delivery.Newer(have, got) }

// A Wave is a part of a rollout's members that gets a generation together.
type Wave struct {
	Name    string      `json:"name"`
	Labels  []form.Pair `json:"labels,omitempty"`  // that its nodes have; none for all
	Percent int         `json:"percent,omitempty"` // of the nodes with these labels, 1 to 99; 0 for all
}

// A Rollout delivers one secret to nodes.
type Rollout struct {
	Account   string
	Name      string // chosen by a person, for ever
	Secret    string // name of the secret whose versions are delivered
	Members   []form.Pair
	Waves     []Wave       // in order; the last one takes every member
	Now       []Generation // of each wave
	Level     Level        // that counts as having a generation: Used, or Applied where nothing can tell of use
	Owner     string       // the rotation that publishes to it, "" for none: then people may
	CreatedAt time.Time
	ChangedAt time.Time
	Rev       int64
}

// Top answers the highest generation that any wave was given.
func (r Rollout) Top() int64 {
	var top int64
	for _, g := range r.Now {
		top = max(top, g.Number)
	}
	return top
}

// Wave answers the place of the wave that a node belongs to, and false if the node is no
// member. A node belongs to the first wave that takes it. Which nodes a wave with a
// percentage takes follows from their names and the rollout's, and does not change.
func (r Rollout) Wave(n Node) (int, bool) {
	if n.Drained || !has(n.Labels, r.Members) {
		return 0, false
	}
	for i, w := range r.Waves {
		if has(n.Labels, w.Labels) && (w.Percent == 0 || share(r.Name, n.Name) < w.Percent) {
			return i, true
		}
	}
	return 0, false
}

// For answers what a node is to have, and false if that is nothing.
func (r Rollout) For(n Node) (Generation, bool) {
	w, ok := r.Wave(n)
	if !ok || r.Now[w].Number == 0 {
		return Generation{}, false
	}
	return r.Now[w], true
}

// has tells whether all of some labels are among those of a node.
func has(labels, want []form.Pair) bool {
	for _, p := range want {
		if !slices.Contains(labels, p) {
			return false
		}
	}
	return true
}
