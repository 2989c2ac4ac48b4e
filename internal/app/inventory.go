package app

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/subscription"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/channel"
	"github.com/keyward/keyward/internal/cloud/alibaba"
	"github.com/keyward/keyward/internal/cloud/aws"
	"github.com/keyward/keyward/internal/cloud/certificate"
	"github.com/keyward/keyward/internal/cloud/edge"
	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/kubernetes"
	"github.com/keyward/keyward/internal/cloud/liveness"
	"github.com/keyward/keyward/internal/cloud/manual"
	"github.com/keyward/keyward/internal/cloud/own"
	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/cloud/wechatpay"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/mirror"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/server/ackpage"
	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/target"
	"github.com/keyward/keyward/internal/upkeep"
	"github.com/keyward/keyward/internal/watch"
)

// How many jobs run at once of those that wait for others' services.
const (
	reading  = 16 // providers and sinks, which may take half an hour each
	telling  = 16
	reaching = 32 // targets of rollouts, each looked at every few seconds
	turning  = 64 // rotations, which wait for providers for half a minute, and for syncs that they share
	looking  = 4  // which wait for nobody
	scanning = 2  // repositories, each of which a process reads
)

// watchers builds what takes stock of keys and tells people.
func (e *engine) watchers(a *App) error {
	shelf, told := inventory.Store{Store: e.store}, alerts.Store{Store: e.store}
	e.stock = accesskey.New(accesskey.Options{
		Sources: shelf, Keys: shelf, Tenants: e.iam, Vault: e.secrets, Log: e.log, Kinds: e.providers(a.Config.Inventory.CertificateDirs), Region: a.Config.Region, Now: e.now, Allow: a.Config.Egress.Allow,
		Follow: follow,
	})
	var links notify.Links
	if a.Config.PublicURL != "" {
		e.links = &ackpage.Links{URL: a.Config.PublicURL, Now: e.now, MAC: func(data []byte) ([]byte, error) { return e.keyring.HMAC(seal.Link, data) }}
		links = e.links
	}
	e.calendars = subscription.New(subscription.Options{Store: inventory.Calendars{Store: e.store}, Users: e.iam, Log: e.log, URL: a.Config.PublicURL, Region: a.Config.Region, Now: e.now})
	e.alerts = notify.New(notify.Options{
		Config: told, Directory: told, Incidents: told, Outbox: told, Tenants: e.iam, Links: links, Log: e.log, Kinds: channel.Kinds(),
		Region: a.Config.Region, Now: e.now, Allow: a.Config.Egress.Allow, Over: e.stock.Over, Logger: a.Logger,
		Look: func(ctx context.Context, host string, port uint16, plain bool) error {
			return egress.Guard{Allow: a.Config.Egress.Allow, Plain: plain}.Look(ctx, host, port)
		},
		Healthy: func(ctx context.Context, account string) bool { return e.expiry.Healthy(ctx, account) },
	})
	e.expiry = expiry.New(expiry.Options{
		Store: shelf, Inventory: e.stock, Incidents: e.alerts, Log: e.log, Now: e.now,
		Replacing: func(ctx context.Context, account, source, key string) (string, bool, error) {
			return e.rotations.Replacing(ctx, account, source, key)
		},
	})
	e.inspectors(a)
	e.approvals = approval.New(approval.Options{
		Store: identity.Approvals{Store: e.store}, Voters: e.people, Roles: e.roles, Users: e.iam, Incidents: e.alerts, Log: e.log, Digest: e.contextDigest,
		Region: a.Config.Region, Now: e.now, Fresh: e.store.Fresh,
	})
	nodes := fleet.Store{Store: e.store}
	e.rollouts = rollout.New(rollout.Options{
		Tokens: nodes, Registry: nodes, Plans: nodes, Reports: nodes, Secrets: e.secrets, Incidents: e.alerts, Log: e.log, Region: a.Config.Region,
		Now: e.now, Fresh: e.store.Fresh, Logger: a.Logger,
	})
	e.targets = target.New(target.Options{
		Store: nodes, Rollouts: e.rollouts, Secrets: e.secrets, Tenants: e.iam, Log: e.log, Kinds: []target.KindOfTarget{kubernetes.Kind(), edge.Kind()},
		Region: a.Config.Region, Now: e.now, Allow: a.Config.Egress.Allow,
	})
	e.rotators(a)
	scanner, err := leak.New(rules.All())
	if err != nil {
		return err
	}
	e.exposures = exposure.New(exposure.Options{
		Store: inventory.Exposures{Store: e.store}, Marks: e.keyStore, Secrets: e.secrets, Tenants: e.iam, Findings: e.findings, Rotations: e.rotations, Scanner: scanner, Log: e.log, Region: a.Config.Region, Now: e.now,
	})
	dir, err := filepath.Abs(a.Config.DataDir)
	if err != nil {
		return fmt.Errorf("finding the data directory: %w", err)
	}
	mirrors := mirror.New(mirror.Options{
		Dir: filepath.Join(dir, "repositories"), Allow: a.Config.Egress.Allow, Directories: a.Config.Repositories.Directories,
		Most: int64(a.Config.Repositories.MaxMegabytes) << 20, Program: a.Searcher,
	})
	e.watched = watch.New(watch.Options{
		Store: inventory.Repositories{Store: e.store}, Mirrors: mirrors, Reports: e.exposures, Verifier: liveness.New(liveness.Options{Now: e.now, Allow: a.Config.Egress.Allow}), Tenants: e.iam, Incidents: e.alerts, Log: e.log, Region: a.Config.Region, Now: e.now, Logger: a.Logger,
	})
	return nil
}

