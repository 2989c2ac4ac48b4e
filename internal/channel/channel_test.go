package channel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/channel"
	"github.com/keyward/keyward/internal/channel/channeltest"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/message"
)

var update = flag.Bool("update", false, "write the golden files")

// start is when the tests begin: milliseconds 1795290000000.
var start = time.Unix(1795290000, 0)

// A clock is what both sides look at.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

const (
	token      = "faketoken0123456789abcdef"
	secret     = "SECtest0123456789"
	pagerKey   = "fakefakefakefakefakefakefakefake"
	hookSecret = "whsec_ZmFrZWZha2VmYWtlZmFrZWZha2VmYWtlZmFrZWZha2U="
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// A setup is one kind of channel with what stands at its other end.
type setup struct {
	kind       string
	service    http.Handler
	taken      func() int
	path       string // of the address that the form wants
	field      string // that holds the address; a setting if settings has it
	settings   map[string]string
	credential map[string]string
}

// setups answers every channel that speaks HTTP.
func setups(c *clock) []setup {
	log := func(l interface{ Taken() [][]byte }) func() int { return func() int { return len(l.Taken()) } }
	ding := &channeltest.DingTalk{Token: token, Secret: secret, Now: c.Now}
	wecom := &channeltest.WeCom{Key: token, Now: c.Now}
	feishu := &channeltest.Feishu{Hook: token, Secret: "testsecret", Now: c.Now}
	hook := &channeltest.Slack{Path: "/services/T0/B0/" + token}
	post := &channeltest.Slack{Path: "/none", Token: token, Channel: "C0123456789"}
	pager := &channeltest.PagerDuty{Key: pagerKey}
	alerts := &channeltest.Alertmanager{Now: c.Now, Authorization: "Bearer " + token}
	receiver := &channeltest.Receiver{Secret: hookSecret, Now: c.Now}
	return []setup{
		{"dingtalk", ding, log(ding), "/robot/send?access_token=" + token, "webhook", nil, map[string]string{"secret": secret}},
		{"wecom", wecom, log(wecom), "/cgi-bin/webhook/send?key=" + token, "webhook", nil, nil},
		{"feishu", feishu, log(feishu), "/open-apis/bot/v2/hook/" + token, "webhook", nil, map[string]string{"secret": "testsecret"}},
		{"slack", hook, log(hook), "/services/T0/B0/" + token, "webhook", nil, nil},
		{"slack", post, log(post), "/api", "api", map[string]string{"channel": "C0123456789"}, map[string]string{"token": token}},
		{"pagerduty", pager, log(pager), "", "url", map[string]string{}, map[string]string{"routing_key": pagerKey}},
		{"alertmanager", alerts, log(alerts), "", "url", map[string]string{}, map[string]string{"token": token}},
		{"webhook", receiver, log(receiver), "/hook/" + token, "url", nil, map[string]string{"secret": hookSecret}},
	}
}

func kind(t testing.TB, name string) message.Kind {
	t.Helper()
	for _, k := range channel.Kinds() {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("no kind %s", name)
	return message.Kind{}
}

// filling is what a person would have entered; the address is the server's.
func (s setup) filling(server string) form.Filling {
	f := form.Filling{Settings: map[string]string{}, Credential: map[string]material.Bytes{}}
	for name, value := range s.settings {
		f.Settings[name] = value
	}
	for name, value := range s.credential {
		f.Credential[name] = material.NewBytes([]byte(value))
	}
	if s.settings != nil {
		f.Settings[s.field] = server + s.path
	} else {
		f.Credential[s.field] = material.NewBytes([]byte(server + s.path))
	}
	return f
}

// open checks the form as its keeper does, and opens the channel.
func open(t *testing.T, name string, f form.Filling, c *clock) message.Sender {
	t.Helper()
	k := kind(t, name)
	if err := k.Form.Check(f); err != nil {
		t.Fatal(err)
	}
	s, err := k.Open(message.Opening{Filling: f, Now: c.Now, Allow: loopback})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve stands a handler up and answers its address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func trouble(l message.Language) message.Message {
	m := message.Message{
		ID: "01JDMSG0001", Incident: "inc-7f3a", Event: message.Trigger, Severity: message.Critical, At: start.Add(-2 * time.Second),
		Title: "payment_api_key expires in 3 h", Lines: []string{"Provider: tencent-prod, account 100000000001", "Expires: 2026-11-21T22:00:00Z, told by the provider", "Owner: li.lei"},
		Short:  "payment_api_key expires in 3 h. KW-42",
		Values: message.Values{Product: "keyward", Subject: "payment_api_key", Left: "3 h", Ticket: "KW-42"},
		Link:   "https://keyward.example.com/i/KW-42?t=abc(1)", Language: l,
	}
	if l == message.Chinese {
		m.Title, m.Values.Left = "支付密钥 payment_api_key 将在 3 小时后过期", "3 小时"
		m.Lines = []string{"云账号：tencent-prod（100000000001）", "过期时间：2026-11-22 06:00（由云厂商提供）", "负责人：李雷"}
	}
	return m
}

var people = []message.Recipient{
	{Person: "li.lei", Email: "li.lei@example.com", Mobile: "+8613800000000"},
	{Person: "han.meimei", Mobile: "+12025550123", IDs: map[string]string{"dingtalk": "user1", "wecom": "hanmeimei", "feishu": "ou_fake1", "slack": "U0FAKE1"}},
}

func sendError(t *testing.T, err error) *message.SendError {
	t.Helper()
	var e *message.SendError
	if !errors.As(err, &e) {
		t.Fatalf("not a SendError: %v", err)
	}
	for _, fake := range []string{token, secret, "testsecret", pagerKey, hookSecret, "fakepassword"} {
		if strings.Contains(e.Error(), fake) {
			t.Errorf("a secret stands in %q", e)
		}
	}
	return e
}

func TestKindsAreWhole(t *testing.T) {
	var names []string
	for _, k := range channel.Kinds() {
		names = append(names, k.Name)
		if k.Title.Chinese == "" || k.Title.English == "" || k.Traits.Family == "" || k.Traits.Reaches == nil || k.Open == nil {
			t.Errorf("%s lacks something", k.Name)
		}
		for _, f := range slices.Concat(k.Form.Settings, k.Form.Credential) {
			if f.Help.Chinese == "" || f.Help.English == "" {
				t.Errorf("%s.%s has no help", k.Name, f.Name)
			}
		}
		if k.Traits.Group != k.Traits.Reaches(message.Recipient{}) {
			t.Errorf("%s: a group reaches everybody, the others nobody without an address", k.Name)
		}
		if (k.Name == "dingtalk" || k.Name == "wecom") && k.Traits.Burst+k.Traits.PerMinute > 20 {
			t.Errorf("%s: more than 20 messages may leave in one minute", k.Name)
		}
	}
	want := []string{"smtp", "dingtalk", "wecom", "feishu", "slack", "sms-tencent", "sms-alibaba", "pagerduty", "alertmanager", "webhook"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

// Every event in both languages, to a group and to people in it, is taken by simulators
// that refuse whatever is not documented.
func TestEveryMessageIsTaken(t *testing.T) {
	c := &clock{start}
	for _, s := range setups(c) {
		t.Run(s.kind+"/"+s.field, func(t *testing.T) {
			sender := open(t, s.kind, s.filling(serve(t, s.service)), c)
			sent := 0
			for _, event := range []message.Event{message.Trigger, message.Acknowledge, message.Resolve, message.Test, message.Digest, message.Heartbeat} {
				for _, l := range []message.Language{message.English, message.Chinese} {
					for _, to := range [][]message.Recipient{nil, people} {
						if event == message.Heartbeat && s.kind == "pagerduty" {
							continue
						}
						m := trouble(l)
						m.Event, m.To, m.ID = event, to, m.ID+string(event)+string(l)+string(rune('a'+len(to)))
						r, err := sender.Send(t.Context(), m)
						if err != nil || r.State != message.Accepted {
							t.Fatalf("%s %s: %v %v", event, l, r, err)
						}
						sent++
						c.now = c.now.Add(5 * time.Second)
					}
				}
			}
			if s.taken() != sent {
				t.Errorf("sent %d, %d were taken", sent, s.taken())
			}
		})
	}
}

// The bodies are what others rely on, so they change only on purpose.
func TestGoldenBodies(t *testing.T) {
	for _, s := range setups(&clock{start}) {
		for _, l := range []message.Language{message.English, message.Chinese} {
			for group, to := range map[string][]message.Recipient{"group": nil, "people": people} {
				name := strings.Join([]string{s.kind, s.field, group, string(l)}, "-")
				t.Run(name, func(t *testing.T) {
					c := &clock{start}
					var got bytes.Buffer
					server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						var body bytes.Buffer
						_, _ = body.ReadFrom(r.Body)
						got.WriteString(r.Method + " " + r.URL.RequestURI() + "\n")
						for _, name := range []string{"Content-Type", "Authorization", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
							if v := r.Header.Get(name); v != "" {
								got.WriteString(name + ": " + v + "\n")
							}
						}
						_ = json.Indent(&got, body.Bytes(), "", "  ")
						r.Body = http.NoBody
						w.WriteHeader(http.StatusNotFound)
					}))
					m := trouble(l)
					m.To = to
					_, err := open(t, s.kind, s.filling(server), c).Send(t.Context(), m)
					if e := sendError(t, err); e.Class != message.Permanent {
						t.Error(e)
					}
					golden(t, name+".txt", got.Bytes())
				})
			}
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-update writes it):\n%s", path, diff)
	}
}

// Vectors that were computed apart from this code.
func TestSignatureVectors(t *testing.T) {
	for name, want := range map[string]string{
		"dingtalk-webhook-group-en.txt": "sign=o9rraQsLVRffP2kG8zM%2FIDEHluzXPzDYh7U%2FecQjfHQ%3D&timestamp=1795290000000",
		"feishu-webhook-group-en.txt":   `"sign": "dhhx9ODs2jM1YBcrBhWCN54KWezMvZdHTZSjldqbCAw="`,
	} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s lacks %s: %v", name, want, err)
		}
	}
}

