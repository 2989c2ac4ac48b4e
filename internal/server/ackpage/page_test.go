package ackpage_test

import (
	"encoding/base64"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/ackpage"
	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/storetest"
)

var show = flag.String("show", "", "write the pages as files into this directory, to look at them")

const origin = "keyward.test/node"

// A world is the page over a real notify service, at a time that the test chooses.
type world struct {
	url      string
	node     storetest.Node
	alerts   *notify.Service
	links    *ackpage.Links
	account  string
	incident string
	ahead    atomic.Int64 // nanoseconds since begin
}

var begin = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func (w *world) now() time.Time { return begin.Add(time.Duration(w.ahead.Load())) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	now := w.now
	keyring := sealtest.Keyring(t)
	w.node = storetest.Start(t, storetest.Options{URL: storetest.SQLite(t), Origin: origin, Keys: keyring, Now: now, Changed: func(string, string) {}})
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	users := must(iam.New(iam.Options{Store: identity.Store{Store: w.node.Store}, Log: w.node.Log, Keyring: keyring, Logger: logger, Now: now, Fresh: func() bool { return true }}))(t)
	founded := must(users.CreateAccount(t.Context(), &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: w.now()}, "test"))(t)
	w.account = founded.Account.ID
	alerts := alerts.Store{Store: w.node.Store}
	w.alerts = notify.New(notify.Options{
		Config: alerts, Directory: alerts, Incidents: alerts, Outbox: alerts, Tenants: users, Log: w.node.Log, Region: "r", Now: now, Logger: logger,
		Kinds: []message.Kind{{Name: "robot", Traits: message.Traits{Family: message.Chat, Group: true}, Form: form.Form{},
			Open: func(message.Opening) (message.Sender, error) { return nil, nil }}},
	})
	w.links = &ackpage.Links{Now: now, MAC: func(data []byte) ([]byte, error) { return keyring.HMAC(seal.Link, data) }}
	none := func() float64 { return 0 }
	edge := &server.Edge{Logger: logger, Now: now, Metrics: server.NewMetrics("test", server.Gauges{Sealed: none, AuditSize: none, TamperedRows: none})}
	var handler http.Handler
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(s.Close)
	w.url, w.links.URL = s.URL, s.URL
	handler = edge.Handle("link", server.MaxBody, must(ackpage.New(ackpage.Options{Links: w.links, Alerts: w.alerts, Refusals: refusal.New(w.node.Log)}))(t))
	w.report(t)
	return w
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *world) report(t *testing.T) {
	t.Helper()
	err := w.alerts.Report(t.Context(), w.account, notify.Condition{
		Name: "expiry/x", Kind: notify.KeyExpiry, Subject: "支付 <script>alert(1)</script> (AKIDFAKE)", Owner: "ann", Deadline: w.now().Add(61 * time.Hour),
		Facts: []notify.Fact{
			{Name: "key", Value: "AKIDFAKE"}, {Name: "provider", Value: "prod"}, {Name: "owner", Value: "ann"}, {Name: "purpose", Value: "WeChat Pay 商户支付"},
			{Name: "consumers", Value: "checkout, refund"}, {Name: "expires", Value: "2026-03-03T21:00:00Z"}, {Name: "basis", Value: "certificate / 证书"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.incident = must(w.alerts.Open(t.Context(), w.account))(t)[0].ID
}

func (w *world) open(t *testing.T) notify.Incident {
	t.Helper()
	return must(w.alerts.Open(t.Context(), w.account))(t)[0]
}

// A reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// visit sends a request; header is name, value, ….
func visit(t *testing.T, method, target string, form url.Values, header ...string) reply {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode())))(t)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp := must(c.Do(r))(t)
	defer resp.Body.Close()
	return reply{resp.StatusCode, resp.Header, string(must(io.ReadAll(resp.Body))(t))}
}

func (w *world) records(t *testing.T) (out []audit.Entry) {
	t.Helper()
	err := w.node.DB.Batches(t.Context(), origin, 0, func(b audit.Batch) error {
		for leaf := range strings.Lines(string(b.Leaves)) {
			out = append(out, must(audit.ParseEntry([]byte(leaf)))(t))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func save(t *testing.T, name, page string) {
	if *show != "" {
		if err := os.WriteFile(filepath.Join(*show, name+".html"), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Looking changes nothing; the form acknowledges, once, on record, and the page tells.
func TestAcknowledging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.links.Incident(w.account, w.incident, "ann")
	for range 3 {
		for _, method := range []string{"GET", "HEAD"} {
			if a := visit(t, method, link, nil); a.status != 200 || w.open(t).AckBy != "" {
				t.Fatalf("%s: %d, acknowledged by %q", method, a.status, w.open(t).AckBy)
			}
		}
	}
	page := visit(t, "GET", link, nil, "Accept-Language", "zh-CN,zh;q=0.9")
	for _, want := range []string{`lang="zh"`, "由我处理", "WeChat Pay 商户支付", "&lt;script&gt;", `value="ann"`, "<dd>2026-03-03 21:00 UTC</dd>", w.now().Format("<dd>2006-01-02 15:04 UTC</dd>")} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, page.body)
		}
	}
	save(t, "open.zh", page.body)
	save(t, "open.en", visit(t, "GET", link, nil).body)
	a := visit(t, "POST", link+"?lang=zh", url.Values{"name": {"bo"}, "note": {"在处理"}}, "Sec-Fetch-Site", "same-origin", "Origin", "null")
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "?lang=zh" {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	i := w.open(t)
	if i.AckBy != "bo (link of ann)" || i.AckNote != "在处理" || i.AckUntil.Sub(w.now()) != 61*time.Hour/4 {
		t.Errorf("the incident is %+v", i)
	}
	records := w.records(t)
	last := records[len(records)-1]
	if last.Action != "keyward:AcknowledgeIncident" || last.Source != "127.0.0.1" || last.Params["By"] != "bo (link of ann)" || last.Account != w.account {
		t.Errorf("the record is %+v", last)
	}
	if after := visit(t, "GET", link+"?lang=en", nil); !strings.Contains(after.body, "bo (link of ann) has taken it on") {
		t.Errorf("the page does not tell:\n%s", after.body)
	} else {
		save(t, "taken.en", after.body)
	}
	if err := w.alerts.End(t.Context(), w.account, "expiry/x"); err != nil {
		t.Fatal(err)
	}
	w.ahead.Add(int64(time.Minute)) // no address may come too often
	over := visit(t, "GET", link, nil)
	if over.status != 200 || strings.Contains(over.body, "<form") || visit(t, "POST", link, url.Values{}).status != http.StatusConflict {
		t.Errorf("an incident that is over: %d\n%s", over.status, over.body)
	}
	save(t, "over.en", over.body)
}

func TestConfirming(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := &authz.Call{Principal: authz.Principal{Account: w.account, Kind: authz.Service, Name: "test"}, Time: w.now()}
	must(w.alerts.AddChannel(t.Context(), c, "ops", "robot", notify.Draft{}))(t)
	link := w.links.Confirm(w.account, "ops", "")
	confirmed := func() time.Time { return must(w.alerts.ListChannels(t.Context(), c))(t)[0].Health.ConfirmedAt }
	if a := visit(t, "GET", link, nil); a.status != 200 || !confirmed().IsZero() {
		t.Errorf("looking: %d, confirmed at %v", a.status, confirmed())
	} else {
		save(t, "confirm.en", a.body)
	}
	if a := visit(t, "POST", link, url.Values{"name": {"bo"}}); a.status != 200 || !confirmed().Equal(w.now()) {
		t.Errorf("answering: %d, confirmed at %v\n%s", a.status, confirmed(), a.body)
	}
	if a := visit(t, "POST", strings.Replace(link, "/confirm/", "/ack/", 1), url.Values{}); a.status != http.StatusNotFound {
		t.Errorf("a link for something else: %d", a.status)
	}
}

// Links that were not made here, were changed anywhere, or have ended lead nowhere.
func TestLinksCannotBeMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.links.Incident(w.account, w.incident, "")
	base, text, _ := strings.Cut(link, "/ack/")
	raw := must(base64.RawURLEncoding.DecodeString(text))(t)
	bad := map[string]string{"nothing": "", "no base64": "%20", "short": "AAAA", "padded": text + "=", "longer": text + "AAAA", "cut": text[:len(text)-4]}
	for i := range raw {
		other := append([]byte(nil), raw...)
		other[i] ^= 1
		bad["changed"+string(rune('A'+i))] = base64.RawURLEncoding.EncodeToString(other)
	}
	for name, text := range bad {
		for _, method := range []string{"GET", "POST"} {
			w.ahead.Add(int64(time.Second)) // no address may come too often
			a := visit(t, method, base+"/ack/"+text, url.Values{})
			if a.status != http.StatusNotFound || strings.Contains(a.body, "AKIDFAKE") {
				t.Errorf("%s, %s: %d", name, method, a.status)
			}
		}
	}
	w.ahead.Add(int64(ackpage.Lifetime - 10*time.Minute))
	if a := visit(t, "GET", link, nil); a.status != 200 {
		t.Errorf("before its end: %d", a.status)
	}
	w.ahead.Add(int64(10 * time.Minute))
	a := visit(t, "GET", link, nil, "Accept-Language", "zh")
	if a.status != http.StatusNotFound || w.open(t).AckBy != "" {
		t.Errorf("after its end: %d", a.status)
	}
	save(t, "invalid.zh", a.body)
}

// Another site cannot have a visitor's browser send the form.
func TestOtherSitesCannotAcknowledge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.links.Incident(w.account, w.incident, "ann")
	for name, header := range map[string][]string{
		"another site":  {"Sec-Fetch-Site", "cross-site"},
		"a sibling":     {"Sec-Fetch-Site", "same-site"},
		"an old way":    {"Origin", "https://evil.example.com"},
		"another form":  {"Content-Type", "text/plain"},
		"a JSON object": {"Content-Type", "application/json"},
	} {
		if a := visit(t, "POST", link, url.Values{"name": {"evil"}}, header...); a.status/100 != 4 || w.open(t).AckBy != "" {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		if a := visit(t, method, link, nil); a.status != http.StatusMethodNotAllowed || w.open(t).AckBy != "" {
			t.Errorf("%s: %d", method, a.status)
		}
	}
	if a := visit(t, "POST", link, url.Values{"note": {strings.Repeat("x", 2000)}}); a.status != http.StatusBadRequest || w.open(t).AckBy != "" {
		t.Errorf("a long note: %d", a.status)
	}
}

// The page needs nothing from anywhere, and says so to the browser.
func TestThePageIsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := visit(t, "GET", w.links.Incident(w.account, w.incident, ""), nil)
	for name, want := range map[string]string{
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
	} {
		if a.header.Get(name) != want {
			t.Errorf("%s: %q", name, a.header.Get(name))
		}
	}
	policy := a.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
		t.Errorf("the policy is %s", policy)
	}
	if found := regexp.MustCompile(`(?i)<script|<img|<link|javascript:|https?://|url\(|\son\w+=|style=`).FindString(a.body); found != "" {
		t.Errorf("the page has %q", found)
	}
}

func TestAnAddressIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.links.Incident(w.account, w.incident, "")
	for range 40 {
		if visit(t, "GET", link, nil).status == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("forty requests in one instant were answered")
}
