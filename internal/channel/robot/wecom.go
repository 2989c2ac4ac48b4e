package robot

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

const (
	weComText     = 2048 // bytes of a text's content
	weComMarkdown = 4096 // and of Markdown
)

// WeCom is a robot of a WeCom group. It takes 20 messages a minute.
func WeCom() message.Kind {
	return message.Kind{
		Name:  "wecom",
		Title: form.Text{English: "WeCom robot", Chinese: "企业微信机器人"},
		Form: form.Form{Credential: []form.Field{
			webhook("the address that WeCom shows when the robot is added", "添加群机器人时企业微信给出的 Webhook 地址"),
		}},
		Traits: message.Traits{Family: message.Chat, Group: true, Burst: 5, PerMinute: 15, Reaches: always},
		Open: func(o message.Opening) (message.Sender, error) {
			to, err := wire.Address(o, "webhook")
			if err != nil {
				return nil, err
			}
			return &weCom{wire.New(fault.Say("WeCom"), o), to}, nil
		},
	}
}

type weCom struct {
	client *wire.Client
	to     *url.URL
}

var weComCodes = map[int]verdict{
	-1:    {message.Unclear, 0, fault.Say("WeCom is busy; the message may have arrived")},
	45009: {message.Retry, time.Minute, fault.Say("the robot sent more than 20 messages a minute")},
	45033: {message.Retry, time.Minute, fault.Say("the robot has too many requests at the same time")},
	93000: {message.Permanent, 0, fault.Say("the robot was removed or its address is wrong; add a new one to the group and enter its address")},
	93004: {message.Permanent, 0, fault.Say("the robot is switched off; switch it on in WeCom's administration")},
	93008: {message.Permanent, 0, fault.Say("the robot is no longer in the group; add it again and enter its address")},
	40058: {message.Permanent, 0, fault.Say("WeCom cannot read the message; report this as a defect")},
	45002: {message.Permanent, 0, fault.Say("the message is too long; report this as a defect")},
}

// Send implements message.Sender.
func (w *weCom) Send(ctx context.Context, m message.Message) (message.Receipt, error) {
	m = wire.Tidy(m)
	body := weComMarkdownBody
	limit, content := weComMarkdown, weComMarkdownContent
	if byMobile(m) { // which only a text can do
		body, limit, content = weComTextBody, weComText, weComTextContent
	}
	m, err := wire.Fit(m, limit, func(m message.Message) int { return len(content(m)) })
	if err != nil {
		return message.Receipt{}, err
	}
	reply, err := w.client.Post(ctx, w.to.String(), body(m), nil)
	if err != nil {
		return message.Receipt{}, err
	}
	return judge(w.client, weComCodes, reply)
}

// byMobile tells whether somebody can be mentioned by telephone number only.
func byMobile(m message.Message) bool {
	for _, r := range m.To {
		if _, ok := mainland(r.Mobile); ok && r.IDs["wecom"] == "" {
			return true
		}
	}
	return false
}

func weComMarkdownContent(m message.Message) string {
	text := wire.Markdown(m, true)
	var mentions []string
	for _, r := range m.To {
		if id := r.IDs["wecom"]; id != "" {
			mentions = append(mentions, "<@"+wire.Unmarked(id)+">")
		}
	}
	if len(mentions) > 0 {
		text += "\n\n" + strings.Join(mentions, " ")
	}
	return text
}

func weComMarkdownBody(m message.Message) []byte {
	return wire.JSON(map[string]any{"msgtype": "markdown", "markdown": map[string]string{"content": weComMarkdownContent(m)}})
}

// weComTextContent answers text in which nothing looks like a mention.
func weComTextContent(m message.Message) string {
	text := wire.Unmarked(wire.Headline(m) + "\n" + wire.Plain(m))
	if m.Link != "" {
		text += "\n" + m.Link
	}
	return text
}

func weComTextBody(m message.Message) []byte {
	users, mobiles := []string{}, []string{}
	for _, r := range m.To {
		if id := r.IDs["wecom"]; id != "" {
			users = append(users, id)
		} else if number, ok := mainland(r.Mobile); ok {
			mobiles = append(mobiles, number)
		}
	}
	return wire.JSON(map[string]any{"msgtype": "text", "text": map[string]any{
		"content": weComTextContent(m), "mentioned_list": users, "mentioned_mobile_list": mobiles,
	}})
}
