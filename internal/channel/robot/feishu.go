package robot

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

const feishuLimit = 20_000 // bytes of a body; 20 KB, of which kind is not said

// Feishu is a custom robot of a group of Feishu or, outside China, Lark: the address says
// which. It takes 5 messages a second and 100 a minute; burst and rate stay below both.
func Feishu() message.Kind {
	return message.Kind{
		Name:  "feishu",
		Title: form.Text{English: "Feishu or Lark robot", Chinese: "飞书机器人"},
		Form: form.Form{Credential: []form.Field{
			webhook("the address that Feishu or Lark shows when the robot is added", "添加自定义机器人时飞书给出的 Webhook 地址"),
			{Name: "secret", Help: form.Text{English: "the key of the security setting \"signature\"; empty if the robot uses keywords or addresses", Chinese: "安全设置「签名校验」的密钥；用关键词或 IP 白名单时留空"}},
		}},
		Traits: message.Traits{Family: message.Chat, Group: true, Burst: 3, PerMinute: 80, Reaches: always},
		Open: func(o message.Opening) (message.Sender, error) {
			to, err := wire.Address(o, "webhook")
			if err != nil {
				return nil, err
			}
			return &feishu{wire.New(fault.Say("Feishu"), o), to, o}, nil
		},
	}
}

type feishu struct {
	client  *wire.Client
	to      *url.URL
	opening message.Opening
}

var feishuCodes = map[int]verdict{
	11232: {message.Retry, time.Minute, fault.Say("Feishu limits its robots now, as it does at the full and half hour")},
	11233: {message.Retry, time.Minute, fault.Say("the robot sent more than 5 messages a second or 100 a minute")},
	19001: {message.Permanent, 0, fault.Say("the robot was removed or its address is wrong; add a new one to the group and enter its address")},
	19007: {message.Permanent, 0, fault.Say("the robot is switched off; switch it on in the group's settings")},
	19021: {message.Permanent, 0, fault.Say("Feishu refuses the signature: check the secret and this server's clock")},
	19022: {message.Permanent, 0, fault.Say("the robot does not allow this server's address; add it to the robot's list")},
	19024: {message.Permanent, 0, fault.Say("the message has none of the robot's keywords; use the security setting \"signature\" instead")},
	9499:  {message.Permanent, 0, fault.Say("Feishu cannot read the message; report this as a defect")},
}

// A card is an interactive message of a robot, with the signature beside it.
type card struct {
	Timestamp string `json:"timestamp,omitempty"`
	Sign      string `json:"sign,omitempty"`
	Type      string `json:"msg_type"`
	Card      any    `json:"card"`
}

// sign answers the timestamp in seconds and the signature: the secret is part of the key,
// and what is signed is empty.
func (f *feishu) sign(at time.Time) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	key := append([]byte(timestamp+"\n"), f.opening.Credential["secret"].Expose()...)
	return timestamp, base64.StdEncoding.EncodeToString(hmac.New(sha256.New, key).Sum(nil))
}

// Send implements message.Sender.
func (f *feishu) Send(ctx context.Context, m message.Message) (message.Receipt, error) {
	var c card
	if f.opening.Credential["secret"].Len() > 0 {
		c.Timestamp, c.Sign = f.sign(f.opening.Now())
	}
	body := func(m message.Message) []byte {
		c.Type, c.Card = "interactive", feishuCard(m)
		return wire.JSON(c)
	}
	m, err := wire.Fit(wire.Tidy(m), feishuLimit, func(m message.Message) int { return len(body(m)) })
	if err != nil {
		return message.Receipt{}, err
	}
	reply, err := f.client.Post(ctx, f.to.String(), body(m), nil)
	if err != nil {
		return message.Receipt{}, err
	}
	var a struct {
		Code *int   `json:"code"`
		Said string `json:"msg"`
	}
	told := wire.Decode(reply, &a) && a.Code != nil
	if told && *a.Code != 0 {
		return message.Receipt{}, rule(f.client, feishuCodes, *a.Code, a.Said)
	}
	if e := f.client.Sort(reply, a.Said); e != nil {
		return message.Receipt{}, e
	}
	if !told {
		return message.Receipt{}, f.client.Garbage()
	}
	return message.Receipt{State: message.Accepted}, nil
}

type object map[string]any

// feishuCard renders a message. Its texts are plain, so nothing in them is markup, but
// the mentions.
func feishuCard(m message.Message) object {
	plain := func(text string) object { return object{"tag": "plain_text", "content": text} }
	colour := [...]string{"blue", "orange", "red", "carmine"}[m.Severity]
	if m.Event == message.Resolve {
		colour = "green"
	}
	elements := []object{{"tag": "div", "text": plain(wire.Plain(m))}}
	var mentions []string
	for _, r := range m.To {
		if id := r.IDs["feishu"]; id != "" {
			mentions = append(mentions, "<at id="+wire.Unmarked(id)+"></at>")
		}
	}
	if len(mentions) > 0 {
		elements = append(elements, object{"tag": "div", "text": object{"tag": "lark_md", "content": strings.Join(mentions, " ")}})
	}
	if m.Link != "" {
		button := object{"tag": "button", "text": plain(wire.Open(m)), "url": m.Link, "type": "primary"}
		elements = append(elements, object{"tag": "action", "actions": []object{button}})
	}
	return object{
		"config":   object{"wide_screen_mode": true},
		"header":   object{"title": plain(wire.Headline(m)), "template": colour},
		"elements": elements,
	}
}
