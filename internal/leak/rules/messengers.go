package rules

import (
	"bytes"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
)

// messengers are WeChat, WeCom, DingTalk, Feishu and their like. The ids of their apps
// stand in every client and are said only with their secrets.
func messengers() []leak.Rule {
	return []leak.Rule{
		{ID: "wechat-app-id", Provider: wechat, Title: title("WeChat AppID", "微信 AppID"), Class: leak.Public,
			Tokens: token("wx", of(hex, 16)), Judge: publicID},
		{ID: "wechat-app-secret", Provider: wechat, Title: title("WeChat AppSecret", "微信 AppSecret"), Severity: leak.High,
			Pairs: []leak.Pair{{With: "wechat-app-id", Shape: of(hex, 32), Assigned: true}},
			Named: named(of(hex, 32), "appsecret", "secret", "secretkey", "wxsecret"), Judge: digest},
		{ID: "wechat-aes-key", Provider: wechat, Title: title("WeChat EncodingAESKey", "微信 EncodingAESKey"), Severity: leak.High,
			Named: []leak.Named{{Names: []string{"encodingaeskey"}, Shape: of(alnum, 43), Alone: true}, {Names: []string{"aeskey", "encodingkey", "msgaeskey"}, Shape: of(alnum, 43)}}, Judge: mixed},
		{ID: "wecom-corp-id", Provider: wecom, Title: title("WeCom CorpID", "企业微信 CorpID"), Class: leak.Public,
			Tokens: token("ww", of(hex, 16)), Judge: publicID},
		{ID: "wecom-corp-secret", Provider: wecom, Title: title("WeCom secret", "企业微信 Secret"), Severity: leak.High,
			Pairs: []leak.Pair{{With: "wecom-corp-id", Shape: of(url64, 43)}},
			Named: named(of(url64, 43), "corpsecret", "secret", "agentsecret"), Judge: mixed},
		{ID: "wecom-webhook", Provider: wecom, Title: title("WeCom robot webhook", "企业微信群机器人 Webhook"), Severity: leak.Medium,
			Find: after("qyapi.weixin.qq.com/cgi-bin/webhook/", "key=", of(uuidSet, 36), uuid)},
		{ID: "dingtalk-webhook", Provider: dingtalk, Title: title("DingTalk robot webhook", "钉钉群机器人 Webhook"), Severity: leak.Medium,
			Find: after("oapi.dingtalk.com/robot/send", "access_token=", of(hex, 64), digest)},
		{ID: "dingtalk-robot-secret", Provider: dingtalk, Title: title("DingTalk robot's signing secret", "钉钉群机器人加签密钥"), Severity: leak.Medium,
			Tokens: token("SEC", of(hex, 64)), Judge: func(v []byte) (bool, bool) { return digest(v[3:]) }},
		{ID: "dingtalk-app-key", Provider: dingtalk, Title: title("DingTalk AppKey", "钉钉 AppKey"), Class: leak.Public,
			Tokens: token("ding", of(leak.NewSet("0-9a-z"), 16)), Judge: randomID},
		{ID: "dingtalk-app-secret", Provider: dingtalk, Title: title("DingTalk AppSecret", "钉钉 AppSecret"), Severity: leak.High,
			Pairs: []leak.Pair{{With: "dingtalk-app-key", Shape: of(url64, 64)}},
			Named: named(of(url64, 64), "appsecret", "secret", "clientsecret"), Judge: mixed},
		{ID: "feishu-app-id", Provider: feishu, Title: title("Feishu App ID", "飞书 App ID"), Class: leak.Public,
			Tokens: token("cli_", of(leak.NewSet("0-9a-z"), 16)), Judge: randomID},
		{ID: "feishu-app-secret", Provider: feishu, Title: title("Feishu App Secret", "飞书 App Secret"), Severity: leak.High,
			Pairs: []leak.Pair{{With: "feishu-app-id", Shape: of(alnum, 32)}},
			Named: named(of(alnum, 32), "appsecret", "secret"), Judge: mixed},
		{ID: "feishu-webhook", Provider: feishu, Title: title("Feishu robot webhook", "飞书群机器人 Webhook"), Severity: leak.Medium,
			Find: after("/open-apis/bot/v2/hook/", "", of(uuidSet, 36), uuid)},
		{ID: "slack-token", Provider: slack, Title: title("Slack token", "Slack 令牌"), Severity: leak.High,
			Tokens: tokens(from(leak.NewSet("0-9A-Za-z-"), 24, 250), "xoxb-", "xoxp-", "xoxa-", "xoxe-", "xoxr-", "xoxs-", "xapp-"), Judge: func(v []byte) (bool, bool) {
				m := judge.MixOf(v)
				return false, m.Digit >= 8 && !judge.Placeholder(v)
			}},
		{ID: "slack-webhook", Provider: slack, Title: title("Slack webhook", "Slack Webhook"), Severity: leak.Medium,
			Find: after("hooks.slack.com/services/", "", from(leak.NewSet("0-9A-Za-z/"), 40, 48), mixed)},
		{ID: "discord-webhook", Provider: discord, Title: title("Discord webhook", "Discord Webhook"), Severity: leak.Medium,
			Find: after("/api/webhooks/", "", from(leak.NewSet("0-9A-Za-z_/-"), 80, 100), mixed)},
		{ID: "telegram-bot-token", Provider: telegram, Title: title("Telegram bot token", "Telegram 机器人令牌"), Severity: leak.High,
			Tokens: []leak.Token{{Prefix: ":AA", Lead: &leak.Shape{Set: digits, Min: 8, Max: 10}, Shape: of(url64, 33)}}, Judge: mixed},
	}
}

// publicID takes ids of hexadecimal digits that were made by chance.
func publicID(value []byte) (proven, ok bool) {
	return false, judge.MixOf(value[2:]).Distinct > 5 && !judge.Placeholder(value)
}

// randomID takes ids with a prefix of four characters behind which chance made the rest.
func randomID(value []byte) (proven, ok bool) {
	m := judge.MixOf(value[4:])
	return false, m.Digit > 0 && m.Distinct > 5
}

// after finds what stands at most 200 bytes behind an anchor and directly behind a mark.
func after(anchor, mark string, s leak.Shape, judged func([]byte) (bool, bool)) *leak.Finder {
	return &leak.Finder{Anchors: []string{anchor}, Look: func(p leak.Part, _, end int) (leak.Found, bool) {
		rest := p.Text[end:min(len(p.Text), end+300)]
		i := bytes.Index(rest, []byte(mark))
		if i < 0 || i > 200 {
			return leak.Found{}, false
		}
		begin := i + len(mark)
		n := begin
		for n < len(rest) && s.Set[rest[n]] {
			n++
		}
		value := rest[begin:n]
		if !s.Fits(value) {
			return leak.Found{}, false
		}
		if _, ok := judged(value); !ok {
			return leak.Found{}, false
		}
		return leak.Found{Start: end + begin, End: end + n, Confidence: leak.Certain}, true
	}}
}
