package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/server"
)

const (
	watchAhead    = 45 * 24 * time.Hour // keys that are due later are no figure
	watchMost     = 1000                // keys that are figures
	watchRollouts = 100                 // of an account that are figures
	watchEvery    = 10 * time.Second    // what was read is answered again until then: anybody may ask for metrics
	watchTime     = 5 * time.Second     // for reading it
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
	read, err := e.watch(ctx, now)
	if err != nil { // half a picture would look like good news
		a.Logger.Warn("reading the inventory for metrics", "error", err)
		return server.Watch{}
	}
	w.at, w.last = now, read
	return read
}

func (e *engine) watch(ctx context.Context, now time.Time) (server.Watch, error) {
	out := server.Watch{Incidents: map[server.WatchedIncidents]int{}, Nodes: map[server.WatchedNodes]int{}, Agents: e.agents.Waiting()}
	for page := (iam.Page{Limit: iam.MaxPage}); ; {
		accounts, err := e.store.Accounts(ctx, page)
		if err != nil {
			return out, err
		}
		for _, account := range accounts {
			page.After = account.ID
			if err := e.watchAccount(ctx, account.ID, now, &out); err != nil {
				return out, err
			}
			if err := e.watchNodes(ctx, account.ID, now, &out); err != nil {
				return out, err
			}
		}
		if len(accounts) < page.Limit {
			break
		}
	}
	slices.SortStableFunc(out.Keys, func(a, b server.WatchedKey) int {
		if a.Left < b.Left {
			return -1
		}
		return 1
	})
	out.Keys = out.Keys[:min(len(out.Keys), watchMost)]
	return out, nil
}

func (e *engine) watchAccount(ctx context.Context, account string, now time.Time, out *server.Watch) error {
	keys, err := e.stock.Urgent(ctx, account, now.Add(watchAhead), watchMost)
	if err != nil {
		return err
	}
	for _, k := range keys {
		out.Keys = append(out.Keys, server.WatchedKey{Account: account, Provider: k.Source, Key: k.Observed.ID, Left: k.Due.At.Sub(now).Seconds()})
	}
	scan, err := e.expiry.Last(ctx, account)
	if err != nil {
		return err
	}
	if !scan.At.IsZero() {
		out.Scans = append(out.Scans, server.WatchedScan{Account: account, Age: max(0, now.Sub(scan.At).Seconds()), Seen: scan.Seen, Of: scan.Of})
	}
	open, err := e.alerts.Open(ctx, account)
	if err != nil || len(open) == 0 {
		return err
	}
	plan, err := e.alerts.Ladder(ctx, account)
	for _, i := range open {
		out.Incidents[server.WatchedIncidents{Account: account, Severity: plan.Severity(i.Stage).String(), Acknowledged: i.Acknowledged(now), Unheard: i.Unheard()}]++
	}
	return err
}

func (e *engine) watchNodes(ctx context.Context, account string, now time.Time, out *server.Watch) error {
	nodes, rollouts, err := e.rollouts.Survey(ctx, account, watchRollouts)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		out.Nodes[server.WatchedNodes{Account: account, State: string(n.State(now))}]++
	}
	for _, c := range rollouts {
		for i, w := range c.Waves {
			out.Waves = append(out.Waves, server.WatchedWave{
				Account: account, Rollout: c.Rollout.Name, Wave: c.Rollout.Waves[i].Name, Members: w.Members, There: w.There, Lost: w.Lost,
			})
		}
	}
	return nil
}
