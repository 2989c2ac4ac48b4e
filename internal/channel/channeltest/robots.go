package channeltest

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/lazy"
)

// A DingTalk is the robot of a group, with a signature if Secret is set. More than 20
// messages in a minute block it for ten.
type DingTalk struct {
	Log
	Token, Secret string
	Now           func() time.Time
	limit         limit // guarded by Log
}

type coded struct {
	Code int    `json:"errcode"`
	Said string `json:"errmsg"`
}

// ServeHTTP implements http.Handler.
func (d *DingTalk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	write(w, http.StatusOK, d.judge(r))
}

func (d *DingTalk) judge(r *http.Request) coded {
	var in struct {
		Type     string `json:"msgtype"`
		Markdown *struct{ Title, Text string }
		Card     *struct {
			Title, Text    string
			BtnOrientation string
			Btns           []struct{ Title, ActionURL string }
		} `json:"actionCard"`
		At *struct {
			AtMobiles, AtUserIds []string
			IsAtAll              bool
		}
	}
	body, err := read(r, &in)
	query := r.URL.Query()
	switch {
	case err != nil:
		return coded{40035, err.Error()}
	case r.URL.Path != "/robot/send" || query.Get("access_token") != d.Token:
		return coded{300001, "token is not exist"}
	case d.Secret != "" && !d.signed(query.Get("timestamp"), query.Get("sign")):
		return coded{310000, "sign not match, access_token=" + d.Token}
	case d.limit.over(d.Now(), 20, time.Minute, 10*time.Minute):
		return coded{130101, "send too fast, exceed 20 times per minute"}
	case len(body) > 20000:
		return coded{460101, "message too long, exceed 20000 bytes"}
	}
	switch {
	case in.Type == "markdown" && in.Markdown != nil && in.Card == nil:
		if in.Markdown.Title == "" || in.Markdown.Text == "" {
			return coded{40035, "title or text is empty"}
		}
		if in.At != nil {
			for _, who := range append(in.At.AtMobiles, in.At.AtUserIds...) {
				if !strings.Contains(in.Markdown.Text, "@"+who) {
					return coded{40035, "a mention does not stand in the text"} // it would not be shown
				}
			}
		}
	case in.Type == "actionCard" && in.Card != nil && in.Markdown == nil:
		if in.Card.Title == "" || in.Card.Text == "" || len(in.Card.Btns) == 0 || in.Card.Btns[0].ActionURL == "" {
			return coded{40035, "the card lacks something"}
		}
	default:
		return coded{400105, "unsupported msgtype"}
	}
	d.take(body)
	return coded{0, "ok"}
}

func (d *DingTalk) signed(timestamp, sign string) bool {
	ms, err := strconv.ParseInt(timestamp, 10, 64)
	return err == nil && d.Now().Sub(time.UnixMilli(ms)).Abs() <= time.Hour && sign == sum(d.Secret, timestamp+"\n"+d.Secret)
}

// A WeCom is the robot of a group. It takes 20 messages in a minute.
type WeCom struct {
	Log
	Key   string
	Now   func() time.Time
	limit limit // guarded by Log
}

// ServeHTTP implements http.Handler.
func (c *WeCom) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	write(w, http.StatusOK, c.judge(r))
}

func (c *WeCom) judge(r *http.Request) coded {
	var in struct {
		Type     string `json:"msgtype"`
		Markdown *struct{ Content string }
		Text     *struct {
			Content string
			Users   []string `json:"mentioned_list"`
			Mobiles []string `json:"mentioned_mobile_list"`
		}
	}
	body, err := read(r, &in)
	switch {
	case err != nil:
		return coded{40058, err.Error()}
	case r.URL.Path != "/cgi-bin/webhook/send" || r.URL.Query().Get("key") != c.Key:
		return coded{93000, "invalid webhook url"}
	case c.limit.over(c.Now(), 20, time.Minute, 0):
		return coded{45009, "api freq out of limit"}
	case in.Type == "markdown" && in.Markdown != nil && in.Text == nil:
		if n := len(in.Markdown.Content); n == 0 || n > 4096 {
			return coded{40058, "markdown.content exceed max length 4096. invalid Request Parameter"}
		}
	case in.Type == "text" && in.Text != nil && in.Markdown == nil:
		if n := len(in.Text.Content); n == 0 || n > 2048 {
			return coded{40058, "text.content exceed max length 2048. invalid Request Parameter"}
		}
	default:
		return coded{40008, "invalid message type"}
	}
	c.take(body)
	return coded{0, "ok"}
}

// A Feishu is the robot of a group, with a signature if Secret is set. It takes 5 messages
// in a second and 100 in a minute.
type Feishu struct {
	Log
	Hook, Secret   string
	Now            func() time.Time
	second, minute limit // guarded by Log
}

