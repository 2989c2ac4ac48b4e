// Package policycmd has the commands that say who may do what: policies, which can be linted
// without a server and simulated with one, roles and their sessions, and the approval of others.
package policycmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newPolicyCmd(c), newRoleCmd(c), newAssumeRoleCmd(c), newFederateCmd(c), newApprovalCmd(c)}
}
