package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/checkup"
	"github.com/keyward/keyward/internal/accesskey/subscription"
	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/app/hardware"
	"github.com/keyward/keyward/internal/app/sealed"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/clock"
	"github.com/keyward/keyward/internal/cloud/vault"
	managers "github.com/keyward/keyward/internal/cloud/xks"
	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/hsm/keystore"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/key/byok"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/key/keyring"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/key/software"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/publish"
	"github.com/keyward/keyward/internal/rollout"
	rotating "github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/scrub"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/ackpage"
	"github.com/keyward/keyward/internal/server/agentapi"
	"github.com/keyward/keyward/internal/server/alibaba"
	"github.com/keyward/keyward/internal/server/alibaba/absent"
	"github.com/keyward/keyward/internal/server/login"
	"github.com/keyward/keyward/internal/server/pages"
	"github.com/keyward/keyward/internal/server/rest"
	"github.com/keyward/keyward/internal/server/xks"
	"github.com/keyward/keyward/internal/sink"
	"github.com/keyward/keyward/internal/store"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/root"
	"github.com/keyward/keyward/internal/target"
	"github.com/keyward/keyward/internal/usage"
	"github.com/keyward/keyward/internal/watch"
)

// An engine is everything that exists only while the server is unsealed.
type engine struct {
	keyring    *seal.Keyring
	identity   audit.Identity
	log        *audit.Log
	anchor     *anchor.Anchor
	store      *bound.Store
	identities identity.Store
	keyStore   kms.Store
	root       root.Store
	clock      *clock.Watch
	iam        *iam.Service
	ring       *keyring.Ring
	hardware   *keystore.Keystore // nil if there is no token
	managers   *managers.Keystore // of external keys
	instances  *instance.Service
	keys       *lifecycle.Service
	crypto     *cryptography.Service
	roles      *role.Service
	people     *people.Service
	approvals  *approval.Service
	federated  *federation.Service
	usage      *usage.Service
	imports    *byok.Service
	secrets    *secret.Service
	sinks      *sink.Service
	rollouts   *rollout.Service
	targets    *target.Service
	agents     *agentapi.Dialect
	rotations  *rotating.Service
	stock      *accesskey.Service
	calendars  *subscription.Service
	alerts     *notify.Service
	expiry     *expiry.Service
	findings   *finding.Service
	checks     *checkup.Service
	exposures  *exposure.Service
	watched    *watch.Service
	scrubber   *scrub.Scrubber
	custody    *custody.Service
	offers     *offer.Service
	alibaba    server.Handler
	rest       server.Handler
	xks        server.Handler
	login      server.Handler
	links      *ackpage.Links // nil if people cannot reach the server
	page       server.Handler // that people open
	witness    *publish.Publisher

	dropped  *atomic.Bool   // App.dropped
	inFlight sync.WaitGroup // requests that use this engine
	stops    []func()       // ends the running parts, in order
}

// checkpointFile is where a node keeps, outside the database, the newest head of its
// audit log: an older database is then known for what it is.
const checkpointFile = "audit.checkpoint"

