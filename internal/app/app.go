// Package app puts the server together: nothing else wires.
//
// An [App] is the process as a value. It opens the database and listens; what needs
// key material is an engine (engine.go) that exists only while the server is unsealed.
// Sealing waits for the requests in flight, stops the engine and erases the keyring,
// and from then on there is nothing left that could touch a key.
//
// Who may call: cmd/keyward, with the configuration and the clocks, and tests that need a
// whole server. What it keeps itself, in the data directory that it locks: the newest
// audit checkpoint and the anchor, both replaced within moments of a change and at the
// end. What is trusted: the configuration. The files of the directory must be private and
// prove themselves by signature or MAC; the database proves itself row by row.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/app/hardware"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/clock"
	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/erase"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/publish"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/operator"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/tune"
)

// drain is how long a stopping server waits for requests in flight.
const drain = 10 * time.Second

// Options says what an App is made of.
type Options struct {
	Config  config.Config
	Logger  *slog.Logger
	Version string
	Cost    seal.Cost // of the passphrase's derivation at initialisation; zero means production's
	Now     func() time.Time
	Machine func() clock.Machine // the clocks that nobody can set; nil means this machine's
	Awake   func() time.Duration
	// AuditStore answers what the audit log writes to instead of the database: a test's
	// store that fails around it. Nil means the database itself.
	AuditStore func(audit.Store) audit.Store
	// Searcher answers a run of the program that calls [mirror.Serve]; without it no repository is read.
	Searcher func(ctx context.Context) *exec.Cmd
	// Ready is called once, when the server listens and has unsealed itself if it could.
	Ready func(ctx context.Context, a *App, address string) error
}

// An App is one keyward server.
type App struct {
	Options
	db      *database.DB
	token   *hardware.Token
	metrics *server.Metrics
	edge    *server.Edge
	intake  *server.Intake

	changing sync.Mutex       // held while the server is unsealed or sealed
	sessions custody.Sessions // of holders who open the root key together
	deriving chan struct{}    // has one place: a passphrase takes much memory to try
	watcher  watcher          // of the inventory, for metrics
	dropped  atomic.Bool      // secrets may have become garbage since it was last erased

	mu     sync.RWMutex // guards engine
	engine *engine      // nil while sealed
}

// New makes an App; Run starts it.
func New(o Options) *App {
	if o.Machine == nil {
		o.Machine, o.Awake = clock.System()
	}
	if o.AuditStore == nil {
		o.AuditStore = func(s audit.Store) audit.Store { return s }
	}
	a := &App{Options: o, deriving: make(chan struct{}, 1), intake: &server.Intake{Connections: o.Config.Limits.Connections, Free: 8 << 10, Budget: 16 << 20}}
	a.metrics = server.NewMetrics(o.Version, server.Gauges{
		Sealed:       func() float64 { return a.gauge(func(*engine) float64 { return 0 }, 1) },
		AuditSize:    func() float64 { return a.gauge((*engine).auditSize, 0) },
		TamperedRows: func() float64 { return a.gauge(func(e *engine) float64 { return float64(e.store.Tampered()) }, 0) },
		Scrubbed:     func() float64 { return a.gauge((*engine).scrubbed, 0) },
		Findings: func() float64 {
			return a.gauge(func(e *engine) float64 { return float64(e.scrubber.Last().Count()) }, 0)
		},
		Connections: func() float64 { return float64(a.intake.Open()) },
		Displaced:   func() float64 { return float64(a.intake.Displaced()) },
		ClockJumped: func() float64 { return a.gauge((*engine).clockJumped, 0) },
		ClockOffset: func() float64 {
			return a.gauge(func(e *engine) float64 { return e.clock.Report().Offset.Seconds() }, 0)
		},
	})
	a.metrics.Witnesses(a.witnessStatus, o.Now)
	a.metrics.Watch(a.watch)
	a.edge = &server.Edge{Logger: o.Logger, Metrics: a.metrics, Now: a.now, TrustedProxies: o.Config.TrustedProxies}
	return a
}

// now answers what time it is: the engine's time while there is one.
func (a *App) now() time.Time {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.engine == nil {
		return a.Now()
	}
	return a.engine.now()
}

// enterEngine answers the engine, or nil if there is none. It stays until it is left.
func (a *App) enterEngine() *engine {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.engine != nil {
		a.engine.inFlight.Add(1)
	}
	return a.engine
}

// leave lets the engine go; there need not be one.
func (e *engine) leave() {
	if e != nil {
		e.inFlight.Done()
	}
}

func (a *App) gauge(read func(*engine) float64, sealed float64) float64 {
	e := a.enterEngine()
	defer e.leave()
	if e == nil {
		return sealed
	}
	return read(e)
}

