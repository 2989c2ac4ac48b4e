package robot

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

const slackSection = 3000 // characters of a section's text; counting bytes stays below it

// Slack is an incoming webhook, or, with a token and a channel's id, chat.postMessage,
// which says when a token was revoked and why. Slack takes a message a second.
func Slack() message.Kind {
	return message.Kind{
		Name:  "slack",
		Title: form.Text{English: "Slack", Chinese: "Slack"},
		Form: form.Form{
			Settings: []form.Field{
				{Name: "channel", Help: form.Text{English: "the channel's id, with a token", Chinese: "频道 ID，与 token 一起使用"}, Example: "C0123456789"},
				{Name: "api", Help: form.Text{English: "another address of Slack's API, for a relay", Chinese: "Slack API 的其他地址（经中转时）"}, Example: "https://slack.com/api"},
			},
			Credential: []form.Field{
				{Name: "webhook", Help: form.Text{English: "the address of an incoming webhook; or give a token", Chinese: "Incoming Webhook 地址；或改用 token"}},
				{Name: "token", Help: form.Text{English: "a bot's token, xoxb-…, with the scope chat:write", Chinese: "机器人令牌（xoxb- 开头），需要 chat:write 权限"}},
			},
		},
		Traits: message.Traits{Family: message.Chat, Group: true, Burst: 3, PerMinute: 50, Reaches: always},
		Open:   openSlack,
	}
}

func openSlack(o message.Opening) (message.Sender, error) {
	s := &slack{client: wire.New(fault.Say("Slack"), o), opening: o}
	webhook, token := o.Credential["webhook"].Len() > 0, o.Credential["token"].Len() > 0
	if webhook == token {
		return nil, fault.InvalidParameter.New("give either the address of a webhook or a token")
	}
	if token && o.Settings["channel"] == "" {
		return nil, fault.MissingParameter.New("a token needs the field \"channel\": the id at the end of the channel's details")
	}
	var err error
	switch {
	case webhook:
		s.to, err = wire.Address(o, "webhook")
	case o.Settings["api"] != "":
		s.to, err = wire.Address(o, "api")
	default:
		s.to = &url.URL{Scheme: "https", Host: "slack.com", Path: "/api"}
	}
	if err != nil {
		return nil, err
	}
	if token {
		s.to = s.to.JoinPath("chat.postMessage")
	}
	return s, nil
}

type slack struct {
	client  *wire.Client
	to      *url.URL
	opening message.Opening
}

// slackCodes are the words with which both ways to post refuse.
var slackCodes = map[string]verdict{
	"ratelimited":                       {message.Retry, time.Minute, fault.Say("Slack limits the messages of this channel")},
	"rate_limited":                      {message.Retry, time.Minute, fault.Say("Slack limits the messages of this channel")},
	"rollup_error":                      {message.Unclear, 0, fault.Say("Slack failed; the message may have arrived")},
	"internal_error":                    {message.Unclear, 0, fault.Say("Slack failed; the message may have arrived")},
	"fatal_error":                       {message.Unclear, 0, fault.Say("Slack failed; the message may have arrived")},
	"request_timeout":                   {message.Retry, 0, fault.Say("Slack did not get the whole message")},
	"service_unavailable":               {message.Retry, 0, fault.Say("Slack is unavailable")},
	"no_service":                        {message.Permanent, 0, fault.Say("the webhook was removed; make a new one and enter its address")},
	"no_active_hooks":                   {message.Permanent, 0, fault.Say("the webhook was removed; make a new one and enter its address")},
	"no_team":                           {message.Permanent, 0, fault.Say("the workspace no longer exists; enter a webhook of another one")},
	"invalid_token":                     {message.Permanent, 0, fault.Say("the webhook's address is wrong or was revoked; enter a new one")},
	"invalid_auth":                      {message.Permanent, 0, fault.Say("the token is wrong; enter a valid one")},
	"not_authed":                        {message.Permanent, 0, fault.Say("the token is wrong; enter a valid one")},
	"account_inactive":                  {message.Permanent, 0, fault.Say("the token's bot was removed; install the app again and enter its token")},
	"token_revoked":                     {message.Permanent, 0, fault.Say("the token was revoked; install the app again and enter its token")},
	"token_expired":                     {message.Permanent, 0, fault.Say("the token has expired; enter a new one, without rotation")},
	"missing_scope":                     {message.Permanent, 0, fault.Say("the token lacks the scope chat:write; add it and install the app again")},
	"not_in_channel":                    {message.Permanent, 0, fault.Say("the bot is not in the channel; invite it there")},
	"channel_not_found":                 {message.Permanent, 0, fault.Say("the channel does not exist or the bot cannot see it; check its id and invite the bot")},
	"channel_is_archived":               {message.Permanent, 0, fault.Say("the channel is archived; choose another one")},
	"is_archived":                       {message.Permanent, 0, fault.Say("the channel is archived; choose another one")},
	"action_prohibited":                 {message.Permanent, 0, fault.Say("the workspace forbids this webhook; ask its administrator")},
	"posting_to_general_channel_denied": {message.Permanent, 0, fault.Say("the workspace forbids to post there; choose another channel")},
}

