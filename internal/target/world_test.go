package target_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cloud/edge"
	"github.com/keyward/keyward/internal/cloud/edge/edgetest"
	"github.com/keyward/keyward/internal/cloud/kubernetes"
	"github.com/keyward/keyward/internal/cloud/kubernetes/kubernetestest"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/target"
)

const (
	account = "1000000000000001"
	hmacKey = "canary-key-of-the-edge"
	token   = "canary-token-of-the-cluster"
)

// value answers the value of a version.
func value(n int) string { return fmt.Sprintf(`{"id":"id-%d","secret":"canary-value-%d"}`, n, n) }

// A world is a server with a clock of its own, a cluster and a CDN.
type world struct {
	*target.Service
	secrets  *secret.Service
	keys     *keytest.Services
	rollouts *rollout.Service
	fleet    fleet.Store
	jobs     *job.Runner
	cluster  *kubernetestest.Server
	cdn      *edgetest.CDN
	web, api *httptest.Server // of the CDN, and of the cluster
	versions int
	logged   strings.Builder

	mu  sync.Mutex // guards now
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

type nobody struct{}

func (nobody) Report(context.Context, string, notify.Condition) error { return nil }
func (nobody) End(context.Context, string, string) error              { return nil }

func root() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: time.Now()}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t testing.TB, url string) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), cluster: kubernetestest.New(token)}
	w.cdn = edgetest.New(hmacKey, w.clock, "fra1", "hkg1")
	serve := func(s *httptest.Server) *httptest.Server {
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		t.Cleanup(s.Close)
		return s
	}
	w.web, w.api = serve(httptest.NewServer(w.cdn)), serve(httptest.NewTLSServer(w.cluster))
	keyring := sealtest.Keyring(t)
	node := storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/test", Keys: keyring, Now: w.clock, Changed: func(table, id string) {
		w.keys.Changed(table, id)
		w.secrets.Changed(table, id)
		w.rollouts.Changed(table, id)
	}})
	tenants := sealtest.NewTenants(keyring)
	always := func() bool { return true }
	after := func(_ context.Context, d time.Duration) (time.Duration, error) { return d, nil }
	w.keys = keytest.New(keytest.Options{Store: kms.Store{Store: node.Store}, Tenants: tenants, Log: node.Log, Now: w.clock, After: after})
	w.secrets = secret.New(secret.Options{Store: kms.Store{Store: node.Store}, Keys: w.keys.Keys, Crypto: w.keys.Crypto, Log: node.Log, Region: "cn-test", Now: w.clock, After: after, Fresh: always})
	w.fleet = fleet.Store{Store: node.Store}
	w.rollouts = rollout.New(rollout.Options{
		Tokens: w.fleet, Registry: w.fleet, Plans: w.fleet, Reports: w.fleet, Secrets: w.secrets, Incidents: nobody{}, Log: node.Log, Region: "cn-test",
		Now: w.clock, Fresh: always, Logger: slog.New(slog.DiscardHandler),
	})
	w.Service = target.New(target.Options{
		Store: w.fleet, Rollouts: w.rollouts, Secrets: w.secrets, Tenants: tenants, Log: node.Log, Region: "cn-test", Now: w.clock,
		Kinds: []target.KindOfTarget{kubernetes.Kind(), edge.Kind()}, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	w.jobs = &job.Runner{
		Store: node.Store, Owner: "test", Handlers: w.Handlers(), Now: w.clock,
		Served: func() (time.Duration, bool) { return 0, true }, Logger: slog.New(slog.NewTextHandler(&w.logged, nil)),
	}
	w.publish(t)
	_, err := w.rollouts.Create(t.Context(), root(), "pay", rollout.Draft{Secret: "pay/key"})
	check(t, err)
	t.Cleanup(func() { noCanary(t, w.logged.String()) })
	return w
}

// publish adds a version of the secret and, if there is a rollout, publishes it.
func (w *world) publish(t testing.TB) {
	t.Helper()
	w.versions++
	id, data := fmt.Sprintf("v%d", w.versions), material.NewBytes([]byte(value(w.versions)))
	if w.versions == 1 {
		_, err := w.secrets.Create(t.Context(), root(), secret.CreateInput{Name: "pay/key", Version: id, Data: data})
		check(t, err)
		return
	}
	_, _, err := w.secrets.Put(t.Context(), root(), secret.PutInput{Secret: "pay/key", Version: id, Data: data})
	check(t, err)
	_, err = w.rollouts.Publish(t.Context(), root(), "pay", "")
	check(t, err)
}

// edgeDraft answers a target at the CDN.
func (w *world) edgeDraft() target.Draft {
	return target.Draft{Kind: "edge", Labels: []form.Pair{{Name: "tier", Value: "edge"}}, Filling: form.Filling{
		Settings:   map[string]string{"put_url": w.web.URL + "/{rollout}", "pops_url": w.web.URL + "/{rollout}/pops", "seal_key": w.cdn.SealKey()},
		Credential: map[string]material.Bytes{"hmac_key": material.NewBytes([]byte(hmacKey))},
	}}
}

// clusterDraft answers a target in the cluster, with other settings than usual.
func (w *world) clusterDraft(settings ...string) target.Draft {
	all := map[string]string{
		"server": w.api.URL, "namespace": "shop", "secret": "pay-key", "selector": "app=shop",
		"ca":   string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.api.Certificate().Raw})),
		"keys": "id=primary.id,secret=primary.secret,old-id=fallback.id",
	}
	for i := 0; i < len(settings); i += 2 {
		all[settings[i]] = settings[i+1]
	}
	return target.Draft{Kind: "kubernetes", Filling: form.Filling{
		Settings: all, Credential: map[string]material.Bytes{"token": material.NewBytes([]byte(token))},
	}}
}

