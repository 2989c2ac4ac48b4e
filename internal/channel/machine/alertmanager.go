package machine

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

// lasting is how long an alert fires without being sent again, if nothing else is set:
// longer than the default plan pauses between two messages of an open incident.
const lasting = 8 * 24 * time.Hour

// Alertmanager posts alerts to Prometheus Alertmanager's API v2. The same alert sent again
// is the same alert. An alert fires until its incident is resolved, or until it was not
// sent again for long; a heartbeat ends by Alertmanager's own resolve_timeout (five
// minutes by default), so a rule there can tell that it stopped.
func Alertmanager() message.Kind {
	return message.Kind{
		Name:  "alertmanager",
		Title: form.Text{English: "Alertmanager", Chinese: "Alertmanager"},
		Form: form.Form{
			Settings: []form.Field{
				{Name: "url", Required: true, Help: form.Text{English: "Alertmanager's address", Chinese: "Alertmanager 地址"}, Example: "https://alertmanager.example.com"},
				{Name: "user", Help: form.Text{English: "the user, with a password", Chinese: "用户名，与 password 一起使用"}, Example: "keyward"},
				{Name: "lasting", Help: form.Text{English: "how long an alert fires without being sent again; 192h if empty", Chinese: "告警未再次发送时的持续时间；留空为 192h"}, Example: "192h"},
			},
			Credential: []form.Field{
				{Name: "password", Help: form.Text{English: "for basic authentication", Chinese: "基本认证的密码"}},
				{Name: "token", Help: form.Text{English: "for a bearer token instead", Chinese: "或使用 Bearer 令牌"}},
			},
		},
		Traits: message.Traits{Family: message.Machine, Group: true, Idempotent: true, Reaches: always},
		Open:   openAlertmanager,
	}
}

func openAlertmanager(o message.Opening) (message.Sender, error) {
	to, err := wire.Address(o, "url")
	if err != nil {
		return nil, err
	}
	lasts := lasting
	if text := o.Settings["lasting"]; text != "" {
		if lasts, err = time.ParseDuration(text); err != nil || lasts < time.Minute || lasts > 366*24*time.Hour {
			return nil, fault.InvalidParameter.New("the field \"lasting\" is a time between 1m and 8784h, such as 192h")
		}
	}
	if (o.Settings["user"] != "") != (o.Credential["password"].Len() > 0) {
		return nil, fault.InvalidParameter.New("give a user and a password, or neither")
	}
	if o.Settings["user"] != "" && o.Credential["token"].Len() > 0 {
		return nil, fault.InvalidParameter.New("give a password or a token, not both")
	}
	return &alertmanager{wire.New(fault.Say("Alertmanager"), o), to.JoinPath("api", "v2", "alerts"), lasts, o}, nil
}

type alertmanager struct {
	client  *wire.Client
	to      *url.URL
	lasting time.Duration
	opening message.Opening
}

type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    string            `json:"startsAt"`
	EndsAt      string            `json:"endsAt,omitempty"`
	Generator   string            `json:"generatorURL,omitempty"`
}

// Send implements message.Sender.
func (a *alertmanager) Send(ctx context.Context, m message.Message) (message.Receipt, error) {
	header := http.Header{}
	if user := a.opening.Settings["user"]; user != "" {
		pair := append([]byte(user+":"), a.opening.Credential["password"].Expose()...)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString(pair))
	} else if token := a.opening.Credential["token"].Expose(); len(token) > 0 {
		header.Set("Authorization", "Bearer "+string(token))
	}
	reply, err := a.client.Post(ctx, a.to.String(), wire.JSON(a.alerts(wire.Tidy(m))), header)
	if err != nil {
		return message.Receipt{}, err
	}
	return taken(a.client, reply)
}

// alerts renders a message. An alert is known by its labels, and the severity is one, for
// routes to look at. So the alert of each other severity ends here: an incident that
// became worse does not fire twice.
func (a *alertmanager) alerts(m message.Message) []alert {
	starts := m.At.UTC().Format(time.RFC3339)
	annotations := map[string]string{"summary": wire.Headline(m), "description": wire.Plain(m)}
	if m.Event == message.Acknowledge {
		annotations["acknowledged"] = "true"
	}
	if m.Event == message.Heartbeat {
		return []alert{{Labels: map[string]string{"alertname": "KeywardHeartbeat", "severity": "none"}, Annotations: annotations, StartsAt: starts, Generator: m.Link}}
	}
	var all []alert
	for severity := message.Info; severity <= message.Emergency; severity++ {
		labels := map[string]string{"alertname": "KeywardIncident", "incident": subject(m), "severity": severity.String()}
		for name, value := range map[string]string{"subject": m.Values.Subject, "ticket": m.Values.Ticket} {
			if value != "" {
				labels[name] = value
			}
		}
		ends := starts
		if severity == m.Severity && m.Event != message.Resolve {
			ends = a.opening.Now().Add(a.lasting).UTC().Format(time.RFC3339)
		}
		all = append(all, alert{labels, annotations, starts, ends, m.Link})
	}
	return all
}
