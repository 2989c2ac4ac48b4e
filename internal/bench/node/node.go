// Package node is a part of a server on a database of its own, in the process that measures
// it: what keeps keys and secrets, takes stock of keys that others issued, tells people of
// them, and replaces them. The services are put together as package app does; keyward's API
// is not in between.
//
// Only packages of command bench call it. Nothing of it is part of the product, and no
// secret of it is worth anything.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/rotation/spool"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store"
	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/kms"
)

// Account is the first account of a node. It may have others: all have the same tenant key.
const Account = "1000000000000001"

// How many synchronisations, and how many rotations, package app runs at once.
const (
	Lanes   = 16
	Turning = 64
)

// Options says what a node is made of.
type Options struct {
	Dir       string // for the database of SQLite, and for what rotations keep
	Postgres  string // URL of an empty database; "" for SQLite
	Providers []accesskey.KindOfProvider
	Issuers   []rotation.KindOfIssuer
	Now       func() time.Time
}

// A Node is open. Its services may be used concurrently.
type Node struct {
	Log       *audit.Log
	Store     *bound.Store
	Shelf     inventory.Store // of Accounts and Scans
	Keys      *keytest.Services
	Secrets   *secret.Service
	Accounts  *accesskey.Service
	Alerts    *notify.Service
	Scans     *expiry.Service
	Rotations *engine.Service

	options Options
	public  string // key of the audit log
	tenant  material.Wrapper
	stops   []func() error // in the order of their making
}

// Tenant answers the wrapper of every account.
func (n *Node) Tenant(context.Context, string) (material.Wrapper, error) { return n.tenant, nil }

// Caller is the root user of an account.
func (n *Node) Caller(account string) *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: n.options.Now(), Scheme: "bench"}
}

