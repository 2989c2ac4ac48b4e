// Package sms sends short messages through Tencent Cloud and Alibaba Cloud.
//
// A short message is a template that the operators approved, filled with a few short
// values: no free text, no links. So what a person learns is what it is about, how long is
// left and a ticket number to look up.
//
// No gateway recognises a message that it has seen, and a second one is paid for and read.
// So each carries the message's id, which the gateways keep beside it without sending it,
// and whoever lost an answer asks for it ([message.Querier]) before sending again. A
// gateway knows of a message a while after it took it; until then Query answers that it
// is too early to tell.
//
// The requests themselves, their signatures and their rates are the cloud packages'.
package sms

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

const (
	settling = 5 * time.Minute // after which a gateway knows what it took
	maxValue = 30              // runes of a value; templates allow at most 35
	maxID    = 256             // bytes of what is kept beside a message; Alibaba Cloud keeps the least
)

// china is the zone in which the gateways count days.
func china(t time.Time) time.Time { return t.In(time.FixedZone("UTC+8", 8*60*60)) }

func reaches(r message.Recipient) bool { return number(r.Mobile) }

// number tells whether a text is a number of E.164.
func number(text string) bool {
	digits, ok := strings.CutPrefix(text, "+")
	return ok && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}

// recipient answers the one number of a message.
func recipient(m message.Message) (string, error) {
	if len(m.To) != 1 || !number(m.To[0].Mobile) {
		return "", wire.Permanent("an SMS needs one recipient with a mobile number such as +8613800000000; enter the person's")
	}
	if m.ID == "" || len(m.ID) > maxID {
		return "", wire.Permanent("the message's id does not fit beside an SMS; report this as a defect")
	}
	return m.To[0].Mobile, nil
}

// A template is what the settings say of one.
type template struct {
	id      string // for Chinese, and for English if there is no other
	english string
	params  []string
}

// templateFields are the settings of a template.
func templateFields(example string) []form.Field {
	return []form.Field{
		{Name: "template", Required: true, Help: form.Text{English: "the id of the approved template", Chinese: "已审核的短信模板 ID"}, Example: example},
		{Name: "template_en", Help: form.Text{English: "the id of the template for people who read English", Chinese: "英文模板 ID（用于语言为英文的人员）"}, Example: example},
		{Name: "params", Help: form.Text{English: "the template's variables in their order; product,subject,left,ticket if empty", Chinese: "模板变量及顺序；留空为 product,subject,left,ticket"}, Example: "subject,left,ticket"},
	}
}

func readTemplate(o message.Opening) (template, error) {
	t := template{id: o.Settings["template"], english: o.Settings["template_en"], params: []string{"product", "subject", "left", "ticket"}}
	if t.english == "" {
		t.english = t.id
	}
	if text := o.Settings["params"]; text != "" {
		t.params = strings.Split(strings.ReplaceAll(text, " ", ""), ",")
	}
	for i, name := range t.params {
		if !slices.Contains([]string{"product", "subject", "left", "ticket"}, name) || slices.Contains(t.params[:i], name) {
			return t, fault.InvalidParameter.New("the field \"params\" names each of product, subject, left and ticket at most once, with commas between them")
		}
	}
	return t, nil
}

func (t template) of(m message.Message) string {
	if m.Language == message.English {
		return t.english
	}
	return t.id
}

// values answers the template's variables. What looks like a link to the gateways, such as
// a name with dots, or like the brackets around a signature, would be refused.
func (t template) values(m message.Message) []string {
	look := strings.NewReplacer(".", "．", "/", "／", ":", "：", "【", "（", "】", "）")
	named := map[string]string{"product": m.Values.Product, "subject": m.Values.Subject, "left": m.Values.Left, "ticket": m.Values.Ticket}
	values := make([]string, len(t.params))
	for i, name := range t.params {
		values[i] = wire.Clip(look.Replace(named[name]), maxValue)
		if values[i] == "" {
			values[i] = "-" // an empty variable is refused
		}
	}
	return values
}

// A verdict is what a gateway's code means.
type verdict struct {
	class  message.Class
	after  time.Duration
	reason fault.Text
}

// rule makes an error of a gateway's code; one that the table does not have, nor anything
// above it, is a refusal.
func rule(o message.Opening, gateway fault.Text, codes map[string]verdict, code, said string) *message.SendError {
	v, ok := codes[code]
	for above := code; !ok && strings.Contains(above, "."); {
		above = above[:strings.LastIndexByte(above, '.')]
		v, ok = codes[above]
	}
	if !ok {
		v = verdict{message.Permanent, 0, fault.Say("it refuses the message; look up the code in its documentation")}
	}
	e := wire.Permanent("%s: %s (%s: %s)", gateway, v.reason, wire.Clean(code, o), wire.Clean(said, o))
	e.Class, e.After = v.class, v.after
	return e
}

// broken makes an error of a call that the gateway did not answer with a code.
func broken(o message.Opening, err error, left bool) *message.SendError {
	why := fault.TextOf(err)
	e := &message.SendError{Class: message.Retry, Reason: fault.Both(wire.Clean(why.String(), o), wire.Clean(why.Chinese(), o))}
	switch kind := fault.KindOf(err); {
	case kind == fault.InvalidParameter:
		e.Class = message.Permanent
	case kind == fault.Throttled:
		e.After = time.Minute
	case left:
		e.Class = message.Unclear
	}
	return e
}

// early refuses to say that a message is missing while a gateway may not know it yet.
func early(m message.Message, now time.Time) error {
	tried := m.Tried
	if tried.IsZero() {
		tried = m.At
	}
	if wait := tried.Add(settling).Sub(now); wait > 0 {
		return wire.Retry(min(wait, settling), "the gateway has no receipt yet; it may still come")
	}
	return nil
}

// attempt performs a call of a cloud's API and tells whether a request may have left.
func attempt(ctx context.Context, call func(context.Context) error) (left bool, err error) {
	ctx, watch := wire.Watch(ctx)
	err = call(ctx)
	return watch(), err
}
