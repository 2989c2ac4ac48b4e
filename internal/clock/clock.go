// Package clock tells whether the wall clock can be believed, and how long the service
// has served. A wrong clock must never destroy a key or revive what has expired.
//
// The wall clock is set by people, by NTP and by hypervisors, and any of them may be
// wrong. The machine has a second clock that nobody can set: how long ago it booted,
// suspension included. A [Watch] remembers, in the database, which wall time belongs to
// the boot (the anchor). From then on the two clocks must agree within [Tolerance]: the
// sum of all steps counts, so that many small ones are as suspicious as a large one, and
// a step while the process was down shows as well as one while it ran. After a reboot
// the anchor is gone. Then any wall time is taken that is not before the newest one
// seen and not more than [Absence] after it, once it has stood for [Settle]: a machine
// whose clock is set by NTP shortly after it booted is no alarm.
//
//	            stood for Settle                 the clocks disagree
//	Settling ──────────────────────► Steady ◄────────────────────────► Jumped
//	   ▲ ◄──┐ the clock is set          ▲        they agree again         ▲ │
//	   │    └─┘                         └─────────────────────────────────┘ │ an operator
//	   └──── after a reboot ───── the wall time is impossible ─────────────┘ accepts
//
// While the clock has Jumped no job is done at all, while it is Settling none that
// destroys. Either way requests are served: [Watch.Latest] answers the latest time that
// it may be, which judges what expires, so that a clock that was set back revives nothing.
//
// Served time is how long the service has run, on any node, not counting suspension. A
// deletion waits until its date has come by the wall clock *and* its whole window was
// served. This is what no jump of any clock can shorten, and what people who want to
// cancel can rely on.
//
// Trusted are the machine's two clocks that nobody can set. The row in the database is
// not bound: who can forge it could remove the keys themselves.
package clock

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
)

const (
	// Tolerance is by how much the wall clock may step in one boot, all steps summed up.
	Tolerance = time.Minute
	// Absence is how long a machine may have been off before its clock is not believed.
	Absence = 30 * 24 * time.Hour
	// Settle is how long the wall clock must have stood after a reboot.
	Settle = 10 * time.Minute

	tick   = time.Second // how often the clocks are compared
	ticks  = 10          // after so many, what is believed is written
	margin = time.Minute // by how much nodes may differ about served time
)

// A State is how far the wall clock is believed.
type State string

// The states.
const (
	Settling State = "settling" // after a reboot: nothing is destroyed yet
	Steady   State = "steady"   // it agrees with the machine's other clock
	Jumped   State = "jumped"   // it does not: no job is done
)

// A Mark is what a node believes.
type Mark struct {
	Node   string
	Boot   string        // names the boot that Anchor belongs to; empty until the first one is settled
	Anchor time.Time     // wall time when the machine's other clock stood at zero
	Seen   time.Time     // newest wall time that was believed
	Served time.Duration // how long the service has served, as far as this node knows
}

// A Store keeps marks, one for each node. Its methods may be called concurrently.
type Store interface {
	// Marks answers the marks of all nodes, in any order.
	Marks(ctx context.Context) ([]Mark, error)
	// KeepMark stores one node's mark.
	KeepMark(ctx context.Context, m Mark) error
	// AcceptMark stores one node's mark together with the record of who wanted it, and
	// forgets all wall times after the one that it has seen.
	AcceptMark(ctx context.Context, rec *audit.Record, m Mark) error
}

// A Machine is what the clock says that nobody can set.
type Machine struct {
	Boot  string        // names the boot; times of different boots cannot be compared
	Since time.Duration // since a fixed moment of the boot, suspension included
}

// Options says what a Watch is made of. All fields are required.
type Options struct {
	Store   Store
	Node    string
	Now     func() time.Time     // wall clock
	Machine func() Machine       // System's
	Awake   func() time.Duration // since some moment, suspension not counted; System's
	Logger  *slog.Logger
}

// A Watch watches the clock of one node. Its methods may be called concurrently.
type Watch struct {
	options Options
	floor   atomic.Pointer[floor]

	mu          sync.Mutex // guards the fields below
	mark        Mark
	newest      time.Time     // of any node, when this one started; then of this one
	first       time.Duration // when this one started, by the machine's clock
	provisional time.Time     // the anchor that is settling; zero if none is
	settling    time.Duration // since when, by the machine's clock
	awake       time.Duration // up to when served time was counted
	state       State
	offset      time.Duration
	written     string // boot whose anchor is in the store
}

// A floor is a time that it was for certain.
type floor struct {
	at    time.Time
	awake time.Duration
}

// Open reads what the nodes believe and looks at the clocks. Call Run.
func Open(ctx context.Context, o Options) (*Watch, error) {
	marks, err := o.Store.Marks(ctx)
	if err != nil {
		return nil, err
	}
	w := &Watch{options: o, mark: Mark{Node: o.Node}, first: o.Machine().Since, awake: o.Awake()}
	for _, m := range marks {
		if m.Node == o.Node {
			w.mark, w.written = m, m.Boot
		}
		if m.Seen.After(w.newest) {
			w.newest = m.Seen
		}
	}
	w.adopt(marks)
	w.look()
	return w, nil
}

// adopt takes over how long other nodes know the service to have served.
func (w *Watch) adopt(marks []Mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range marks {
		w.mark.Served = max(w.mark.Served, m.Served)
	}
}

