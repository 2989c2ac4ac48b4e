// Package manual guides a person through changing a key that only a person at a console
// can change: the keys and certificates of WeChat Pay, Alipay, UnionPay, PayPal, and
// whatever else has no API. It is the provider kind "manual".
//
// An [accesskey.Guide] says what to click and what to enter, in both languages, and checks what was
// entered before anybody relies on it: a certificate that is not of this merchant, that
// has expired or does not fit its private key, a PKCS#12 file that does not open, a key of
// the wrong length or from the wrong line of the console is refused with what to do. What
// is only suspicious is a warning.
//
// Its Check is pure: it stores nothing, asks nobody and looks at no clock. It answers
// [accesskey.Evidence], which holds no secret and may be shown: what the inventory keeps of the key.
// Who calls it seals what was entered.
//
// The provider of this kind reads nothing, because there is nothing to read: it says so in
// a problem of its snapshot, so that no key that a person entered is ever taken for gone.
//
// Who may call: package accesskey's service through app, the API dialects, the CLI. What
// is trusted: nothing that was entered.
package manual

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/form"
)

// A guide is an [accesskey.Guide] whose check has what it works on in one piece.
type guide struct {
	Name         string
	Title        form.Text
	Steps        []form.Text
	Form         form.Form // certificates stand in Credential, because they have many lines
	Capabilities accesskey.Capabilities

	check func(entered) (accesskey.Evidence, error)
}

// entered is what a check works on.
type entered struct {
	form.Filling
	now time.Time
}

func (e entered) setting(name string) string { return e.Settings[name] }

func (e entered) secret(name string) []byte { return e.Credential[name].Expose() }

// Guides answers all guides, in the order of a menu.
func Guides() []accesskey.Guide {
	var out []accesskey.Guide
	for _, g := range []guide{
		wechatPayCertificate(), wechatPayKey(), alipayKey(), alipayCertificates(), unionPayCertificate(), payPalSecret(), anyKey(),
	} {
		out = append(out, accesskey.Guide{
			Name: g.Name, Title: g.Title, Steps: g.Steps, Form: g.Form, Capabilities: g.Capabilities,
			Check: func(in form.Filling, now time.Time) (accesskey.Evidence, error) {
				if err := g.Form.Check(in); err != nil {
					return accesskey.Evidence{}, err
				}
				return g.check(entered{in, now})
			},
		})
	}
	return out
}

// Kind answers the provider kind "manual".
func Kind() accesskey.KindOfProvider {
	return accesskey.KindOfProvider{
		Name:         "manual",
		Title:        form.Text{English: "keys that are changed by hand at a console", Chinese: "只能在控制台人工更换的密钥"},
		Form:         form.Form{Settings: []form.Field{{Name: "account", Help: form.Text{English: "what these keys belong to, for people", Chinese: "这些密钥所属的账号或系统(供人识别)"}, Example: "收单-华东"}}},
		Capabilities: accesskey.Capabilities{Manual: true},
		Guides:       Guides(),
		Pace:         24 * time.Hour,
		Open:         func(o accesskey.Opening) (accesskey.Provider, error) { return provider{o.Settings["account"]}, nil },
	}
}

// provider answers for keys that nobody but their owners can read.
type provider struct{ account string }

// Check implements accesskey.Provider; there is nothing that could be wrong.
func (p provider) Check(context.Context) (accesskey.Identity, error) {
	return accesskey.Identity{Account: p.account}, nil
}

// Observe implements accesskey.Provider: nothing was seen, so nothing is gone.
func (p provider) Observe(context.Context) (accesskey.Snapshot, error) {
	return accesskey.Snapshot{Identity: accesskey.Identity{Account: p.account}, Problems: []accesskey.Problem{{
		What: "manual", Reason: "these keys are entered by hand; what was entered stays as it is", Lists: true,
	}}}, nil
}
