package feed_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/subscription"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/feed"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/storetest"
)

var begin = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// A world serves the calendar of an account that has one key with a date.
type world struct {
	*subscription.Service
	node    storetest.Node
	iam     *iam.Service
	stock   *accesskey.Service
	account string
	ahead   atomic.Int64 // nanoseconds since begin

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

func (w *world) now() time.Time { return begin.Add(time.Duration(w.ahead.Load())) }

// Write implements io.Writer for the log.
func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
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

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, database string) *world {
	t.Helper()
	w := &world{}
	keyring := sealtest.Keyring(t)
	w.node = storetest.Start(t, storetest.Options{URL: database, Origin: "keyward.test/node", Keys: keyring, Now: w.now, Changed: func(table, id string) { w.iam.Changed(table, id) }})
	logger := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.iam = must(iam.New(iam.Options{Store: identity.Store{Store: w.node.Store}, Log: w.node.Log, Keyring: keyring, Logger: logger, Now: w.now, Fresh: func() bool { return true }}))(t)
	w.account = must(w.iam.CreateAccount(t.Context(), &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: w.now()}, "test"))(t).Account.ID
	shelf := inventory.Store{Store: w.node.Store}
	w.stock = accesskey.New(accesskey.Options{
		Sources: shelf, Keys: shelf, Tenants: w.iam, Log: w.node.Log, Region: "r", Now: w.now,
		Kinds: []accesskey.KindOfProvider{{
			Name: "paper", Pace: time.Hour, Capabilities: accesskey.Capabilities{Manual: true},
			Open: func(accesskey.Opening) (accesskey.Provider, error) { return nil, nil },
			Guides: []accesskey.Guide{{Name: "stamp", Check: func(f form.Filling, now time.Time) (accesskey.Evidence, error) {
				return accesskey.Evidence{ID: f.Settings["id"], Expiry: accesskey.Expiry{At: now.Add(100 * time.Hour), Basis: accesskey.Certificate}}, nil
			}}},
		}},
	})
	must2(w.stock.Add(t.Context(), w.root(), "desk", "paper", accesskey.Draft{Unchecked: true}))(t)
	w.enter(t, "first")
	return w
}

func must2[T, U any](v T, _ U, err error) func(testing.TB) T { return must(v, err) }

func (w *world) root() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: w.account, Kind: authz.Root, Name: "root"}, Time: w.now()}
}

func (w *world) enter(t *testing.T, id string) {
	t.Helper()
	must2(w.stock.Enter(t.Context(), w.root(), "desk", accesskey.Entry{Guide: "stamp", Filling: form.Filling{Settings: map[string]string{"id": id}}}))(t)
}

