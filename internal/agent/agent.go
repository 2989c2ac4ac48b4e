// Package agent is what keyward runs on each machine whose programs use its keys.
//
// An [Agent] watches the server for generations that are newer than what it has
// ([delivery.Newer]: a lower one that comes late is dropped). It makes each durable,
// sealed as it came, before it acknowledges it; so it serves what it has without the
// server, for as long as that is away. Then it writes files, runs a reload command and
// asks a probe, as its configuration says, and serves both versions to programs at an
// endpoint of this machine. What it reports is a level that only rises by what really
// happened:
//
//	received   the generation is in the cache, on the disk
//	applied    files are written and synced, the reload command ended well
//	used       a program said that it works with the primary version, or a probe did after
//	           the generation was applied and no program said otherwise
//
// A crash at any moment leaves files that are whole, and repeats whatever is not known to
// have been done: a reload runs again rather than not at all.
//
// Three things run side by side and share one lock that is never held during I/O over a
// network or a command: the watch (watch.go), the report (report.go) and, for each
// delivery, the one who applies it (deliver.go). Who may call: the command line. What is
// stored: the state directory of package identity, with the cache below it. What is
// trusted: the server behind its certificate; the configuration; whoever may use the
// socket. Programs are trusted for what they say of their own use. Connections go only to
// the server and the probes that the operator of this machine named, so no guard of
// addresses stands between.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent/config"
	"github.com/keyward/keyward/internal/agent/identity"
	"github.com/keyward/keyward/internal/durable"
)

// Options are what an agent needs.
type Options struct {
	Config  config.Config
	Version string // of keyward
	Now     func() time.Time
	Logger  *slog.Logger
	// Transport reaches the server; nil for one that trusts what the machine joined with.
	Transport http.RoundTripper
	// Listener is where programs come in; nil for where the configuration says.
	Listener net.Listener
	// Replace makes a file durable; nil for durable.Replace. Tests fill the disk.
	Replace func(path string, content []byte) error
	// Done is told each step after it was done; nil for nobody. Tests end the process there.
	Done func(Step)
}

// A Step is one after which the process may end, and things must still be in order.
type Step string

// The steps, in order.
const (
	Cached    Step = "cached"    // the sealed bundle is durable
	Unmarked  Step = "unmarked"  // it is durable that a generation may not be applied
	Written   Step = "written"   // one file is
	Reloaded  Step = "reloaded"  // the reload command ended well
	Marked    Step = "marked"    // it is durable that the generation is applied
	Confirmed Step = "confirmed" // it is durable that the generation is used
)

// An Agent serves the keys of one machine. Its methods may be called concurrently.
type Agent struct {
	options Options
	node    identity.Node
	keys    identity.Keys
	clock   *clock
	link    *link
	cache   cache

	wake  chan struct{} // holds one: there is something to report at once
	stale chan struct{} // holds one: the server says that there is something to watch

	files sync.Mutex // held while the cache is written; taken before mu

	mu       sync.Mutex // guards what follows, and every holding
	held     map[string]*holding
	moved    chan struct{}     // closed, and made anew, when a generation is taken or forgotten
	troubles map[string]string // by what has it
	heardAt  time.Time
}

// New makes the agent of a machine that has joined, with what its cache holds. It does
// not connect. The error of a machine that has not joined wraps [identity.ErrNotJoined].
func New(o Options) (*Agent, error) {
	node, keys, err := identity.Load(o.Config.State)
	if err != nil {
		return nil, err
	}
	if o.Config.Server != "" {
		node.Server = o.Config.Server
	}
	if o.Config.CA != "" {
		node.CA = o.Config.CA
	}
	if node.Server, err = checkServer(node.Server); err != nil {
		return nil, err
	}
	if o.Transport == nil {
		if o.Transport, err = newTransport(node.CA); err != nil {
			return nil, err
		}
	}
	if o.Replace == nil {
		o.Replace = durable.Replace
	}
	if o.Done == nil {
		o.Done = func(Step) {}
	}
	a := &Agent{
		options: o, node: node, keys: keys, clock: &clock{now: o.Now},
		cache: cache{dir: filepath.Join(o.Config.State, "cache"), replace: o.Replace},
		wake:  make(chan struct{}, 1), stale: make(chan struct{}, 1),
		held: map[string]*holding{}, moved: make(chan struct{}), troubles: map[string]string{},
	}
	a.link = &link{server: node.Server, http: o.Transport, clock: a.clock, node: node, keys: keys}
	return a, a.restore()
}

// restore takes what the cache holds.
func (a *Agent) restore() error {
	if err := os.MkdirAll(a.cache.dir, 0o700); err != nil {
		return fmt.Errorf("making the cache: %w", err)
	}
	bundles, err := a.cache.load()
	if err != nil {
		a.options.Logger.Error("not all of the cache can be served", "error", err)
	}
	for _, b := range bundles {
		h, err := open(a.node, a.keys, b)
		if err != nil {
			a.options.Logger.Error("a bundle of the cache cannot be served", "rollout", b.Rollout, "error", err)
			continue
		}
		h.progress = a.cache.progress(b)
		h.Applied = h.Applied || a.delivery(b.Rollout) == nil
		a.held[b.Rollout] = h
	}
	return nil
}