// startEngine builds the engine from an unsealed keyring, starts its parts and records
// how the root key was opened.
func (a *App) startEngine(ctx context.Context, keyring *seal.Keyring, opening custody.Opening) (_ *engine, err error) {
	e := &engine{keyring: keyring, dropped: &a.dropped}
	defer func() {
		if err != nil {
			e.stop()
		}
	}()
	if err := keyring.MemoryWarning(); err != nil {
		a.Logger.Warn("key memory is not fully protected", "error", err)
	}
	unlock, err := a.db.LockNode(ctx, a.Config.Node)
	if err != nil {
		return nil, err
	}
	e.stops = append(e.stops, unlock)
	if err := a.checkEpoch(ctx, keyring); err != nil {
		return nil, err
	}
	if err := e.openLog(ctx, a); err != nil {
		return nil, err
	}
	if e.anchor, err = anchor.Open(ctx, e.anchorOptions(a)); err != nil {
		return nil, err
	}
	refusals := refusal.New(e.log)
	if err := e.services(ctx, a, refusals); err != nil {
		return nil, err
	}
	if err := e.dialects(a, refusals); err != nil {
		return nil, err
	}
	e.witness, err = publish.New(publish.Options{
		Reader: a.db, Log: e.log.Origin(), PublicKey: e.identity.PublicKey, Head: e.log.Checkpoint, Dir: a.Config.DataDir,
		Witnesses: a.witnesses(), Logger: a.Logger,
	})
	if err != nil {
		return nil, err
	}

	// Stopped in the reverse order: what writes records before the log that takes them.
	e.run(a, "audit checkpoint", func(ctx context.Context) error { return e.keepCheckpoint(ctx, a) })
	e.run(a, "anchor", func(ctx context.Context) error { return e.keepAnchor(ctx, a) })
	e.run(a, "audit log", e.log.Run)
	e.run(a, "witnesses", e.witness.Run)
	e.run(a, "store", e.store.Run)
	e.run(a, "clock", e.clock.Run)
	e.run(a, "access keys", e.iam.Run)
	e.run(a, "key uses", e.usage.Run)
	e.run(a, "refusals", refusals.Run)
	e.run(a, "nodes", e.rollouts.Run)
	e.run(a, "rotations", e.rotations.Run)
	e.startJobs(a)
	e.run(a, "scrub", e.scrubber.Run)
	e.run(a, "idle keys", func(ctx context.Context) error { return e.forgetIdle(ctx, a.Config.Seal.ForgetKeysAfter) })
	if opening.Envelope.ID == "" { // it was just made
		return e, e.log.Append(ctx, operatorRecord(a.operatorCall(), "keyward:Unseal"))
	}
	return e, e.custody.Opened(ctx, a.operatorCall(), "keyward:Unseal", opening)
}

// checkEpoch refuses a keyring that was opened just before another node began an epoch.
// From here on this node is seen, and no other one begins an epoch.
func (a *App) checkEpoch(ctx context.Context, keyring *seal.Keyring) error {
	epochs, err := a.db.Epochs(ctx)
	if err != nil {
		return err
	}
	for _, epoch := range epochs {
		if epoch.Number > keyring.Epoch() {
			return fault.Changed.New("a new epoch began meanwhile; unseal again")
		}
	}
	return nil
}

