package scrub_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/scrub"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/sink"
	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/target"
	"github.com/keyward/keyward/internal/watch"
)

type world struct {
	*scrub.Scrubber
	node    storetest.Node
	iam     *iam.Service
	keys    *keytest.Services
	secrets *secret.Service
	root    *authz.Call
	db      *sql.DB
}

func operator() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: time.Now()}
}

func newWorld(t *testing.T, url, origin string, keys *seal.Keyring) *world {
	t.Helper()
	w := &world{}
	w.node = storetest.Start(t, storetest.Options{URL: url, Origin: origin, Keys: keys, Now: time.Now, Changed: func(table, id string) {
		w.iam.Changed(table, id)
		w.keys.Changed(table, id)
		w.secrets.Changed(table, id)
	}})
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if w.iam, err = iam.New(iam.Options{Store: identity.Store{Store: w.node.Store}, Log: w.node.Log, Keyring: keys, Logger: quiet, Now: time.Now, Fresh: w.node.Store.Fresh}); err != nil {
		t.Fatal(err)
	}
	w.keys = keytest.New(keytest.Options{Store: kms.Store{Store: w.node.Store}, Tenants: w.iam, Log: w.node.Log, Now: time.Now, Fresh: w.node.Store.Fresh})
	w.secrets = secret.New(secret.Options{
		Store: kms.Store{Store: w.node.Store}, Keys: w.keys.Keys, Crypto: w.keys.Crypto, Log: w.node.Log, Region: "cn-test", Now: time.Now, After: func(_ context.Context, d time.Duration) (time.Duration, error) { return d, nil }, Fresh: w.node.Store.Fresh,
	})
	w.Scrubber = scrub.New(scrub.Options{
		DB: w.node.DB, Store: w.node.Store, Anchor: w.node.Anchor, Logs: w.node.Logs, IAM: w.iam, Keys: w.keys.Keys, Ring: w.keys.Ring, Secrets: w.secrets,
		Sinks: sink.New(sink.Options{Now: time.Now}), Targets: target.New(target.Options{Now: time.Now}), Stock: accesskey.New(accesskey.Options{Now: time.Now, Kinds: []accesskey.KindOfProvider{{Name: "fake"}}}),
		Alerts: notify.New(notify.Options{Outbox: alerts.Store{Store: w.node.Store}, Now: time.Now}), Rotations: engine.New(engine.Options{Now: time.Now}), Repositories: watch.New(watch.Options{Now: time.Now}), Log: w.node.Log, Now: time.Now, Logger: quiet,
	})
	driver, dsn := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"
	}
	if w.db, err = sql.Open(driver, dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	return w
}

func (w *world) found(t *testing.T, name string) {
	t.Helper()
	f, err := w.iam.CreateAccount(t.Context(), operator(), name)
	if err != nil {
		t.Fatal(err)
	}
	w.root = &authz.Call{Principal: authz.Principal{Account: f.Account.ID, Kind: authz.Root, Name: iam.RootName}, Time: time.Now()}
}

func (w *world) create(t *testing.T, in lifecycle.CreateInput) key.Key {
	t.Helper()
	k, err := w.keys.Create(t.Context(), w.root, in)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w *world) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := w.db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// Each thing that is wrong is told with its place, and nothing else is; the scrub is in
