// Package incidentcmd has the commands of those who are told of things: channels, people,
// rotas, the escalation, and the incidents that go through them.
package incidentcmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// Commands answers the commands of this package.
func Commands(c *cli.Run) []*cobra.Command {
	return []*cobra.Command{newChannelCmd(c), newPersonCmd(c), newRotaCmd(c), newEscalationCmd(c), newIncidentCmd(c)}
}
