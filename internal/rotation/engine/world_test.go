package engine_test

import (
	"context"
	"crypto/hpke"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/manual"
	"github.com/keyward/keyward/internal/cloud/paysim"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/rotation/spool"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	account  = "1000000000000001"
	merchant = "shop"
)

// A world is one server with a clock of its own, a payment platform, and shops that pay.
type world struct {
	*engine.Service
	secrets  *secret.Service
	keys     *keytest.Services
	rollouts *rollout.Service
	stock    *accesskey.Service
	fleet    fleet.Store
	tenants  *sealtest.Tenants
	node     storetest.Node
	jobs     *job.Runner
	platform *paysim.Platform
	url      string
	told     *incidents
	shops    []*shop
	spool    string
	failed   []string // payments

	refuses func(r *rotation.Rotation) error // why a rotation is not stored; nil for it always is
	opens   int                              // times that it is too busy to open a tenant
	events  []string                         // of rotations, that are on record

	wrap func(rotation.Issuer) (rotation.Issuer, error) // has issuers behave otherwise; nil for as they do

	mu  sync.Mutex // guards now
	now time.Time
}

// A shop is a node that pays with the key that it was given.
type shop struct {
	node   rollout.Node
	have   rollout.Generation
	away   bool // it cannot reach the server
	orders int
	usedAt time.Time
	shaken int // times that what it had first was refused since it has it
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// incidents remembers what is open.
type incidents struct {
	mu   sync.Mutex // guards the rest
	open map[string]notify.Condition
	ever []string
}

func (i *incidents) Report(_ context.Context, _ string, c notify.Condition) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open[c.Name] = c
	i.ever = append(i.ever, fmt.Sprint(c.Kind, c.Facts))
	return nil
}

func (i *incidents) End(_ context.Context, _, name string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, name)
	return nil
}

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
	w := &world{
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), told: &incidents{open: map[string]notify.Condition{}},
		spool: filepath.Join(t.TempDir(), "spool"),
	}
	w.platform = paysim.New(w.clock)
	server := httptest.NewServer(w.platform)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.services(t, url, sealtest.Keyring(t))
	w.fill(t)
	return w
}