// Open makes the parts on an empty database.
func Open(ctx context.Context, o Options) (n *Node, err error) {
	url := o.Postgres
	if url == "" {
		private := filepath.Join(o.Dir, "node")
		if err := os.Mkdir(private, 0o700); err != nil {
			return nil, err
		}
		url = "sqlite:" + filepath.Join(private, "keyward.db")
	}
	n = &Node{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	db, err := database.Open(ctx, url)
	if err != nil {
		return n, err
	}
	n.stops = append(n.stops, db.Close)
	keyring, _, err := seal.Found(ctx, db, seal.Protection{
		Name: "bench", Passphrase: material.NewBytes([]byte("not a secret: benchmark")), Cost: seal.Cost{MemoryKiB: 8, Time: 1, Threads: 1},
	}, o.Now())
	if err != nil {
		return n, err
	}
	n.stops = append(n.stops, func() error { keyring.Close(); return nil })
	if err := n.openStore(ctx, db, keyring); err != nil {
		return n, err
	}
	n.keep()
	n.watch()
	return n, nil
}

// openStore opens the audit log and the store, and runs them.
func (n *Node) openStore(ctx context.Context, db *database.DB, keyring *seal.Keyring) error {
	const origin = "keyward/bench"
	private, public, err := audit.GenerateKey(origin)
	if err != nil {
		return err
	}
	if err := db.CreateLog(ctx, audit.Identity{Origin: origin, PublicKey: public, SealedKey: []byte("nobody opens it")}); err != nil {
		return err
	}
	if n.Log, err = audit.Open(ctx, audit.Options{Store: db, Origin: origin, PrivateKey: private, PublicKey: public, Now: n.options.Now}); err != nil {
		return err
	}
	n.public = public
	known, err := anchor.Open(ctx, anchor.Options{Reader: db, Own: origin, Keys: keyring, Trust: func(audit.Identity) error { return nil }})
	if err != nil {
		return err
	}
	changed := func(table, id string) {
		if n.Secrets != nil {
			n.Keys.Changed(table, id)
			n.Secrets.Changed(table, id)
		}
	}
	n.Store = bound.New(bound.Options{DB: db, Log: n.Log, Keys: keyring, Anchor: known, Tables: store.Tables(), Logger: slog.New(slog.DiscardHandler), Changed: changed})
	n.run(n.Log.Run)
	n.run(n.Store.Run)
	binding := material.Binding("bench")
	wrapped, err := keyring.NewTenantKey(binding)
	if err != nil {
		return err
	}
	n.tenant, err = keyring.Tenant(binding, wrapped)
	return err
}

// run starts a part that ends when the node is closed.
func (n *Node) run(part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	var failed error
	done.Go(func() { failed = part(ctx) })
	n.stops = append(n.stops, func() error { cancel(); done.Wait(); return failed })
}

const region = "bench"

// keep builds what keeps keys and secrets.
func (n *Node) keep() {
	after := func(_ context.Context, d time.Duration) (time.Duration, error) { return d, nil }
	stored := kms.Store{Store: n.Store}
	n.Keys = keytest.New(keytest.Options{Store: stored, Tenants: n, Log: n.Log, Region: region, Now: n.options.Now, Fresh: n.Store.Fresh, After: after})
	n.Secrets = secret.New(secret.Options{Store: stored, Keys: n.Keys.Keys, Crypto: n.Keys.Crypto, Log: n.Log, Region: region, Now: n.options.Now, After: after, Fresh: n.Store.Fresh})
}

// watch builds what takes stock of keys, tells people of them, and replaces them.
func (n *Node) watch() {
	now, quiet := n.options.Now, slog.New(slog.DiscardHandler)
	n.Shelf = inventory.Store{Store: n.Store}
	told, nodes := alerts.Store{Store: n.Store}, fleet.Store{Store: n.Store}
	n.Accounts = accesskey.New(accesskey.Options{
		Sources: n.Shelf, Keys: n.Shelf, Tenants: n, Log: n.Log, Kinds: n.options.Providers, Region: region, Now: now,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	n.Alerts = notify.New(notify.Options{
		Config: told, Directory: told, Incidents: told, Outbox: told, Tenants: n, Log: n.Log, Region: region, Now: now,
		Healthy: func(context.Context, string) bool { return true }, Logger: quiet,
	})
	rollouts := rollout.New(rollout.Options{
		Tokens: nodes, Registry: nodes, Plans: nodes, Reports: nodes, Secrets: n.Secrets, Incidents: n.Alerts, Log: n.Log, Region: region,
		Now: now, Fresh: n.Store.Fresh, Logger: quiet,
	})
	n.Rotations = engine.New(engine.Options{
		Store: fleet.Rotations{Store: n.Store}, Inventory: n.Accounts, Secrets: n.Secrets, Rollouts: rollouts, Incidents: n.Alerts, Tenants: n,
		Spool: &spool.Spool{Directory: filepath.Join(n.options.Dir, "rotation.spool")}, Log: n.Log, Kinds: n.options.Issuers, Region: region, Now: now,
		Fresh: n.Store.Fresh, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	n.Scans = expiry.New(expiry.Options{Store: n.Shelf, Inventory: n.Accounts, Incidents: n.Alerts, Log: n.Log, Now: now, Replacing: n.Rotations.Replacing})
}

// Records answers how many records the audit log has.
func (n *Node) Records() (int64, error) {
	if len(n.Log.Checkpoint()) == 0 {
		return 0, nil
	}
	c, err := audit.OpenCheckpoint(n.Log.Checkpoint(), n.public)
	return c.Size, err
}

// Close ends the parts, the last made first.
func (n *Node) Close() (err error) {
	for i := len(n.stops) - 1; i >= 0; i-- {
		err = errors.Join(err, n.stops[i]())
	}
	return err
}

// Work does jobs as package app does those that wait for others' services, so many at once,
// until ctx ends. What goes wrong with one is written to the standard error.
func (n *Node) Work(ctx context.Context, lanes int, handlers map[string]job.Handler) {
	runner := &job.Runner{
		Store: n.Store, Owner: fmt.Sprintf("bench/%d", lanes), Handlers: handlers, Parallel: lanes, Now: n.options.Now,
		Served: func() (time.Duration, bool) { return 0, true }, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	_ = runner.Run(ctx) // answers nothing
}