// services builds the domain on the store.
func (e *engine) services(ctx context.Context, a *App, refusals *refusal.Recorder) (err error) {
	e.store = bound.New(bound.Options{DB: a.db, Log: e.log, Keys: e.keyring, Anchor: e.anchor, Tables: store.Tables(), Logger: a.Logger, Changed: e.changed})
	e.identities, e.root, e.keyStore = identity.Store{Store: e.store}, root.Store{Store: e.store}, kms.Store{Store: e.store}
	e.clock, err = clock.Open(ctx, clock.Options{Store: e.root, Node: a.Config.Node, Now: a.Now, Machine: a.Machine, Awake: a.Awake, Logger: a.Logger})
	if err != nil {
		return err
	}
	actions := slices.Concat(rest.Actions(), alibaba.Actions(), absent.Actions())
	e.iam, err = iam.New(iam.Options{Store: e.identities, Log: e.log, Keyring: e.keyring, Logger: a.Logger, Now: e.now, Fresh: e.store.Fresh, Actions: actions})
	if err != nil {
		return err
	}
	e.sessions(a, refusals)
	stored := software.New(e.iam)
	e.hardware = a.token.Keys(e.now, e.keyStore.Version)
	e.managers = managers.NewKeystore(managers.KeystoreOptions{Inner: stored, Instances: e.keyStore, Tenants: e.iam, Now: e.now, Fresh: e.store.Fresh, Allow: a.Config.Egress.Allow})
	e.instances = instance.New(instance.Options{
		Store: e.keyStore, Tenants: e.iam, Log: e.log, Region: a.Config.Region, Now: e.now, Manager: e.managers.Manager(), Token: a.token.Ready, Quota: a.Config.Limits.AccountsPerInstance,
	})
	e.ring = keyring.New(keyring.Options{
		Store: e.keyStore, Aliases: e.keyStore, Owner: e.keyStore.KeyOwner, Region: a.Config.Region, Fresh: e.store.Fresh,
		Keystore: hardware.Choose(stored, e.managers, e.hardware),
	})
	e.keys = lifecycle.New(lifecycle.Options{Ring: e.ring, Store: e.keyStore, Aliases: e.keyStore, Log: e.log, Now: e.now, After: e.clock.After, Instances: e.instances, Known: e.identities.Known, Actions: actions, DefaultKeys: a.Config.Limits.DefaultKeysPerAccount})
	counter := usage.NewCounter()
	e.usage = usage.New(usage.Options{Store: kms.Usage{Store: e.store}, Ring: e.ring, Log: e.log, Counter: counter, Now: e.now, Logger: a.Logger})
	e.crypto = cryptography.New(cryptography.Options{Ring: e.ring, Log: e.log, ContextDigest: e.contextDigest, Used: counter.Note})
	e.imports = byok.New(byok.Options{Ring: e.ring, Store: e.keyStore, Tenants: e.iam, Log: e.log, Now: e.now})
	e.secrets = secret.New(secret.Options{
		Store: e.keyStore, Keys: e.keys, Crypto: e.crypto, Log: e.log, Region: a.Config.Region, Now: e.now, After: e.clock.After, Fresh: e.store.Fresh,
		Mark: func(ctx context.Context, account string, value material.Bytes) []secret.Mark {
			return e.exposures.Mark(ctx, account, value)
		},
		Reserved: func(ctx context.Context, account, name string) error { return e.rotations.Reserves(ctx, account, name) },
	})
	e.sinks = sink.New(sink.Options{
		Store: e.keyStore, Secrets: e.secrets, Tenants: e.iam, Log: e.log, Kinds: []sink.KindOfSink{vault.Kind()}, Region: a.Config.Region, Now: e.now, Allow: a.Config.Egress.Allow,
	})
	e.offers = offer.New(offer.Options{Store: e.keyStore, Users: e.iam, Keys: e.crypto, Log: e.log, Region: a.Config.Region, Now: e.now, Fresh: e.store.Fresh, Version: a.Version})
	e.custody = custody.New(custody.Options{
		Store: e.root, Logs: a.db, Log: e.log, Keyring: e.keyring, Tenants: e.iam, Now: a.Now, Cost: a.Cost, LogBinding: logBinding, Device: a.token.Device(),
	})
	if err := e.watchers(a); err != nil {
		return err
	}
	e.scrubber = scrub.New(scrub.Options{
		DB: a.db, Store: e.store, Anchor: e.anchor, Logs: e.anchorOptions(a), IAM: e.iam, People: e.people, Keys: e.keys, Ring: e.ring, Secrets: e.secrets,
		Sinks: e.sinks, Targets: e.targets, Stock: e.stock, Alerts: e.alerts, Rotations: e.rotations, Offers: e.offers, Instances: e.instances, Federation: e.federated, Repositories: e.watched, Log: e.log, Now: e.now, Logger: a.Logger,
	})
	return nil
}

// run starts a part that ends when the engine stops.
func (e *engine) run(a *App, name string, part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := part(ctx); err != nil {
			a.Logger.Error("a part of the server ended", "part", name, "error", err)
		}
	})
	e.stops = append(e.stops, func() { cancel(); done.Wait() })
}

// now answers what time it is for everything that the engine does: the latest that it
// may be, so that a clock that is set back revives no credential and no used nonce.
func (e *engine) now() time.Time { return e.clock.Latest() }

// stop waits for the requests in flight, ends every part, the last started first, drops
// what is cached and erases the keyring.
func (e *engine) stop() {
	e.inFlight.Wait()
	for i := len(e.stops) - 1; i >= 0; i-- {
		e.stops[i]()
	}
	if e.store != nil {
		e.store.Close()
	}
	if e.agents != nil { // the last of those that cache: without it nothing was served
		e.changed("", "")
	}
	e.keyring.Close()
}