// delivery answers what is to be done with a rollout; nil for nothing but to serve it.
func (a *Agent) delivery(rollout string) *config.Delivery {
	i := slices.IndexFunc(a.options.Config.Deliver, func(d config.Delivery) bool { return d.Rollout == rollout })
	if i < 0 {
		return nil
	}
	return &a.options.Config.Deliver[i]
}

// Run watches, reports, applies and serves until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	unlock, err := durable.Lock(filepath.Join(a.options.Config.State, "lock"))
	if errors.Is(err, durable.ErrLocked) {
		return fmt.Errorf("starting: another agent uses %s; stop it first", a.options.Config.State)
	}
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	defer unlock()
	l, token, err := a.listen()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.serve(ctx, l, token) })
	group.Go(func() error { return a.watch(ctx) })
	group.Go(func() error { return a.report(ctx) })
	for _, d := range a.options.Config.Deliver {
		group.Go(func() error { return a.deliver(ctx, d) })
	}
	err = group.Wait()
	a.keep()
	return err
}

// Status answers how the agent does.
func (a *Agent) Status() delivery.Status {
	skew := a.clock.Skew()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := delivery.Status{
		Node: a.node.Path(), Version: a.options.Version, Server: a.node.Server, HeardAt: a.heardAt,
		Skew: skew.Milliseconds(), Trouble: a.trouble(), Rollouts: []delivery.Standing{},
	}
	for _, name := range slices.Sorted(maps.Keys(a.held)) {
		s.Rollouts = append(s.Rollouts, a.held[name].standing())
	}
	return s
}

// Key answers the versions of a rollout, and false if the agent has none; and a channel
// that is closed when that may be another generation.
func (a *Agent) Key(rollout string) (k delivery.Key, moved <-chan struct{}, ok bool) {
	h, moved := a.look(rollout)
	if h == nil {
		return delivery.Key{}, moved, false
	}
	return h.key, moved, true
}

// look answers what the agent has of a rollout, nil for nothing. Of that only the key may
// be used without the lock, which never changes.
func (a *Agent) look(rollout string) (*holding, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held[rollout], a.moved
}

// change changes how far the agent has come with what it has, and reports at once if the
// level is another then. If the agent has something else by now, nobody will see it.
func (a *Agent) change(h *holding, how func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before, trouble := h.level(), h.trouble()
	how()
	if h.level() != before || h.trouble() != trouble {
		signal(a.wake)
	}
}

// Use takes in what a program says of a version. It answers false if the version is none
// of those that the rollout has now.
func (a *Agent) Use(rollout string, u delivery.Use) bool {
	h, _ := a.look(rollout)
	known := false
	if h != nil {
		a.change(h, func() { known = h.use(u, a.clock.Now()) })
	}
	return known
}

// moveOn tells everybody who waits that a generation was taken or forgotten. The caller
// holds mu.
func (a *Agent) moveOn() {
	close(a.moved)
	a.moved = make(chan struct{})
}

// keep makes durable how far the agent has come. If it cannot, that is trouble, but what
// was done stays done: after a crash it is done again.
func (a *Agent) keep() {
	a.files.Lock()
	defer a.files.Unlock()
	a.mu.Lock()
	changed := map[*holding]progress{}
	for _, h := range a.held {
		if h.dirty {
			changed[h] = h.progress
			h.dirty = false
		}
	}
	a.mu.Unlock()
	for h, p := range changed {
		err := a.cache.keepProgress(h.key.Rollout, p)
		a.setTrouble(progressOf(h.key.Rollout), err)
		if err != nil {
			a.change(h, func() { h.dirty = true })
		}
	}
}

// progressOf names what has trouble when progress cannot be kept.
func progressOf(rollout string) string { return "progress of " + rollout }

// setTrouble notes what is wrong with something, or with nil that it is right again.
func (a *Agent) setTrouble(what string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.troubles[what]
	if err == nil {
		delete(a.troubles, what)
	} else {
		a.troubles[what] = err.Error()
	}
	if a.troubles[what] != before {
		signal(a.wake)
	}
	if err != nil && before == "" {
		a.options.Logger.Error("trouble", "with", what, "error", err)
	} else if err == nil && before != "" {
		a.options.Logger.Info("trouble is over", "with", what)
	}
}

// trouble answers all that is wrong in one text. The caller holds mu.
func (a *Agent) trouble() string {
	var all []string
	for _, what := range slices.Sorted(maps.Keys(a.troubles)) {
		all = append(all, what+": "+a.troubles[what])
	}
	return clip(strings.Join(all, "; "))
}

// maxText is how many bytes of an error the server is told, which takes no more.
const maxText = 290

func clip(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

// signal puts something into a channel that holds one, unless it is there already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// rest waits for a time, and tells whether the agent still has the same of a rollout then.
// It waits no longer than that.
func (a *Agent) rest(ctx context.Context, rollout string, same *holding, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		h, moved := a.look(rollout)
		if h != same {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-moved:
		}
	}
}

// wait waits for a time, or until ctx ends or something comes early.
func wait(ctx context.Context, d time.Duration, early <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-early:
	}
}
