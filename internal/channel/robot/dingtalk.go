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

const dingTalkLimit = 20_000 // bytes of a body

// DingTalk is a custom robot of a DingTalk group. Above 20 messages a minute the robot is
// blocked for ten minutes: burst and rate together stay at 20.
func DingTalk() message.Kind {
	return message.Kind{
		Name:  "dingtalk",
		Title: form.Text{English: "DingTalk robot", Chinese: "钉钉机器人"},
		Form: form.Form{Credential: []form.Field{
			webhook("the address that DingTalk shows when the robot is added", "添加机器人时钉钉给出的 Webhook 地址"),
			{Name: "secret", Help: form.Text{English: "the secret of the security setting \"sign\", SEC…; empty if the robot uses keywords or addresses", Chinese: "安全设置「加签」的密钥（SEC 开头）；用关键词或 IP 白名单时留空"}},
		}},
		Traits: message.Traits{Family: message.Chat, Group: true, Burst: 5, PerMinute: 15, Reaches: always},
		Open: func(o message.Opening) (message.Sender, error) {
			to, err := wire.Address(o, "webhook")
			if err != nil {
				return nil, err
			}
			return &dingTalk{wire.New(fault.Say("DingTalk"), o), *to, o}, nil
		},
	}
}

type dingTalk struct {
	client  *wire.Client
	to      url.URL
	opening message.Opening
}

var dingTalkCodes = map[int]verdict{
	-1:     {message.Unclear, 0, fault.Say("DingTalk is busy; the message may have arrived")},
	130101: {message.Retry, 10 * time.Minute, fault.Say("the robot sent more than 20 messages a minute and is blocked for ten minutes")},
	410100: {message.Retry, 10 * time.Minute, fault.Say("the robot sent more than 20 messages a minute and is blocked for ten minutes")},
	310000: {message.Permanent, 0, fault.Say("DingTalk refuses the robot's security setting: check the secret and this server's clock, or the keywords and the addresses that the robot allows")},
	300001: {message.Permanent, 0, fault.Say("the robot was removed; add a new one to the group and enter its address")},
	300005: {message.Permanent, 0, fault.Say("the robot was removed; add a new one to the group and enter its address")},
	400101: {message.Permanent, 0, fault.Say("the robot was removed; add a new one to the group and enter its address")},
	400102: {message.Permanent, 0, fault.Say("the robot is switched off; switch it on in the group's settings")},
	400106: {message.Permanent, 0, fault.Say("the robot was removed; add a new one to the group and enter its address")},
	400013: {message.Permanent, 0, fault.Say("the group was dissolved; add a robot to another one and enter its address")},
	430101: {message.Permanent, 0, fault.Say("DingTalk takes the message's link for unsafe; ask its support to allow the address of this server")},
	430102: {message.Permanent, 0, fault.Say("DingTalk takes the text for unfit; rename what the message is about")},
	460101: {message.Permanent, 0, fault.Say("the message is longer than 20,000 bytes; report this as a defect")},
}

// sign answers the timestamp and signature parameters of a request.
func (d *dingTalk) sign(at time.Time) (timestamp, signature string) {
	secret := d.opening.Credential["secret"].Expose()
	timestamp = strconv.FormatInt(at.UnixMilli(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(timestamp + "\n"))
	mac.Write(secret)
	return timestamp, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Send implements message.Sender.
func (d *dingTalk) Send(ctx context.Context, m message.Message) (message.Receipt, error) {
	m, err := wire.Fit(wire.Tidy(m), dingTalkLimit, func(m message.Message) int { return len(dingTalkBody(m)) })
	if err != nil {
		return message.Receipt{}, err
	}
	to := d.to
	if d.opening.Credential["secret"].Len() > 0 {
		query := to.Query()
		timestamp, signature := d.sign(d.opening.Now())
		query.Set("timestamp", timestamp)
		query.Set("sign", signature)
		to.RawQuery = query.Encode()
	}
	reply, err := d.client.Post(ctx, to.String(), dingTalkBody(m), nil)
	if err != nil {
		return message.Receipt{}, err
	}
	return judge(d.client, dingTalkCodes, reply)
}

// judge reads an answer of DingTalk or WeCom.
func judge(c *wire.Client, codes map[int]verdict, reply wire.Reply) (message.Receipt, error) {
	var a answer
	told := wire.Decode(reply, &a) && a.Code != nil
	if told && *a.Code != 0 {
		return message.Receipt{}, rule(c, codes, *a.Code, a.Said)
	}
	if e := c.Sort(reply, a.Said); e != nil {
		return message.Receipt{}, e
	}
	if !told {
		return message.Receipt{}, c.Garbage()
	}
	return message.Receipt{State: message.Accepted}, nil
}

type dingTalkAt struct {
	Mobiles []string `json:"atMobiles"`
	Users   []string `json:"atUserIds"`
	All     bool     `json:"isAtAll"`
}

// dingTalkBody renders a message: as a card with a button, or, if somebody is to be
// mentioned, which cards cannot be relied on for, as text with a link. A mention rings
// only if it stands in the text, too.
func dingTalkBody(m message.Message) []byte {
	at := dingTalkAt{Mobiles: []string{}, Users: []string{}}
	var mentions []string
	for _, r := range m.To {
		if id := r.IDs["dingtalk"]; id != "" {
			at.Users, mentions = append(at.Users, id), append(mentions, "@"+id)
		} else if number, ok := mainland(r.Mobile); ok {
			at.Mobiles, mentions = append(at.Mobiles, number), append(mentions, "@"+number)
		}
	}
	title := wire.Unmarked(wire.Headline(m))
	if len(mentions) == 0 && m.Link != "" {
		return wire.JSON(map[string]any{"msgtype": "actionCard", "actionCard": map[string]any{
			"title": title, "text": wire.Markdown(m, false), "btnOrientation": "0",
			"btns": []any{map[string]string{"title": wire.Open(m), "actionURL": m.Link}},
		}})
	}
	text := wire.Markdown(m, true)
	if len(mentions) > 0 {
		text += "\n\n" + strings.Join(mentions, " ")
	}
	return wire.JSON(map[string]any{
		"msgtype":  "markdown",
		"markdown": map[string]string{"title": title, "text": text},
		"at":       at,
	})
}