// look compares the clocks and answers what is now believed.
func (w *Watch) look() Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, machine, awake := w.options.Now().Round(0), w.options.Machine(), w.options.Awake() // without Go's own second clock
	w.mark.Served += awake - w.awake
	w.awake = awake
	expected := w.judge(now, machine)
	if w.state == Steady && now.After(w.newest) {
		w.newest, w.mark.Seen = now, now
	}
	if expected.Before(w.newest) {
		expected = w.newest
	}
	w.floor.Store(&floor{expected, awake})
	return Report{State: w.state, Offset: w.offset, Served: w.mark.Served}
}

// judge sets the state and answers what time it should be. The caller holds mu.
func (w *Watch) judge(now time.Time, machine Machine) time.Time {
	if machine.Boot == w.mark.Boot {
		expected := w.mark.Anchor.Add(machine.Since)
		state := Steady
		if off := now.Sub(expected); off.Abs() > Tolerance {
			state = Jumped
		}
		w.enter(state, now.Sub(expected))
		return expected
	}
	expected := w.newest.Add(machine.Since - w.first)
	if w.newest.IsZero() { // nothing was ever seen
		expected = now
	}
	if off := now.Sub(expected); off < -Tolerance || off > Absence {
		w.provisional = time.Time{}
		w.enter(Jumped, off)
		return expected
	}
	anchor := now.Add(-machine.Since)
	if w.provisional.IsZero() || anchor.Sub(w.provisional).Abs() > Tolerance {
		w.provisional, w.settling = anchor, machine.Since
	}
	if machine.Since-w.settling < Settle {
		w.enter(Settling, 0)
		return expected
	}
	w.mark.Boot, w.mark.Anchor = machine.Boot, w.provisional
	w.enter(Steady, anchor.Sub(w.provisional))
	return expected
}

// enter moves to a state and says so when it matters. The caller holds mu.
func (w *Watch) enter(s State, offset time.Duration) {
	before := w.state
	w.state, w.offset = s, offset
	switch {
	case s == before:
	case s == Jumped:
		w.options.Logger.Error("the clock jumped: no job is done until it comes back; set it right, or run: keyward operator clock accept", "offset", offset.String())
	case before == Jumped:
		w.options.Logger.Warn("the clock is believed again", "state", string(s))
	}
}

// A Report is how a node's clock stands.
type Report struct {
	State  State
	Offset time.Duration // of the wall clock from what it should be
	Served time.Duration // how long the service has served
}

// Report answers how the clock stands now.
func (w *Watch) Report() Report { return w.look() }

// Latest answers the latest time that it may be: the wall clock's, unless that was set
// back. It never goes back itself, except when a clock that had been put forward comes
// back, or an operator accepts the clock. It reads no database and takes no lock.
func (w *Watch) Latest() time.Time {
	now, f := w.options.Now(), w.floor.Load()
	if least := f.at.Add(w.options.Awake() - f.awake); least.After(now) {
		return least
	}
	return now
}

// Jobs answers how much the service has served for jobs that wait for it, and whether
// jobs may be done at all. While the clock is settling nothing counts as served.
func (w *Watch) Jobs() (served time.Duration, ok bool) {
	switch r := w.look(); r.State {
	case Steady:
		return r.Served, true
	case Settling:
		return 0, true
	}
	return 0, false
}

// After answers the served time at which d more, from now, will have been served for
// certain, whichever node looks.
func (w *Watch) After(ctx context.Context, d time.Duration) (time.Duration, error) {
	marks, err := w.options.Store.Marks(ctx) // other nodes may have served while this one was suspended
	if err != nil {
		return 0, err
	}
	w.adopt(marks)
	return w.look().Served + d + margin, nil
}

// Accept believes the wall clock as it is, because an operator says so. A clock that
// has not jumped is a StateConflict fault.
func (w *Watch) Accept(ctx context.Context, rec *audit.Record) error {
	r := w.look()
	rec.Param("Offset", r.Offset.String())
	if r.State != Jumped {
		return fault.StateConflict.New("the clock has not jumped; there is nothing to accept")
	}
	now, machine := w.options.Now().Round(0), w.options.Machine()
	mark := Mark{Node: w.options.Node, Boot: machine.Boot, Anchor: now.Add(-machine.Since), Seen: now, Served: r.Served}
	if err := w.options.Store.AcceptMark(ctx, rec, mark); err != nil {
		return err
	}
	w.mu.Lock()
	mark.Served, w.newest = w.mark.Served, mark.Seen
	w.mark = mark
	w.mu.Unlock()
	w.look()
	return nil
}

// Step looks at the clock and writes down what is believed.
func (w *Watch) Step(ctx context.Context) error {
	w.look()
	marks, err := w.options.Store.Marks(ctx)
	if err != nil {
		return err
	}
	w.adopt(marks)
	w.mu.Lock()
	mark := w.mark
	w.mu.Unlock()
	if err := w.options.Store.KeepMark(ctx, mark); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written = mark.Boot
	return nil
}

// unwritten looks at the clocks and tells whether there is a new anchor, which a crash
// must not lose.
func (w *Watch) unwritten() bool {
	w.look()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mark.Boot != w.written
}

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	every := time.NewTicker(tick)
	defer every.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return w.Step(context.WithoutCancel(ctx))
		case <-every.C:
			if !w.unwritten() && n%ticks != 0 {
				continue
			}
			if err := w.Step(ctx); err != nil && ctx.Err() == nil {
				w.options.Logger.Warn("watching the clock", "error", err)
			}
		}
	}
}
