package login_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cloud/openid"
	"github.com/keyward/keyward/internal/cloud/openid/openidtest"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material/password"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/login"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/storetest"
)

const typed = "a fake text that was typed"

// serve serves logins of the user alice, whose initial password it answers.
func serve(t *testing.T) (url string, initial api.SecretText, log *strings.Builder) {
	t.Helper()
	keys, always := sealtest.Keyring(t), func() bool { return true }
	var users *iam.Service
	node := storetest.Start(t, storetest.Options{
		URL: storetest.SQLite(t), Origin: "keyward.test/node", Keys: keys, Now: time.Now, Changed: func(table, id string) { users.Changed(table, id) },
	})
	log = &strings.Builder{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	users, err := iam.New(iam.Options{Store: identity.Store{Store: node.Store}, Log: node.Log, Keyring: keys, Logger: logger, Now: time.Now, Fresh: always})
	if err != nil {
		t.Fatal(err)
	}
	refusals := refusal.New(node.Log)
	service := people.New(people.Options{
		Store: identity.Store{Store: node.Store}, IAM: users, Log: node.Log, Refusals: refusals, Logger: logger, Now: time.Now, Fresh: always,
		Roles:  role.New(role.Options{Store: identity.Store{Store: node.Store}, IAM: users, Log: node.Log, Sealer: sealtest.Box{Keyring: keys}, Now: time.Now, Fresh: always}),
		Hasher: password.New(password.Cost{MemoryKiB: 64, Time: 1, Threads: 1}, 2, 10),
		Digest: func(data []byte) (string, error) { sum := sha256.Sum256(data); return hex.EncodeToString(sum[:]), nil },
	})
	operator := &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: time.Now()}
	founded, err := users.CreateAccount(t.Context(), operator, "Example")
	if err != nil {
		t.Fatal(err)
	}
	root := &authz.Call{Principal: authz.Principal{Account: founded.Account.ID, Kind: authz.Root, Name: "root"}, Time: time.Now()}
	if _, err := users.CreateUser(t.Context(), root, "alice", ""); err != nil {
		t.Fatal(err)
	}
	made, err := service.SetPassword(t.Context(), root, "alice")
	if err != nil {
		t.Fatal(err)
	}
	none := func() float64 { return 0 }
	edge := &server.Edge{
		Logger: logger, Now: time.Now,
		Metrics: server.NewMetrics("test", server.Gauges{Sealed: none, AuditSize: none, TamperedRows: none, ClockJumped: none, ClockOffset: none}),
	}
	idp := openidtest.New(t, time.Now)
	elsewhere := federation.New(federation.Options{
		Store: identity.Store{Store: node.Store}, Uses: identity.Store{Store: node.Store}, IAM: users, People: service, Protocol: openid.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, time.Now),
		Sealer: sealtest.Box{Keyring: keys}, Log: node.Log, Refusals: refusals, Now: time.Now,
	})
	if _, err := elsewhere.CreateProvider(t.Context(), root, federation.NewProvider{Name: "corp", Issuer: idp.URL, ClientID: openidtest.ClientID}); err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere.Link(t.Context(), root, "corp", "alice", "00u-alice"); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(edge.Handle("login", server.MaxBody, login.New(login.Options{People: service, Federation: elsewhere, Refusals: refusals})))
	t.Cleanup(s.Close)
	return s.URL, api.SecretText(made.Password.Expose()), log
}

// Who proves at an identity provider who it is gets credentials, and nothing of that is
// logged.
func TestSSO(t *testing.T) {
	url, _, log := serve(t)
	config := client.Config{Endpoint: url}
	sum := sha256.Sum256([]byte(typed))
	begun, err := client.BeginSSO(t.Context(), config, api.BeginSSORequest{RedirectURI: "http://127.0.0.1:8400/callback", CodeChallenge: base64.RawURLEncoding.EncodeToString(sum[:])})
	if err != nil {
		t.Fatal(err)
	}
	back := openidtest.Visit(t, begun.URL)
	finish := api.FinishSSORequest{Transaction: begun.Transaction, CodeVerifier: typed, State: back.Get("state"), Code: api.SecretText(back.Get("code")), Issuer: back.Get("iss")}
	out, err := client.FinishSSO(t.Context(), config, finish)
	if err != nil || out.Session == nil || out.Transaction != "" || !strings.HasSuffix(out.Session.ARN, ":user/alice") {
		t.Fatalf("the login is %+v, %v", out, err)
	}
	if _, err := client.FinishSSO(t.Context(), config, finish); err == nil || !strings.Contains(err.Error(), "LoginFailed") {
		t.Errorf("the same once more: %v", err)
	}
	for _, secret := range []string{typed, string(begun.Transaction), begun.State, back.Get("code"), string(out.Session.Secret)} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has a secret:\n%s", log)
		}
	}
}

