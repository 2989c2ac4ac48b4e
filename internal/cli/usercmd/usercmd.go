// Package usercmd has the commands of people and programs of keyward's own: log in and out, by
// password or by an identity provider, second factors, users and their access keys, and what the
// settings of this program are.
package usercmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newLoginCmd(c), newLogoutCmd(c), newSSOCmd(c), newUserCmd(c), newWhoamiCmd(c), newProfileCmd(c)}
}
