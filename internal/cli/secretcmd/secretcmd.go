// Package secretcmd has the commands of secrets, which are values that the server keeps, and of
// the sinks to which it copies them.
//
// A value comes from a file, from standard input or from the terminal without echo, and is shown
// only when that was asked for.
package secretcmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newSecretCmd(c), newSinkCmd(c)}
}