// However long a message and however strange its texts: it is taken, and its link and
// ticket arrive whole.
func TestLongMessagesFit(t *testing.T) {
	c := &clock{start}
	texts := map[string]string{"chinese": "密钥过期", "quotes": `"\"<&>`, "emoji": "🔑🔥", "markup": "[x](https://evil.example) <@all> **b** `c`\n# d", "controls": "a\x00b\u202ec\x1b[31m", "broken": "\xff\xfe密"}
	for _, s := range setups(c) {
		sender := open(t, s.kind, s.filling(serve(t, s.service)), c)
		for name, text := range texts {
			for _, to := range [][]message.Recipient{nil, people, slices.Repeat(people, 300)} {
				t.Run(s.kind+"/"+s.field+"/"+name, func(t *testing.T) {
					c.now = c.now.Add(5 * time.Second)
					m := trouble(message.Chinese)
					m.ID, m.To, m.Lines = m.ID+c.now.String(), to, slices.Repeat([]string{strings.Repeat(text, 40)}, 200)
					m.Title = strings.Repeat(text, 90)
					before := s.taken()
					if _, err := sender.Send(t.Context(), m); err != nil {
						t.Fatal(err)
					}
					if s.taken() != before+1 {
						t.Fatal("not taken")
					}
					bodies := s.service.(interface{ Taken() [][]byte }).Taken()
					body := string(bodies[len(bodies)-1])
					link := strings.Contains(body, m.Link) || strings.Contains(body, "https://keyward.example.com/i/KW-42?t=abc%281%29")
					if !link || !strings.Contains(body, "KW-42\"") && !strings.Contains(body, "编号 KW-42") {
						t.Errorf("the link or the ticket is lost: %.300s", body)
					}
					if s.kind != "webhook" && s.kind != "alertmanager" && s.kind != "pagerduty" && !strings.Contains(body, "已截断") {
						t.Error("no note says that it was cut")
					}
					markup := s.kind == "dingtalk" || s.kind == "wecom" // the others get plain text
					if markup && (strings.Contains(body, "[x") || strings.Contains(body, "x]") || strings.Contains(body, `<@all>`)) || strings.Contains(body, "\\u0000") || strings.Contains(body, "\u202e") {
						t.Errorf("a text is more than text: %.300s", body)
					}
				})
			}
		}
	}
}