// openLog opens this node's audit log, creating it and its key on the first start.
func (e *engine) openLog(ctx context.Context, a *App) error {
	origin := "keyward/" + a.Config.Node
	id, found, err := a.findLog(ctx, origin)
	if err != nil {
		return err
	}
	var private material.Bytes
	if found {
		private, err = e.logKey(id)
	} else {
		id, private, err = e.createLog(ctx, a, origin)
	}
	if err != nil {
		return err
	}
	defer private.Zero()
	remembered, err := os.ReadFile(filepath.Join(a.Config.DataDir, checkpointFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the remembered checkpoint: %w", err)
	}
	if err == nil && len(remembered) == 0 {
		return fmt.Errorf("reading the remembered checkpoint: %s is empty; restore it, or remove it if you accept that a rollback would not be noticed", checkpointFile)
	}
	e.identity = id
	e.log, err = audit.Open(ctx, audit.Options{
		Store: a.AuditStore(a.db), Origin: origin, PrivateKey: string(private.Expose()), PublicKey: id.PublicKey, Remembered: remembered, Now: e.now,
		Surprised: func() { e.changed("", "") },
	})
	return err
}

// findLog answers the audit log with an origin, and whether there is one.
func (a *App) findLog(ctx context.Context, origin string) (audit.Identity, bool, error) {
	logs, err := a.db.Logs(ctx)
	i := slices.IndexFunc(logs, func(id audit.Identity) bool { return id.Origin == origin })
	if err != nil || i < 0 {
		return audit.Identity{}, false, err
	}
	return logs[i], true, nil
}

// logBinding is what the sealed signer key of an audit log is bound to.
func logBinding(origin string) []byte { return material.Binding("keyward-audit-key/v1", origin) }

// logKey opens the signing key of a log of this server, of whichever node, and proves
// that the log's public key belongs to it: a database may claim any.
func (e *engine) logKey(id audit.Identity) (material.Bytes, error) {
	private, err := e.keyring.OpenBytes(seal.AuditSign, logBinding(id.Origin), id.SealedKey)
	if err != nil {
		return material.Bytes{}, fmt.Errorf("opening the key of audit log %q: %w", id.Origin, err)
	}
	if err := audit.CheckKey(id, string(private.Expose())); err != nil {
		private.Zero()
		return material.Bytes{}, err
	}
	return private, nil
}

func (e *engine) createLog(ctx context.Context, a *App, origin string) (audit.Identity, material.Bytes, error) {
	private, public, err := audit.GenerateKey(origin)
	if err != nil {
		return audit.Identity{}, material.Bytes{}, err
	}
	secret := material.NewBytes([]byte(private))
	sealed, err := e.keyring.SealBytes(seal.AuditSign, logBinding(origin), secret)
	if err != nil {
		return audit.Identity{}, material.Bytes{}, err
	}
	id := audit.Identity{Origin: origin, PublicKey: public, SealedKey: sealed}
	return id, secret, a.db.CreateLog(ctx, id)
}

// dialects builds what turns requests into operations.
func (e *engine) dialects(a *App, refusals *refusal.Recorder) (err error) {
	verifier := &authn.Verifier{Now: e.now, Lookup: server.Lookup(e.roles, e.approvals)}
	limiter := &server.Limiter{PerKey: a.Config.Limits.CallsPerAccessKey, PerAccount: a.Config.Limits.CallsPerAccount}
	touch := func(c *authz.Call, action string) {
		if c.Session == nil { // temporary access keys are in no table
			e.iam.Touch(c.AccessKey, c.Time, c.Source, action)
		}
	}
	e.alibaba = (&alibaba.Dialect{
		Verifier: verifier, Keys: e.keys, Crypto: e.crypto, Imports: e.imports, Instances: e.instances, Roles: e.roles, People: e.people, Usage: e.usage, Secrets: e.secrets, Rotations: e.rotations, Log: e.log, Refusals: refusals, Limiter: limiter,
		Tokens: sealed.Pages{Keyring: e.keyring}, Region: a.Config.Region, Touch: touch,
	}).Serve
	e.xks = (&xks.Dialect{Offers: e.offers, Log: e.log, Refusals: refusals, Limiter: limiter}).Serve
	e.login = login.New(login.Options{People: e.people, Federation: e.federated, Refusals: refusals})
	e.agents = agentapi.New(agentapi.Options{Rollouts: e.rollouts, Refusals: refusals, Now: e.now})
	e.rest = rest.New(rest.Options{
		Approvals: e.approvals, Exposures: e.exposures, Watched: e.watched, Calendars: e.calendars, Simulations: e.simulations(),
		Verifier: verifier, Keys: e.keys, Crypto: e.crypto, Imports: e.imports, Usage: e.usage, Secrets: e.secrets, Sinks: e.sinks, Rollouts: e.rollouts, Targets: e.targets, Rotations: e.rotations, Offers: e.offers, Instances: e.instances, IAM: e.iam, Roles: e.roles, People: e.people, Federation: e.federated, Stock: e.stock, Alerts: e.alerts, Expiry: e.expiry, Findings: e.findings, Checks: e.checks, Log: e.log, Audit: a.db, Refusals: refusals, Limiter: limiter, Region: a.Config.Region, Touch: touch,
	})
	if e.links != nil {
		e.page, err = pages.New(pages.Options{Links: e.links, Alerts: e.alerts, People: e.people, Refusals: refusals, Stock: e.stock, Calendars: e.calendars})
	}
	return err
}

// changed passes a change of a row on to whoever caches it.
func (e *engine) changed(table, id string) {
	e.iam.Changed(table, id)
	e.roles.Changed(table, id)
	e.people.Changed(table, id)
	e.approvals.Changed(table, id)
	e.ring.Changed(table, id)
	e.secrets.Changed(table, id)
	e.rotations.Changed(table, id)
	e.offers.Changed(table, id)
	e.managers.Changed(table, id)
	e.rollouts.Changed(table, id)
	e.agents.Changed(table, id)
	e.dropped.Store(true)
}

// forgetIdle drops what was unwrapped and not used for the period, or half of it.
func (e *engine) forgetIdle(ctx context.Context, period time.Duration) error {
	tick := time.NewTicker(period / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if e.ring.Age()+e.secrets.Age()+e.iam.Age()+e.roles.Age()+e.offers.Age()+e.managers.Age() > 0 {
				e.dropped.Store(true)
			}
		}
	}
}

