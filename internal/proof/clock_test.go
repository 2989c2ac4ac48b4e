package proof

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/clock"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/root"
	"github.com/keyward/keyward/internal/store/storetest"
)

const day = 24 * time.Hour

// TestClockScripts plays KEYWARD_SCRIPTS scripts in which a machine runs, sleeps, is
// switched off and has its clock set in every wrong way, with the real services on a
// real database. KEYWARD_SEED repeats a campaign.
func TestClockScripts(t *testing.T) {
	scripts, err := strconv.Atoi(cmp.Or(os.Getenv("KEYWARD_SCRIPTS"), "12"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("KEYWARD_SEED"), fmt.Sprint(time.Now().UnixNano())), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("KEYWARD_SEED=%d", seed)
	var all tally
	for n := range scripts {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newTimes(t, rand.New(rand.NewPCG(seed, uint64(n))))
			for range 40 {
				w.act()
			}
			w.end()
			all.add(w.tally)
		})
	}
	t.Logf("%d scripts: %+v", scripts, all)
	if all.Deleted < scripts/4 || all.Jumped < scripts/4 || all.Expired < scripts/4 || all.Settled < scripts/4 {
		t.Error("too little happened to prove anything")
	}
}

// A tally is what happened in a script.
type tally struct{ Deleted, Jumped, Settled, Expired, Accepted, Rotated int }

func (t *tally) add(o tally) {
	t.Deleted += o.Deleted
	t.Jumped += o.Jumped
	t.Settled += o.Settled
	t.Expired += o.Expired
	t.Accepted += o.Accepted
	t.Rotated += o.Rotated
}

// times is one machine in true time, which nobody in it knows, with one node on it.
type times struct {
	*testing.T
	random *rand.Rand
	tally  tally

	start  time.Time
	real   time.Duration // since start, in truth
	off    time.Duration // of the wall clock
	frozen *time.Time    // the wall clock stands still here
	asleep time.Duration // altogether
	boot   int
	booted time.Duration // when, in truth

	// What the model knows of what the node believes.
	anchored bool          // the clock was steady in this boot
	trusted  time.Duration // how far it was off then, to within a minute
	steady   time.Time     // Latest when it was last steady, unless something allows it to go back
	seen     time.Time     // the newest wall time when it was steady

	watch   *clock.Watch
	node    storetest.Node
	keyring *seal.Keyring
	iam     *iam.Service
	keys    *keytest.Services
	jobs    *job.Runner
	founded iam.Founded

	pending  map[key.ID]promise
	rotating map[key.ID]int // versions
	expiring map[string]time.Duration
}

// A promise is made when a deletion is scheduled, in truth.
type promise struct {
	at, window time.Duration
	served     time.Duration
}

func (w *times) wall() time.Time {
	if w.frozen != nil {
		return *w.frozen
	}
	return w.start.Add(w.real + w.off)
}

func (w *times) machine() clock.Machine {
	return clock.Machine{Boot: fmt.Sprint("boot ", w.boot), Since: w.real - w.booted + time.Hour}
}

func (w *times) awake() time.Duration { return w.real - w.asleep }

func (w *times) now() time.Time {
	if w.watch == nil {
		return w.wall()
	}
	return w.watch.Latest()
}

func newTimes(t *testing.T, random *rand.Rand) *times {
	w := &times{
		T: t, random: random, start: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), keyring: sealtest.Keyring(t),
		pending: map[key.ID]promise{}, rotating: map[key.ID]int{}, expiring: map[string]time.Duration{},
	}
	w.node = storetest.Start(t, storetest.Options{
		URL: "sqlite:" + filepath.Join(storetest.MemoryDir(t), "keyward.db"), Origin: "keyward/clock", Keys: w.keyring, Now: w.now,
		Changed: func(table, id string) { w.iam.Changed(table, id); w.keys.Changed(table, id) },
	})
	w.up()
	var err error
	w.founded, err = w.iam.CreateAccount(t.Context(), w.call(authz.Principal{Kind: authz.Service, Name: "operator"}), "clock")
	w.ok(err)
	w.live(clock.Settle + time.Minute)
	return w
}

// up starts the process.
func (w *times) up() {
	ctx, quiet, always := w.Context(), slog.New(slog.DiscardHandler), func() bool { return true }
	var err error
	w.watch = nil
	w.watch, err = clock.Open(ctx, clock.Options{
		Store: root.Store{Store: w.node.Store}, Node: "node", Now: w.wall, Machine: w.machine, Awake: w.awake, Logger: quiet,
	})
	w.ok(err)
	w.iam, err = iam.New(iam.Options{Store: identity.Store{Store: w.node.Store}, Log: w.node.Log, Keyring: w.keyring, Logger: quiet, Now: w.now, Fresh: always})
	w.ok(err)
	w.keys = keytest.New(keytest.Options{
		Store: kms.Store{Store: w.node.Store}, Tenants: w.iam, Log: w.node.Log, Now: w.now, After: w.watch.After,
	})
	w.jobs = &job.Runner{Store: w.node.Store, Owner: "node", Handlers: w.keys.Handlers(), Now: w.now, Served: w.watch.Jobs, Logger: quiet}
}

