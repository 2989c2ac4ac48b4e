// Package keycmd has the commands of keys: make, import, describe, rotate and delete them,
// their aliases, tags, policies and public keys, and sign, verify and authenticate with them.
package keycmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newKeyCmd(c), newMACCmd(c), newRandomCmd(c)}
}
