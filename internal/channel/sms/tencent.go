package sms

import (
	"context"
	"errors"
	"time"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

// Tencent is Tencent Cloud's SMS, version 2021-01-11. SessionContext, which comes back
// with each receipt, is the message's id.
func Tencent() message.Kind {
	return message.Kind{
		Name:  "sms-tencent",
		Title: form.Text{English: "SMS through Tencent Cloud", Chinese: "短信（腾讯云）"},
		Form: form.Form{
			Settings: append([]form.Field{
				{Name: "app", Required: true, Help: form.Text{English: "the application's id, SDK AppID", Chinese: "短信应用 SDK AppID"}, Example: "1400000000"},
				{Name: "sign", Help: form.Text{English: "the approved signature, without brackets; none abroad", Chinese: "已审核的短信签名（不带括号）；国际短信可不填"}, Example: "示例公司"},
				{Name: "region", Help: form.Text{English: "the region; ap-guangzhou if empty", Chinese: "地域；留空为 ap-guangzhou"}, Example: "ap-guangzhou"},
				{Name: "endpoint", Help: form.Text{English: "the API's address; mainland China's if empty", Chinese: "API 地址；留空为国内站"}, Example: "https://sms.intl.tencentcloudapi.com"},
			}, templateFields("1234567")...),
			Credential: []form.Field{
				{Name: "secret_id", Required: true, Help: form.Text{English: "of a sub-user that may only sms:SendSms and sms:PullSmsSendStatusByPhoneNumber", Chinese: "子用户的 SecretId，只授予 sms:SendSms 和 sms:PullSmsSendStatusByPhoneNumber"}},
				{Name: "secret_key", Required: true, Help: form.Text{English: "the SecretKey that belongs to it", Chinese: "对应的 SecretKey"}},
			},
		},
		Traits: message.Traits{Family: message.Phone, Burst: 20, PerMinute: 60, Reaches: reaches},
		Open:   openTencent,
	}
}

func openTencent(o message.Opening) (message.Sender, error) {
	t, err := readTemplate(o)
	if err != nil {
		return nil, err
	}
	region := o.Settings["region"]
	if region == "" {
		region = "ap-guangzhou"
	}
	if o.Settings["endpoint"] != "" {
		if _, err := wire.Address(o, "endpoint"); err != nil {
			return nil, err
		}
	}
	client, err := tencent.NewClient(tencent.Options{
		Endpoint: o.Settings["endpoint"], Allow: o.Allow, Now: o.Now,
		Signer: tencent.Signer{SecretID: string(o.Credential["secret_id"].Expose()), SecretKey: o.Credential["secret_key"]},
	})
	if err != nil {
		return nil, err
	}
	return &tencentSMS{o, t, region, client}, nil
}

type tencentSMS struct {
	opening  message.Opening
	template template
	region   string
	client   *tencent.Client
}

var tencentCodes = map[string]verdict{
	"LimitExceeded.PhoneNumberThirtySecondLimit":     {message.Retry, 30 * time.Second, fault.Say("one number gets one SMS in 30 seconds")},
	"LimitExceeded.PhoneNumberOneHourLimit":          {message.Retry, time.Hour, fault.Say("the number got its limit of an hour; raise it in the console")},
	"LimitExceeded.DeliveryFrequencyLimit":           {message.Retry, time.Minute, fault.Say("the number gets SMS too often; raise the limit in the console")},
	"LimitExceeded.PhoneNumberDailyLimit":            {message.Permanent, 0, fault.Say("the number got its limit of the day; raise it in the console")},
	"LimitExceeded.PhoneNumberSameContentDailyLimit": {message.Permanent, 0, fault.Say("the number got the same text too often today; raise the limit in the console")},
	"LimitExceeded.AppDailyLimit":                    {message.Permanent, 0, fault.Say("the application sent its limit of the day; raise it in the console")},
	"LimitExceeded.AppMainlandChinaDailyLimit":       {message.Permanent, 0, fault.Say("the application sent its limit of the day; raise it in the console")},
	"LimitExceeded":        {message.Retry, time.Minute, fault.Say("a limit is reached; raise it in the console")},
	"RequestLimitExceeded": {message.Retry, time.Minute, fault.Say("the account calls too often")},
	"FailedOperation.InsufficientBalanceInSmsPackage":          {message.Permanent, 0, fault.Say("the SMS package is used up; buy another")},
	"FailedOperation.SignatureIncorrectOrUnapproved":           {message.Permanent, 0, fault.Say("the signature is wrong or not approved; check \"sign\" in the console")},
	"FailedOperation.TemplateIncorrectOrUnapproved":            {message.Permanent, 0, fault.Say("the template is wrong or not approved; check \"template\" in the console")},
	"FailedOperation.TemplateParamSetNotMatchApprovedTemplate": {message.Permanent, 0, fault.Say("the template has other variables; check \"params\"")},
	"FailedOperation.PhoneNumberInBlacklist":                   {message.Permanent, 0, fault.Say("the number blocked SMS; ask the person to allow them, or the gateway's support")},
	"FailedOperation.ContainSensitiveWord":                     {message.Permanent, 0, fault.Say("the text is refused; give what it is about another name")},
	"FailedOperation":                                          {message.Permanent, 0, fault.Say("it refuses the message; look up the code in its documentation")},
	"InvalidParameterValue.IncorrectPhoneNumber":               {message.Permanent, 0, fault.Say("there is no such number; correct the person's")},
	"UnsupportedOperation":                                     {message.Permanent, 0, fault.Say("the template is for another region than the number; use one for it")},
	"UnauthorizedOperation.SmsSdkAppIdVerifyFail":              {message.Permanent, 0, fault.Say("the application does not belong to the account; check \"app\"")},
	"AuthFailure.SignatureExpire":                              {message.Retry, time.Minute, fault.Say("this server's clock is more than five minutes off; correct it")},
	"AuthFailure":                                              {message.Permanent, 0, fault.Say("the credential is refused; check secret_id, secret_key and the rights of their user")},
	"InternalError":                                            {message.Unclear, 0, fault.Say("it failed; the message may have left")},
}

func (t *tencentSMS) call(ctx context.Context, op tencent.Operation, in, out any) error {
	op.Service, op.Version, op.Region = "sms", "2021-01-11", t.region
	left, err := attempt(ctx, func(ctx context.Context) error { return t.client.Call(ctx, op, in, out) })
	var e *tencent.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return rule(t.opening, fault.Say("Tencent Cloud"), tencentCodes, e.Code, e.Message)
	}
	return broken(t.opening, err, left)
}

