package rest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/iam/simulation"
	"github.com/keyward/keyward/internal/key/keyring"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/checkup"
	"github.com/keyward/keyward/internal/accesskey/subscription"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cloud/edge"
	"github.com/keyward/keyward/internal/cloud/edge/edgetest"
	"github.com/keyward/keyward/internal/cloud/manual"
	"github.com/keyward/keyward/internal/cloud/openid"
	"github.com/keyward/keyward/internal/cloud/openid/openidtest"
	"github.com/keyward/keyward/internal/cloud/own"
	"github.com/keyward/keyward/internal/cloud/vault"
	"github.com/keyward/keyward/internal/cloud/vault/vaulttest"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/password"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/rotation/spool"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/rest"
	"github.com/keyward/keyward/internal/sink"
	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/target"
	"github.com/keyward/keyward/internal/usage"
	"github.com/keyward/keyward/internal/watch"
)

const (
	origin = "keyward.test/node"
	region = "cn-hangzhou"
)

// A world is the API over real services, on a real database and with a real audit log.
type world struct {
	url       string
	node      storetest.Node
	iam       *iam.Service
	roles     *role.Service
	people    *people.Service
	approvals *approval.Service
	idp       *openidtest.Provider
	keys      *keytest.Services
	secrets   *secret.Service
	usage     *usage.Service
	sinks     *sink.Service
	rollouts  *rollout.Service
	targets   *target.Service
	vault     *httptest.Server
	cdn       *httptest.Server
	stock     *accesskey.Service
	alerts    *notify.Service
	findings  *finding.Service
	checks    *checkup.Service
	exposures *exposure.Service
	watched   *watch.Service
	rotations *engine.Service
	limiter   *server.Limiter
	stop      func()
	later     atomic.Int64 // nanoseconds by which the services' clock is ahead of the signatures'

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

// A login is somebody who may sign.
type login struct {
	account, user, id, secret string
}

// noManager takes any connection to an external manager.
func noManager(k key.Keystore) (key.Keystore, instance.Manager) {
	return k, instance.Manager{Check: func(context.Context, string, form.Filling) error { return nil }}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{limiter: &server.Limiter{}}
	keyring := sealtest.Keyring(t)
	w.node = storetest.Start(t, storetest.Options{
		URL: storetest.SQLite(t), Origin: origin, Keys: keyring, Now: w.now,
		Changed: func(table, id string) {
			w.iam.Changed(table, id)
			w.roles.Changed(table, id)
			w.people.Changed(table, id)
			w.approvals.Changed(table, id)
			w.keys.Changed(table, id)
			w.secrets.Changed(table, id)
			w.rollouts.Changed(table, id)
		},
	})
	always := func() bool { return true }
	logger := slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.iam = must(iam.New(iam.Options{
		Store: identity.Store{Store: w.node.Store}, Log: w.node.Log, Keyring: keyring, Logger: logger, Now: w.now, Fresh: always,
	}))(t)
	w.roles = role.New(role.Options{Store: identity.Store{Store: w.node.Store}, IAM: w.iam, Log: w.node.Log, Sealer: sealtest.Box{Keyring: keyring}, Now: w.now, Fresh: always, Logins: w.inForce})
	w.people = people.New(people.Options{
		Store: identity.Store{Store: w.node.Store}, IAM: w.iam, Roles: w.roles, Log: w.node.Log, Refusals: refusal.New(w.node.Log), Logger: logger, Now: w.now, Fresh: always,
		Party:  party,
		Hasher: password.New(password.Cost{MemoryKiB: 64, Time: 1, Threads: 1}, 2, 10),
		Digest: func(data []byte) (string, error) { sum := sha256.Sum256(data); return hex.EncodeToString(sum[:]), nil },
	})
	w.idp = openidtest.New(t, w.now)
	counter := usage.NewCounter()
	w.keys = keytest.New(keytest.Options{External: noManager, Store: kms.Store{Store: w.node.Store}, Tenants: w.iam, Log: w.node.Log, Region: region, Now: w.now, Used: counter.Note})
	w.usage = usage.New(usage.Options{Store: kms.Usage{Store: w.node.Store}, Ring: w.keys.Ring, Log: w.node.Log, Counter: counter, Now: w.now, Logger: logger})
	w.secrets = secret.New(secret.Options{
		Store: kms.Store{Store: w.node.Store}, Keys: w.keys.Keys, Crypto: w.keys.Crypto, Log: w.node.Log, Region: region, Now: w.now, After: func(_ context.Context, d time.Duration) (time.Duration, error) { return d, nil }, Fresh: always,
		Mark: func(ctx context.Context, account string, value material.Bytes) []secret.Mark {
			return w.exposures.Mark(ctx, account, value)
		},
		Reserved: func(ctx context.Context, account, name string) error { return w.rotations.Reserves(ctx, account, name) },
	})
	w.vault = httptest.NewServer(&vaulttest.Server{Token: "fake-token"})
	t.Cleanup(w.vault.Close)
	w.sinks = sink.New(sink.Options{
		Store: kms.Store{Store: w.node.Store}, Secrets: w.secrets, Tenants: w.iam, Log: w.node.Log, Kinds: []sink.KindOfSink{vault.Kind()}, Region: region, Now: w.now,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	shelf, alerts := inventory.Store{Store: w.node.Store}, alerts.Store{Store: w.node.Store}
	w.stock = accesskey.New(accesskey.Options{
		Sources: shelf, Keys: shelf, Tenants: w.iam, Log: w.node.Log, Vault: shelfVault{}, Kinds: []accesskey.KindOfProvider{own.Kind(identity.Store{Store: w.node.Store}), manual.Kind()}, Region: region, Now: w.now,
		Follow: expiry.Soon,
	})
	w.alerts = notify.New(notify.Options{
		Config: alerts, Directory: alerts, Incidents: alerts, Outbox: alerts, Tenants: w.iam, Log: w.node.Log, Kinds: []message.Kind{robot},
		Region: region, Now: w.now, Logger: logger,
	})
	nodes := fleet.Store{Store: w.node.Store}
	w.rollouts = rollout.New(rollout.Options{
		Tokens: nodes, Registry: nodes, Plans: nodes, Reports: nodes, Secrets: w.secrets, Incidents: w.alerts, Log: w.node.Log, Region: region, Now: w.now, Fresh: always, Logger: logger,
	})
	w.cdn = httptest.NewServer(edgetest.New("fake-key-of-the-edge", w.now, "hkg1"))
	t.Cleanup(w.cdn.Close)
	w.targets = target.New(target.Options{
		Store: nodes, Rollouts: w.rollouts, Secrets: w.secrets, Tenants: w.iam, Log: w.node.Log, Kinds: []target.KindOfTarget{edge.Kind()}, Region: region, Now: w.now,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	w.inspectors()
	w.rotations = engine.New(engine.Options{
		Store: fleet.Rotations{Store: w.node.Store}, Inventory: w.stock, Secrets: w.secrets, Rollouts: w.rollouts, Incidents: w.alerts, Tenants: w.iam,
		Spool: &spool.Spool{Directory: filepath.Join(t.TempDir(), "spool")}, Log: w.node.Log, Region: region, Now: w.now, Fresh: w.node.Store.Fresh, Logger: logger,
	})
	scans := expiry.New(expiry.Options{Store: inventory.Store{Store: w.node.Store}, Inventory: w.stock, Incidents: w.alerts, Log: w.node.Log, Now: w.now, Replacing: w.rotations.Replacing})
	w.leaks()
	w.approvals = approval.New(approval.Options{
		Store: identity.Approvals{Store: w.node.Store}, Voters: w.people, Roles: w.roles, Users: w.iam, Incidents: w.alerts, Log: w.node.Log,
		Digest: func(data []byte) (string, error) { sum := sha256.Sum256(data); return hex.EncodeToString(sum[:]), nil }, Region: region, Now: w.now, Fresh: always,
	})
	w.watched = watch.New(watch.Options{
		Store: inventory.Repositories{Store: w.node.Store}, Mirrors: openMirrors{}, Reports: w.exposures, Verifier: issuers{}, Tenants: w.iam, Incidents: w.alerts, Log: w.node.Log, Region: region, Now: w.now, Logger: logger,
	})
	handler := rest.New(rest.Options{
		Exposures: w.exposures,
		Watched:   w.watched,
		Calendars: subscription.New(subscription.Options{
			Store: inventory.Calendars{Store: w.node.Store}, Users: w.iam, Log: w.node.Log, URL: "https://keyward.example.com", Region: region, Now: w.now,
		}),
		Simulations: w.simulations(),
		Approvals:   w.approvals,
		Verifier:    &authn.Verifier{Now: time.Now, Lookup: server.Lookup(w.roles, w.approvals)},
		Keys:        w.keys.Keys, Crypto: w.keys.Crypto, Imports: w.keys.Imports, Usage: w.usage, Secrets: w.secrets, Sinks: w.sinks, Rollouts: w.rollouts, Targets: w.targets, IAM: w.iam, Roles: w.roles, People: w.people, Stock: w.stock, Alerts: w.alerts, Expiry: scans, Findings: w.findings, Checks: w.checks, Log: w.node.Log, Audit: w.node.DB, Refusals: refusal.New(w.node.Log),
		Limiter: w.limiter, Region: region,
		Rotations: w.rotations,
		Federation: federation.New(federation.Options{
			Store: identity.Store{Store: w.node.Store}, Uses: identity.Store{Store: w.node.Store}, IAM: w.iam, People: w.people, Protocol: openid.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, w.now),
			Sealer: sealtest.Box{Keyring: keyring}, Log: w.node.Log, Refusals: refusal.New(w.node.Log), Now: w.now,
		}),
		Instances: w.keys.Instances,
		Offers:    offer.New(offer.Options{Store: kms.Store{Store: w.node.Store}, Users: w.iam, Keys: w.keys.Crypto, Log: w.node.Log, Region: region, Now: w.now, Fresh: always, Version: "test"}),
		Touch:     func(c *authz.Call, action string) { w.iam.Touch(c.AccessKey, c.Time, c.Source, action) },
	})
	none := func() float64 { return 0 }
	edge := &server.Edge{
		Logger: logger, Now: w.now,
		Metrics: server.NewMetrics("test", server.Gauges{Sealed: none, AuditSize: none, TamperedRows: none, ClockJumped: none, ClockOffset: none}),
	}
	s := httptest.NewServer(edge.Handle("rest", rest.MaxBody, handler))
	t.Cleanup(s.Close)
	w.url, w.stop = s.URL, s.Close
	return w
}

// robot is a kind of channel that takes everything and needs a secret for it.
var robot = message.Kind{
	Name: "robot", Title: form.Text{English: "Robot", Chinese: "机器人"},
	Form:   form.Form{Settings: []form.Field{{Name: "room"}}, Credential: []form.Field{{Name: "password", Required: true}}},
	Traits: message.Traits{Family: message.Machine, Group: true},
	Open:   func(message.Opening) (message.Sender, error) { return taker{}, nil },
}

type taker struct{}

// Send implements notify.Sender.
func (taker) Send(_ context.Context, m message.Message) (message.Receipt, error) {
	return message.Receipt{ID: m.ID, State: message.Accepted}, nil
}

func (w *world) inForce(ctx context.Context, account, user, session string) (bool, error) {
	return w.people.InForce(ctx, account, user, session)
}

// sync reads a provider now, as a job would.
func (w *world) sync(t testing.TB, account, provider string) {
	t.Helper()
	must(w.stock.Handlers()[accesskey.JobSync](t.Context(), job.Job{Kind: accesskey.JobSync, Account: account, Subject: provider}))(t)
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }

// Write takes what the server logs.
func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

// logged stops the server, so that every request has its line, and answers the log.
func (w *world) logged() string {
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// must answers a value that had to come without an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// account makes an account and answers its first user, who may do everything.
func (w *world) account(t testing.TB, name string) login {
	t.Helper()
	operator := &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: w.now()}
	f := must(w.iam.CreateAccount(t.Context(), operator, name))(t)
	return login{f.Account.ID, f.Key.AccessKey.User, f.Key.AccessKey.ID, string(f.Key.Secret.Expose())}
}

// user makes a user without policies.
func (w *world) user(t *testing.T, by login, name string) login {
	t.Helper()
	c := w.client(t, by)
	must(c.CreateUser(t.Context(), api.CreateUserRequest{Name: name}))(t)
	k := must(c.CreateAccessKey(t.Context(), name, api.CreateAccessKeyRequest{}))(t)
	return login{by.account, name, k.AccessKey.ID, string(k.Secret)}
}

func (w *world) client(t testing.TB, as login) *client.Client {
	t.Helper()
	return must(client.New(client.Config{Endpoint: w.url, AccessKeyID: as.id, AccessKeySecret: as.secret}))(t)
}

// records answers the audit records from the one with the number first on.
func (w *world) records(t testing.TB, first int64) []audit.Entry {
	t.Helper()
	var out []audit.Entry
	err := w.node.DB.Batches(t.Context(), origin, first, func(b audit.Batch) error {
		for leaf := range strings.Lines(string(b.Leaves)) {
			if e := must(audit.ParseEntry([]byte(leaf)))(t); e.Seq >= first {
				out = append(out, e)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// size answers how many audit records there are.
func (w *world) size(t testing.TB) int64 {
	t.Helper()
	return must(w.node.DB.Head(t.Context(), origin))(t).Size
}

// during answers the records of what happens while do runs.
func (w *world) during(t testing.TB, do func()) []audit.Entry {
	t.Helper()
	before := w.size(t)
	do()
	return w.records(t, before)
}

// codeOf answers the code of the server's refusal, "" for none.
func codeOf(t testing.TB, err error) string {
	t.Helper()
	var e *client.Error
	if err == nil {
		return ""
	}
	if !errors.As(err, &e) {
		t.Fatalf("%v is no answer of the server", err)
	}
	return e.Code
}

// A raw is a request as no well-behaved client would send it.
type raw struct {
	method, target, contentType string
	body                        []byte
}

// sign makes an HTTP request that is signed by whoever, whatever it says.
func (w *world) sign(t testing.TB, as login, q raw) *http.Request {
	t.Helper()
	return w.signNaming(t, as, q, "")
}

// signNaming is sign for a request that names an approval, "" for none.
func (w *world) signNaming(t testing.TB, as login, q raw, approval string) *http.Request {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), q.method, w.url+q.target, bytes.NewReader(q.body)))(t)
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	r.Header.Set("X-Acs-Date", time.Now().UTC().Format("2006-01-02T15:04:05Z"))
	r.Header.Set("X-Acs-Signature-Nonce", rand.Text())
	r.Header.Set("X-Acs-Content-Sha256", sum(q.body))
	names := []string{"host", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce"}
	if q.contentType != "" {
		r.Header.Set("Content-Type", q.contentType)
		names = append([]string{"content-type"}, names...)
	}
	if approval != "" {
		r.Header.Set("X-Acs-Approval-Id", approval)
		names = append(names, "x-acs-approval-id")
	}
	pairs := strings.Split(r.URL.RawQuery, "&")
	slices.Sort(pairs)
	text := r.Method + "\n" + r.URL.EscapedPath() + "\n" + strings.Join(pairs, "&") + "\n"
	for _, name := range names {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.URL.Host
		}
		text += name + ":" + value + "\n"
	}
	text += "\n" + strings.Join(names, ";") + "\n" + sum(q.body)
	mac := hmac.New(sha256.New, []byte(as.secret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n" + sum([]byte(text))))
	r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+as.id+",SignedHeaders="+strings.Join(names, ";")+
		",Signature="+hex.EncodeToString(mac.Sum(nil)))
	return r
}

// do sends a request and answers the problem, which is zero for a success.
func do(t testing.TB, r *http.Request) (*http.Response, api.Problem) {
	t.Helper()
	resp := must(http.DefaultClient.Do(r))(t)
	defer resp.Body.Close()
	body := must(io.ReadAll(resp.Body))(t)
	if resp.StatusCode/100 == 2 {
		return resp, api.Problem{}
	}
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil || resp.Header.Get("Content-Type") != api.ProblemType {
		t.Fatalf("%s %s: answered %d with %s, which is no problem", r.Method, r.URL, resp.StatusCode, body)
	}
	if p.Status != resp.StatusCode || p.Code == "" || p.Detail == "" || p.RequestID == "" || p.Title != http.StatusText(p.Status) {
		t.Errorf("%s %s: the problem is incomplete: %+v", r.Method, r.URL, p)
	}
	return resp, p
}

// pathOf fills a route's pattern.
func pathOf(pattern string) string {
	for _, name := range []string{"key", "version", "alias", "user", "policy", "id", "secret", "stage", "sink", "node", "token", "rollout", "target", "plan", "rotation", "provider", "channel", "person", "rota", "incident"} {
		pattern = strings.ReplaceAll(pattern, "{"+name+"}", url.PathEscape("some-"+name))
	}
	return pattern
}

func testLogger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// simulations answers what explains policies, wired as package app does.
func (w *world) simulations() *simulation.Service {
	return simulation.New(simulation.Options{
		Log: w.node.Log, Now: w.now, Principal: w.iam.Principal,
		Key: func(ctx context.Context, c *authz.Call, rec *audit.Record, arn string) (simulation.Resource, error) {
			k, err := w.keys.Resolve(ctx, keyring.Ask{Call: c, Record: rec, Action: "kms:GetKeyPolicy", Name: arn})
			if err != nil {
				return simulation.Resource{}, err
			}
			return simulation.Resource{ARN: k.ARN, Policy: k.Policy, Attributes: k.Attributes(nil)}, nil
		},
	})
}
