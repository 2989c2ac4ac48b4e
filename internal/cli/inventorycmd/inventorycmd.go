// Package inventorycmd has the commands of access keys that others issued: the providers that
// they are read from, definitions of providers that people write themselves, the inventory with
// what people remark on it, the guides for what only a console can change, and the findings.
package inventorycmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newProviderCmd(c), newAccessKeyCmd(c), newFindingCmd(c)}
}