// Send implements message.Sender.
func (t *tencentSMS) Send(ctx context.Context, m message.Message) (message.Receipt, error) {
	to, err := recipient(m)
	if err != nil {
		return message.Receipt{}, err
	}
	in := struct {
		PhoneNumberSet   []string
		SmsSdkAppId      string
		SignName         string `json:",omitempty"`
		TemplateId       string
		TemplateParamSet []string
		SessionContext   string
	}{[]string{to}, t.opening.Settings["app"], t.opening.Settings["sign"], t.template.of(m), t.template.values(m), m.ID}
	var out struct {
		SendStatusSet []struct{ SerialNo, Code, Message string }
	}
	if err := t.call(ctx, tencent.Operation{Action: "SendSms"}, in, &out); err != nil {
		return message.Receipt{}, err
	}
	if len(out.SendStatusSet) != 1 {
		return message.Receipt{}, wire.Unclear("Tencent Cloud's answer does not tell what became of the SMS")
	}
	s := out.SendStatusSet[0]
	if s.Code != "Ok" {
		return message.Receipt{}, rule(t.opening, fault.Say("Tencent Cloud"), tencentCodes, s.Code, s.Message)
	}
	return message.Receipt{ID: wire.Clean(s.SerialNo, t.opening), State: message.Accepted}, nil
}

// Query implements message.Querier. A receipt comes when the network delivered or gave up,
// so a telephone that is switched off looks like a message that never left.
func (t *tencentSMS) Query(ctx context.Context, m message.Message) (message.Receipt, error) {
	to, err := recipient(m)
	if err != nil {
		return message.Receipt{}, err
	}
	now := t.opening.Now()
	in := struct {
		BeginTime, EndTime int64
		Offset, Limit      int
		PhoneNumber        string
		SmsSdkAppId        string
	}{m.At.Add(-time.Minute).Unix(), now.Unix(), 0, 100, to, t.opening.Settings["app"]}
	var out struct {
		PullSmsSendStatusSet []struct{ SerialNo, ReportStatus, SessionContext string }
	}
	if err := t.call(ctx, tencent.Operation{Action: "PullSmsSendStatusByPhoneNumber", Repeat: true}, in, &out); err != nil {
		return message.Receipt{}, err
	}
	for _, s := range out.PullSmsSendStatusSet {
		if s.SessionContext != m.ID {
			continue
		}
		r := message.Receipt{ID: wire.Clean(s.SerialNo, t.opening), State: message.Failed}
		if s.ReportStatus == "SUCCESS" {
			r.State = message.Delivered
		}
		return r, nil
	}
	return message.Receipt{State: message.Missing}, early(m, now)
}
