package channel_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/keyward/keyward/internal/channel/channeltest"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/message"
)

// What the network does to a request decides whether it may be sent again.
func TestOutcomeOfFaults(t *testing.T) {
	for fault, want := range map[cloudtest.Fault]message.SendError{
		cloudtest.LoseBefore: {Class: message.Unclear}, // which side of the service it was lost on, nobody can tell
		cloudtest.LoseAfter:  {Class: message.Unclear},
		cloudtest.Error500:   {Class: message.Unclear},
		cloudtest.Error503:   {Class: message.Retry},
		cloudtest.Throttle:   {Class: message.Retry, After: time.Second},
		cloudtest.Garbage:    {Class: message.Unclear},
	} {
		c := &clock{start}
		for _, s := range setups(c) {
			t.Run(fmt.Sprint(s.kind, "/", s.field, "/", fault), func(t *testing.T) {
				faults := &cloudtest.Faults{Service: s.service}
				sender := open(t, s.kind, s.filling(serve(t, faults)), c)
				faults.Next(fault)
				_, err := sender.Send(t.Context(), trouble(message.English))
				e := sendError(t, err)
				if e.Class != want.Class || e.After != want.After {
					t.Errorf("%s after %v: %v", e.Class, e.After, e)
				}
				if _, err := sender.Send(t.Context(), trouble(message.English)); err != nil {
					t.Errorf("the next one: %v", err)
				}
			})
		}
	}
}

// What recognises messages shows one that came twice once.
func TestIdempotentChannels(t *testing.T) {
	c := &clock{start}
	for _, s := range setups(c) {
		if !kind(t, s.kind).Traits.Idempotent {
			continue
		}
		sender := open(t, s.kind, s.filling(serve(t, &cloudtest.Faults{Service: s.service, Rate: 0})), c)
		for range 3 {
			if _, err := sender.Send(t.Context(), trouble(message.English)); err != nil {
				t.Fatal(err)
			}
		}
		switch service := s.service.(type) {
		case *channeltest.PagerDuty:
			if n := len(service.Incidents()); n != 1 {
				t.Errorf("PagerDuty has %d incidents", n)
			}
		case *channeltest.Alertmanager:
			if got := service.Firing("inc-7f3a"); len(got) != 1 {
				t.Errorf("Alertmanager fires %v", got)
			}
		case *channeltest.Receiver:
			if n := s.taken(); n != 1 {
				t.Errorf("the receiver took %d", n)
			}
		default:
			t.Errorf("nothing shows that %s is idempotent", s.kind)
		}
	}
}

// An incident that becomes worse fires once, and its end ends everything.
func TestAlertmanagerFollowsAnIncident(t *testing.T) {
	c := &clock{start}
	s := setups(c)[6]
	sender, service := open(t, s.kind, s.filling(serve(t, s.service)), c), s.service.(*channeltest.Alertmanager)
	for _, step := range []struct {
		event    message.Event
		severity message.Severity
		want     string
	}{
		{message.Trigger, message.Warning, "[warning]"}, {message.Trigger, message.Emergency, "[emergency]"},
		{message.Acknowledge, message.Emergency, "[emergency]"}, {message.Resolve, message.Warning, "[]"},
	} {
		c.now = c.now.Add(time.Hour)
		m := trouble(message.English)
		m.Event, m.Severity, m.At = step.event, step.severity, c.now
		if _, err := sender.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(service.Firing("inc-7f3a")); got != step.want {
			t.Errorf("%s %s: %s fires, not %s", step.event, step.severity, got, step.want)
		}
	}
}

