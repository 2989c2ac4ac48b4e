package keypage

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/netip"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/material/webauthn"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/server/sheet"
)

// A view is what the page shows.
type view struct {
	Lang, Other message.Language
	Style       template.CSS
	Script      template.JS
	Ask         string // for the script, as JSON
	Title, Text string
	Facts       []fact
	Question    *question
}

type fact struct {
	Name, Value string
	Raw         bool // the caller's text
}

type question struct{ Compare, Code, Caution, Yes, No, Hint, NoScript string }

// An ask is what the script asks the browser for.
type ask struct {
	Add          bool              `json:"add"`
	Host         string            `json:"host"`
	User         string            `json:"user"`
	Handle       []byte            `json:"handle"`
	Challenge    []byte            `json:"challenge"`
	Keys         []string          `json:"keys"`
	Algorithms   []int             `json:"algorithms"`
	Milliseconds int64             `json:"milliseconds"`
	Texts        map[string]string `json:"texts"` // of what a browser answers, by the name of its exception
}

func (v *visit) blank() view { return view{Lang: v.lang, Other: sheet.Other(v.lang)} }

// show answers the page of the link.
func (v *visit) show() (view, error) {
	p, err := v.People.Open(v.x.Context(), v.call, v.link())
	if err != nil {
		return view{}, err
	}
	if p.State != people.Waiting {
		return view{}, fault.StateConflict.New("this was answered already")
	}
	out := v.blank()
	out.Title, out.Facts = v.title(p), v.facts(p)
	out.Ask = v.ask(p)
	out.Question = &question{
		Compare: v.lang.Pick("Your terminal must show this code:", "您的终端应显示此代码："), Code: p.Code, Caution: v.caution(p),
		Yes: fmt.Sprintf(v.lang.Pick("My terminal shows %s: use the security key", "终端显示 %s：使用安全密钥"), p.Code),
		No:  v.lang.Pick("I did not ask for this: refuse", "不是我发起的：拒绝"),
		Hint: v.lang.Pick("If you did not just enter a keyward command yourself, refuse: somebody else wants it, and the security key would let them.",
			"如果您刚才没有亲自执行 keyward 命令，请拒绝：这是他人发起的请求，使用安全密钥即会放行。"),
		NoScript: v.lang.Pick("This page needs JavaScript to reach the security key.", "此页面需要 JavaScript 才能使用安全密钥。"),
	}
	return out, nil
}

// title says in a few words what is approved.
func (v *visit) title(p people.Page) string {
	switch p.Purpose {
	case people.ToLogIn:
		return fmt.Sprintf(v.lang.Pick("Log in as %s", "以 %s 的身份登录"), p.User)
	case people.ToAdd:
		return fmt.Sprintf(v.lang.Pick("Register the security key %s", "注册安全密钥 %s"), p.Details[0].Value)
	}
	if name, ok := operations[p.Action]; ok {
		return v.lang.Pick(name[0], name[1])
	}
	return fmt.Sprintf(v.lang.Pick("Approve %s", "批准 %s"), p.Action)
}

func (v *visit) facts(p people.Page) []fact {
	out := []fact{{Name: v.lang.Pick("User", "用户"), Value: p.User}, {Name: v.lang.Pick("Account", "账号"), Value: p.Account}}
	if p.Purpose == people.ToApprove {
		out = append(out, fact{Name: v.lang.Pick("Operation", "操作"), Value: p.Action})
		for _, d := range p.Details {
			name, ok := words[d.Name]
			if !ok {
				name = [2]string{d.Name, d.Name}
			}
			out = append(out, fact{v.lang.Pick(name[0], name[1]), d.Value, true})
		}
	}
	from := p.Source
	if from == "" {
		from = v.lang.Pick("the server itself", "服务器本机")
	}
	return append(out, fact{Name: v.lang.Pick("Asked from", "请求来自"), Value: from},
		fact{Name: v.lang.Pick("At", "时间"), Value: p.BegunAt.UTC().Format("2006-01-02 15:04:05 UTC")})
}

