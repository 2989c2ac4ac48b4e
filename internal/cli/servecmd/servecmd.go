// Package servecmd has the commands that run the product: dev, server and the demonstration.
// It alone among the commands knows package app, which puts a server together.
package servecmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newDevCmd(c), newDemoCmd(c), newServerCmd(c)}
}