func (w *world) add(t testing.TB, d target.Draft) {
	t.Helper()
	_, err := w.Add(t.Context(), root(), "there", d)
	check(t, err)
}

// pass lets time pass in steps, after each of which due jobs run.
func (w *world) pass(t testing.TB, d time.Duration) {
	t.Helper()
	for ; d > 0; d -= 5 * time.Second {
		w.mu.Lock()
		w.now = w.now.Add(5 * time.Second)
		w.mu.Unlock()
		_, err := w.jobs.Step(t.Context())
		check(t, err)
	}
}

// member answers how the target stands.
func (w *world) member(t testing.TB) rollout.Member {
	t.Helper()
	_, all, err := w.rollouts.Members(t.Context(), account, "pay")
	check(t, err)
	if len(all) != 1 {
		t.Fatalf("there are %d members", len(all))
	}
	return all[0]
}

// stands fails the test unless the target has come to a level with a generation, 0 for
// none, and what it says of it holds every one of some words.
func (w *world) stands(t testing.TB, generation int64, level rollout.Level, words ...string) {
	t.Helper()
	m := w.member(t)
	if m.Ack.Generation != generation || m.Ack.Level != level {
		t.Errorf("it is %q with generation %d, want %q with %d; it says %q", m.Ack.Level, m.Ack.Generation, level, generation, m.Ack.Error)
	}
	if len(words) == 0 && m.Ack.Error != "" {
		t.Errorf("it says %q", m.Ack.Error)
	}
	for _, word := range words {
		if !strings.Contains(m.Ack.Error, word) {
			t.Errorf("it says %q, which lacks %q", m.Ack.Error, word)
		}
	}
	noCanary(t, m.Ack.Error+m.Presence.Trouble)
}

// noCanary fails the test if a text holds a value or a credential.
func noCanary(t testing.TB, text string) {
	t.Helper()
	if strings.Contains(text, "canary") {
		t.Errorf("a secret shows: %s", text)
	}
}
