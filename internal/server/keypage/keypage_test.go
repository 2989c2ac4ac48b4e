package keypage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/password"
	"github.com/keyward/keyward/internal/material/webauthn"
	"github.com/keyward/keyward/internal/material/webauthn/webauthntest"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/keypage"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/storetest"
)

const origin = "https://keyward.test"

var party = webauthn.Party{ID: "keyward.test", Origin: origin}

// A world is the page, and alice who logged in and has no second factor yet.
type world struct {
	*people.Service
	url   string
	alice *authz.Call
	log   *bytes.Buffer
	ahead atomic.Int64  // nanoseconds
	step  time.Duration // between two requests
}

func (w *world) now() time.Time {
	return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(w.ahead.Load()))
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{log: &bytes.Buffer{}, step: time.Second}
	keys, always := sealtest.Keyring(t), func() bool { return true }
	node := storetest.Start(t, storetest.Options{URL: storetest.SQLite(t), Origin: "keyward.test/node", Keys: keys, Now: w.now, Changed: func(string, string) {}})
	logger := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	users := must(iam.New(iam.Options{Store: identity.Store{Store: node.Store}, Log: node.Log, Keyring: keys, Logger: logger, Now: w.now, Fresh: always}))(t)
	refusals := refusal.New(node.Log)
	roles := role.New(role.Options{Store: identity.Store{Store: node.Store}, IAM: users, Log: node.Log, Sealer: sealtest.Box{Keyring: keys}, Now: w.now, Fresh: always})
	w.Service = people.New(people.Options{
		Store: identity.Store{Store: node.Store}, IAM: users, Roles: roles, Log: node.Log, Refusals: refusals, Logger: logger, Now: w.now, Fresh: always, Party: party,
		Hasher: password.New(password.Cost{MemoryKiB: 64, Time: 1, Threads: 1}, 2, 10),
		Digest: func(data []byte) (string, error) { sum := sha256.Sum256(data); return hex.EncodeToString(sum[:]), nil },
	})
	operator := &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: w.now()}
	account := must(users.CreateAccount(t.Context(), operator, "Example"))(t).Account.ID
	root := &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: w.now()}
	must(users.CreateUser(t.Context(), root, "alice", ""))(t)
	initial := must(w.SetPassword(t.Context(), root, "alice"))(t).Password
	issued := must(w.Login(t.Context(), &authz.Call{Time: w.now()}, people.Attempt{User: "alice", Password: initial, NewPassword: material.NewBytes([]byte("fake horse battery"))}))(t)
	w.alice = &authz.Call{Principal: issued.Principal, Time: w.now()}
	w.alice.AccessKey = issued.AccessKey
	none := func() float64 { return 0 }
	edge := &server.Edge{
		Logger: logger, Now: w.now, Metrics: server.NewMetrics("test", server.Gauges{Sealed: none, AuditSize: none, TamperedRows: none, ClockJumped: none, ClockOffset: none}),
	}
	page := must(keypage.New(keypage.Options{People: w.Service, Refusals: refusals, Origin: origin}))(t)
	s := httptest.NewServer(edge.Handle("link", server.MaxBody, page))
	t.Cleanup(s.Close)
	w.url = s.URL
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

// add begins to add a key, and answers the path of the page.
func (w *world) add(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimPrefix(must(w.AddKey(t.Context(), w.alice, name))(t).URL, origin)
}

func (w *world) send(t *testing.T, method, path, body string, header map[string]string) (*http.Response, string) {
	t.Helper()
	w.ahead.Add(int64(w.step))
	r := must(http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(body)))(t)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp := must(http.DefaultClient.Do(r))(t)
	defer resp.Body.Close()
	return resp, string(must(io.ReadAll(resp.Body))(t))
}

// The page speaks the visitor's language, can neither be framed nor run what is not its own,
// and shows nothing of the caller's as markup.
func TestPage(t *testing.T) {
	w := newWorld(t)
	path := w.add(t, "blue")
	resp, english := w.send(t, "GET", path, "", nil)
	_, chinese := w.send(t, "GET", path, "", map[string]string{"Accept-Language": "zh-CN,zh;q=0.9"})
	_, asked := w.send(t, "GET", path+"?lang=zh", "", nil)
	for text, page := range map[string]string{"Register the security key blue": english, "注册安全密钥 blue": chinese, "不是我发起的：拒绝": asked} {
		if !strings.Contains(page, text) {
			t.Errorf("a page lacks %q", text)
		}
	}
	policy := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	for name, want := range map[string]string{
		"Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	for _, foreign := range []string{"src=", "href=\"http", "@import", "url("} {
		if strings.Contains(english, foreign) {
			t.Errorf("the page loads something: %s", foreign)
		}
	}
	alice := *w.alice
	alice.Session.MFA = true
	w.key(t)
	b := must(w.BeginApproval(t.Context(), &alice, people.Approvable{Action: "kms:SetKeyPolicy", Details: []people.Detail{{Name: "body", Value: "</main><script>alert(1)</script>"}}}))(t)
	_, page := w.send(t, "GET", strings.TrimPrefix(b.URL, origin), "", nil)
	if strings.Contains(page, "<script>alert") || !strings.Contains(page, "alert(1)") || !strings.Contains(page, "Change who may use a key") {
		t.Error(page)
	}
	if strings.Contains(w.log.String(), strings.TrimPrefix(path, people.CeremonyPath)) || strings.Contains(w.log.String(), "kwproof_") {
		t.Error("the log has a link or a proof")
	}
}

