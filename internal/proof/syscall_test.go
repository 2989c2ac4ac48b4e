//go:build linux

package proof

import (
	"cmp"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/proof/trace"
)

// script is how many operations the exhaustive campaign fails every call of.
const script = 500

// short stands for a call that is cut to half of its bytes, and late for one that
// happens although it answers EIO.
const (
	short = syscall.Errno(1 << 20)
	late  = syscall.Errno(1<<20 + 1)
)

// faults are the ways in which calls fail. What the kernel would never answer to a call
// is left out.
var faults = map[string][]syscall.Errno{
	"write": {syscall.EIO, syscall.ENOSPC, syscall.EINTR, short}, "pwrite64": {syscall.EIO, syscall.ENOSPC, syscall.EINTR, short},
	"read": {syscall.EIO, syscall.EINTR, short}, "pread64": {syscall.EIO, syscall.EINTR, short},
	"fsync": {syscall.EIO, syscall.ENOSPC, syscall.EINTR, late}, "fdatasync": {syscall.EIO, syscall.ENOSPC, syscall.EINTR, late},
	"ftruncate": {syscall.EIO, syscall.ENOSPC, syscall.EINTR}, "fallocate": {syscall.EIO, syscall.ENOSPC, syscall.EINTR},
	"openat": {syscall.EIO, syscall.ENOSPC, syscall.EINTR, syscall.EMFILE},
	"open":   {syscall.EIO, syscall.ENOSPC, syscall.EINTR, syscall.EMFILE},
	"rename": {syscall.EIO, syscall.ENOSPC}, "renameat": {syscall.EIO, syscall.ENOSPC},
	"unlink": {syscall.EIO}, "unlinkat": {syscall.EIO}, "mkdirat": {syscall.EIO, syscall.ENOSPC},
	"mmap": {syscall.ENOMEM}, "fstat": {syscall.EIO}, "newfstatat": {syscall.EIO},
	"fcntl": {syscall.ENOLCK}, // taking a lock; giving one back does not fail
}

const variants = 4 // the most that one call has

// An injector makes calls on the files below a directory fail.
type injector struct {
	dir string

	mu      sync.Mutex // guards what follows
	skip    int        // calls to let pass before the one that fails; -1 for none
	variant int        // of the fault, modulo those of the call
	window  func(call string) syscall.Errno
	hit     string         // what failed: "pwrite64 EIO keyward.db-wal"
	total   map[string]int // failures, by call and error
}

// arm makes the n-th call from now, from 1 on, fail.
func (i *injector) arm(n, variant int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.skip, i.variant, i.hit = n-1, variant, ""
}

// disarm lets everything pass again and answers what failed, "" if nothing did.
func (i *injector) disarm() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.skip, i.window = -1, nil
	return i.hit
}

// fail makes every call fail for which answer names an error, until disarm.
func (i *injector) fail(answer func(call string) syscall.Errno) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.window = answer
}

// enter is the hook of the tracer.
func (i *injector) enter(c *trace.Call) trace.Verdict {
	if !strings.HasPrefix(c.Path, i.dir+"/") && c.Path != i.dir {
		return trace.Verdict{}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.window != nil {
		switch errno := i.window(c.Name); errno {
		case late:
			return trace.Verdict{Errno: syscall.EIO, Effect: true}
		default:
			return trace.Verdict{Errno: errno}
		}
	}
	kinds := faults[c.Name]
	if i.skip < 0 || len(kinds) == 0 || c.Name == "fcntl" && !c.Locks() {
		return trace.Verdict{}
	}
	if i.skip--; i.skip >= 0 {
		return trace.Verdict{}
	}
	errno := kinds[i.variant%len(kinds)]
	verdict, name := trace.Verdict{Errno: errno}, errno.Error()
	switch {
	case errno == short && c.Args[2] > 1:
		verdict, name = trace.Verdict{Length: c.Args[2] / 2}, "short"
	case errno == short:
		verdict.Errno, name = syscall.EINTR, syscall.EINTR.Error()
	case errno == late:
		verdict, name = trace.Verdict{Errno: syscall.EIO, Effect: true}, "EIO after its effect"
	}
	i.hit = c.Name + ", " + name
	i.total[i.hit]++
	i.hit += ", " + filepath.Base(c.Path)
	return verdict
}

// A siege is the campaign of failing calls against one server.
type siege struct {
	*server
	t        *testing.T
	injector *injector
	world    *world
	acts     int
	refused  int           // acts that were refused
	slowest  time.Duration // recovery
}

// newSiege starts a server to be besieged.
func newSiege(t *testing.T, seed uint64) *siege {
	t.Parallel()
	needTrace(t)
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "data")
	g := &siege{
		t: t, injector: &injector{dir: dir, skip: -1, total: map[string]int{}},
	}
	key := found(t, dir, "", "w")
	g.server = prepareServer(t, build(t), dir, "")
	g.key, g.hooks = key, &trace.Hooks{Enter: g.injector.enter}
	g.start()
	g.world = oldWorld(t, g.server, "w", rand.New(rand.NewPCG(seed, 0)))
	return g
}