// Send implements message.Sender.
func (s *slack) Send(ctx context.Context, m message.Message) (message.Receipt, error) {
	m, err := wire.Fit(wire.Tidy(m), slackSection, func(m message.Message) int { return max(len(wire.Plain(m)), len(slackMentions(m))) })
	if err != nil {
		return message.Receipt{}, err
	}
	payload, header := slackPayload(m), http.Header{}
	token := s.opening.Credential["token"].Expose()
	if len(token) > 0 {
		payload["channel"] = s.opening.Settings["channel"]
		header.Set("Authorization", "Bearer "+string(token))
	}
	reply, err := s.client.Post(ctx, s.to.String(), wire.JSON(payload), header)
	if err != nil {
		return message.Receipt{}, err
	}
	var a struct {
		OK    *bool  `json:"ok"`
		Error string `json:"error"`
		TS    string `json:"ts"`
	}
	if len(token) == 0 { // a webhook answers one word
		a.Error = strings.TrimSpace(string(reply.Body))
		ok := a.Error == "ok"
		a.OK = &ok
	} else if !wire.Decode(reply, &a) {
		a.OK = nil
	}
	if v, ok := slackCodes[a.Error]; ok {
		e := wire.Permanent("Slack: %s (%s)", v.reason, a.Error)
		e.Class, e.After = v.class, v.after
		if sorted := s.client.Sort(reply, ""); sorted != nil && v.class == message.Retry && sorted.After > 0 {
			e.After = sorted.After
		}
		return message.Receipt{}, e
	}
	switch e := s.client.Sort(reply, a.Error); {
	case e != nil:
		return message.Receipt{}, e
	case a.OK == nil, !*a.OK && len(token) == 0:
		return message.Receipt{}, s.client.Garbage()
	case !*a.OK:
		return message.Receipt{}, wire.Permanent("Slack: it refuses the message; look up the error in its documentation (%s)", s.client.Clean(a.Error))
	}
	return message.Receipt{ID: s.client.Clean(a.TS), State: message.Accepted}, nil
}

// slackPayload renders a message. Its blocks are plain text, so nothing in them is markup,
// but the mentions; the text is what a phone's lock screen shows.
func slackPayload(m message.Message) object {
	plain := func(text string) object { return object{"type": "plain_text", "text": text, "emoji": false} }
	blocks := []object{{"type": "header", "text": plain(wire.Clip(wire.Headline(m), 150))}}
	if text := wire.Plain(m); text != "" { // an empty section is refused
		blocks = append(blocks, object{"type": "section", "text": plain(text)})
	}
	if m.Link != "" {
		button := object{"type": "button", "text": plain(wire.Open(m)), "url": m.Link, "style": "primary"}
		blocks = append(blocks, object{"type": "actions", "elements": []object{button}})
	}
	if mentions := slackMentions(m); mentions != "" {
		blocks = append(blocks, object{"type": "section", "text": object{"type": "mrkdwn", "text": mentions}})
	}
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	return object{"text": escape.Replace(wire.Headline(m)), "blocks": blocks, "unfurl_links": false}
}

func slackMentions(m message.Message) string {
	var mentions []string
	for _, r := range m.To {
		if id := r.IDs["slack"]; id != "" {
			mentions = append(mentions, "<@"+wire.Unmarked(id)+">")
		}
	}
	return strings.Join(mentions, " ")
}