// key gives alice a security key by the page.
func (w *world) key(t *testing.T) {
	t.Helper()
	b := must(w.AddKey(t.Context(), w.alice, "blue"))(t)
	path := strings.TrimPrefix(b.URL, origin)
	p := must(w.Open(t.Context(), &authz.Call{Time: w.now()}, strings.TrimPrefix(path, people.CeremonyPath)))(t)
	r := webauthntest.New(t, party, webauthn.ES256).Register(p.Challenge)
	body := must(json.Marshal(map[string]any{"made": map[string]any{"id": r.ID, "clientData": r.ClientData, "authenticatorData": r.AuthenticatorData, "publicKey": r.PublicKey, "algorithm": r.Algorithm}}))(t)
	resp, text := w.send(t, "POST", path, string(body), map[string]string{"Content-Type": "application/json", "Origin": origin})
	if resp.StatusCode != http.StatusOK || !strings.Contains(text, `"done":true`) {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	must(w.ConfirmKey(t.Context(), w.alice, string(b.Proof.Expose())))(t)
}

// What is not the page's own answer is refused, and changes nothing; a link serves once.
func TestAnswers(t *testing.T) {
	w := newWorld(t)
	path := w.add(t, "blue")
	own := map[string]string{"Content-Type": "application/json", "Origin": origin}
	for name, c := range map[string]struct {
		method, path, body string
		header             map[string]string
		want               int
	}{
		"another site":      {"POST", path, `{"refuse":true}`, map[string]string{"Content-Type": "application/json", "Origin": "https://evil.example"}, 403},
		"another site, too": {"POST", path, `{"refuse":true}`, map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, 403},
		"a form":            {"POST", path, `refuse=true`, map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": origin}, 400},
		"nothing":           {"POST", path, `{}`, own, 400},
		"both":              {"POST", path, `{"refuse":true,"approval":{"id":"","clientData":"","authenticatorData":""}}`, own, 400},
		"no answer":         {"POST", path, `{"approval":{"id":"","clientData":"","authenticatorData":""}}`, own, 400},
		"no registration":   {"POST", path, `{"made":{"id":"","clientData":"","authenticatorData":""}}`, own, 403},
		"a guess":           {"POST", people.CeremonyPath + strings.Repeat("A", 26), `{"refuse":true}`, own, 404},
		"another method":    {"PUT", path, ``, nil, 405},
		"a longer link":     {"GET", path + "A", ``, nil, 404},
		"no link":           {"GET", people.CeremonyPath, ``, nil, 404},
	} {
		if resp, text := w.send(t, c.method, c.path, c.body, c.header); resp.StatusCode != c.want {
			t.Errorf("%s: %d, want %d\n%s", name, resp.StatusCode, c.want, text)
		}
	}
	resp, text := w.send(t, "POST", path+"?lang=zh", `{"refuse":true}`, own)
	if resp.StatusCode != 200 || !strings.Contains(text, "已拒绝") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	resp, text = w.send(t, "POST", path, `{"refuse":true}`, own)
	if resp.StatusCode != 409 || !strings.Contains(text, `"over":true`) {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	resp, text = w.send(t, "GET", path, "", nil)
	if resp.StatusCode != 409 || strings.Contains(text, "challenge") || !strings.Contains(text, "answered already") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	w.step = 0
	var codes []int
	for range 30 {
		resp, _ := w.send(t, "GET", people.CeremonyPath+strings.Repeat("B", 26), "", nil)
		codes = append(codes, resp.StatusCode)
	}
	if !slices.Contains(codes, 429) {
		t.Errorf("guessing goes on: %v", codes)
	}
}

// Whoever asks from somewhere else than the browser is named, with a warning.
func TestCaution(t *testing.T) {
	w := newWorld(t)
	for address, want := range map[string]bool{"": false, "127.0.0.1": false, "::1": false, "203.0.113.9": true} {
		if got := strings.Contains(w.pageFrom(t, address), "Go on only if"); got != want {
			t.Errorf("asked from %q: warned %t", address, got)
		}
	}
}

// pageFrom answers the page of what is asked for from an address.
func (w *world) pageFrom(t *testing.T, address string) string {
	t.Helper()
	alice := *w.alice
	alice.Source, _ = netip.ParseAddr(address)
	b := must(w.AddKey(t.Context(), &alice, "blue"))(t)
	_, page := w.send(t, "GET", strings.TrimPrefix(b.URL, origin), "", nil)
	return page
}

// Every dangerous action has words on the page, in both languages.
func TestWords(t *testing.T) {
	for _, action := range authz.Dangerous() {
		words, ok := keypage.Operations()[action]
		if !ok || words[0] == "" || words[1] == "" {
			t.Errorf("%s has no words", action)
		}
	}
}