// A system call on the data files fails, again and again, while a script runs: with
// KEYWARD_POINTS=all every call of each of its operations, once, in one of the ways in
// which it can fail; otherwise that many random ones. Whatever fails, the server lives,
// answers either with everything done and recorded or with 503 and advice, and works again
// at once when nothing fails any more.
func TestSyscallFails(t *testing.T) {
	n, seed := points(t, "KEYWARD_POINTS", 40), seeded(t)
	g := newSiege(t, seed)
	visited := 0
	visit := func(call, variant int) bool {
		if !g.point(call, variant) {
			return false
		}
		visited++
		if g.world.random.IntN(10) == 0 { // look at more than what the server remembers
			g.kill()
			g.start()
			g.world.settled(g.t, g.world.client(g.server), nil, recovery)
		}
		return !t.Failed()
	}
	for n > 0 && visited < n && !t.Failed() {
		visit(1+g.world.random.IntN(40), g.world.random.IntN(variants))
	}
	for i := 0; n == 0 && i < script && !t.Failed(); i++ {
		for call := 1; visit(call, i+call); call++ {
		}
	}
	checkRecords(t, g.server, g.world)
	g.report(visited)
}

func (g *siege) report(visited int) {
	for _, hit := range slices.Sorted(maps.Keys(g.injector.total)) {
		g.t.Logf("%6d × %s", g.injector.total[hit], hit)
	}
	g.t.Logf("%d points, %d operations, %d refused, slowest recovery %v", visited, g.acts, g.refused, g.slowest)
}

// A sync fails after it has happened, so that a commit that was answered as failed is on
// the disk. What is acknowledged next, and is not a change, must not be in its way when
// the server is killed and finds both.
func TestSyscallFailsAfterItsEffect(t *testing.T) {
	g := newSiege(t, seeded(t))
	for range 5 {
		c := g.world.client(g.server)
		key := slices.Min(slices.Collect(maps.Keys(g.world.state.Keys)))
		change := g.world.tag(key)
		g.injector.fail(func(call string) syscall.Errno {
			if call == "fsync" || call == "fdatasync" {
				return late
			}
			return 0
		})
		maybe, err := g.world.try(t.Context(), c, change)
		g.injector.disarm()
		if !refusedFor(err) {
			t.Fatalf("answered %v", err)
		}
		for range 3 {
			if _, err := g.world.try(t.Context(), c, g.world.encrypt(key)); err != nil && !refusedFor(err) {
				t.Fatal(err)
			}
		}
		g.kill()
		g.start()
		g.world.settled(t, g.world.client(g.server), maybe, recovery)
	}
	checkRecords(t, g.server, g.world)
}

// The N-th system call on the data files fails while a server starts on what a killed one
// left: with KEYWARD_POINTS=all every one. The server starts, or says why not and starts
// the next time; and nothing is lost.
func TestSyscallFailsAtStart(t *testing.T) {
	n, seed := points(t, "KEYWARD_POINTS", 6), seeded(t)
	g := newSiege(t, seed)
	for range 40 {
		if _, err := g.world.try(t.Context(), g.world.client(g.server), g.world.next()); err != nil {
			t.Fatal(err)
		}
	}
	g.kill()
	left := readDir(t, g.dir)
	visited, refused := 0, 0
	visit := func(call, variant int) bool {
		if err := errors.Join(os.RemoveAll(g.dir), writeDir(g.dir, left)); err != nil {
			t.Fatal(err)
		}
		g.injector.arm(call, variant)
		if !g.tryStart() {
			refused++
			if log := g.log(); strings.Contains(log, "goroutine ") {
				t.Errorf("starting, then %s: the server died:\n%s", g.injector.disarm(), log)
			}
			hit := g.injector.disarm()
			if !g.tryStart() {
				t.Fatalf("starting after a start that failed (%s):\n%s", hit, g.log())
			}
		}
		hit := g.injector.disarm()
		g.slowest = max(g.slowest, g.world.settled(t, g.world.client(g.server), nil, recovery))
		g.kill()
		if t.Failed() {
			t.Fatalf("starting, then %s (call %d):\n%s", hit, call, g.log())
		}
		return hit != ""
	}
	for n > 0 && visited < min(n, 20) {
		if visit(1+g.world.random.IntN(150), g.world.random.IntN(variants)) {
			visited++
		}
	}
	for variant := 0; n == 0 && variant < variants; variant++ {
		for call := 1; visit(call, variant) || call < 50; call++ {
			visited++
		}
	}
	checkRecords(t, g.server, g.world)
	g.report(visited)
	t.Logf("%d starts refused", refused)
}

