// Package operatorcmd has the commands of who operates the server on this machine: initialise,
// seal and unseal it, replace what protects its root key, scrub it, accept its clock.
//
// They speak to the operator's socket, which only the server's user may open. Passphrases and
// shares are typed without echo or come from files; they are never arguments.
package operatorcmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newOperatorCmd(c)}
}
