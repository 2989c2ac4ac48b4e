package machine

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

const (
	pagerDutyLimit   = 512 << 10 // bytes of an event
	pagerDutySummary = 1024      // characters
)

// PagerDuty is a service's integration of the type Events API v2. It recognises an
// incident by its dedup_key.
func PagerDuty() message.Kind {
	return message.Kind{
		Name:  "pagerduty",
		Title: form.Text{English: "PagerDuty", Chinese: "PagerDuty"},
		Form: form.Form{
			Settings: []form.Field{{
				Name: "url", Help: form.Text{English: "where events go, if not to the service region US", Chinese: "事件接口地址（美国服务区以外时填写）"},
				Example: "https://events.eu.pagerduty.com",
			}},
			Credential: []form.Field{{
				Name: "routing_key", Required: true,
				Help: form.Text{English: "the integration key of an Events API v2 integration, 32 characters", Chinese: "Events API v2 集成的 Integration Key（32 位）"},
			}},
		},
		Traits: message.Traits{Family: message.Paging, Group: true, Idempotent: true, Burst: 20, PerMinute: 100, Reaches: always},
		Open: func(o message.Opening) (message.Sender, error) {
			to := &url.URL{Scheme: "https", Host: "events.pagerduty.com"}
			if o.Settings["url"] != "" {
				var err error
				if to, err = wire.Address(o, "url"); err != nil {
					return nil, err
				}
			}
			if o.Credential["routing_key"].Len() != 32 {
				return nil, fault.InvalidParameter.New("the field \"routing_key\" has 32 characters: it is the integration's key, not one of the API")
			}
			return &pagerDuty{wire.New(fault.Say("PagerDuty"), o), to.JoinPath("v2", "enqueue"), o}, nil
		},
	}
}

type pagerDuty struct {
	client  *wire.Client
	to      *url.URL
	opening message.Opening
}

type pagerDutyEvent struct {
	RoutingKey string            `json:"routing_key"`
	Action     string            `json:"event_action"`
	DedupKey   string            `json:"dedup_key"`
	Client     string            `json:"client"`
	Payload    *pagerDutyPayload `json:"payload,omitempty"`
	Links      []pagerDutyLink   `json:"links,omitempty"`
}

type pagerDutyPayload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp string            `json:"timestamp"`
	Component string            `json:"component,omitempty"`
	Details   map[string]string `json:"custom_details"`
}

type pagerDutyLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// Send implements message.Sender. PagerDuty has no event that passes without waking
// somebody, so it takes no heartbeats.
func (p *pagerDuty) Send(ctx context.Context, m message.Message) (message.Receipt, error) {
	if m.Event == message.Heartbeat {
		return message.Receipt{}, wire.Permanent("PagerDuty takes no heartbeats; send them to an alertmanager or a webhook")
	}
	key := string(p.opening.Credential["routing_key"].Expose())
	body := func(m message.Message) []byte { return wire.JSON(event(m, key)) }
	m, err := wire.Fit(wire.Tidy(m), pagerDutyLimit, func(m message.Message) int { return len(body(m)) })
	if err != nil {
		return message.Receipt{}, err
	}
	reply, err := p.client.Post(ctx, p.to.String(), body(m), nil)
	if err != nil {
		return message.Receipt{}, err
	}
	var a struct {
		Status  string          `json:"status"`
		Key     string          `json:"dedup_key"`
		Message string          `json:"message"`
		Errors  json.RawMessage `json:"errors"`
	}
	told := wire.Decode(reply, &a)
	if e := p.client.Sort(reply, strings.TrimSpace(a.Message+" "+string(a.Errors))); e != nil {
		return message.Receipt{}, e
	}
	if !told || a.Status != "success" {
		return message.Receipt{}, p.client.Garbage()
	}
	return message.Receipt{ID: p.client.Clean(a.Key), State: message.Accepted}, nil
}

func event(m message.Message, key string) pagerDutyEvent {
	e := pagerDutyEvent{RoutingKey: key, DedupKey: "keyward/" + subject(m), Client: "keyward", Action: "trigger"}
	switch m.Event {
	case message.Acknowledge:
		e.Action = "acknowledge"
		return e
	case message.Resolve:
		e.Action = "resolve"
		return e
	}
	e.Payload = &pagerDutyPayload{
		Summary: wire.Clip(wire.Headline(m), pagerDutySummary), Source: "keyward", Component: m.Values.Subject,
		Severity:  [...]string{"info", "warning", "error", "critical"}[m.Severity],
		Timestamp: m.At.UTC().Format(time.RFC3339),
		Details:   map[string]string{"text": wire.Plain(m)},
	}
	if m.Link != "" {
		e.Links = []pagerDutyLink{{m.Link, wire.Open(m)}}
	}
	return e
}