// point performs one operation, of which the n-th call fails, and answers whether there
// was one that failed.
func (g *siege) point(n, variant int) bool {
	c, a := g.world.client(g.server), g.world.next()
	g.injector.arm(n, variant)
	maybe, err := g.world.try(g.t.Context(), c, a)
	hit := g.injector.disarm()
	g.acts++
	if err != nil {
		g.refused++
	}
	select {
	case <-g.traced.Ended():
		g.t.Errorf("%s, then %s: the server died:\n%s", a.name, hit, g.log())
		return false
	default:
	}
	if err != nil && (hit == "" || !refusedFor(err)) {
		g.t.Errorf("%s, then %s: answered %v", a.name, hit, err)
	}
	g.slowest = max(g.slowest, g.world.settled(g.t, c, maybe, recovery))
	if g.t.Failed() {
		g.t.Logf("%s, then %q (call %d): answered %v; log:\n%s", a.name, hit, n, err, g.log())
	}
	return hit != ""
}

// While no call of a kind succeeds, nothing is acknowledged and health says so; when they
// succeed again, so does the server, by itself.
func TestSyscallsFailForAWhile(t *testing.T) {
	g := newSiege(t, seeded(t))
	for range 20 {
		if _, err := g.world.try(t.Context(), g.world.client(g.server), g.world.next()); err != nil {
			t.Fatal(err)
		}
	}
	// Locks are left out: the kernel may refuse one, but does not refuse them for long on a
	// disk of its own, and SQLite waits twelve seconds for one before it gives up.
	everything := slices.DeleteFunc(slices.Sorted(maps.Keys(faults)), func(call string) bool { return call == "fcntl" })
	writing := []string{"write", "pwrite64", "ftruncate", "fallocate"}
	for _, w := range []window{
		{"writes EIO", writing, syscall.EIO, true},
		{"writes ENOSPC", writing, syscall.ENOSPC, true},
		{"syncs EIO", []string{"fsync", "fdatasync"}, syscall.EIO, true},
		{"syncs ENOSPC", []string{"fsync", "fdatasync"}, syscall.ENOSPC, true},
		{"opening EMFILE", []string{"open", "openat"}, syscall.EMFILE, false},
		{"mapping ENOMEM", []string{"mmap"}, syscall.ENOMEM, false},
		{"names EIO", []string{"rename", "renameat", "unlink", "unlinkat"}, syscall.EIO, false},
		{"states EIO", []string{"fstat", "newfstatat"}, syscall.EIO, false},
		{"reads EIO", []string{"read", "pread64"}, syscall.EIO, false},
		{"everything EIO", everything, syscall.EIO, true},
	} {
		t.Run(w.name, func(t *testing.T) { g.outage(t, w) })
	}
	checkRecords(t, g.server, g.world)
}

// A window is a time during which calls fail.
type window struct {
	name  string
	calls []string
	errno syscall.Errno
	stops bool // nothing can be acknowledged meanwhile
}

// longEnough is how long calls fail: the server looks after itself once a second.
const longEnough = 1200 * time.Millisecond

// outage lets calls fail for a while.
func (g *siege) outage(t *testing.T, w window) {
	c := g.world.client(g.server)
	g.injector.fail(func(call string) syscall.Errno {
		if slices.Contains(w.calls, call) {
			return w.errno
		}
		return 0
	})
	defer g.injector.disarm()
	var maybe *state
	tried, refused := 0, 0
	for start := time.Now(); time.Since(start) < longEnough; {
		a := g.world.next()
		if maybe != nil && a.name != "Encrypt" {
			continue // a second change of unknown outcome would leave too much open
		}
		tried++
		began := time.Now()
		open, err := g.world.try(t.Context(), c, a)
		if time.Since(began) > 5*time.Second {
			t.Errorf("%s was answered after %v", a.name, time.Since(began))
		}
		switch {
		case refusedFor(err):
			refused++
		case err != nil || w.stops:
			t.Fatalf("%s answered %v while %v failed", a.name, err, w.calls)
		}
		maybe = cmp.Or(maybe, open)
	}
	if ready, text := g.health(t); ready && w.stops {
		t.Errorf("health says %q while nothing can be written", text)
	}
	g.injector.disarm()
	start := time.Now()
	for ready := false; !ready && time.Since(start) < recovery; time.Sleep(10 * time.Millisecond) {
		ready, _ = g.health(t)
	}
	g.world.settled(t, c, maybe, recovery-time.Since(start))
	t.Logf("%d of %d requests refused; well again after %v", refused, tried, time.Since(start).Round(time.Millisecond))
	if t.Failed() {
		t.Fatal(g.log())
	}
}
