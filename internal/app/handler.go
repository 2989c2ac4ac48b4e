package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/agentapi"
	"github.com/keyward/keyward/internal/server/alibaba"
	"github.com/keyward/keyward/internal/server/login"
	"github.com/keyward/keyward/internal/server/pages"
	"github.com/keyward/keyward/internal/server/rest"
	"github.com/keyward/keyward/internal/server/xks"
)

// handler answers everything on the API's address. A path is what it is spelt: the
// ServeMux would redirect what is spelt otherwise, and answer in a form of its own. What
// is nothing else is the REST dialect's, which refuses what it does not know.
func (a *App) handler() http.Handler {
	rpc := a.edge.Handle("alibaba", server.MaxBody, a.unsealed(
		func(e *engine) server.Handler { return e.alibaba }, (&alibaba.Dialect{}).Serve))
	native := a.edge.Handle("rest", rest.MaxBody, a.unsealed(
		func(e *engine) server.Handler { return e.rest }, rest.Refuse))
	page := a.edge.Handle("link", server.MaxBody, a.unsealed(
		func(e *engine) server.Handler { return e.page }, pages.Refuse))
	agents := a.edge.Handle("agent", agentapi.MaxBody, a.unsealed(
		func(e *engine) server.Handler { return e.agents.Serve }, agentapi.Refuse))
	logins := a.edge.Handle("login", server.MaxBody, a.unsealed(
		func(e *engine) server.Handler { return e.login }, login.Refuse))
	offers := a.offers()
	probes := map[string]http.Handler{
		"/healthz": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }),
		"/readyz":  http.HandlerFunc(a.ready),
		"/metrics": a.edge.Only(a.Config.MetricsFrom, a.metrics.Handler()),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		probe := probes[path]
		switch {
		case path == "/":
			rpc.ServeHTTP(w, r)
		case probe != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			probe.ServeHTTP(w, r)
		case a.Config.PublicURL != "" && pages.Leads(path):
			page.ServeHTTP(w, r)
		case agentapi.Leads(path):
			agents.ServeHTTP(w, r)
		case login.Leads(path):
			logins.ServeHTTP(w, r)
		case a.Config.XKS.Listen == "" && xks.Leads(path):
			offers.ServeHTTP(w, r)
		default:
			native.ServeHTTP(w, r)
		}
	})
}

// offers answers what others use keys through.
func (a *App) offers() http.Handler {
	return a.edge.Handle("xks", server.MaxBody, a.unsealed(func(e *engine) server.Handler { return e.xks }, xks.Refuse))
}

// unsealed serves with the engine while there is one, and has refuse answer while
// the server is sealed. A request in flight keeps the engine from being stopped.
func (a *App) unsealed(choose func(*engine) server.Handler, refuse server.Handler) server.Handler {
	return func(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
		e := a.enterEngine()
		defer e.leave()
		if e == nil {
			refuse(w, r, x, fault.Sealed.New("the server is sealed; its operator must run: keyward operator unseal"))
			return
		}
		choose(e)(w, r, x, err)
	}
}

// ready tells whether the server can do its work now.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	status, text := http.StatusServiceUnavailable, "ready\n"
	switch err := a.with(func(e *engine) error {
		if !e.log.Writable() {
			return fault.AuditUnavailable.New("the audit log cannot be written")
		}
		return nil
	}); {
	case fault.Is(err, fault.Sealed):
		text = "sealed\n"
	case err != nil:
		text = fault.Message(err) + "\n"
	case a.db.Ping(ctx) != nil:
		text = "the database does not answer\n"
	default:
		status = http.StatusOK
		if a.gauge((*engine).clockJumped, 0) == 1 {
			text = "ready, but the clock jumped; see: keyward operator status\n"
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// serveOffers serves offers at the address of their own, if they have one.
func (a *App) serveOffers(ctx context.Context, g *errgroup.Group) error {
	of := a.Config.XKS
	if of.Listen == "" {
		return nil
	}
	s, err := a.offersServer()
	if err != nil {
		return err
	}
	l, err := a.listen(of.Listen)
	if err != nil {
		return err
	}
	g.Go(func() error {
		a.Logger.Info("serving offers", "address", l.Addr().String(), "tls", of.CertFile != "", "only", of.ClientName)
		return serve(ctx, s, l)
	})
	return nil
}

func (a *App) offersServer() (*http.Server, error) {
	of := a.Config.XKS
	s := newServer(a.offers())
	s.ConnState, s.ConnContext = a.intake.Note, a.intake.Context
	if of.CertFile == "" {
		return s, nil
	}
	s.TLSConfig = server.TLS(of.CertFile, of.KeyFile, "1.2", a.Logger) // the protocol asks for 1.2, too
	if of.ClientName == "" {
		return s, nil
	}
	authorities, err := os.ReadFile(of.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("reading xks.client_ca_file: %w", err)
	}
	return s, server.OnlyClients(s.TLSConfig, authorities, of.ClientName)
}