func (w *times) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *times) call(p authz.Principal) *authz.Call {
	return &authz.Call{Principal: p, Time: w.now(), Source: netip.MustParseAddr("192.0.2.7"), RequestID: "R"}
}

func (w *times) root() *authz.Call {
	return w.call(authz.Principal{Account: w.founded.Account.ID, Kind: authz.Root, Name: "root"})
}

// span draws a duration between a second and ten years, all orders of magnitude alike.
func (w *times) span(most time.Duration) time.Duration {
	d := time.Second
	for d < most && w.random.IntN(5) > 0 {
		d *= time.Duration(2 + w.random.IntN(9))
	}
	return min(d+time.Duration(w.random.Int64N(int64(d))), most)
}

// act does one random thing and looks whether everything is right.
func (w *times) act() {
	switch w.random.IntN(18) {
	case 0, 1:
		w.create()
	case 2, 3:
		w.schedule()
	case 4:
		w.cancel()
	case 5:
		w.expire()
	case 6, 7:
		w.live(w.span(4 * day))
	case 8:
		w.live(time.Duration(1+w.random.IntN(9)) * day)
	case 9: // suspended
		d := w.span(3 * day)
		w.real, w.asleep = w.real+d, w.asleep+d
	case 10: // stopped; the machine runs on
		w.down(w.span(5*day), false)
	case 11: // switched off
		w.down(w.span(5*day), true)
	case 12, 13: // set wrong
		w.off += w.span(10*365*day) * time.Duration(1-2*w.random.IntN(2))
	case 14: // set wrong a little, again and again
		for range w.random.IntN(10) {
			w.off += time.Duration(w.random.IntN(59)) * time.Second
		}
	case 15: // set right
		w.off, w.frozen = 0, nil
	case 16:
		if at := w.wall(); w.frozen == nil {
			w.frozen = &at
		} else {
			w.frozen = nil
		}
	case 17:
		w.accept()
	}
	w.tick()
	w.check()
}

// down stops the process, writing its marks only sometimes, and starts it again.
func (w *times) down(d time.Duration, reboot bool) {
	if w.random.IntN(2) == 0 {
		w.ok(w.watch.Step(w.Context()))
	}
	w.real += d
	if reboot {
		w.boot++
		w.booted, w.anchored, w.steady = w.real, false, time.Time{}
		w.frozen = nil
	}
	if !reboot && w.random.IntN(2) == 0 { // and the clock is set meanwhile
		w.off += w.span(365*day) * time.Duration(1-2*w.random.IntN(2))
	}
	w.up()
}

// live lets time pass while the service runs.
func (w *times) live(d time.Duration) {
	for range 6 {
		w.real += d / 6
		w.tick()
		w.check()
	}
}

// tick is what the process does each second.
func (w *times) tick() {
	before := w.watch.Report()
	w.ok(w.watch.Step(w.Context()))
	for {
		n, err := w.jobs.Step(w.Context())
		w.ok(err)
		if n == 0 {
			break
		}
		if before.State == clock.Jumped {
			w.Fatalf("%d jobs are done while the clock is %v off", n, before.Offset)
		}
	}
}

// check holds everything against the truth.
func (w *times) check() {
	w.Helper()
	r := w.watch.Report()
	w.checkState(r)
	w.checkKeys(r)
	w.checkCredentials(r)
}

// The model's own view of the clock: how far it is from where it was believed.
func (w *times) checkState(r clock.Report) {
	w.Helper()
	if w.anchored {
		off := (w.wall().Sub(w.start.Add(w.real)) - w.trusted).Abs()
		if off > 2*clock.Tolerance && r.State != clock.Jumped {
			w.Fatalf("the clock moved by %v and is %s", off, r.State)
		}
		if off == 0 && r.State != clock.Steady {
			w.Fatalf("the clock is as it was and is %s", r.State)
		}
	}
	if w.wall().Before(w.seen.Add(-2*clock.Tolerance)) && r.State != clock.Jumped {
		w.Fatalf("the clock was seen at %v, is at %v and %s", w.seen, w.wall(), r.State)
	}
	switch r.State {
	case clock.Jumped:
		w.tally.Jumped++
	case clock.Settling:
		w.tally.Settled++
	case clock.Steady:
		if !w.anchored {
			w.anchored, w.trusted = true, w.wall().Sub(w.start.Add(w.real))
		}
		if at := w.watch.Latest(); at.Before(w.steady) {
			w.Fatalf("it was %v, and now it is %v", w.steady, at)
		} else {
			w.steady = at.Truncate(time.Microsecond) // as precisely as marks are kept
		}
		if at := w.wall(); at.After(w.seen) {
			w.seen = at
		}
	}
}