func (w *world) services(t testing.TB, url string, keyring *seal.Keyring) {
	t.Helper()
	w.node = storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/test", Keys: keyring, Now: w.clock, Changed: func(table, id string) {
		w.keys.Changed(table, id)
		w.secrets.Changed(table, id)
		w.rollouts.Changed(table, id)
	}})
	s, always := sealtest.NewTenants(keyring), func() bool { return true }
	after := func(_ context.Context, d time.Duration) (time.Duration, error) { return d, nil }
	w.keys = keytest.New(keytest.Options{Store: kms.Store{Store: w.node.Store}, Tenants: s, Log: w.node.Log, Now: w.clock, After: after})
	w.secrets = secret.New(secret.Options{Store: kms.Store{Store: w.node.Store}, Keys: w.keys.Keys, Crypto: w.keys.Crypto, Log: w.node.Log, Region: "cn-test", Now: w.clock, After: after, Fresh: always,
		Reserved: func(ctx context.Context, account, name string) error { return w.Reserves(ctx, account, name) }})
	w.fleet, w.tenants = fleet.Store{Store: w.node.Store}, s
	shelf := inventory.Store{Store: w.node.Store}
	w.stock = accesskey.New(accesskey.Options{
		Sources: shelf, Keys: shelf, Tenants: s, Log: w.node.Log, Kinds: []accesskey.KindOfProvider{httpapi.Kind(), manual.Kind()}, Vault: w.secrets, Region: "cn-test", Now: w.clock,
		Follow: func(string, time.Time) []job.Job { return nil }, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	w.rollouts = rollout.New(rollout.Options{
		Tokens: w.fleet, Registry: w.fleet, Plans: w.fleet, Reports: w.fleet, Secrets: w.secrets, Incidents: w.told, Log: w.node.Log, Region: "cn-test",
		Now: w.clock, Fresh: always, Logger: slog.New(slog.DiscardHandler),
	})
	w.Service = engine.New(engine.Options{
		Store: busy{fleet.Rotations{Store: w.node.Store}, w}, Inventory: w.stock, Secrets: w.secrets, Rollouts: w.rollouts, Incidents: w.told, Tenants: w,
		Spool: &spool.Spool{Directory: w.spool}, Log: w.node.Log, Kinds: []rotation.KindOfIssuer{w.kind()}, Region: "cn-test", Now: w.clock,
		Fresh: always, Logger: slog.New(slog.DiscardHandler),
	})
	handlers := w.Handlers()
	maps.Copy(handlers, w.stock.Handlers())
	w.jobs = &job.Runner{
		Store: w.node.Store, Owner: "test", Handlers: handlers, Now: w.clock,
		Served: func() (time.Duration, bool) { return 0, true }, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// kind is how the platform's keys are replaced.
func (w *world) kind() rotation.KindOfIssuer {
	k := httpapi.Issuer()
	open := k.Open
	k.Open = func(o accesskey.Opening, principal string) (rotation.Issuer, error) {
		i, err := open(o, principal)
		if err == nil && w.wrap != nil {
			return w.wrap(i)
		}
		return i, err
	}
	return k
}

// fill makes a merchant with one key, its secret, three shops in two regions, and a plan.
func (w *world) fill(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	admin := w.platform.AddMerchant(merchant)
	id, value, err := w.platform.AddKey(merchant, "by hand", 10*24*time.Hour)
	check(t, err)
	_, _, err = w.stock.Add(ctx, root(), "pay", "http", accesskey.Draft{Filling: form.Filling{
		Settings: map[string]string{"vars": fmt.Sprintf(`{"url":%q,"merchant":%q}`, w.url, merchant)},
		Credential: map[string]material.Bytes{
			"credential": material.NewBytes([]byte(admin)), "definition_file": material.NewBytes(paysim.Definition()),
		},
	}})
	check(t, err)
	text, err := json.Marshal(map[string]string{"key_id": id, "key_secret": value})
	check(t, err)
	_, err = w.secrets.Create(ctx, root(), secret.CreateInput{Name: "pay/key", Data: material.NewBytes(text)})
	check(t, err)
	_, err = w.rollouts.Create(ctx, root(), "pay", rollout.Draft{Secret: "pay/key", Waves: []rollout.Wave{
		{Name: "canary", Labels: []form.Pair{{Name: "tier", Value: "canary"}}}, {Name: "all"},
	}})
	check(t, err)
	for n, tier := range []string{"canary", "main", "main"} {
		w.join(t, fmt.Sprintf("shop-%d", n), tier)
	}
	w.live(t)
	_, err = w.SavePlan(ctx, root(), w.plan())
	check(t, err)
}

func (w *world) plan() rotation.Plan {
	care := rotation.DefaultCare()
	care.Waves = []rotation.WaveTerms{{Name: "canary", Bake: 10 * time.Minute}, {Name: "all", Bake: 5 * time.Minute}}
	return rotation.Plan{Name: "pay", Source: "pay", Principal: merchant, Secret: "pay/key", Rollout: "pay", Care: care}
}

func (w *world) join(t testing.TB, name, tier string) {
	t.Helper()
	_, token, err := w.rollouts.CreateToken(t.Context(), root(), rollout.TokenInput{Labels: []form.Pair{{Name: "tier", Value: tier}}})
	check(t, err)
	known, err := w.rollouts.Recognize(t.Context(), token)
	check(t, err)
	private, err := hpke.MLKEM768X25519().GenerateKey()
	check(t, err)
	sign := make([]byte, 32)
	rand.Read(sign)
	n, err := w.rollouts.Join(t.Context(), root(), known, rollout.JoinInput{Name: name, SignKey: sign, SealKey: private.PublicKey().Bytes()})
	check(t, err)
	w.shops = append(w.shops, &shop{node: n})
}

// live lets each shop take what is new, pay, and report.
func (w *world) live(t testing.TB) {
	t.Helper()
	ro, err := w.rollouts.Rollout(t.Context(), root(), "pay")
	check(t, err)
	for _, s := range w.shops {
		if g, ok := ro.For(s.node); ok && !s.away && rollout.Newer(s.have.Number, g.Number) {
			s.have, s.shaken = g, 0
		}
		if s.have.Number == 0 {
			continue
		}
		w.pay(t, s)
		if s.away {
			continue
		}
		now := w.clock()
		check(t, w.fleet.SaveReports(t.Context(), []rollout.Report{{
			JoinedAt: s.node.JoinedAt,
			Presence: rollout.Presence{Account: account, Node: s.node.Name, SeenAt: now, SaidAt: now},
			Acks: []rollout.Ack{{
				Account: account, Rollout: "pay", Node: s.node.Name, Generation: s.have.Number, Level: rollout.Used, At: now, UsedAt: s.usedAt, Refused: s.shaken, Fallbacks: s.shaken, SaidAt: now,
			}},
		}}))
	}
}

// pay sends one payment with the shop's first key.
func (w *world) pay(t testing.TB, s *shop) {
	t.Helper()
	v, err := w.secrets.Get(t.Context(), root(), secret.GetInput{Secret: "pay/key", Version: s.have.Primary})
	check(t, err)
	var k struct {
		ID     string `json:"key_id"`
		Secret string `json:"key_secret"`
	}
	check(t, json.Unmarshal(v.Data.Expose(), &k))
	s.orders++
	body := fmt.Sprintf(`{"order":"%s-%d","amount":100,"currency":"CNY"}`, s.node.Name, s.orders)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/v1/payments", strings.NewReader(body))
	check(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Pay-Key", k.ID)
	req.Header.Set("Pay-Signature", paysim.Sign([]byte(k.Secret), []byte(body)))
	res, err := http.DefaultClient.Do(req)
	check(t, err)
	_ = res.Body.Close()
	s.usedAt = w.clock()
	if res.StatusCode >= 300 {
		w.failed = append(w.failed, fmt.Sprintf("%s paid with %s at %s: %s", s.node.Name, k.ID, w.clock().Format(time.TimeOnly), res.Status))
	}
}

// pass lets time pass in steps, after each of which the shops live and due jobs run.
func (w *world) pass(t testing.TB, d, step time.Duration) {
	t.Helper()
	for ; d > 0; d -= step {
		w.mu.Lock()
		w.now = w.now.Add(step)
		w.mu.Unlock()
		w.live(t)
		if _, err := w.jobs.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) rotation(t testing.TB) rotation.Rotation {
	t.Helper()
	r, err := w.Rotation(t.Context(), root(), "pay")
	check(t, err)
	return r
}

// until lets time pass until the rotation is at a step.
func (w *world) until(t testing.TB, s rotation.Step, step time.Duration) rotation.Rotation {
	t.Helper()
	for range 600 {
		if r := w.rotation(t); r.Step == s {
			return r
		}
		w.pass(t, step, step)
	}
	r := w.rotation(t)
	t.Fatalf("the rotation does not come to %s; it is %s, %s %s: %s\n%s", s, r.Step, r.Halt, r.Trouble, r.Detail, history(r))
	return r
}

func history(r rotation.Rotation) string {
	var b strings.Builder
	for _, e := range r.History {
		fmt.Fprintf(&b, "%s %s: %s\n", e.At.Format(time.DateTime), e.Step, e.Text)
	}
	return b.String()
}

// alive answers the keys that the platform still has.
func (w *world) alive() (out []string) {
	for _, l := range w.platform.Lives() {
		if !l.Ended() {
			out = append(out, l.ID)
		}
	}
	return out
}

// whole fails the test unless no payment failed and exactly one key is left, which every
// shop and every reader uses, and nothing is left in the spool.
func (w *world) whole(t testing.TB, want string) {
	t.Helper()
	if len(w.failed) > 0 {
		t.Errorf("payments failed: %v", w.failed)
	}
	if alive := w.alive(); len(alive) != 1 || alive[0] != want {
		t.Errorf("the platform has keys %v, want %s", alive, want)
	}
	v, err := w.secrets.Get(t.Context(), root(), secret.GetInput{Secret: "pay/key"})
	check(t, err)
	if !strings.Contains(string(v.Data.Expose()), want) {
		t.Errorf("the secret's current version is not key %s", want)
	}
	if left, _ := filepath.Glob(w.spool + "/*"); len(left) > 0 {
		t.Errorf("left in the spool: %v", left)
	}
	for _, s := range w.shops {
		if s.have.Fallback != "" && w.rotation(t).Step == rotation.Done {
			t.Errorf("%s still holds the old key", s.node.Name)
		}
	}
}
