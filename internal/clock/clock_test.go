package clock_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/clock"
	"github.com/keyward/keyward/internal/fault"
)

// marks keeps the contract of clock.Store in memory.
type marks map[string]clock.Mark

func (s marks) Marks(context.Context) ([]clock.Mark, error) {
	var all []clock.Mark
	for _, m := range s {
		all = append(all, m)
	}
	return all, nil
}

func (s marks) KeepMark(_ context.Context, m clock.Mark) error {
	s[m.Node] = m
	return nil
}

func (s marks) AcceptMark(_ context.Context, _ *audit.Record, m clock.Mark) error {
	for name, other := range s {
		if other.Seen.After(m.Seen) {
			other.Seen = m.Seen
			s[name] = other
		}
	}
	s[m.Node] = m
	return nil
}

// A machine has clocks that a test sets.
type machine struct {
	t     *testing.T
	store marks
	node  string
	wall  time.Time
	boot  string
	since time.Duration
	awake time.Duration
	*clock.Watch
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newMachine answers one that has run for an hour and is steady.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, store: marks{}, node: "a", wall: noon, boot: "one"}
	m.start()
	m.expect(clock.Settling)
	m.run(time.Hour)
	m.expect(clock.Steady)
	return m
}

func (m *machine) start() {
	m.t.Helper()
	var err error
	m.Watch, err = clock.Open(m.t.Context(), clock.Options{
		Store: m.store, Node: m.node, Now: func() time.Time { return m.wall }, Awake: func() time.Duration { return m.awake },
		Machine: func() clock.Machine { return clock.Machine{Boot: m.boot, Since: m.since} }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// run lets time pass as it should.
func (m *machine) run(d time.Duration) {
	m.t.Helper()
	m.wall, m.since, m.awake = m.wall.Add(d), m.since+d, m.awake+d
	if err := m.Step(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

// reboot switches the machine off for a while.
func (m *machine) reboot(d time.Duration) {
	m.t.Helper()
	m.boot, m.wall, m.since, m.awake = m.boot+"'", m.wall.Add(d), 0, 0
	m.start()
}

func (m *machine) expect(want clock.State) {
	m.t.Helper()
	if r := m.Report(); r.State != want {
		m.t.Errorf("the clock is %s by %v, want %s", r.State, r.Offset, want)
	}
}

func (m *machine) expectJobs(wantServed time.Duration, wantOK bool) {
	m.t.Helper()
	if served, ok := m.Jobs(); served != wantServed || ok != wantOK {
		m.t.Errorf("jobs: served %v, %t; want %v, %t", served, ok, wantServed, wantOK)
	}
}

func TestAMinuteIsTolerated(t *testing.T) {
	for _, step := range []time.Duration{time.Second, clock.Tolerance, -clock.Tolerance} {
		m := newMachine(t)
		m.wall = m.wall.Add(step)
		m.expect(clock.Steady)
		m.wall = m.wall.Add(step / step.Abs())
		if m.expect(map[bool]clock.State{true: clock.Jumped, false: clock.Steady}[step.Abs() == clock.Tolerance]); t.Failed() {
			t.Fatal(step)
		}
	}
}

// Steps add up, and those that cancel each other do not count.
func TestSmallStepsAddUp(t *testing.T) {
	m := newMachine(t)
	for range 6 {
		m.run(time.Minute)
		m.wall = m.wall.Add(10 * time.Second)
	}
	m.expect(clock.Steady)
	m.wall = m.wall.Add(10 * time.Second)
	m.expect(clock.Jumped)
	m.expectJobs(0, false)
	m.wall = m.wall.Add(-70 * time.Second)
	m.expect(clock.Steady)
	m.expectJobs(time.Hour+6*time.Minute, true)
}

func TestSuspensionIsNoJumpAndNoService(t *testing.T) {
	m := newMachine(t)
	m.wall, m.since = m.wall.Add(24*time.Hour), m.since+24*time.Hour
	m.expect(clock.Steady)
	m.expectJobs(time.Hour, true)
}

func TestFrozenClockJumps(t *testing.T) {
	m := newMachine(t)
	m.since, m.awake = m.since+2*time.Minute, m.awake+2*time.Minute
	m.expect(clock.Jumped)
	if at := m.Latest(); !at.Equal(m.wall.Add(2 * time.Minute)) {
		t.Errorf("it is %v, the frozen clock says %v", at, m.wall)
	}
}

// A process that was down in the same boot knows what its clock should say.
func TestJumpWhileTheProcessWasDown(t *testing.T) {
	m := newMachine(t)
	m.wall, m.since, m.awake = m.wall.Add(24*time.Hour), m.since+24*time.Hour, 0
	m.start()
	m.expect(clock.Steady)
	m.wall = m.wall.Add(8 * 24 * time.Hour)
	m.start()
	m.expect(clock.Jumped)
	if r := m.Report(); r.Offset != 8*24*time.Hour || r.Served != time.Hour {
		t.Errorf("have %+v", r)
	}
}

// After a reboot nothing says how long the machine was off: what is possible is taken,
// after it has stood; what is not is a jump.
func TestReboot(t *testing.T) {
	for _, c := range []struct {
		away time.Duration
		want clock.State
	}{
		{0, clock.Settling}, {time.Hour, clock.Settling}, {clock.Absence, clock.Settling}, {-clock.Tolerance, clock.Settling},
		{clock.Absence + time.Second, clock.Jumped}, {-clock.Tolerance - time.Second, clock.Jumped}, {-10 * 365 * 24 * time.Hour, clock.Jumped},
	} {
		m := newMachine(t)
		m.reboot(c.away)
		if m.expect(c.want); c.want == clock.Jumped {
			m.expectJobs(0, false)
			continue
		}
		m.expectJobs(0, true) // nothing that destroys
		m.run(clock.Settle - time.Second)
		m.expect(clock.Settling)
		m.run(time.Second)
		m.expect(clock.Steady)
		m.expectJobs(time.Hour+clock.Settle, true)
	}
}

// A machine whose clock is in local time until NTP sets it raises no alarm, and what it
// believed of its clock meanwhile is forgotten.
func TestClockIsSetAfterBoot(t *testing.T) {
	m := newMachine(t)
	m.reboot(8*time.Hour + time.Minute)
	m.run(20 * time.Second)
	m.wall = m.wall.Add(-8 * time.Hour)
	m.expect(clock.Settling)
	m.run(clock.Settle - time.Second)
	m.expect(clock.Settling)
	m.run(time.Second)
	m.expect(clock.Steady)
	if at := m.Latest(); !at.Equal(m.wall) {
		t.Errorf("it is %v, the clock says %v", at, m.wall)
	}
	m.wall = m.wall.Add(8 * time.Hour)
	m.expect(clock.Jumped)
}

// A clock that is set back makes nothing earlier; one that comes back from the future does.
func TestLatest(t *testing.T) {
	m := newMachine(t)
	right := m.wall
	m.wall = right.Add(-time.Hour)
	if at := m.Latest(); !at.Equal(right) {
		t.Errorf("an hour back: %v, want %v", at, right)
	}
	m.wall = right.Add(50 * time.Second)
	m.expect(clock.Steady)
	m.wall = right
	if at := m.Latest(); !at.Equal(right.Add(50 * time.Second)) {
		t.Errorf("a tolerated step back: %v", at)
	}
	m.wall = right.AddDate(10, 0, 0)
	m.expect(clock.Jumped)
	if at := m.Latest(); !at.Equal(m.wall) {
		t.Errorf("ten years ahead: %v", at)
	}
	m.wall = right
	m.expect(clock.Steady)
	if at := m.Latest(); at.After(right.Add(time.Minute)) {
		t.Errorf("back again: %v", at)
	}
}

func TestAccept(t *testing.T) {
	m := newMachine(t)
	m.store["b"] = clock.Mark{Node: "b", Seen: m.wall.Add(time.Minute), Served: 2 * time.Hour}
	if err := m.Accept(t.Context(), &audit.Record{}); !fault.Is(err, fault.StateConflict) {
		t.Errorf("a clock that is right: %v", err)
	}
	m.wall = m.wall.AddDate(-1, 0, 0)
	m.expect(clock.Jumped)
	if err := m.Accept(t.Context(), &audit.Record{}); err != nil {
		t.Fatal(err)
	}
	m.expect(clock.Steady)
	if at := m.Latest(); !at.Equal(m.wall) {
		t.Errorf("it is %v, accepted was %v", at, m.wall)
	}
	m.start()
	m.expect(clock.Steady)
	m.reboot(time.Hour)
	m.expect(clock.Settling)
}

// The service has served while any node did, and no longer.
func TestServedTimeIsOfAllNodes(t *testing.T) {
	a := newMachine(t)
	b := &machine{t: t, store: a.store, node: "b", wall: a.wall, boot: "other"}
	b.start()
	for range 60 { // both for an hour
		a.run(time.Minute)
		b.run(time.Minute)
	}
	for range 60 { // b alone for another
		b.run(time.Minute)
	}
	b.expectJobs(3*time.Hour, true)
	if due, err := a.After(t.Context(), time.Hour); err != nil || due < 4*time.Hour {
		t.Errorf("what a schedules is due after %v of service, %v", due, err)
	}
	a.run(0)
	if served := a.Report().Served; served != 3*time.Hour {
		t.Errorf("a knows of %v", served)
	}
}
