package machine

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/channel/wire"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
)

const (
	secretPrefix = "whsec_"
	secretSize   = 24 // bytes at least, as the specification recommends
)

// Webhook posts a message as JSON to an address of the site's own, signed as the
// specification Standard Webhooks 1.0 says (standardwebhooks.com), for which receivers
// find a library in every language. The header webhook-id is the message's id: who has
// seen it ignores it.
func Webhook() message.Kind {
	return message.Kind{
		Name:  "webhook",
		Title: form.Text{English: "signed webhook", Chinese: "签名 Webhook"},
		Form: form.Form{Credential: []form.Field{
			{Name: "url", Required: true, Help: form.Text{English: "the receiver's address; it may hold a token", Chinese: "接收方地址（可包含令牌）"}},
			{Name: "secret", Required: true, Help: form.Text{English: "whsec_ and at least 24 random bytes in base64, shared with the receiver", Chinese: "whsec_ 加至少 24 字节随机数的 base64，与接收方共享"}},
			{Name: "authorization", Help: form.Text{English: "what the header Authorization is to say, if a gateway asks for it", Chinese: "网关要求的 Authorization 头内容"}},
		}},
		Traits: message.Traits{Family: message.Machine, Group: true, Idempotent: true, Reaches: always},
		Open:   openWebhook,
	}
}

func openWebhook(o message.Opening) (message.Sender, error) {
	to, err := wire.Address(o, "url")
	if err != nil {
		return nil, err
	}
	if key, err := webhookKey(o); err != nil || len(key) < secretSize {
		return nil, fault.InvalidParameter.New("the field \"secret\" is whsec_ and at least 24 bytes in base64: make one with  echo whsec_$(openssl rand -base64 32)")
	}
	if strings.ContainsAny(string(o.Credential["authorization"].Expose()), "\r\n\x00") {
		return nil, fault.InvalidParameter.New("the field \"authorization\" is one line")
	}
	return &webhook{wire.New(fault.Say("the webhook's receiver"), o), to, o}, nil
}

// webhookKey reads the key of the signatures.
func webhookKey(o message.Opening) ([]byte, error) {
	text := strings.TrimSpace(string(o.Credential["secret"].Expose()))
	return base64.StdEncoding.DecodeString(strings.TrimPrefix(text, secretPrefix))
}

type webhook struct {
	client  *wire.Client
	to      *url.URL
	opening message.Opening
}

// notice is the body. Fields may be added to it; none changes its meaning.
type notice struct {
	Type      string     `json:"type"` // keyward.trigger and so on
	Timestamp string     `json:"timestamp"`
	Data      noticeData `json:"data"`
}

type noticeData struct {
	ID       string   `json:"id"`
	Incident string   `json:"incident,omitempty"`
	Severity string   `json:"severity"`
	Title    string   `json:"title"`
	Lines    []string `json:"lines"`
	Subject  string   `json:"subject,omitempty"`
	Ticket   string   `json:"ticket,omitempty"`
	Left     string   `json:"left,omitempty"`
	Link     string   `json:"link,omitempty"`
	Language string   `json:"language"`
	People   []string `json:"people,omitempty"`
}

// Send implements message.Sender.
func (w *webhook) Send(ctx context.Context, m message.Message) (message.Receipt, error) {
	key, err := webhookKey(w.opening)
	if err != nil {
		return message.Receipt{}, wire.Permanent("the webhook's secret cannot be read; enter a new one")
	}
	m = wire.Tidy(m)
	body := wire.JSON(notice{"keyward." + string(m.Event), m.At.UTC().Format(time.RFC3339), data(m)})
	timestamp := strconv.FormatInt(w.opening.Now().Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(m.ID + "." + timestamp + "."))
	mac.Write(body)
	header := http.Header{}
	header.Set("Webhook-Id", m.ID)
	header.Set("Webhook-Timestamp", timestamp)
	header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	if auth := w.opening.Credential["authorization"].Expose(); len(auth) > 0 {
		header.Set("Authorization", string(auth))
	}
	reply, err := w.client.Post(ctx, w.to.String(), body, header)
	if err != nil {
		return message.Receipt{}, err
	}
	return taken(w.client, reply)
}

func data(m message.Message) noticeData {
	d := noticeData{
		ID: m.ID, Incident: m.Incident, Severity: m.Severity.String(), Title: m.Title, Lines: append([]string{}, m.Lines...),
		Subject: m.Values.Subject, Ticket: m.Values.Ticket, Left: m.Values.Left, Link: m.Link, Language: string(m.Language),
	}
	for _, r := range m.To {
		d.People = append(d.People, r.Person)
	}
	return d
}