func TestPagerDutyFollowsAnIncident(t *testing.T) {
	c := &clock{start}
	s := setups(c)[5]
	sender, service := open(t, s.kind, s.filling(serve(t, s.service)), c), s.service.(*channeltest.PagerDuty)
	for _, step := range []struct {
		event message.Event
		want  string
	}{{message.Trigger, "triggered"}, {message.Acknowledge, "acknowledged"}, {message.Resolve, "resolved"}, {message.Trigger, "triggered"}} {
		m := trouble(message.English)
		m.Event = step.event
		if _, err := sender.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if got := service.Incidents()["keyward/inc-7f3a"]; got != step.want {
			t.Errorf("%s: %s", step.event, got)
		}
	}
	m := trouble(message.English)
	m.Event = message.Heartbeat
	_, err := sender.Send(t.Context(), m)
	if e := sendError(t, err); e.Class != message.Permanent {
		t.Error(e)
	}
}

// Nobody listens, the name does not exist, the time is over before it began: nothing left.
func TestNothingLeft(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	_ = l.Close()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	c := &clock{start}
	for _, s := range setups(c) {
		for address, ctx := range map[string]context.Context{closed: t.Context(), "http://does-not-exist.invalid": t.Context(), "http://127.0.0.1:1": over} {
			_, err := open(t, s.kind, s.filling(address), c).Send(ctx, trouble(message.English))
			if e := sendError(t, err); e.Class != message.Retry {
				t.Errorf("%s at %s: %v", s.kind, address, e)
			}
		}
	}
}

// The time is over while the answer is awaited.
func TestSilence(t *testing.T) {
	c := &clock{start}
	for _, s := range setups(c) {
		ctx, cancel := context.WithCancel(t.Context())
		server := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done()
		}))
		_, err := open(t, s.kind, s.filling(server), c).Send(ctx, trouble(message.English))
		if e := sendError(t, err); e.Class != message.Unclear {
			t.Errorf("%s: %v", s.kind, e)
		}
	}
}

// A refusal says what to do, and never shows the credential, even if the channel does.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		kind   string
		status int
		body   string
		class  message.Class
		after  time.Duration
		says   string
	}{
		{"dingtalk", 200, `{"errcode":310000,"errmsg":"sign not match access_token=` + token + ` secret ` + secret + `"}`, message.Permanent, 0, "this server's clock"},
		{"dingtalk", 200, `{"errcode":130101,"errmsg":"send too fast"}`, message.Retry, 10 * time.Minute, "ten minutes"},
		{"dingtalk", 200, `{"errcode":300001,"errmsg":"token is not exist"}`, message.Permanent, 0, "add a new one"},
		{"dingtalk", 200, `{"errcode":-1,"errmsg":"system busy"}`, message.Unclear, 0, "busy"},
		{"dingtalk", 200, `{"errcode":99,"errmsg":"` + strings.Repeat("x", 5000) + `"}`, message.Permanent, 0, "code 99"},
		{"dingtalk", 200, `{}`, message.Unclear, 0, "not DingTalk"},
		{"dingtalk", 200, `{"errcode":"0"}`, message.Unclear, 0, "not DingTalk"},
		{"dingtalk", 302, ``, message.Permanent, 0, "redirects"},
		{"dingtalk", 407, `x`, message.Permanent, 0, "407"},
		{"wecom", 200, `{"errcode":93000,"errmsg":"invalid webhook url"}`, message.Permanent, 0, "add a new one"},
		{"wecom", 200, `{"errcode":45009,"errmsg":"api freq out of limit"}`, message.Retry, time.Minute, "20 messages"},
		{"feishu", 400, `{"code":19021,"msg":"sign match fail"}`, message.Permanent, 0, "clock"},
		{"feishu", 400, `{"code":11232,"msg":"frequency limited"}`, message.Retry, time.Minute, "limits"},
		{"slack", 404, `no_service`, message.Permanent, 0, "make a new one"},
		{"slack", 429, `rate_limited`, message.Retry, time.Minute, "limits"},
		{"slack", 500, `rollup_error`, message.Unclear, 0, "may have arrived"},
		{"pagerduty", 400, `{"status":"invalid event","message":"bad","errors":["routing_key ` + pagerKey + `"]}`, message.Permanent, 0, "[redacted]"},
		{"pagerduty", 200, `{"status":"what"}`, message.Unclear, 0, "not PagerDuty"},
		{"alertmanager", 401, ``, message.Permanent, 0, "credential"},
		{"webhook", 410, ``, message.Permanent, 0, "removed"},
		{"webhook", 501, ``, message.Permanent, 0, "501"},
	} {
		c := &clock{start}
		for _, s := range setups(c) {
			if s.kind != test.kind || s.field == "api" {
				continue
			}
			server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			_, err := open(t, s.kind, s.filling(server), c).Send(t.Context(), trouble(message.English))
			e := sendError(t, err)
			if e.Class != test.class || e.After != test.after || !strings.Contains(e.Reason.String(), test.says) || len(e.Reason.String()) > 600 {
				t.Errorf("%s %d %.80s: %s after %v: %s", test.kind, test.status, test.body, e.Class, e.After, e.Reason)
			}
			if zh := e.Reason.Chinese(); !strings.ContainsFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) || strings.Contains(zh, secret) || strings.Contains(zh, pagerKey) {
				t.Errorf("%s %d %.80s: in Chinese: %s", test.kind, test.status, test.body, zh)
			}
		}
	}
}

