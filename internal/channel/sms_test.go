package channel_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/channel/channeltest"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/message"
)

// channelServer answers whatever the variables hold; requests come one after another.
func channelServer(tb testing.TB, status *int, body *string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(*status)
		if *status != http.StatusNoContent && *status != http.StatusNotModified {
			_, _ = io.WriteString(w, *body)
		}
	}))
	tb.Cleanup(s.Close)
	return s.URL
}

// A gateway with the kind that speaks to it.
type gateway struct {
	kind    string
	books   *channeltest.Gateway
	service http.Handler
	filling func(server string) form.Filling
}

func gateways(c *clock) []gateway {
	t, a := &channeltest.TencentSMS{App: "1400000000"}, &channeltest.AlibabaSMS{}
	for _, g := range []*channeltest.Gateway{&t.Gateway, &a.Gateway} {
		g.ID, g.Secret, g.Sign, g.Template, g.Now, g.Lag = "AKIDfakefake", "fakepassword0123", "示例公司", "1234567", c.Now, 2*time.Minute
	}
	return []gateway{
		{"sms-tencent", &t.Gateway, t, func(server string) form.Filling {
			return form.Filling{
				Settings:   map[string]string{"app": "1400000000", "sign": "示例公司", "template": "1234567", "endpoint": server},
				Credential: map[string]material.Bytes{"secret_id": material.NewBytes([]byte("AKIDfakefake")), "secret_key": material.NewBytes([]byte("fakepassword0123"))},
			}
		}},
		{"sms-alibaba", &a.Gateway, a, func(server string) form.Filling {
			return form.Filling{
				Settings:   map[string]string{"sign": "示例公司", "template": "1234567", "endpoint": server},
				Credential: map[string]material.Bytes{"access_key_id": material.NewBytes([]byte("AKIDfakefake")), "access_key_secret": material.NewBytes([]byte("fakepassword0123"))},
			}
		}},
	}
}

func short() message.Message {
	m := trouble(message.Chinese)
	m.To = people[:1]
	return m
}

func TestSMSIsSent(t *testing.T) {
	c := &clock{start}
	for _, g := range gateways(c) {
		t.Run(g.kind, func(t *testing.T) {
			sender := open(t, g.kind, g.filling(serve(t, g.service)), c)
			m := short()
			m.Values.Subject = "pay.example.com/" + strings.Repeat("密", 40)
			r, err := sender.Send(t.Context(), m)
			if err != nil || r.State != message.Accepted || r.ID == "" {
				t.Fatal(r, err)
			}
			want := []channeltest.SMS{{ID: m.ID, Mobile: "+8613800000000", At: start, Values: []string{"keyward", "pay．example．com／" + strings.Repeat("密", 13) + "…", "3 小时", "KW-42"}}}
			if diff := cmp.Diff(want, g.books.Sent()); diff != "" {
				t.Error(diff)
			}
			for _, to := range [][]message.Recipient{nil, people, {{Email: "x@example.com"}}, {{Mobile: "13800000000"}}, {{Mobile: "+86138000000001234"}}} {
				m.To = to
				_, err := sender.Send(t.Context(), m)
				if e := sendError(t, err); e.Class != message.Permanent {
					t.Errorf("%v: %v", to, e)
				}
			}
		})
	}
}

// The answer is lost: the gateway is asked, and nobody gets the message twice.
func TestSMSIsAskedForBeforeItIsSentAgain(t *testing.T) {
	for _, fault := range []cloudtest.Fault{cloudtest.LoseAfter, cloudtest.LoseBefore, cloudtest.Garbage, cloudtest.Error500} {
		c := &clock{}
		for _, g := range gateways(c) {
			t.Run(fmt.Sprint(g.kind, fault), func(t *testing.T) {
				c.now = time.Date(2026, 11, 21, 16, 5, 0, 0, time.UTC) // after midnight in China
				faults := &cloudtest.Faults{Service: g.service}
				sender := open(t, g.kind, g.filling(serve(t, faults)), c)
				m := short()
				m.At = c.now.Add(-10 * time.Minute) // decided before midnight
				faults.Next(fault)
				_, err := sender.Send(t.Context(), m)
				if e := sendError(t, err); e.Class != message.Unclear {
					t.Fatal(e)
				}
				left := len(g.books.Sent())
				if want := map[bool]int{true: 1}[fault == cloudtest.LoseAfter]; left != want {
					t.Fatalf("%d left, not %d", left, want)
				}
				m.Tried = c.now
				q := sender.(message.Querier)
				_, err = q.Query(t.Context(), m)
				if e := sendError(t, err); e.Class != message.Retry || e.After != 5*time.Minute {
					t.Errorf("too early to tell: %v", e)
				}
				c.now = c.now.Add(6 * time.Minute)
				r, err := q.Query(t.Context(), m)
				want := map[bool]message.State{true: message.Delivered, false: message.Missing}[left == 1]
				if err != nil || r.State != want {
					t.Errorf("%v %v, not %s", r, err, want)
				}
			})
		}
	}
}

