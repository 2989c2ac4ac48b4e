package expiry_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/oncall"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/storetest"
)

// late is how long after its time an alarm may be decided: a scan is put off for a minute
// when another one has just ended.
const late = 2 * time.Minute

const account = "1000000000000001"

// A world is a server on one clock with one provider and one channel.
type world struct {
	t      *testing.T
	now    time.Time
	stock  *accesskey.Service
	alerts *notify.Service
	jobs   *job.Runner
	shelf  alerts.Store
	raw    *sql.DB

	told  map[string][]time.Time // when rungs were told, by key
	noted map[string]bool        // deliveries that are among them

	mu   sync.Mutex                    // guards what follows
	keys map[string]accesskey.Observed // at the provider
	sent []message.Message
}

func (w *world) clock() time.Time { return w.now }

// Observe implements accesskey.Provider.
func (w *world) Observe(context.Context) (s accesskey.Snapshot, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.keys {
		s.Keys = append(s.Keys, o)
	}
	return s, nil
}

// Check implements accesskey.Provider.
func (w *world) Check(context.Context) (accesskey.Identity, error) { return accesskey.Identity{}, nil }

// Send implements notify.Sender.
func (w *world) Send(_ context.Context, m message.Message) (message.Receipt, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, m)
	return message.Receipt{State: message.Accepted}, nil
}

type tenant struct{ material.Wrapper }

func (t tenant) Tenant(context.Context, string) (material.Wrapper, error) { return t.Wrapper, nil }

// nothing replaces any key.
func nothing(context.Context, string, string, string) (string, bool, error) { return "", false, nil }

func root() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: time.Unix(1_700_000_000, 0)}
}

