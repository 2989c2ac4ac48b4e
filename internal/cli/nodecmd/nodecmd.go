// Package nodecmd has the commands of those who hold secrets at work: the nodes and their
// tokens, the targets that are reached without an agent, the rollouts that deliver to both, and
// the agent itself, which runs here.
package nodecmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newAgentCmd(c), newNodeCmd(c), newRolloutCmd(c)}
}
