// Package scancmd has the commands that look for keys and passwords that got out: in files, in
// the history of a repository, in a push, an image or what a machine runs; and the repositories
// that the server has looked at by itself.
//
// A scan needs no server and sends nothing anywhere, unless --report asks for it. Its exit
// statuses are those of scanners, see [cli.ExitFindings] and [cli.ExitPartial].
package scancmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newScanCmd(c), newRepositoryCmd(c)}
}
