package sms

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

const (
	alibabaEndpoint = "https://dysmsapi.aliyuncs.com"
	pageSize        = 50 // entries of a page of receipts, the most there may be
	maxPages        = 20 // more than a number gets in a day
)

// Alibaba is Alibaba Cloud's SMS, version 2017-05-25. OutId, which stands in each receipt,
// is the message's id.
func Alibaba() message.Kind {
	return message.Kind{
		Name:  "sms-alibaba",
		Title: form.Text{English: "SMS through Alibaba Cloud", Chinese: "短信（阿里云）"},
		Form: form.Form{
			Settings: append([]form.Field{
				{Name: "sign", Required: true, Help: form.Text{English: "the approved signature, without brackets", Chinese: "已审核的短信签名（不带括号）"}, Example: "示例公司"},
				{Name: "endpoint", Help: form.Text{English: "the API's address; mainland China's if empty", Chinese: "API 地址；留空为中国站"}, Example: "https://dysmsapi.ap-southeast-1.aliyuncs.com"},
			}, templateFields("SMS_123456789")...),
			Credential: []form.Field{
				{Name: "access_key_id", Required: true, Help: form.Text{English: "of a RAM user that may only dysms:SendSms and dysms:QuerySendDetails", Chinese: "RAM 用户的 AccessKey ID，只授予 dysms:SendSms 和 dysms:QuerySendDetails"}},
				{Name: "access_key_secret", Required: true, Help: form.Text{English: "the secret that belongs to it", Chinese: "对应的 AccessKey Secret"}},
			},
		},
		Traits: message.Traits{Family: message.Phone, Burst: 20, PerMinute: 60, Reaches: reaches},
		Open:   openAlibaba,
	}
}

func openAlibaba(o message.Opening) (message.Sender, error) {
	t, err := readTemplate(o)
	if err != nil {
		return nil, err
	}
	endpoint := alibabaEndpoint
	if o.Settings["endpoint"] != "" {
		u, err := wire.Address(o, "endpoint")
		if err != nil {
			return nil, err
		}
		endpoint = u.String()
	}
	client := rpc.NewClient(rpc.Config{
		Credential: rpc.Credential{ID: string(o.Credential["access_key_id"].Expose()), Secret: o.Credential["access_key_secret"]},
		Now:        o.Now, HTTP: egress.HTTP(o.Allow),
	})
	return &alibabaSMS{o, t, endpoint, client}, nil
}

type alibabaSMS struct {
	opening  message.Opening
	template template
	endpoint string
	client   *rpc.Client
}

var alibabaCodes = map[string]verdict{
	"isv.BUSINESS_LIMIT_CONTROL":      {message.Retry, time.Minute, fault.Say("the number gets SMS too often; raise the limit in the console")},
	"isv.DAY_LIMIT_CONTROL":           {message.Permanent, 0, fault.Say("the account sent its limit of the day; raise it in the console")},
	"isv.MONTH_LIMIT_CONTROL":         {message.Permanent, 0, fault.Say("the account sent its limit of the month; raise it in the console")},
	"isv.AMOUNT_NOT_ENOUGH":           {message.Permanent, 0, fault.Say("the account has no money left; charge it")},
	"isv.OUT_OF_SERVICE":              {message.Permanent, 0, fault.Say("the account is stopped for lack of money; charge it")},
	"isv.ACCOUNT_ABNORMAL":            {message.Permanent, 0, fault.Say("the account is blocked; ask the gateway's support")},
	"isv.PRODUCT_UN_SUBSCRIPT":        {message.Permanent, 0, fault.Say("SMS is not activated; activate it in the console")},
	"isv.MOBILE_NUMBER_ILLEGAL":       {message.Permanent, 0, fault.Say("there is no such number; correct the person's")},
	"isv.BLACK_KEY_CONTROL_LIMIT":     {message.Permanent, 0, fault.Say("the text is refused; give what it is about another name")},
	"isv.PARAM_NOT_SUPPORT_URL":       {message.Permanent, 0, fault.Say("a value looks like a link; give what it is about another name")},
	"isv.PARAM_LENGTH_LIMIT":          {message.Permanent, 0, fault.Say("a value is too long for the template; give its variables more room")},
	"isv.SMS_SIGNATURE_ILLEGAL":       {message.Permanent, 0, fault.Say("the signature is wrong or not approved; check \"sign\" in the console")},
	"isv.SMS_TEMPLATE_ILLEGAL":        {message.Permanent, 0, fault.Say("the template is wrong or not approved; check \"template\" in the console")},
	"isv.TEMPLATE_MISSING_PARAMETERS": {message.Permanent, 0, fault.Say("the template has other variables; check \"params\"")},
	"isv.TEMPLATE_PARAMS_ILLEGAL":     {message.Permanent, 0, fault.Say("the template does not allow a value; check the rules of its variables")},
	"isp.RAM_PERMISSION_DENY":         {message.Permanent, 0, fault.Say("the RAM user may not send; allow dysms:SendSms and dysms:QuerySendDetails")},
	"isp.SYSTEM_ERROR":                {message.Unclear, 0, fault.Say("it failed; the message may have left")},
	"SignatureDoesNotMatch":           {message.Permanent, 0, fault.Say("access_key_secret does not belong to access_key_id; enter both again")},
	"InvalidAccessKeyId":              {message.Permanent, 0, fault.Say("access_key_id is not the id of an active key; enter one")},
	"InvalidTimeStamp":                {message.Retry, time.Minute, fault.Say("this server's clock is more than 15 minutes off; correct it")},
	"Throttling":                      {message.Retry, time.Minute, fault.Say("the account calls too often")},
	"ServiceUnavailable":              {message.Unclear, 0, fault.Say("it failed; the message may have left")},
	"InternalError":                   {message.Unclear, 0, fault.Say("it failed; the message may have left")},
}

