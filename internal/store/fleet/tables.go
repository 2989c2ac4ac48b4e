// Package fleet is the store of what is delivered, and how: of packages rollout (nodes, their
// tokens, rollouts), target (nodes that the server speaks for) and of rotation's engine (plans
// and rotations). They are one package because a rotation moves its rollout's generations, and
// a target is a node, in one transaction.
//
// What nodes say of themselves comes often and from many, so it is neither bound nor recorded;
// a statement that stores it demands that the node is still the one that joined then.
package fleet

import "github.com/keyward/keyward/internal/store/bound"

// Tables answers the tables of this package, those first that others refer to.
func Tables() []bound.Table {
	return []bound.Table{
		bound.TableOf(nodeTokenRow), bound.TableOf(nodeRow), bound.TableOf(targetRow), bound.TableOf(rolloutRow),
		bound.TableOf(rotationPlanRow), bound.TableOf(rotationRow),
		bound.OpenTable("node_presence", "what a node says next replaces it"),
		bound.OpenTable("node_ack", "what a node says next replaces it; who forges one can have a rotation go on too early; docs/design/rollout.md"),
	}
}