func TestSMSRefusals(t *testing.T) {
	c := &clock{start}
	for _, test := range []struct {
		gateway int
		code    string
		class   message.Class
		after   time.Duration
		says    string
	}{
		{0, "status:LimitExceeded.PhoneNumberThirtySecondLimit", message.Retry, 30 * time.Second, "30 seconds"},
		{0, "status:LimitExceeded.PhoneNumberDailyLimit", message.Permanent, 0, "console"},
		{0, "status:FailedOperation.InsufficientBalanceInSmsPackage", message.Permanent, 0, "buy"},
		{0, "status:InternalError.OtherError", message.Unclear, 0, "may have left"},
		{0, "status:Something.New", message.Permanent, 0, "Something.New"},
		{0, "AuthFailure.SecretIdNotFound", message.Permanent, 0, "secret_id"},
		{0, "AuthFailure.SignatureExpire", message.Retry, time.Minute, "clock"},
		{1, "isv.BUSINESS_LIMIT_CONTROL", message.Permanent, 0, "raise"},
		{1, "isv.AMOUNT_NOT_ENOUGH", message.Permanent, 0, "charge"},
		{1, "isp.SYSTEM_ERROR", message.Unclear, 0, "may have left"},
		{1, "isv.NEW", message.Permanent, 0, "isv.NEW"},
	} {
		g := gateways(c)[test.gateway]
		g.books.Fail(test.code)
		_, err := open(t, g.kind, g.filling(serve(t, g.service)), c).Send(t.Context(), short())
		if e := sendError(t, err); e.Class != test.class || e.After != test.after || !strings.Contains(e.Reason.String(), test.says) {
			t.Errorf("%s: %s after %v: %s", test.code, e.Class, e.After, e.Reason)
		}
		if n := len(g.books.Sent()); n != 0 {
			t.Errorf("%s: %d left", test.code, n)
		}
	}
	for _, g := range gateways(c) { // a wrong secret
		f := g.filling(serve(t, g.service))
		for name := range f.Credential {
			if strings.HasSuffix(name, "_key") || strings.HasSuffix(name, "_secret") {
				f.Credential[name] = material.NewBytes([]byte("fakepassword9999"))
			}
		}
		_, err := open(t, g.kind, f, c).Send(t.Context(), short())
		if e := sendError(t, err); e.Class != message.Permanent {
			t.Errorf("%s: %v", g.kind, e)
		}
		_, err = open(t, g.kind, g.filling("http://127.0.0.1:1"), c).Send(t.Context(), short())
		if e := sendError(t, err); e.Class != message.Retry {
			t.Errorf("%s: nobody listens: %v", g.kind, e)
		}
	}
}

func TestSMSSettings(t *testing.T) {
	c := &clock{start}
	for _, g := range gateways(c) {
		for _, params := range []string{"subject,subject", "url", "subject,,left"} {
			f := g.filling("https://example.com")
			f.Settings["params"] = params
			if _, err := kind(t, g.kind).Open(message.Opening{Filling: f, Now: c.Now}); err == nil {
				t.Errorf("%s takes %q", g.kind, params)
			}
		}
	}
}

// Whatever a gateway answers: no panic, and success only if it said so.
func FuzzGatewayAnswers(f *testing.F) {
	for _, body := range []string{`{"Response":{"RequestId":"r","SendStatusSet":[{"Code":"Ok"}]}}`, `{"RequestId":"r","Code":"OK"}`, `{"RequestId":"r"}`,
		`{"Response":{"RequestId":"r","PullSmsSendStatusSet":[{"SessionContext":"01JDMSG0001"}]}}`, `{"RequestId":"r","Code":"OK","SmsSendDetailDTOs":{"SmsSendDetailDTO":[{"OutId":"01JDMSG0001","SendStatus":4}]}}`, ``} {
		f.Add(body)
	}
	c := &clock{start}
	status, body := 200, ""
	server := channelServer(f, &status, &body)
	var senders []message.Sender
	for _, g := range gateways(c) {
		sender, err := kind(f, g.kind).Open(message.Opening{Filling: g.filling(server), Now: c.Now, Allow: loopback})
		if err != nil {
			f.Fatal(err)
		}
		senders = append(senders, sender)
	}
	f.Fuzz(func(t *testing.T, b string) {
		if strings.Contains(strings.ToLower(b), "requestlimitexceeded") {
			return // is tried again for a while
		}
		body = b
		// Asking is tried again as long as answers make no sense, so only sending is fuzzed.
		for _, sender := range senders {
			r, err := sender.Send(t.Context(), short())
			if err != nil {
				sendError(t, err)
			} else if r.State != message.Accepted || !strings.Contains(strings.ToLower(b), "o") {
				t.Errorf("%q: %v", b, r)
			}
		}
	})
}
