// Package channel lists the ways to reach people. Each kind is made by the package of its
// family: mail, the robots of chat groups, SMS, and what programs read.
//
// Who may call: internal/app, which opens channels for package notify, and the CLI, which
// shows their forms. Nothing is stored here, and nothing runs. docs/channels.md tells
// people how to set each one up.
package channel

import (
	"github.com/keyward/keyward/internal/channel/machine"
	"github.com/keyward/keyward/internal/channel/mail"
	"github.com/keyward/keyward/internal/channel/robot"
	"github.com/keyward/keyward/internal/channel/sms"
	"github.com/keyward/keyward/internal/message"
)

// Kinds answers every kind of channel, in the order in which people are shown them.
func Kinds() []message.Kind {
	return []message.Kind{
		mail.SMTP(),
		robot.DingTalk(), robot.WeCom(), robot.Feishu(), robot.Slack(),
		sms.Tencent(), sms.Alibaba(),
		machine.PagerDuty(), machine.Alertmanager(), machine.Webhook(),
	}
}
