// Package instancecmd has the commands of the places where keys live: instances, which may be
// an external key manager behind the XKS Proxy API, and the keys that this server publishes
// over that API to others.
package instancecmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newXKSCmd(c), newInstanceCmd(c)}
}
