// Package figures reads what the server's metrics tell of the keys that others issued, of the
// machines that hold secrets, and of what looks after both.
//
// Who may call: package app. Nothing is stored.
package figures

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/agentapi"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/watch"
)

const (
	ahead        = 45 * 24 * time.Hour // keys that are due later are no figure
	mostKeys     = 1000                // that are figures
	mostRollouts = 100                 // of an account that are figures
)

// Sources are what is asked. All are required.
type Sources struct {
	Accounts identity.Store
	Stock    *accesskey.Service
	Expiry   *expiry.Service
	Alerts   *notify.Service
	Rollouts *rollout.Service
	Watched  *watch.Service
	Agents   *agentapi.Dialect
}

// Read answers the figures of all accounts at one moment.
func (s Sources) Read(ctx context.Context, now time.Time) (server.Watch, error) {
	out := server.Watch{Incidents: map[server.WatchedIncidents]int{}, Nodes: map[server.WatchedNodes]int{}, Agents: s.Agents.Waiting()}
	for page := (iam.Page{Limit: iam.MaxPage}); ; {
		accounts, err := s.Accounts.Accounts(ctx, page)
		if err != nil {
			return out, err
		}
		for _, account := range accounts {
			page.After = account.ID
			if err := s.keys(ctx, account.ID, now, &out); err != nil {
				return out, err
			}
			if err := s.nodes(ctx, account.ID, now, &out); err != nil {
				return out, err
			}
		}
		if len(accounts) < page.Limit {
			break
		}
	}
	slices.SortStableFunc(out.Keys, func(a, b server.WatchedKey) int { return cmp.Compare(a.Left, b.Left) })
	out.Keys = out.Keys[:min(len(out.Keys), mostKeys)]
	return out, nil
}

func (s Sources) keys(ctx context.Context, account string, now time.Time, out *server.Watch) error {
	keys, err := s.Stock.Urgent(ctx, account, now.Add(ahead), mostKeys)
	if err != nil {
		return err
	}
	for _, k := range keys {
		out.Keys = append(out.Keys, server.WatchedKey{Account: account, Provider: k.Source, Key: k.Observed.ID, Left: k.Due.At.Sub(now).Seconds()})
	}
	scan, err := s.Expiry.Last(ctx, account)
	if err != nil {
		return err
	}
	if !scan.At.IsZero() {
		out.Scans = append(out.Scans, server.WatchedScan{Account: account, Age: max(0, now.Sub(scan.At).Seconds()), Seen: scan.Seen, Of: scan.Of})
	}
	repositories, err := s.Watched.Survey(ctx, account)
	if err != nil {
		return err
	}
	for _, r := range repositories {
		out.Repositories = append(out.Repositories, server.WatchedRepository{Account: account, Name: r.Name, Age: max(0, now.Sub(r.Since()).Seconds()), Limit: r.Overdue().Seconds()})
	}
	open, err := s.Alerts.Open(ctx, account)
	if err != nil || len(open) == 0 {
		return err
	}
	plan, err := s.Alerts.Ladder(ctx, account)
	for _, i := range open {
		out.Incidents[server.WatchedIncidents{Account: account, Severity: plan.Severity(i.Stage).String(), Acknowledged: i.Acknowledged(now), Unheard: i.Unheard()}]++
	}
	return err
}

func (s Sources) nodes(ctx context.Context, account string, now time.Time, out *server.Watch) error {
	nodes, rollouts, err := s.Rollouts.Survey(ctx, account, mostRollouts)
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