type feishuText struct {
	Tag     string `json:"tag"`
	Content string `json:"content"`
}

// ServeHTTP implements http.Handler.
func (f *Feishu) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	code, said := f.judge(r)
	write(w, http.StatusOK, map[string]any{"code": code, "msg": said, "data": map[string]any{}})
}

func (f *Feishu) judge(r *http.Request) (int, string) {
	var in struct {
		Timestamp, Sign string
		Type            string `json:"msg_type"`
		Card            struct {
			Config struct {
				Wide bool `json:"wide_screen_mode"`
			}
			Header struct {
				Title    feishuText
				Template string
			}
			Elements []struct {
				Tag     string
				Text    *feishuText
				Actions []struct {
					Tag, URL, Type string
					Text           feishuText
				}
			}
		}
	}
	body, err := read(r, &in)
	switch {
	case err != nil:
		return 9499, "Bad Request: " + err.Error()
	case r.URL.Path != "/open-apis/bot/v2/hook/"+f.Hook:
		return 19001, "param invalid: incoming webhook access token invalid"
	case f.Secret != "" && !f.signed(in.Timestamp, in.Sign):
		return 19021, "sign match fail or timestamp is not within one hour from current time"
	case f.second.over(f.Now(), 5, time.Second, 0), f.minute.over(f.Now(), 100, time.Minute, 0):
		return 11232, "frequency limited"
	case len(body) > 20*1024:
		return 9499, "the body is too large"
	case in.Type != "interactive" || in.Card.Header.Title.Tag != "plain_text" || in.Card.Header.Title.Content == "" || len(in.Card.Elements) == 0:
		return 9499, "the card lacks something"
	}
	for _, e := range in.Card.Elements {
		if e.Tag == "div" && (e.Text == nil || e.Text.Content == "") || e.Tag == "action" && (len(e.Actions) == 0 || e.Actions[0].URL == "") || e.Tag != "div" && e.Tag != "action" {
			return 9499, "an element lacks something"
		}
	}
	f.take(body)
	return 0, "success"
}

func (f *Feishu) signed(timestamp, sign string) bool {
	s, err := strconv.ParseInt(timestamp, 10, 64)
	return err == nil && f.Now().Sub(time.Unix(s, 0)).Abs() <= time.Hour && sign == sum(timestamp+"\n"+f.Secret, "")
}

// A Slack is an incoming webhook, at Path, and chat.postMessage for a token.
type Slack struct {
	Log
	Path           string // of the webhook
	Token, Channel string
}

var slackMention = lazy.Regexp(`^(<@[A-Z0-9]+> ?)+$`)

// ServeHTTP implements http.Handler.
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hook := r.URL.Path == s.Path
	status, said := s.judge(r, hook)
	switch {
	case hook:
		w.WriteHeader(status)
		_, _ = w.Write([]byte(said)) // who hung up does not read it
	case said == "ok":
		write(w, http.StatusOK, map[string]any{"ok": true, "channel": s.Channel, "ts": "1795290000.000100"})
	default:
		write(w, http.StatusOK, map[string]any{"ok": false, "error": said})
	}
}

func (s *Slack) judge(r *http.Request, hook bool) (int, string) {
	type text struct {
		Type, Text string
		Emoji      bool
	}
	var in struct {
		Channel string
		Text    string
		Unfurl  bool `json:"unfurl_links"`
		Blocks  []struct {
			Type     string
			Text     *text
			Elements []struct {
				Type, URL, Style string
				Text             text
			}
		}
	}
	body, err := read(r, &in)
	switch {
	case !hook && r.URL.Path != "/api/chat.postMessage":
		return http.StatusNotFound, "no_service"
	case !hook && r.Header.Get("Authorization") != "Bearer "+s.Token:
		return http.StatusOK, "invalid_auth"
	case err != nil || in.Text == "" || len(in.Blocks) > 50:
		return http.StatusBadRequest, "invalid_payload"
	case !hook && in.Channel != s.Channel:
		return http.StatusOK, "channel_not_found"
	}
	for _, b := range in.Blocks {
		room := map[string]int{"header": 150, "section": 3000}[b.Type]
		switch {
		case b.Type == "actions" && len(b.Elements) == 1 && b.Elements[0].URL != "" && b.Elements[0].Text.Type == "plain_text":
		case b.Text == nil, b.Text.Text == "", len([]rune(b.Text.Text)) > room:
			return http.StatusBadRequest, "invalid_blocks"
		case b.Text.Type == "mrkdwn" && !slackMention().MatchString(b.Text.Text):
			return http.StatusBadRequest, "invalid_blocks" // only mentions are markup
		}
	}
	s.take(body)
	return http.StatusOK, "ok"
}
