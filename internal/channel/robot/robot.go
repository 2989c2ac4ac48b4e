// Package robot speaks to the robots of chat groups: DingTalk, WeCom, Feishu and Lark,
// Slack. One message reaches a whole group; people are mentioned in it so that their
// phones ring.
//
// A robot is known by an address that somebody copied out of the chat's settings and that
// is its credential as a whole. Most robots answer HTTP status 200 whatever happened and
// say the truth in the body, each with its own codes; a table for each robot says what a
// code means and what a person does about it.
//
// No robot recognises a message that it has seen, and none can be asked about one. What a
// robot took, the group has; whether anybody looked, it does not know.
package robot

import (
	"strings"
	"time"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

// A verdict is what a robot's code means.
type verdict struct {
	class  message.Class
	after  time.Duration
	reason fault.Text // the robot's own words follow
}

// rule makes an error of what a robot answered. A code that the table does not have was a
// refusal all the same: the robot says that it did not take the message.
func rule(c *wire.Client, codes map[int]verdict, code int, said string) *message.SendError {
	v, ok := codes[code]
	if !ok {
		v = verdict{message.Permanent, 0, fault.Say("the robot refuses the message; look up the code in its documentation")}
	}
	e := wire.Permanent("%s: %s (code %d: %s)", c.Name(), v.reason, code, c.Clean(said))
	e.Class, e.After = v.class, v.after
	return e
}

// always is Traits.Reaches of a group.
func always(message.Recipient) bool { return true }

// mainland answers an E.164 number of mainland China as people there write it.
func mainland(mobile string) (string, bool) {
	number, ok := strings.CutPrefix(mobile, "+86")
	return number, ok && len(number) == 11
}

// webhook is the field that every robot has.
func webhook(english, chinese string) form.Field {
	return form.Field{Name: "webhook", Required: true, Help: form.Text{English: english, Chinese: chinese}}
}

// answer is what the robots of DingTalk and WeCom say.
type answer struct {
	Code *int   `json:"errcode"`
	Said string `json:"errmsg"`
}
