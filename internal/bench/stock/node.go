package stock

import (
	"context"
	"errors"
	"log/slog"
	"maps"
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
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/store"
)

// tenantAccount is the account of keyward that the inventory is of.
const tenantAccount = "1000000000000001"

// A node is the part of a server that takes stock of keys, on a database of its own, in
// this process: it is measured below the API.
type node struct {
	log      *audit.Log
	store    *store.Store
	keys     *key.Service
	accounts *accesskey.Service
	alerts   *notify.Service
	scans    *expiry.Service
	tenant   material.Wrapper

	stops []func() error // in the order of their making
}

// Tenant answers the wrapper of the one account.
func (s *node) Tenant(context.Context, string) (material.Wrapper, error) { return s.tenant, nil }

// caller is the root user of the account.
func caller() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: tenantAccount, Kind: authz.Root, Name: "root"}, Time: time.Now(), Scheme: "bench"}
}

// openNode makes the parts on an empty database: that of PostgreSQL if its URL is not "".
func openNode(ctx context.Context, dir, postgres string, kinds ...accesskey.KindOfProvider) (s *node, err error) {
	url := postgres
	if postgres == "" {
		private := filepath.Join(dir, "stock")
		if err := os.Mkdir(private, 0o700); err != nil {
			return nil, err
		}
		url = "sqlite:" + filepath.Join(private, "keyward.db")
	}
	s = &node{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	db, err := store.Open(ctx, url)
	if err != nil {
		return s, err
	}
	s.stops = append(s.stops, db.Close)
	keyring, _, err := seal.Found(ctx, db, seal.Protection{
		Name: "bench", Passphrase: material.NewBytes([]byte("not a secret: benchmark")), Cost: seal.Cost{MemoryKiB: 8, Time: 1, Threads: 1},
	}, time.Now())
	if err != nil {
		return s, err
	}
	s.stops = append(s.stops, func() error { keyring.Close(); return nil })
	if err := s.openStore(ctx, db, keyring); err != nil {
		return s, err
	}
	s.services(kinds)
	return s, nil
}

// openStore opens the audit log and the store, and runs them.
func (s *node) openStore(ctx context.Context, db *store.DB, keyring *seal.Keyring) error {
	const origin = "keyward/bench"
	private, public, err := audit.GenerateKey(origin)
	if err != nil {
		return err
	}
	if err := db.CreateLog(ctx, audit.Identity{Origin: origin, PublicKey: public, SealedKey: []byte("nobody opens it")}); err != nil {
		return err
	}
	if s.log, err = audit.Open(ctx, audit.Options{Store: db, Origin: origin, PrivateKey: private, PublicKey: public, Now: time.Now}); err != nil {
		return err
	}
	known, err := anchor.Open(ctx, anchor.Options{Reader: db, Own: origin, Keys: keyring, Trust: func(audit.Identity) error { return nil }})
	if err != nil {
		return err
	}
	changed := func(table, id string) {
		if s.keys != nil {
			s.keys.Changed(table, id)
		}
	}
	s.store = store.New(store.Options{DB: db, Log: s.log, Keys: keyring, Anchor: known, Logger: slog.New(slog.DiscardHandler), Changed: changed})
	s.run(s.log.Run)
	s.run(s.store.Run)
	binding := material.Binding("bench")
	wrapped, err := keyring.NewTenantKey(binding)
	if err != nil {
		return err
	}
	s.tenant, err = keyring.Tenant(binding, wrapped)
	return err
}

// run starts a part that ends when the stock is closed.
func (s *node) run(part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	var failed error
	done.Go(func() { failed = part(ctx) })
	s.stops = append(s.stops, func() error { cancel(); done.Wait(); return failed })
}

// services builds the domain as package app does.
func (s *node) services(kinds []accesskey.KindOfProvider) {
	const region = "bench"
	shelf, alerts := store.Inventory{Store: s.store}, store.Alerts{Store: s.store}
	s.keys = key.New(key.Options{
		Store: s.store, Aliases: s.store, Tenants: s, Log: s.log, Region: region, Now: time.Now, Fresh: s.store.Fresh,
		After:         func(_ context.Context, d time.Duration) (time.Duration, error) { return d, nil },
		ContextDigest: func([]byte) (string, error) { return "", nil },
	})
	s.accounts = accesskey.New(accesskey.Options{
		Sources: shelf, Keys: shelf, Tenants: s, Log: s.log, Kinds: kinds, Region: region, Now: time.Now,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	s.alerts = notify.New(notify.Options{
		Config: alerts, Directory: alerts, Incidents: alerts, Outbox: alerts, Tenants: s, Log: s.log, Region: region, Now: time.Now,
		Healthy: func(context.Context, string) bool { return true }, Logger: slog.New(slog.DiscardHandler),
	})
	s.scans = expiry.New(expiry.Options{Store: s.store, Inventory: s.accounts, Incidents: s.alerts, Log: s.log, Now: time.Now})
}

// close ends the parts, the last made first.
func (s *node) close() (err error) {
	for i := len(s.stops) - 1; i >= 0; i-- {
		err = errors.Join(err, s.stops[i]())
	}
	return err
}

// lanes is how many synchronisations package app runs at once.
const lanes = 16

// synchronise works through the jobs of all sources and answers how each of them stands.
func (s *node) synchronise(ctx context.Context) ([]accesskey.Standing, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	runner := &job.Runner{
		Store: s.store, Owner: "bench", Handlers: maps.Clone(s.accounts.Handlers()), Parallel: lanes, Now: time.Now,
		Served: func() (time.Duration, bool) { return 0, true }, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	var running sync.WaitGroup
	running.Go(func() { _ = runner.Run(ctx) }) // answers nothing
	defer running.Wait()
	defer cancel()
	for {
		all, err := s.accounts.Standings(ctx, tenantAccount)
		if err != nil {
			return nil, err
		}
		done := 0
		for _, st := range all {
			if st.State.Failures > 0 {
				return nil, errors.New("synchronising " + st.Source.Name + ": " + st.State.Error)
			}
			if !st.State.SucceededAt.IsZero() {
				done++
			}
		}
		if done == len(all) {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second / 2):
		}
	}
}