// user makes a user who may do what the actions say.
func (w *world) user(t *testing.T, name, actions string) *authz.Call {
	t.Helper()
	must(w.iam.CreateUser(t.Context(), w.root(), name, ""))(t)
	document := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"` + actions + `","Resource":"*"}]}`
	must(w.iam.CreatePolicy(t.Context(), w.root(), iam.NewPolicy{Name: name, Document: document}))(t)
	check(t, w.iam.AttachPolicy(t.Context(), w.root(), name, name))
	return &authz.Call{Principal: must(w.iam.Acting(t.Context(), w.account, name))(t), Time: w.now()}
}

// serve answers the address of the server, whose links lead there.
func (w *world) serve(t *testing.T) string {
	t.Helper()
	none := func() float64 { return 0 }
	edge := &server.Edge{Logger: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: w.now, Metrics: server.NewMetrics("test", server.Gauges{Sealed: none, AuditSize: none, TamperedRows: none})}
	var handler http.Handler
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(s.Close)
	w.Service = subscription.New(subscription.Options{Store: inventory.Calendars{Store: w.node.Store}, Users: w.iam, Log: w.node.Log, URL: s.URL, Region: "r", Now: w.now})
	handler = edge.Handle("link", server.MaxBody, feed.New(feed.Options{Subscriptions: w.Service, Stock: w.stock, Refusals: refusal.New(w.node.Log)}))
	return s.URL
}

func fetch(t *testing.T, method, target, tag string) (*http.Response, string) {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), method, target, nil))(t)
	if tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	resp := must(http.DefaultClient.Do(r))(t)
	defer resp.Body.Close()
	return resp, string(must(io.ReadAll(resp.Body))(t))
}

// audited answers the entries of the audit log with its text.
func (w *world) audited(t *testing.T) (out []audit.Entry, text string) {
	t.Helper()
	check(t, w.node.DB.Batches(t.Context(), "keyward.test/node", 0, func(b audit.Batch) error {
		text += string(b.Leaves)
		for leaf := range strings.Lines(string(b.Leaves)) {
			out = append(out, must(audit.ParseEntry([]byte(leaf)))(t))
		}
		return nil
	}))
	return out, text
}

// A link is followed as the user who made it, by whoever has it, until the user may not any
// more or the subscription ends; neither the log nor the audit log has it.
func TestALinkIsFollowed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, database string) {
		w := newWorld(t, database)
		w.serve(t)
		ctx := t.Context()
		ann := w.user(t, "ann", "keyward:*Calendar*")
		made, link, err := w.Subscribe(ctx, ann, "outlook", message.English)
		check(t, err)
		url := string(link.Expose())
		resp, body := fetch(t, "GET", url, "")
		tag := resp.Header.Get("ETag")
		if resp.StatusCode != 200 || !strings.Contains(body, "Key expires: first") || resp.Header.Get("Content-Type") != "text/calendar; charset=utf-8" || tag == "" || !strings.HasPrefix(resp.Header.Get("Cache-Control"), "private") {
			t.Fatalf("%d %v %s", resp.StatusCode, resp.Header, body)
		}
		w.ahead.Add(int64(time.Hour))
		if resp, body := fetch(t, "GET", url, tag); resp.StatusCode != 304 || body != "" {
			t.Errorf("unchanged: %d %q", resp.StatusCode, body)
		}
		w.enter(t, "second")
		if resp, body := fetch(t, "GET", url, tag); resp.StatusCode != 200 || resp.Header.Get("ETag") == tag || !strings.Contains(body, "Key expires: second") {
			t.Errorf("changed: %d %v", resp.StatusCode, resp.Header)
		}
		all, err := w.List(ctx, ann)
		if diff := cmp.Diff([]subscription.Standing{{Subscription: made, FetchedAt: w.now()}}, all); diff != "" || err != nil {
			t.Error(err, diff)
		}
		ended := func(why string) {
			t.Helper()
			w.ahead.Add(int64(time.Minute))
			if resp, body := fetch(t, "GET", url, tag); resp.StatusCode != 404 || strings.Contains(body, "VCALENDAR") {
				t.Errorf("%s: %d", why, resp.StatusCode)
			}
		}
		check(t, w.iam.DetachPolicy(ctx, w.root(), "ann", "ann"))
		ended("without the permission")
		check(t, w.iam.AttachPolicy(ctx, w.root(), "ann", "ann"))
		if resp, _ := fetch(t, "GET", url, ""); resp.StatusCode != 200 {
			t.Errorf("with it again: %d", resp.StatusCode)
		}
		off := false
		must(w.iam.UpdateUser(ctx, w.root(), "ann", iam.UserChange{Enabled: &off}))(t)
		ended("of a disabled user")
		check(t, w.iam.DetachPolicy(ctx, w.root(), "ann", "ann"))
		check(t, w.iam.DeleteUser(ctx, w.root(), "ann"))
		ended("of a user who is gone")
		if _, err := w.iam.CreateUser(ctx, w.root(), "ann", ""); !fault.Is(err, fault.ResourceInUse) {
			t.Errorf("another user is given the name: %v", err)
		}
		check(t, w.Unsubscribe(ctx, w.root(), "outlook"))
		ended("unsubscribed")
		must(w.iam.CreateUser(ctx, w.root(), "ann", ""))(t)

		token := strings.TrimSuffix(url[strings.LastIndex(url, "/")+1:], ".ics")
		w.mu.Lock()
		if strings.Contains(w.log.String(), token) || !strings.Contains(w.log.String(), "FollowCalendar") {
			t.Errorf("the log: %s", w.log.String())
		}
		w.mu.Unlock()
		entries, text := w.audited(t)
		if strings.Contains(text, token) {
			t.Error("the audit log has the token")
		}
		results := map[string]int{}
		for _, e := range entries {
			if e.Action == "keyward:GetCalendar" {
				results[e.Result+" "+e.Principal]++
			}
		}
		arn := ann.ARN()
		if diff := cmp.Diff(map[string]int{"OK " + arn: 4, "NoPermission " + arn: 1, "AccessKeyInactive ": 2, "ResourceNotFound ": 1}, results); diff != "" {
			t.Error(diff)
		}
	})
}

// Who is no user, or would leave behind more than a session, makes no link.
func TestWhoMaySubscribe(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.serve(t)
	ann := w.user(t, "ann", "keyward:*Calendar*")
	session := *ann
	session.Kind, session.Session = authz.Federated, &authz.Session{Name: "s", Expires: w.now().Add(time.Hour)}
	person := session
	person.Session = &authz.Session{Name: "s", Expires: w.now().Add(time.Hour), Person: true}
	for name, test := range map[string]struct {
		call *authz.Call
		name string
		l    message.Language
		want fault.Kind
	}{
		"root":       {w.root(), "x", message.English, fault.UnsupportedOperation},
		"a session":  {&session, "x", message.English, fault.UnsupportedOperation},
		"nobody":     {w.user(t, "bo", "keyward:GetCalendar"), "x", message.English, fault.NoPermission},
		"a name":     {ann, "X y", message.English, fault.InvalidParameter},
		"a language": {ann, "x", "fr", fault.InvalidParameter},
		"a person":   {&person, "person", message.Chinese, ""},
		"a user":     {ann, "user", message.Chinese, ""},
	} {
		if _, _, err := w.Subscribe(t.Context(), test.call, test.name, test.l); err != nil && test.want == "" || err == nil && test.want != "" || err != nil && !fault.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := w.Subscribe(t.Context(), ann, "user", message.English); !fault.Is(err, fault.ResourceExists) {
		t.Errorf("again: %v", err)
	}
}

// Strangers learn nothing, and are slowed down.
func TestStrangers(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	url := w.serve(t)
	for _, path := range []string{"/calendar/", "/calendar/AAAAAAAAAAAAAAAAAAAAAAAAAA.ics", "/calendar/%00.ics", "/calendar/" + strings.Repeat("A", 5000)} {
		if resp, body := fetch(t, "GET", url+path, ""); resp.StatusCode != 404 || body != "Not Found\n" {
			t.Errorf("%.40s: %d %q", path, resp.StatusCode, body)
		}
	}
	w.ahead.Add(int64(time.Minute))
	if resp, _ := fetch(t, "POST", url+"/calendar/AAAA.ics", ""); resp.StatusCode != 405 {
		t.Errorf("POST: %d", resp.StatusCode)
	}
	var last int
	for range 10 {
		resp, _ := fetch(t, "GET", url+"/calendar/AAAA.ics", "")
		last = resp.StatusCode
	}
	if last != 429 {
		t.Errorf("the tenth of a second: %d", last)
	}
}
