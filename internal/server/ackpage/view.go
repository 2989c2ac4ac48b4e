package ackpage

import (
	"fmt"
	"html/template"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/oncall"
	"github.com/keyward/keyward/internal/server/sheet"
)

// A view is what the page shows.
type view struct {
	Lang, Other message.Language
	Style       template.CSS
	Severity    *severity
	Title, Text string
	Facts       []notify.Fact
	Done        string // what was done already
	Form        *question

	again bool // send the visitor to the page once more
}

type severity struct{ Name, Text string }

// A question is the form; a label that is empty is not asked for.
type question struct{ Name, Person, Note, Button, Hint string }

func (v *visit) blank() view {
	return view{Lang: v.lang, Other: sheet.Other(v.lang)}
}

// incident shows an incident and, while it is open, asks who takes it on.
func (v *visit) incident(i notify.Incident, plan oncall.Plan, person string) view {
	now := v.Links.Now()
	out := v.blank()
	out.Title = notify.Headline(i, v.lang, now)
	s := plan.Severity(i.Stage)
	out.Severity = &severity{s.String(), v.lang.Pick(
		[...]string{"Info", "Warning", "Critical", "Emergency"}[s], [...]string{"提示", "警告", "严重", "紧急"}[s])}
	for _, f := range i.Facts {
		out.Facts = append(out.Facts, notify.Fact{Name: f.Title(v.lang), Value: f.In(v.lang, when)})
	}
	out.Facts = append(out.Facts, notify.Fact{Name: v.lang.Pick("Incident", "事件"), Value: i.ID}, notify.Fact{Name: v.lang.Pick("Since", "起始时间"), Value: when(i.OpenedAt)})
	if !i.Open() {
		out.Severity = nil
		out.Done = fmt.Sprintf(v.lang.Pick("This is over since %s. There is nothing left to do.", "该事件已于 %s 解除，无需处理。"), when(i.EndedAt))
		return out
	}
	button := v.lang.Pick("I will see to it", "由我处理")
	if i.Acknowledged(now) {
		out.Done = fmt.Sprintf(v.lang.Pick("%s has taken it on; nobody else is told until %s.", "%s 已确认处理；在 %s 之前不再通知他人。"), i.AckBy, when(i.AckUntil))
		if i.AckNote != "" {
			out.Done += " " + i.AckNote
		}
		button = v.lang.Pick("Take it over", "改由我处理")
	}
	out.Form = &question{
		Name: v.lang.Pick("Your name (optional)", "您的姓名（可选）"), Person: person, Note: v.lang.Pick("Note (optional)", "备注（可选）"), Button: button,
		Hint: fmt.Sprintf(v.lang.Pick("This does not end the incident: it ends when its cause does. If it lasts, people are told again in %s at the latest.",
			"确认不会解除事件：原因消失后才会解除。若届时仍未解除，最迟 %s后会再次通知。"), message.Left(i.AckLimit(now), v.lang)),
	}
	return out
}

// question asks whether a test message was read.
func (v *visit) question(t token) view {
	out := v.blank()
	out.Title = fmt.Sprintf(v.lang.Pick("Test message of the channel %s", "通知渠道 %s 的测试消息"), t.subject)
	out.Text = v.lang.Pick("You can read messages of keyward. Please confirm it, so that it is known that alarms reach you.",
		"您已能收到 keyward 的消息。请确认，以便系统知道告警可以送达。")
	out.Form = &question{Name: v.lang.Pick("Your name (optional)", "您的姓名（可选）"), Person: t.person, Button: v.lang.Pick("Confirm", "确认"), Hint: v.lang.Pick("Nothing else happens.", "不会有其他影响。")}
	return out
}

func (v *visit) confirmed(t token) view {
	out := v.blank()
	out.Title = fmt.Sprintf(v.lang.Pick("Test message of the channel %s", "通知渠道 %s 的测试消息"), t.subject)
	out.Done = v.lang.Pick("Thank you. It is noted that you can read it.", "谢谢，已记录您能收到消息。")
	return out
}

// failure says what went wrong, and nothing that a stranger should not know.
func (v *visit) failure(err error) view {
	out := v.blank()
	out.Title, out.Text = v.lang.Pick("This did not work", "操作未成功"), v.lang.Pick("Try again in a minute, or answer with: keyward incident ack", "请稍后重试，或使用命令：keyward incident ack")
	switch fault.KindOf(err) {
	case fault.SignatureMismatch, fault.ResourceNotFound:
		out.Title = v.lang.Pick("This link is not valid", "链接无效")
		out.Text = v.lang.Pick("It was not made by this server, or it is older than 30 days. Use the link of a newer message.", "链接不是由本服务器生成，或已超过 30 天。请使用较新消息中的链接。")
	case fault.StateConflict:
		out.Title, out.Text = v.lang.Pick("This is over already", "该事件已解除"), v.lang.Pick("There is nothing left to do.", "无需处理。")
	case fault.Throttled:
		out.Text = v.lang.Pick("There were too many requests from your address. Wait a moment.", "来自您所在地址的请求过多，请稍候。")
	case fault.NoPermission, fault.InvalidParameter, fault.TooLarge, fault.MethodNotAllowed:
		out.Text = v.lang.Pick("Open the link of the message again and use the form of the page.", "请重新打开消息中的链接，并使用页面上的表单。")
	}
	return out
}