func newWorld(t *testing.T, start time.Time) *world {
	t.Helper()
	w := &world{t: t, now: start, keys: map[string]accesskey.Observed{}, told: map[string][]time.Time{}, noted: map[string]bool{}}
	keyring := sealtest.Keyring(t)
	url := "sqlite:" + filepath.Join(storetest.MemoryDir(t), "keyward.db")
	node := storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/test", Keys: keyring, Now: w.clock, Changed: func(string, string) {}})
	wrapper := tenantOf(t, keyring)
	inventory := inventory.Store{Store: node.Store}
	w.shelf = alerts.Store{Store: node.Store}
	w.stock = accesskey.New(accesskey.Options{
		Sources: inventory, Keys: inventory, Tenants: wrapper, Log: node.Log, Region: "r", Now: w.clock, Follow: expiry.Soon,
		Kinds: []accesskey.KindOfProvider{{Name: "fake", Pace: accesskey.MaxPace, Open: func(accesskey.Opening) (accesskey.Provider, error) { return w, nil }}},
	})
	w.alerts = notify.New(notify.Options{
		Config: w.shelf, Directory: w.shelf, Incidents: w.shelf, Outbox: w.shelf, Tenants: wrapper, Log: node.Log, Region: "r", Now: w.clock,
		Kinds: []message.Kind{{
			Name: "fake", Traits: message.Traits{Family: message.Mail, Group: true}, Form: form.Form{},
			Open: func(message.Opening) (message.Sender, error) { return w, nil },
		}},
		Healthy: func(context.Context, string) bool { return true }, Logger: slog.New(slog.DiscardHandler),
	})
	scans := expiry.New(expiry.Options{Store: inventory, Inventory: w.stock, Incidents: w.alerts, Log: node.Log, Now: w.clock, Every: 24 * time.Hour, Replacing: nothing})
	handlers := w.stock.Handlers()
	for _, more := range []map[string]job.Handler{w.alerts.Handlers(), scans.Handlers()} {
		for kind, h := range more {
			handlers[kind] = h
		}
	}
	// That scans are on time is looked at every hour. Nothing here depends on the hour, and
	// 17,000 looks would be most of what the test does: one a day has to do.
	watch := handlers[expiry.JobWatch]
	handlers[expiry.JobWatch] = func(ctx context.Context, j job.Job) (time.Time, error) {
		again, err := watch(ctx, j)
		return again.Add(23 * time.Hour), err
	}
	w.jobs = &job.Runner{
		Store: node.Store, Owner: "test", Handlers: handlers, Now: w.clock, Served: func() (time.Duration, bool) { return 0, true },
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if _, err := w.alerts.AddChannel(t.Context(), root(), "mail", "fake", notify.Draft{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.stock.Add(t.Context(), root(), "prod", "fake", accesskey.Draft{}); err != nil {
		t.Fatal(err)
	}
	if err := node.Store.Ensure(t.Context(), expiry.Jobs(account, start)...); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	w.raw = raw
	return w
}

func tenantOf(t *testing.T, keyring *seal.Keyring) tenant {
	t.Helper()
	wrapped, err := keyring.NewTenantKey(material.Binding("test"))
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := keyring.Tenant(material.Binding("test"), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	return tenant{wrapper}
}

// until works through everything that becomes due until a time.
func (w *world) until(end time.Time) {
	w.t.Helper()
	for {
		var next int64
		if err := w.raw.QueryRowContext(w.t.Context(), `SELECT min(max(due_at, lease_until)) FROM job`).Scan(&next); err != nil {
			w.t.Fatal(err)
		}
		at := time.UnixMicro(next)
		if at.After(end) {
			w.now = end
			return
		}
		if at.After(w.now) {
			w.now = at
		}
		if _, err := w.jobs.Step(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// collect notes the alarms of rungs, by key, before they are forgotten.
func (w *world) collect() {
	w.t.Helper()
	for _, ended := range []bool{true, false} {
		incidents, err := w.shelf.Incidents(w.t.Context(), account, ended, math.MaxInt32) // the service answers the last only
		if err != nil {
			w.t.Fatal(err)
		}
		for _, i := range incidents {
			id, ok := strings.CutPrefix(i.Condition, "expiry/prod/")
			if i.Kind == notify.ChannelUnread || i.Kind == notify.ScanLate { // nobody confirms; and nobody scans while the daemon stops
				continue
			}
			if !ok {
				w.t.Errorf("unexpected incident %s: %+v", i.Condition, i.Facts)
				continue
			}
			deliveries, err := w.shelf.Deliveries(w.t.Context(), account, i.ID)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, d := range deliveries {
				if !w.noted[d.ID] && d.Event == message.Trigger && (d.Why == notify.Opened || d.Why == notify.Worse) {
					w.noted[d.ID] = true
					w.told[id] = append(w.told[id], d.At)
				}
			}
		}
	}
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// Two years in which keys expire on every kind of date, are renewed early, late and
// never, people acknowledge or do not, and the daemon stops at times: each rung of each
// key's ladder is told exactly once, not before its time and not later than one scan, or
// once when the daemon is back.
func TestTwoYears(t *testing.T) {
	const perServer = 1000 // what is done at one time of one server's clock is done one after the other
	count, seed := number("KEYWARD_EXPIRIES", 4), uint64(number("KEYWARD_SEED", int(time.Now().UnixNano()&0xffffffff)))
	t.Logf("%d keys, KEYWARD_SEED=%d", count, seed)
	for i := 0; i*perServer < count; i++ {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			twoYears(t, min(count-i*perServer, perServer), rand.New(rand.NewPCG(seed, uint64(i))))
		})
	}
}

// twoYears is the life of one server with count keys.
func twoYears(t *testing.T, count int, rng *rand.Rand) {
	start := time.Date(2027, 3, 1, 0, 37, 11, 0, time.UTC) // 2028 has a leap day, and no rung is at this time of the day
	end := start.AddDate(2, 0, 0)
	w := newWorld(t, start)
	lives := makeLives(rng, count, start, end)
	changed := false
	apply := func(now time.Time) { // what is at the provider now
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, l := range lives {
			if !now.Before(l.from) && now.Before(l.to) && !w.keys[l.id].Expiry.At.Equal(l.expires) {
				changed = true
				w.keys[l.id] = accesskey.Observed{ID: l.id, Status: accesskey.Active, CreatedAt: l.from, Expiry: accesskey.Expiry{At: l.expires, Basis: accesskey.Provided}}
			}
		}
	}
	type gap struct{ from, to time.Time }
	var gaps []gap
	for day := start; day.Before(end); day = day.AddDate(0, 0, 1) {
		if apply(day); changed {
			changed = false
			if err := w.stock.Sync(t.Context(), root(), "prod"); err != nil { // renewals are seen at once
				t.Fatal(err)
			}
		}
		next := day.AddDate(0, 0, 1)
		if rng.IntN(90) == 0 { // the daemon stops for up to six days
			back := day.Add(time.Duration(rng.IntN(6*24*60)) * time.Minute)
			gaps = append(gaps, gap{day, back})
			for next.Before(back) {
				next = next.AddDate(0, 0, 1)
			}
			w.now, day = back, next.AddDate(0, 0, -1)
			apply(back)
			if err := w.stock.Sync(t.Context(), root(), "prod"); err != nil {
				t.Fatal(err)
			}
		}
		w.until(next)
		w.acknowledge(rng)
		if day.Day() == 1 {
			w.collect()
		}
	}
	w.until(end)

	w.collect()
	told := w.told
	down := func(at time.Time) (back time.Time, ok bool) {
		for _, g := range gaps {
			if !at.Before(g.from) && at.Before(g.to) {
				return g.to, true
			}
		}
		return at, false
	}
	rungs, alarms := 0, 0
	for _, l := range lives {
		// Rungs that pass while nobody looks are told as one.
		expected := map[time.Time]bool{}
		for _, r := range oncall.DefaultPlan().Rungs {
			at := l.expires.Add(-r.Left)
			if at.Before(l.from) {
				at = l.from // it was that near already when it was first seen
			}
			if back, ok := down(at); ok {
				at = back
			}
			if at.Before(l.to.Add(-late)) && at.Before(end.Add(-time.Hour)) {
				expected[at] = true
				rungs++
			}
		}
		for at := range expected {
			n := 0
			for _, have := range told[l.id] {
				if !have.Before(at) && have.Sub(at) <= late && have.Before(l.to) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("key %s expires %v, lives %v to %v: its rung at %v was told %d times (told at %v)", l.id, l.expires, l.from, l.to, at, n, told[l.id])
			}
		}
		for _, have := range told[l.id] {
			if have.Before(l.from) || !have.Before(l.to) {
				continue // of another life of the same key
			}
			alarms++
			// What a key was when the daemon stopped is what a scan finds that comes back before
			// the provider is read again: it is told of the secret that was renewed meanwhile.
			former := slices.ContainsFunc(gaps, func(g gap) bool {
				return !l.from.Before(g.from) && l.from.Before(g.to) && !have.Before(g.to) && have.Sub(g.to) <= late
			})
			early := l.to.Sub(have) > late && !former
			for at := range expected {
				early = early && (have.Before(at) || have.Sub(at) > late)
			}
			if early && have.Before(end.Add(-2*time.Hour)) {
				t.Errorf("key %s expires %v: an alarm at %v belongs to no rung", l.id, l.expires, have)
			}
		}
	}
	t.Logf("%d keys, %d lives, %d rungs reached (%d stops of the daemon), %d alarms of rungs, %d messages: each exactly once", count, len(lives), rungs, len(gaps), alarms, len(w.sent))
	if rungs < count || alarms < count {
		t.Errorf("only %d rungs and %d alarms", rungs, alarms)
	}
}

// A life is one secret of a key: from when to when it is at the provider, and its expiry.
type life struct {
	id       string
	from, to time.Time
	expires  time.Time
}

// makeLives makes keys with every kind of date, whose secrets are renewed, at one time of
// the day, before or shortly after, they expire.
func makeLives(rng *rand.Rand, count int, start, end time.Time) []life {
	zones := []*time.Location{time.UTC, time.FixedZone("CST", 8*3600), time.FixedZone("", -9*3600-1800)}
	var out []life
	for i := range count {
		id := fmt.Sprintf("key-%04d", i)
		var former time.Time
		for from := start; from.Before(end); {
			day := from.AddDate(0, 0, 1+rng.IntN(400))
			expires := day.Add(5 * time.Hour)
			switch rng.IntN(5) {
			case 0: // a bare date means the start of the day in the provider's zone
				zone := zones[rng.IntN(len(zones))]
				expires = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, zone)
			case 1:
				expires = time.Date(2028, 2, 29, 23, 59, 59, 0, zones[rng.IntN(len(zones))])
			case 2:
				expires = day.Add(time.Duration(rng.Int64N(int64(24 * time.Hour)))).Truncate(time.Microsecond)
			case 3:
				expires = time.Date(day.Year(), 12, 31, 23, 59, 59, 999_999_000, time.UTC)
			}
			expires = expires.UTC()
			for !expires.After(from.Add(24*time.Hour)) || expires.Sub(former) < 24*time.Hour {
				expires = expires.AddDate(0, 0, 40)
			}
			former = expires
			// It is renewed between 35 days before and two days after, or once never.
			to := start.Add(expires.AddDate(0, 0, 2-rng.IntN(37)).Sub(start).Truncate(24 * time.Hour))
			if !to.After(from) {
				to = from.AddDate(0, 0, 1)
			}
			out = append(out, life{id, from, to, expires})
			from = to
		}
	}
	return out
}

// acknowledge has people take on some of what is open.
func (w *world) acknowledge(rng *rand.Rand) {
	w.t.Helper()
	open, err := w.alerts.Incidents(w.t.Context(), root(), false)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range open {
		if rng.IntN(2) == 0 {
			if _, err := w.alerts.Acknowledge(w.t.Context(), root(), i.ID, "li", "", 0); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}