// Run serves until ctx ends, then drains and answers nil.
func (a *App) Run(ctx context.Context) (err error) {
	if !erase.Enabled {
		a.Logger.Info("this build does not erase the memory of keys that are not in use any more; make build makes one that does, for Linux")
	}
	defer tune.Server()()
	if err := publish.Validate(a.witnesses()); err != nil {
		return err
	}
	if a.token, err = hardware.New(a.Config.PKCS11, a.metrics, a.Logger); err != nil {
		return err
	}
	unlock, err := lockDataDir(a.Config.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	start := a.findPassphrase() // before SQLite copies the environment
	if a.db, err = database.Open(ctx, string(a.Config.Database)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Seal(context.WithoutCancel(ctx)), a.db.Close()) }()
	if err := a.unsealAtStart(ctx, start); err != nil {
		return err
	}
	api, err := a.listen(a.Config.Listen)
	if err != nil {
		return err
	}
	socket, err := a.listenOperator()
	if err != nil {
		return errors.Join(err, api.Close())
	}
	g, ctx := errgroup.WithContext(ctx)
	if err := a.serveOffers(ctx, g); err != nil {
		return errors.Join(err, api.Close(), socket.Close())
	}
	g.Go(func() error { return serve(ctx, a.apiServer(), api) })
	g.Go(func() error { return serve(ctx, a.operatorServer(), socket) })
	g.Go(func() error { return a.sessions.Run(ctx, a.Now) })
	g.Go(func() error { return a.eraseDropped(ctx) })
	g.Go(func() error { return tune.Follow(ctx) })
	g.Go(func() error { return a.token.Watch(ctx) })
	g.Go(func() error { return a.unsealByToken(ctx) })
	g.Go(func() error {
		a.Logger.Info("listening", "address", api.Addr().String(), "tls", a.Config.TLS.CertFile != "", "database", a.Config.Database.String())
		if a.Ready == nil {
			return nil
		}
		return a.Ready(ctx, a, api.Addr().String())
	})
	return g.Wait()
}

// eraseDropped erases what became garbage when a key was dropped or a connection closed:
// within a minute, not at once, because it walks the whole heap.
func (a *App) eraseDropped(ctx context.Context) error {
	tick := time.NewTicker(min(a.Config.Seal.ForgetKeysAfter/2, time.Minute))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if a.dropped.Swap(false) {
				erase.Heap()
			}
		}
	}
}

// serve serves until ctx ends and then waits for requests in flight.
func serve(ctx context.Context, s *http.Server, l net.Listener) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		stopped <- s.Shutdown(patience)
	})
	start := s.Serve
	if s.TLSConfig != nil {
		start = func(l net.Listener) error { return s.ServeTLS(l, "", "") } // TLSConfig has the certificate
	}
	err := start(l)
	if stop() { // it ended by itself
		return fmt.Errorf("serving: %w", err)
	}
	if err := <-stopped; err != nil {
		return fmt.Errorf("draining: %w", errors.Join(err, s.Close()))
	}
	return nil
}

func (a *App) listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fault.Unavailable.Wrap(err, "listening on %s: %v; is another keyward running, or choose another address", address, err)
	}
	l = server.EraseRequests(server.LimitConnections(server.SpareDeadlines(l), a.Config.Limits.ConnectionsPerAddress), a.leftBehind)
	return a.intake.Listen(l), nil // outermost: the server's ConnState must recognise its connections
}

// leftBehind notes that a connection was closed: its buffers, with the last answers, went
// back to a pool of net/http.
func (a *App) leftBehind() { a.dropped.Store(true) }

// listenOperator opens the operator's socket, which only this process's user can enter.
func (a *App) listenOperator() (net.Listener, error) {
	path := a.Config.OperatorSocket
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("opening the operator socket: %w", err)
	}
	// The lock on the data directory says that whoever left this socket is gone.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("opening the operator socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the operator socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the operator socket: %w", err), l.Close())
	}
	return server.EraseRequests(l, a.leftBehind), nil
}

func (a *App) apiServer() *http.Server {
	s := newServer(a.handler())
	s.ConnState, s.ConnContext = a.intake.Note, a.intake.Context
	s.RegisterOnShutdown(func() { // agents wait longer than the server drains
		e := a.enterEngine()
		defer e.leave()
		if e != nil {
			e.agents.Close()
		}
	})
	if a.Config.TLS.CertFile != "" {
		s.TLSConfig = server.TLS(a.Config.TLS.CertFile, a.Config.TLS.KeyFile, a.Config.TLS.MinVersion, a.Logger)
	}
	return s
}

func (a *App) operatorServer() *http.Server {
	return newServer(a.edge.Handle("operator", server.MaxBody, operator.New(a, a.db)))
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 60 * time.Second, MaxHeaderBytes: server.MaxURL + server.MaxHeader,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: 100},
		DisableGeneralOptionsHandler: true,                                                    // OPTIONS * is no operation either
		ErrorLog:                     slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // what strangers do to a connection is not worth a line
	}
}
