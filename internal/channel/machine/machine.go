// Package machine hands messages to programs: PagerDuty, Alertmanager, and whatever
// receives a signed webhook. They recognise what they have seen, so each may be sent again
// whenever it is unclear what became of it.
//
// What joins the messages of one incident is the incident's id; a message that belongs to
// none stands for itself.
package machine

import (
	"strings"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/message"
)

// always is Traits.Reaches of what is not a person.
func always(message.Recipient) bool { return true }

// subject answers what the messages of one condition have in common.
func subject(m message.Message) string {
	if m.Incident != "" {
		return m.Incident
	}
	return m.ID
}

// taken reads an answer of whatever says nothing when it takes a message. A page for
// browsers is a proxy's: nobody behind it got anything.
func taken(c *wire.Client, reply wire.Reply) (message.Receipt, error) {
	if e := c.Sort(reply, string(reply.Body)); e != nil {
		return message.Receipt{}, e
	}
	if strings.HasPrefix(reply.Header.Get("Content-Type"), "text/html") {
		return message.Receipt{}, c.Garbage()
	}
	return message.Receipt{State: message.Accepted}, nil
}