// providers answers the kinds of providers that a source may have.
func (e *engine) providers(certificates []string) []accesskey.KindOfProvider {
	return []accesskey.KindOfProvider{
		tencent.Kind(), alibaba.Kind(), aws.Kind(), httpapi.Kind(), certificate.Kind(certificates), wechatpay.Kind(), manual.Kind(), own.Kind(e.identities),
	}
}

// startJobs starts the queues: of what changes keys, in the order of time and only while
// the clock is believed; and of what looks at what expires, of what tells people, and of
// what reads services outside, which must not stop because a clock jumped. Each has its
// own, for neither hundreds of providers that do not answer nor as many channels may keep
// the others waiting.
func (e *engine) startJobs(a *App) {
	inside := e.keys.Handlers()
	maps.Copy(inside, e.imports.Handlers())
	maps.Copy(inside, e.secrets.Handlers())
	maps.Copy(inside, e.custody.Handlers(a.jobCall))
	e.run(a, "jobs", (&job.Runner{Store: e.store, Owner: e.log.Origin(), Handlers: inside, Now: e.now, Served: e.clock.Jobs, Logger: a.Logger}).Run)
	tell := e.alerts.Handlers()
	look := e.expiry.Handlers()
	maps.Copy(look, e.checks.Handlers())
	maps.Copy(look, e.exposures.Handlers())
	maps.Copy(look, e.approvals.Handlers())
	maps.Copy(look, e.watched.Checks())
	maps.Copy(look, upkeep.New(upkeep.Options{Keys: e.keyStore, Uses: e.usage, Incidents: e.alerts, Now: e.now}).Handlers())
	look[notify.JobStep] = tell[notify.JobStep] // decides who is told, and waits for no channel
	delete(tell, notify.JobStep)
	read := e.stock.Handlers()
	maps.Copy(read, e.sinks.Handlers())
	e.queue(a, "looks", looking, look)
	e.queue(a, "messages", telling, tell)
	e.queue(a, "readings", reading, read)
	e.queue(a, "targets", reaching, e.targets.Handlers())
	e.queue(a, "rotations", turning, e.rotations.Handlers())
	e.queue(a, "repositories", scanning, e.watched.Handlers())
	e.run(a, "mirrors", e.watched.Run)
	e.run(a, "scans", func(ctx context.Context) error { return e.planScans(ctx, a) })
	if e.hardware != nil {
		e.run(a, "hardware keys", e.hardware.Run)
	}
}

// queue starts a queue of jobs that may run beside each other at any time.
func (e *engine) queue(a *App, name string, parallel int, handlers map[string]job.Handler) {
	e.run(a, name, (&job.Runner{
		Store: e.store, Owner: e.log.Origin() + "/" + name, Handlers: handlers, Parallel: parallel, Now: e.now,
		Served: func() (time.Duration, bool) { return 0, true }, Logger: a.Logger,
	}).Run)
}

// planScans sees to it that every account is scanned, new ones within minutes.
func (e *engine) planScans(ctx context.Context, a *App) error {
	tick := time.NewTicker(5 * time.Minute)
	defer tick.Stop()
	for {
		if err := e.ensureScans(ctx); err != nil && ctx.Err() == nil {
			a.Logger.Warn("planning scans", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (e *engine) ensureScans(ctx context.Context) error {
	for page := (iam.Page{Limit: iam.MaxPage}); ; {
		accounts, err := e.identities.Accounts(ctx, page)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			page.After = account.ID
			if err := e.store.Ensure(ctx, lasting(account.ID, e.now())...); err != nil {
				return err
			}
		}
		if len(accounts) < page.Limit {
			return nil
		}
	}
}