func (w *times) checkKeys(r clock.Report) {
	w.Helper()
	for id, p := range w.pending {
		k, err := w.keys.Describe(w.Context(), w.root(), string(id))
		if err == nil && k.State == key.PendingDeletion {
			continue
		}
		if !fault.Is(err, fault.KeyNotFound) {
			w.Fatalf("a key pending deletion: %v, %v", k.State, err)
		}
		if passed := w.real - p.at; passed < p.window || r.Served-p.served < p.window {
			w.Fatalf("a key with a window of %v is deleted after %v, of which %v were served", p.window, passed, r.Served-p.served)
		}
		if r.State != clock.Steady {
			w.Fatalf("a key is deleted while the clock is %s", r.State)
		}
		delete(w.pending, id)
		w.tally.Deleted++
	}
	for id, versions := range w.rotating {
		k, err := w.keys.Describe(w.Context(), w.root(), string(id))
		w.ok(err)
		w.tally.Rotated += k.Versions - versions
		w.rotating[id] = k.Versions
	}
}

// What has expired, by a clock that was right within a minute when it was believed, is
// refused, however the clock was set since.
func (w *times) checkCredentials(clock.Report) {
	w.Helper()
	for id, at := range w.expiring {
		c, err := w.iam.Credential(w.Context(), id)
		w.ok(err)
		if c.Refusal != nil {
			w.tally.Expired++
			continue
		}
		if w.anchored && w.real+w.trusted-2*clock.Tolerance > at {
			w.Fatalf("a credential is accepted %v after it expired", w.real+w.trusted-at)
		}
	}
}

func (w *times) create() {
	k, err := w.keys.Create(w.Context(), w.root(), lifecycle.CreateInput{Spec: material.SM4, Rotate: true, Interval: 7 * day})
	w.ok(err)
	w.rotating[k.ID] = 1
}

func (w *times) schedule() {
	for id := range w.rotating {
		days := 7 + w.random.IntN(3)
		before := w.watch.Report().Served
		w.ok(w.keys.ScheduleDeletion(w.Context(), w.root(), string(id), days))
		delete(w.rotating, id)
		w.pending[id] = promise{w.real, time.Duration(days) * day, before}
		return
	}
}

// cancel cancels, or only touches, a deletion.
func (w *times) cancel() {
	for id := range w.pending {
		if w.random.IntN(2) == 0 {
			w.ok(w.keys.SetDeletionProtection(w.Context(), w.root(), string(id), false, ""))
			return
		}
		w.ok(w.keys.CancelDeletion(w.Context(), w.root(), string(id)))
		delete(w.pending, id)
		w.rotating[id] = 1
		return
	}
}

// expire makes an access key that expires after a while.
func (w *times) expire() {
	if len(w.expiring) > 0 { // a user has two access keys at most
		return
	}
	d := time.Hour + w.span(3*day)
	at := w.watch.Latest().Add(d)
	k, err := w.iam.CreateAccessKey(w.Context(), w.root(), iam.NewAccessKey{User: w.founded.Key.AccessKey.User, ExpiresAt: at})
	w.ok(err)
	w.expiring[k.AccessKey.ID] = at.Sub(w.start)
}

// accept has an operator accept the clock, right or wrong.
func (w *times) accept() {
	state := w.watch.Report().State
	rec := audit.NewRecord(w.call(authz.Principal{Kind: authz.Service, Name: "operator"}), "keyward:AcceptClock")
	err := w.node.Log.Do(w.Context(), rec, func() error { return w.watch.Accept(w.Context(), rec) })
	if fault.Is(err, fault.StateConflict) != (state != clock.Jumped) || err != nil && state == clock.Jumped {
		w.Fatalf("accepting a clock that is %s: %v", state, err)
	}
	if err == nil {
		w.tally.Accepted++
		w.anchored, w.steady, w.seen = false, time.Time{}, time.Time{}
	}
}

// end sets the clock right: then everything that is due happens.
func (w *times) end() {
	w.off, w.frozen = 0, nil
	w.live(20 * time.Minute)
	if w.watch.Report().State == clock.Jumped {
		w.accept()
	}
	w.live(10 * day)
	now := w.watch.Latest()
	if r := w.watch.Report(); r.State != clock.Steady {
		w.Fatalf("the clock is right again, and %+v", r)
	}
	for id := range w.pending {
		k, err := w.keys.Describe(w.Context(), w.root(), string(id))
		w.ok(err)
		if now.Sub(k.DeleteAt) > 0 {
			w.Fatalf("a key is %v late with its deletion", now.Sub(k.DeleteAt))
		}
	}
}
