// Package rotationcmd has the commands of rotations: the plans, what a plan would do, and the
// runs, which are followed, approved, paused and undone.
package rotationcmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newRotationCmd(c)}
}