func TestSlackTokenIsRevoked(t *testing.T) {
	c := &clock{start}
	s := setups(c)[4]
	f := s.filling(serve(t, s.service))
	f.Credential["token"] = material.NewBytes([]byte("wrong"))
	_, err := open(t, s.kind, f, c).Send(t.Context(), trouble(message.English))
	if e := sendError(t, err); e.Class != message.Permanent || !strings.Contains(e.Reason.String(), "token") {
		t.Error(e)
	}
	k := kind(t, "slack")
	delete(f.Settings, "channel")
	if _, err := k.Open(message.Opening{Filling: f, Now: c.Now, Allow: loopback}); err == nil {
		t.Error("a token without a channel")
	}
	delete(f.Credential, "token")
	if _, err := k.Open(message.Opening{Filling: f, Now: c.Now, Allow: loopback}); err == nil {
		t.Error("neither token nor webhook")
	}
}

// What a proxy repeats of a request holds no password either.
func TestBasicAuthenticationIsNotShown(t *testing.T) {
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "keyward" || password != "fakepassword" {
			t.Errorf("%q %q", user, password)
		}
		http.Error(w, "denied: "+r.Header.Get("Authorization")+" fakepassword", http.StatusForbidden)
	}))
	f := form.Filling{Settings: map[string]string{"url": server, "user": "keyward"}, Credential: map[string]material.Bytes{"password": material.NewBytes([]byte("fakepassword"))}}
	_, err := open(t, "alertmanager", f, &clock{start}).Send(t.Context(), trouble(message.English))
	if e := sendError(t, err); e.Class != message.Permanent || !strings.Contains(e.Reason.String(), "Basic [redacted] [redacted]") {
		t.Error(e)
	}
}

// Whatever is answered: no panic, and success only if the channel said so.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{`{"errcode":0,"errmsg":"ok"}`, `{"code":0}`, "ok", `{"ok":true,"ts":"1"}`, `{"status":"success"}`, `{"errcode":null}`, `[]`, "", `{"errcode":1e9}`} {
		f.Add(200, body)
	}
	c := &clock{start}
	status, body := 200, ""
	server := channelServer(f, &status, &body)
	type opened struct {
		kind   string
		sender message.Sender
	}
	var all []opened
	for _, s := range setups(c) {
		sender, err := kind(f, s.kind).Open(message.Opening{Filling: s.filling(server), Now: c.Now, Allow: loopback})
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, opened{s.kind, sender})
	}
	f.Fuzz(func(t *testing.T, s int, b string) {
		status, body = 200+((s%400)+400)%400, b
		for _, o := range all {
			r, err := o.sender.Send(t.Context(), trouble(message.English))
			if err != nil {
				sendError(t, err)
			} else if r.State != message.Accepted || status >= 300 {
				t.Errorf("%s: status %d, %q: %v", o.kind, status, b, r)
			}
		}
	})
}
