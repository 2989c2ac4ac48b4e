// Package auditcmd has the commands around the audit logs: read them and follow them, export
// and prove and verify them, and be a witness to those of other servers.
//
// Verification trusts nothing but the keys and checkpoints that the person gives. It reads an
// export, tiles or, with --data-dir or --database, the database itself, without a server: that
// is why this package knows the store. A witness is a small server of its own.
package auditcmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newAuditCmd(c), newWitnessCmd(c)}
}