// the audit log.
func TestFindingsAreExact(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url, "keyward/a", sealtest.Keyring(t))
		w.found(t, "one")
		account := w.root.Account
		forged, stale, gone := w.create(t, lifecycle.CreateInput{}), w.create(t, lifecycle.CreateInput{}), w.create(t, lifecycle.CreateInput{Alias: "alias/a"})
		rotating := w.create(t, lifecycle.CreateInput{Rotate: true, Interval: 30 * 24 * time.Hour})
		clean, err := w.Scrub(t.Context(), operator())
		if err != nil || !clean.Clean() || clean.Rows != 4+8+1 || clean.Records != 5 {
			t.Fatalf("before anything happened: %+v, %v", clean, err)
		}
		w.exec(t, `CREATE TABLE old AS SELECT * FROM kms_key WHERE id = '`+string(stale.ID)+`'`)
		if err := w.keys.Disable(t.Context(), w.root, string(stale.ID)); err != nil {
			t.Fatal(err)
		}
		w.exec(t, `DELETE FROM kms_key WHERE id = $1`, string(stale.ID))
		w.exec(t, `INSERT INTO kms_key SELECT * FROM old`)
		w.exec(t, `UPDATE kms_key SET description = 'x' WHERE id = $1`, string(forged.ID))
		w.exec(t, `DELETE FROM kms_key WHERE id = $1`, string(gone.ID))
		w.exec(t, `DELETE FROM job WHERE subject = $1`, string(rotating.ID))
		report, err := w.Scrub(t.Context(), operator())
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]int{}
		for _, f := range report.Findings {
			have[fmt.Sprint(f.Problem, " ", f.Table, " ", f.ID)]++
		}
		version := func(k key.Key) string { return account + "/" + string(k.ID) + "/" + string(k.Primary) }
		want := map[string]int{
			"forged kms_key " + account + "/" + string(forged.ID): 1,
			"stale kms_key " + account + "/" + string(stale.ID):   1,
			"missing kms_key " + account + "/" + string(gone.ID):  1,
			"job kms_key " + account + "/" + string(rotating.ID):  1,
			"dangling kms_alias " + account + "/alias/a":          1,
			"dangling kms_key_version " + version(forged):         1,
			"dangling kms_key_version " + version(stale):          1,
			"dangling kms_key_version " + version(gone):           1,
		}
		if d := diff.Diff(want, have); d != "" {
			t.Errorf("-want +have\n%s", d)
		}
		if last := w.Last(); last.Count() != int64(len(want)) {
			t.Errorf("the last report has %d findings", last.Count())
		}
		entries, _, err := audit.List(t.Context(), w.node.DB, audit.Query{Action: "keyward:Scrub", Limit: 10})
		if err != nil || len(entries) != 2 || entries[0].Params["Findings"] != "8" || entries[0].Result == audit.ResultOK || entries[1].Result != audit.ResultOK {
			t.Errorf("the records are %+v, %v", entries, err)
		}
	})
}