func (e *engine) contextDigest(encoded []byte) (string, error) {
	sum, err := e.keyring.HMAC(seal.AuditHMAC, encoded)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(sum[:16]), nil
}

func (e *engine) auditSize() float64 {
	c, err := audit.OpenCheckpoint(e.log.Checkpoint(), e.identity.PublicKey)
	if err != nil {
		return 0 // nothing was written yet
	}
	return float64(c.Size)
}

func (e *engine) scrubbed() float64 {
	if began := e.scrubber.Last().Began; !began.IsZero() {
		return float64(began.Unix())
	}
	return 0
}

func (e *engine) clockJumped() float64 {
	if e.clock.Report().State == clock.Jumped {
		return 1
	}
	return 0
}

// witnesses answers the configured witnesses.
func (a *App) witnesses() []publish.Witness {
	var all []publish.Witness
	for _, w := range a.Config.Witnesses {
		all = append(all, publish.Witness(w))
	}
	return all
}

// witnessStatus answers how the witnesses stand; nil while the server is sealed.
func (a *App) witnessStatus() []publish.Status {
	e := a.enterEngine()
	defer e.leave()
	if e == nil {
		return nil
	}
	return e.witness.Status()
}

// keepCheckpoint writes the log's head to a file whenever it has grown, once a second
// and at the end.
func (e *engine) keepCheckpoint(ctx context.Context, a *App) error {
	path := filepath.Join(a.Config.DataDir, checkpointFile)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var kept string
	for more := true; more; {
		select {
		case <-ctx.Done():
			more = false
		case <-tick.C:
		}
		if head := e.log.Checkpoint(); string(head) != kept {
			if err := durable.Replace(path, head); err != nil {
				a.Logger.Warn("remembering the audit checkpoint", "error", err)
				continue
			}
			kept = string(head)
		}
	}
	return nil
}