// rule adds to the table how long the limit of a number lasts, which only the text says:
// of a minute, an hour, a day.
func (a *alibabaSMS) rule(code, said string) *message.SendError {
	e := rule(a.opening, fault.Say("Alibaba Cloud"), alibabaCodes, code, said)
	if code == "isv.BUSINESS_LIMIT_CONTROL" {
		switch {
		case strings.Contains(said, "小时"):
			e.After = time.Hour
		case strings.Contains(said, "天"):
			e.Class, e.After = message.Permanent, 0
		}
	}
	return e
}

func (a *alibabaSMS) call(ctx context.Context, action string, params map[string]string, out any) error {
	op := rpc.Operation{Endpoint: a.endpoint, Version: "2017-05-25", Action: action, Params: params, Once: action == "SendSms"}
	left, err := attempt(ctx, func(ctx context.Context) error { return a.client.Call(ctx, op, out) })
	var e *rpc.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && e.Code != "":
		return a.rule(e.Code, e.Message)
	}
	return broken(a.opening, err, left)
}

// digits answers a number as the gateway writes it: the mainland's without a prefix,
// others without the plus.
func digits(mobile string) string {
	if local, ok := strings.CutPrefix(mobile, "+86"); ok {
		return local
	}
	return strings.TrimPrefix(mobile, "+")
}

// Send implements message.Sender.
func (a *alibabaSMS) Send(ctx context.Context, m message.Message) (message.Receipt, error) {
	to, err := recipient(m)
	if err != nil {
		return message.Receipt{}, err
	}
	named := map[string]string{}
	for i, value := range a.template.values(m) {
		named[a.template.params[i]] = value
	}
	var out struct{ Code, Message, BizId string }
	if err := a.call(ctx, "SendSms", map[string]string{
		"PhoneNumbers": digits(to), "SignName": a.opening.Settings["sign"], "TemplateCode": a.template.of(m),
		"TemplateParam": string(wire.JSON(named)), "OutId": m.ID,
	}, &out); err != nil {
		return message.Receipt{}, err
	}
	switch out.Code {
	case "OK":
		return message.Receipt{ID: wire.Clean(out.BizId, a.opening), State: message.Accepted}, nil
	case "":
		return message.Receipt{}, wire.Unclear("Alibaba Cloud's answer does not tell what became of the SMS")
	}
	return message.Receipt{}, a.rule(out.Code, out.Message)
}

// entry is a message in the gateway's books.
type entry struct {
	OutId      string
	SendStatus json.Number // 1 on its way, 2 failed, 3 delivered
}

// Query implements message.Querier. The gateway's books are kept by day.
func (a *alibabaSMS) Query(ctx context.Context, m message.Message) (message.Receipt, error) {
	to, err := recipient(m)
	if err != nil {
		return message.Receipt{}, err
	}
	now := a.opening.Now()
	day, today := china(m.At.Add(-time.Minute)), china(now).Format("20060102")
	for range 8 { // who asks later than in a week asks in vain
		e, err := a.find(ctx, digits(to), day.Format("20060102"), m.ID)
		if err != nil {
			return message.Receipt{}, err
		}
		if e.OutId != "" {
			state, ok := map[json.Number]message.State{"1": message.Accepted, "2": message.Failed, "3": message.Delivered}[e.SendStatus]
			if !ok {
				return message.Receipt{}, wire.Unclear("Alibaba Cloud's answer does not tell what became of the SMS")
			}
			return message.Receipt{State: state}, nil
		}
		if day.Format("20060102") >= today {
			break
		}
		day = day.AddDate(0, 0, 1)
	}
	return message.Receipt{State: message.Missing}, early(m, now)
}

// find looks through the books of a day; the zero entry says that it is not there.
func (a *alibabaSMS) find(ctx context.Context, to, day, id string) (entry, error) {
	for page := 1; page <= maxPages; page++ {
		var out struct {
			Code, Message     string
			SmsSendDetailDTOs struct{ SmsSendDetailDTO []entry }
		}
		if err := a.call(ctx, "QuerySendDetails", map[string]string{
			"PhoneNumber": to, "SendDate": day, "PageSize": strconv.Itoa(pageSize), "CurrentPage": strconv.Itoa(page),
		}, &out); err != nil {
			return entry{}, err
		}
		if out.Code != "OK" {
			return entry{}, a.rule(out.Code, out.Message)
		}
		for _, e := range out.SmsSendDetailDTOs.SmsSendDetailDTO {
			if e.OutId == id {
				return e, nil
			}
		}
		if len(out.SmsSendDetailDTOs.SmsSendDetailDTO) < pageSize {
			break
		}
	}
	return entry{}, nil
}