func TestDingTalkBlocksWhoIsTooFast(t *testing.T) {
	c := &clock{start}
	s := setups(c)[0]
	sender := open(t, s.kind, s.filling(serve(t, s.service)), c)
	for i := range 20 {
		if _, err := sender.Send(t.Context(), trouble(message.Chinese)); err != nil {
			t.Fatal(i, err)
		}
	}
	_, err := sender.Send(t.Context(), trouble(message.Chinese))
	if e := sendError(t, err); e.Class != message.Retry || e.After != 10*time.Minute {
		t.Errorf("%v", e)
	}
	c.now = c.now.Add(10 * time.Minute)
	if _, err := sender.Send(t.Context(), trouble(message.Chinese)); err != nil {
		t.Error(err)
	}
}

// The rates that the traits promise are rates that the robots stand.
func TestTraitsKeepRobotsUnblocked(t *testing.T) {
	for _, i := range []int{0, 1, 2} {
		c := &clock{start}
		s := setups(c)[i]
		traits := kind(t, s.kind).Traits
		sender := open(t, s.kind, s.filling(serve(t, s.service)), c)
		tokens := float64(traits.Burst)
		for range 5 * 60 * 2 { // five minutes in half seconds
			for ; tokens >= 1; tokens-- {
				if _, err := sender.Send(t.Context(), trouble(message.English)); err != nil {
					t.Fatalf("%s after %v: %v", s.kind, c.now.Sub(start), err)
				}
			}
			c.now = c.now.Add(time.Second / 2)
			tokens = min(tokens+float64(traits.PerMinute)/120, float64(traits.Burst))
		}
	}
}