// caution warns who is somewhere else than whoever asked.
func (v *visit) caution(p people.Page) string {
	asked, err := netip.ParseAddr(p.Source)
	if err != nil || asked.Unmap() == v.call.Source.Unmap() || asked.IsLoopback() && v.call.Source.IsLoopback() {
		return ""
	}
	return fmt.Sprintf(v.lang.Pick("This was asked for from %s, but your browser is at %s. Go on only if you entered the command on that other machine.",
		"该请求来自 %s，而您的浏览器位于 %s。只有在您确实于那台机器上执行了命令时才可继续。"), p.Source, v.call.Source)
}

func (v *visit) ask(p people.Page) string {
	cancelled := v.lang.Pick("The security key was not used, or does not belong to this user and this server. Nothing was approved; you can try again.",
		"未使用安全密钥，或该密钥不属于此用户和此服务器。未批准任何操作，可以重试。")
	text, _ := json.Marshal(ask{ // of texts and numbers, which cannot fail
		Add: p.Purpose == people.ToAdd, Host: p.Host, User: p.User, Handle: p.Handle, Challenge: p.Challenge, Keys: append([]string{}, p.Keys...),
		Algorithms: webauthn.Algorithms(), Milliseconds: people.CeremonyLife.Milliseconds(),
		Texts: map[string]string{
			"NotAllowedError":   cancelled,
			"InvalidStateError": v.lang.Pick("This security key is registered already.", "该安全密钥已注册。"),
			"NotSupportedError": v.lang.Pick("This browser cannot use security keys here.", "此浏览器无法在此使用安全密钥。"),
			"SecurityError":     v.lang.Pick("The browser does not let this page use security keys: it was opened under another address than the server's.", "浏览器不允许此页面使用安全密钥：打开的地址与服务器地址不符。"),
			"TypeError":         v.lang.Pick("The server could not be reached. You can try again.", "无法连接服务器，可以重试。"),
			"other":             v.lang.Pick("This did not work. You can try again.", "操作未成功，可以重试。"),
		},
	})
	return string(text)
}

// failure says what went wrong, and nothing that a stranger should not know.
func (v *visit) failure(err error) view {
	out := v.blank()
	out.Title, out.Text = v.lang.Pick("This did not work", "操作未成功"), v.lang.Pick("Try again in a minute.", "请稍后重试。")
	switch fault.KindOf(err) {
	case fault.ResourceNotFound:
		out.Title = v.lang.Pick("This link is not valid", "链接无效")
		out.Text = v.lang.Pick("It was used, it is older than three minutes, or it is not one of this server. Enter the command again.", "链接已使用、已超过三分钟，或不属于本服务器。请重新执行命令。")
	case fault.StateConflict:
		out.Title = v.lang.Pick("This was answered already", "此请求已处理")
		out.Text = v.lang.Pick("If it was not you, ask an administrator to end your sessions, and change your password.", "如果不是您本人操作，请联系管理员结束您的会话，并修改密码。")
	case fault.Throttled:
		out.Text = v.lang.Pick("There were too many requests from your address. Wait a moment.", "来自您所在地址的请求过多，请稍候。")
	}
	return out
}

// outcome says what became of an answer.
func (v *visit) outcome(in answer, err error) []byte {
	out := outcome{}
	switch fault.KindOf(err) {
	case "":
		out = outcome{true, true, v.lang.Pick("Done. Go back to your terminal.", "已完成。请返回终端。")}
		if in.Refuse {
			out.Text = v.lang.Pick("Refused. If somebody else wanted to log in as you, that person knows your password: change it now.",
				"已拒绝。如果有他人试图以您的身份登录，说明对方知道您的密码，请立即修改。")
		}
	case fault.LoginFailed:
		out.Text = v.lang.Pick("The answer of the security key was not accepted: ", "安全密钥的应答未被接受：") + fault.Message(err)
	case fault.ResourceExists:
		out.Text = v.lang.Pick("This security key is registered already.", "该安全密钥已注册。")
	case fault.ResourceNotFound, fault.StateConflict:
		out.Over, out.Text = true, v.failure(fault.StateConflict.New("")).Title
	default:
		out.Text = v.failure(err).Text
	}
	text, _ := json.Marshal(out) // of a text and flags, which cannot fail
	return text
}
