// Package datacmd has the commands that encrypt and decrypt: files of any size, many small
// values, and data keys for programs that encrypt by themselves.
//
// The key itself never comes here. Of a file the server encrypts only the file key; what goes
// through this process is plaintext of the caller's, which stands in no error and no log.
package datacmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newEncryptCmd(c), newDecryptCmd(c), newBatchCmd(c), newDataKeyCmd(c)}
}