// Whatever needs to be looked at is looked at again although its job was lost, and jobs
// that stand where they should are left alone.
func TestLostJobsComeBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url, "keyward/a", sealtest.Keyring(t))
		w.found(t, "one")
		account, now := w.root.Account, time.Now().UTC().Truncate(time.Microsecond)
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		rec := func() *audit.Record {
			r := audit.NewRecord(w.root, "keyward:Test")
			r.Result = audit.ResultOK
			return r
		}
		check(kms.Store{Store: w.node.Store}.CreateSink(t.Context(), rec(), &sink.Sink{Account: account, Name: "vault", ID: "1", CreatedAt: now}, nil))
		check(inventory.Repositories{Store: w.node.Store}.CreateRepository(t.Context(), rec(), &watch.Repository{Account: account, Name: "shop", ID: "1", CreatedAt: now}, nil))
		check(fleet.Store{Store: w.node.Store}.CreateTarget(t.Context(), rec(), &target.Target{Account: account, Name: "cdn", CreatedAt: now},
			&rollout.Node{Account: account, Name: "cdn", Kind: "edge", JoinedAt: now}, nil))
		shelf := inventory.Store{Store: w.node.Store}
		for _, src := range []accesskey.Source{{Name: "cloud"}, {Name: "asleep", Paused: true}} {
			src.Account, src.Kind, src.Pace, src.CreatedAt = account, "fake", 24*time.Hour, now
			check(shelf.CreateSource(t.Context(), rec(), &src, nil))
		}
		alerts := alerts.Store{Store: w.node.Store}
		for _, ch := range []notify.Channel{{Name: "robot", Heartbeat: time.Hour}, {Name: "idle"}, {Name: "asleep", Heartbeat: time.Hour, Paused: true}} {
			ch.Account, ch.CreatedAt = account, now
			check(alerts.SaveChannel(t.Context(), rec(), &ch, nil))
		}
		waits := notify.Delivery{Account: account, ID: "d", Incident: "i", Channel: "robot", Event: message.Trigger, At: now, After: now.Add(time.Hour), Progress: notify.Waiting}
		check(alerts.SaveIncident(t.Context(), rec(), &notify.Incident{Account: account, ID: "i", Condition: "c", OpenedAt: now, NextAt: now.Add(2 * time.Hour)}, []notify.Delivery{waits}, nil))
		report, err := w.Scrub(t.Context(), operator())
		check(err)
		have := map[string]int{}
		for _, f := range report.Findings {
			kind, _, _ := strings.Cut(f.Detail, " ")
			have[fmt.Sprint(f.Problem, " ", strings.TrimPrefix(f.ID, account+"/"), " ", kind)]++
		}
		want := map[string]int{
			"job vault sink.sync": 1, "job shop watch.look": 1, "job cdn rollout.target": 1, "job cloud accesskey.sync": 1, "job i notify.step": 1, "job robot notify.send": 1, "job robot notify.heartbeat": 1,
			"job robot notify.selftest": 1, "job idle notify.selftest": 1, "job asleep notify.selftest": 1,
		}
		if d := diff.Diff(want, have); d != "" {
			t.Errorf("-want +have\n%s", d)
		}
		// As far ahead as each may stand.
		w.exec(t, `UPDATE job SET due_at = $1 WHERE kind IN ('accesskey.sync', 'notify.selftest')`, now.Add(24*time.Hour).UnixMicro())
		w.exec(t, `UPDATE job SET due_at = $1 WHERE kind IN ('notify.heartbeat', 'notify.send')`, now.Add(time.Hour).UnixMicro())
		if report, err := w.Scrub(t.Context(), operator()); err != nil || !report.Clean() {
			t.Errorf("nothing is lost: %+v, %v", report, err)
		}
		w.exec(t, `UPDATE job SET due_at = $1`, now.Add(1000*time.Hour).UnixMicro())
		if report, err := w.Scrub(t.Context(), operator()); err != nil || report.Count() != int64(len(want)) {
			t.Errorf("all are put off: %+v, %v", report, err)
		}
	})
}

// A scrub while two nodes change what it looks at finds nothing wrong.
func TestScrubWhileTheServerWorks(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		keys := sealtest.Keyring(t)
		nodes := []*world{newWorld(t, url, "keyward/a", keys)}
		if strings.HasPrefix(url, "postgres") {
			nodes = append(nodes, newWorld(t, url, "keyward/b", keys))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i, w := range nodes {
			w.found(t, fmt.Sprint("account-", i))
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					w.work(t, n)
				}
			})
		}
		for range 10 {
			report, err := nodes[0].Scrub(t.Context(), operator())
			if err != nil || !report.Clean() {
				slices.SortFunc(report.Findings, func(a, b scrub.Finding) int { return cmp.Compare(a.ID, b.ID) })
				t.Errorf("%+v, %v", report, err)
			}
		}
		cancel()
		wg.Wait()
	})
}

// work makes, changes and removes something of everything.
func (w *world) work(t *testing.T, n int) {
	ctx := context.Background()
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	k, err := w.keys.Create(ctx, w.root, lifecycle.CreateInput{Alias: "alias/same", Rotate: n%2 == 0, Interval: 30 * 24 * time.Hour})
	must(err)
	must(w.keys.Disable(ctx, w.root, string(k.ID)))
	must(w.keys.DeleteAlias(ctx, w.root, "alias/same"))
	_, err = w.iam.CreateUser(ctx, w.root, "same", "")
	must(err)
	access, err := w.iam.CreateAccessKey(ctx, w.root, iam.NewAccessKey{User: "same"})
	must(err)
	must(w.iam.DeleteAccessKey(ctx, w.root, access.AccessKey.ID))
	must(w.iam.DeleteUser(ctx, w.root, "same"))
	must(w.keys.ScheduleDeletion(ctx, w.root, string(k.ID), 7))
}