// An address that is wrong is refused without being shown.
func TestOpenRefusesBadAddresses(t *testing.T) {
	for _, bad := range []string{"", "x", "ftp://h/" + token, "https://user:" + token + "@h/", "https:///" + token, "http://h/" + token, "https://h/a b" + token, "https://h/#" + token, "https://h/%zz" + token} {
		for _, s := range setups(&clock{start}) {
			f := s.filling(bad)
			if s.settings != nil {
				f.Settings[s.field] = bad
			} else {
				f.Credential[s.field] = material.NewBytes([]byte(bad))
			}
			k := kind(t, s.kind)
			_, err := k.Open(message.Opening{Filling: f, Now: time.Now})
			if err == nil && !(bad == "" && (s.kind == "pagerduty" || s.field == "api")) {
				t.Errorf("%s takes %q", s.kind, bad)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("%s shows its address: %v", s.kind, err)
			}
		}
	}
}

// What is not public is not reached unless the operator said so.
func TestPrivateAddressesNeedAllowance(t *testing.T) {
	for _, s := range setups(&clock{start}) {
		f := s.filling("https://127.0.0.1:9")
		sender, err := kind(t, s.kind).Open(message.Opening{Filling: f, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		_, err = sender.Send(context.Background(), trouble(message.English))
		if e := sendError(t, err); e.Class != message.Permanent || !strings.Contains(e.Reason.String(), "operator") {
			t.Error(e)
		}
	}
}

// Where a channel would lead is found out when it is added, for every address that a person
// enters. What the name service cannot tell now is no reason to refuse it.
func TestOpenLooksWhereItLeads(t *testing.T) {
	c := &clock{start}
	openings := map[string]form.Filling{
		"smtp": {Settings: map[string]string{"host": "there.example.com", "port": "8443", "security": "tls", "from": "keyward@example.com"}},
		"sms-tencent": {
			Settings:   map[string]string{"app": "14", "template": "1", "endpoint": "https://there.example.com:8443"},
			Credential: map[string]material.Bytes{"secret_id": material.NewBytes([]byte("fake")), "secret_key": material.NewBytes([]byte("fake"))},
		},
	}
	for _, s := range setups(c) {
		openings[s.kind+" "+s.field] = s.filling("https://there.example.com:8443")
	}
	for name, f := range openings {
		for _, test := range []struct {
			said error
			want string // of the refusal; "" for none
		}{
			{nil, ""},
			{fmt.Errorf("fake: %w", egress.ErrRefused), "egress.allow"},
			{&net.DNSError{IsNotFound: true}, "does not exist"},
			{&net.DNSError{IsTimeout: true}, ""},
		} {
			var asked []string
			look := func(host string, port uint16, plain bool) error {
				asked = append(asked, fmt.Sprint(host, " ", port, " ", plain))
				return test.said
			}
			of, _, _ := strings.Cut(name, " ")
			_, err := kind(t, of).Open(message.Opening{Filling: f, Now: c.Now, Allow: loopback, Look: look})
			if (err == nil) != (test.want == "") || err != nil && (!fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "there.example")) {
				t.Errorf("%s, told %v: %v", name, test.said, err)
			}
			if diff := cmp.Diff([]string{"there.example.com 8443 false"}, asked); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}
