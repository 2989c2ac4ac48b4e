package app

import (
	"context"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/app/figures"
	"github.com/keyward/keyward/internal/server"
)

const (
	watchEvery = 10 * time.Second // what was read is answered again until then: anybody may ask for metrics
	watchTime  = 5 * time.Second  // for reading it
)

// A watcher reads the figures of the inventory for metrics.
type watcher struct {
	mu   sync.Mutex // guards the rest
	at   time.Time
	last server.Watch
}

// watch answers the figures of all accounts, none while the server is sealed.
func (a *App) watch() server.Watch {
	e := a.enterEngine()
	defer e.leave()
	if e == nil {
		return server.Watch{}
	}
	w := &a.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	now := e.now()
	if now.Sub(w.at) < watchEvery && !now.Before(w.at) {
		return w.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), watchTime)
	defer cancel()
	sources := figures.Sources{Accounts: e.identities, Stock: e.stock, Expiry: e.expiry, Alerts: e.alerts, Rollouts: e.rollouts, Watched: e.watched, Agents: e.agents}
	read, err := sources.Read(ctx, now)
	if err != nil { // half a picture would look like good news
		a.Logger.Warn("reading the inventory for metrics", "error", err)
		return server.Watch{}
	}
	w.at, w.last = now, read
	return read
}