// Whoever logs in through the client gets credentials, and nothing typed is logged.
func TestLogin(t *testing.T) {
	url, initial, log := serve(t)
	in := api.LoginRequest{User: "alice", Password: initial, NewPassword: typed}
	out, err := client.Login(t.Context(), client.Config{Endpoint: url}, in)
	if err != nil {
		t.Fatal(err)
	}
	if !iam.ValidSessionKeyID(out.AccessKeyID) || out.Secret == "" || out.SecurityToken == "" || !strings.HasSuffix(out.ARN, ":user/alice") {
		t.Errorf("the credentials are of %s", out.ARN)
	}
	in.User = typed
	if _, err := client.Login(context.Background(), client.Config{Endpoint: url}, in); err == nil || strings.Contains(err.Error(), typed) {
		t.Errorf("an unknown user: %v", err)
	}
	if text := log.String(); strings.Contains(text, typed) || strings.Contains(text, string(initial)) || strings.Contains(text, string(out.Secret)) {
		t.Errorf("the log has a secret:\n%s", text)
	}
}

// What is no login is refused before a hash is made.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		method, target, body string
		code                 string
	}{
		"a GET":               {"GET", "", "", "MethodNotAllowed"},
		"a query":             {"POST", "?user=alice", `{"user":"alice","password":"x"}`, "InvalidParameter"},
		"a long body":         {"POST", "", `{"user":"alice","password":"` + strings.Repeat("x", 9<<10) + `"}`, "TooLarge"},
		"an unknown member":   {"POST", "", `{"user":"alice","password":"x","pin":"1"}`, "InvalidParameter"},
		"a duplicate member":  {"POST", "", `{"user":"alice","user":"bob","password":"x"}`, "InvalidParameter"},
		"no JSON":             {"POST", "", `user=alice`, "InvalidParameter"},
		"an overlong session": {"POST", "", `{"user":"alice","password":"x","durationSeconds":999999999999}`, "LoginFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			url, _, _ := serve(t)
			r, err := http.NewRequestWithContext(t.Context(), c.method, url+api.LoginPath+c.target, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			var p api.Problem
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.Body.Close() != nil || json.Unmarshal(body, &p) != nil {
				t.Fatalf("%s: %v", body, err)
			}
			if p.Code != c.code {
				t.Errorf("have %q: %s", p.Code, p.Detail)
			}
		})
	}
}

// An address may ask only so often.
func TestTooOften(t *testing.T) {
	url, _, _ := serve(t)
	throttled := 0
	for range 12 {
		_, err := client.Login(t.Context(), client.Config{Endpoint: url}, api.LoginRequest{User: "alice", Password: typed})
		if err != nil && strings.Contains(err.Error(), "Throttled") {
			throttled++
		}
	}
	if throttled < 5 {
		t.Errorf("%d of twelve attempts were turned away", throttled)
	}
}

// Asking for an approval proves the password as a login does; what became of it is told to
// who holds the proof.
func TestProofs(t *testing.T) {
	url, initial, log := serve(t)
	config := client.Config{Endpoint: url}
	for password, code := range map[api.SecretText]string{initial: "StateConflict", typed: "LoginFailed"} { // there is no security key
		_, err := client.BeginLoginProof(t.Context(), config, api.LoginRequest{User: "alice", Password: password})
		var refusal *client.Error
		if !errors.As(err, &refusal) || refusal.Code != code {
			t.Errorf("have %v, want %s", err, code)
		}
	}
	for _, proof := range []api.SecretText{"", "x", "kwproof_AAAAAAAAAAAAAAAAAAAAAAAAAA", typed} {
		_, err := client.GetProofState(t.Context(), config, api.HeldProof{Proof: proof})
		var refusal *client.Error
		if !errors.As(err, &refusal) || refusal.Code != "ResourceNotFound" {
			t.Errorf("%q: %v", proof, err)
		}
	}
	throttled := 0
	for range 40 {
		_, err := client.GetProofState(t.Context(), config, api.HeldProof{Proof: "kwproof_AAAAAAAAAAAAAAAAAAAAAAAAAA"})
		if err != nil && strings.Contains(err.Error(), "Throttled") {
			throttled++
		}
	}
	if throttled < 5 {
		t.Errorf("%d of forty guesses were turned away", throttled)
	}
	if strings.Contains(log.String(), "kwproof_") || strings.Contains(log.String(), typed) {
		t.Errorf("the log has a proof:\n%s", log)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", url+api.ProofStatePath+"?proof=x", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a GET: %v, %v", resp, err)
	}
}
