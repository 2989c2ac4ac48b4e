package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/bench/figure"
	"github.com/keyward/keyward/internal/bench/node"
	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/secret"
)

const (
	perAccount = 100 // plans; an account may have rotation.MaxPlans
	makers     = 64  // plans that are made at once
	goal       = 100_000
	glance     = 50 * time.Millisecond         // between two looks at how far it is
	glances    = 20                            // between two countings of open files
	jump       = rotation.MinEvery + time.Hour // after which every plan is due
)

const rotationsHead = `
| database | rotations | made/s | all begun s | drained s | rotations/s | CPU ms each | records each | open files | 100,000 at this rate |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
`

// RotationsOptions says what to measure.
type RotationsOptions struct {
	N         int    // rotations
	Database  string // its name
	Dir       string
	Postgres  string // URL of an empty database; "" for SQLite
	OpenFiles func() (int, error)
	CPU       func() (time.Duration, error) // that this process has used
}

// Rotations prints a table of rotations that are all due in the same second, and one of the
// calls beside them.
func Rotations(ctx context.Context, o RotationsOptions) error {
	m, err := open(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(m.measure(ctx), m.close())
}

// A mill is a node whose plans are all due at once.
type mill struct {
	RotationsOptions
	*node.Node
	platforms *platforms
	ahead     atomic.Int64 // of the time, in nanoseconds
}

func (m *mill) now() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }

func open(ctx context.Context, o RotationsOptions) (m *mill, err error) {
	m = &mill{RotationsOptions: o, platforms: newPlatforms()}
	m.Node, err = node.Open(ctx, node.Options{
		Dir: o.Dir, Postgres: o.Postgres, Providers: []accesskey.KindOfProvider{httpapi.Kind()}, Issuers: []rotation.KindOfIssuer{httpapi.Issuer()}, Now: m.now,
	})
	if err != nil {
		m.platforms.close()
	}
	return m, err
}

func (m *mill) close() error {
	defer m.platforms.close()
	return m.Close()
}

// measure prints the tables.
func (m *mill) measure(ctx context.Context) error {
	begun := time.Now()
	if err := m.plan(ctx); err != nil {
		return fmt.Errorf("making plans: %w", err)
	}
	made := float64(m.N) / time.Since(begun).Seconds()
	k, err := m.Keys.Create(ctx, m.Caller(node.Account), lifecycle.CreateInput{})
	if err != nil {
		return err
	}
	encrypt := func(ctx context.Context) error {
		_, err := m.Keys.Encrypt(ctx, m.Caller(node.Account), cryptography.EncryptInput{Key: string(k.ID), Plaintext: material.NewBytes(make([]byte, 32))})
		return err
	}
	quiet, err := beside(ctx, encrypt, idly(ctx, alone))
	if err != nil {
		return err
	}
	before, err := m.Records()
	if err != nil {
		return err
	}
	var d drain
	busy, err := beside(ctx, encrypt, func() (err error) {
		d, err = m.drain(ctx)
		return err
	})
	if err != nil {
		return err
	}
	after, err := m.Records()
	if err != nil {
		return err
	}
	n := float64(m.N)
	rate := n / d.took.Seconds()
	fmt.Printf("%s| %s | %d | %.0f | %.1f | %.1f | %.1f | %.1f | %.1f | %d | %s |\n", rotationsHead, m.Database, m.N, made, d.begun.Seconds(), d.took.Seconds(), rate,
		figure.Milliseconds(d.cpu)/n, float64(after-before-int64(len(busy.took)))/n, d.files, time.Duration(goal/rate*float64(time.Second)).Round(time.Second))
	fmt.Print(foregroundHead + quiet.row(m.Database, "alone") + busy.row(m.Database, fmt.Sprintf("while %d rotations drain", m.N)))
	return nil
}

// account names the account of a plan, and the plan's name there.
func (m *mill) account(i int) (account, name string) {
	return fmt.Sprintf("%016d", 1_000_000_000_000_001+i/perAccount), fmt.Sprintf("pay-%d", i%perAccount)
}

// plan makes as many merchants with a key, secrets that hold it, and plans to replace it.
func (m *mill) plan(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(makers)
	for i := range m.N {
		g.Go(func() error { return m.planOne(ctx, i) })
	}
	return g.Wait()
}

func (m *mill) planOne(ctx context.Context, i int) error {
	account, name := m.account(i)
	c := m.Caller(account)
	merchant, err := m.platforms.add(i)
	if err != nil {
		return err
	}
	vars, err := json.Marshal(map[string]string{"url": merchant.url, "merchant": merchant.name})
	if err != nil {
		return err
	}
	err = insist(func() error {
		_, _, err := m.Accounts.Add(ctx, c, name, "http", accesskey.Draft{Unchecked: true, Filling: form.Filling{
			Settings: map[string]string{"vars": string(vars)},
			Credential: map[string]material.Bytes{
				"credential": material.NewBytes([]byte(merchant.admin)), "definition_file": material.NewBytes(merchant.definition),
			},
		}})
		return err
	})
	if err != nil {
		return err
	}
	value, err := json.Marshal(map[string]string{"key_id": merchant.key, "key_secret": merchant.secret})
	if err != nil {
		return err
	}
	err = insist(func() error {
		_, err := m.Secrets.Create(ctx, c, secret.CreateInput{Name: name, Data: material.NewBytes(value)})
		return err
	})
	if err != nil {
		return err
	}
	return insist(func() error {
		_, err := m.Rotations.SavePlan(ctx, c, rotation.Plan{
			Name: name, Source: name, Principal: merchant.name, Secret: name, Auto: true,
			Care: rotation.Care{Every: rotation.MinEvery, Confirm: time.Minute}, // no grace: a whole rotation is one piece of work
		})
		return err
	})
}

// insist does again what was not done because the machine is too busy with other things.
func insist(do func() error) (err error) {
	for range 10 {
		if err = do(); !fault.Is(err, fault.AuditUnavailable) {
			return err
		}
	}
	return err
}

// A drain is how all rotations were worked off.
type drain struct {
	begun, took time.Duration // until all had made their new key, and until all were done
	cpu         time.Duration // of this process, the platforms included
	files       int           // that it had open, at most
}

// drain lets all plans be due and works them off.
func (m *mill) drain(ctx context.Context) (d drain, err error) {
	before, err := m.CPU()
	if err != nil {
		return d, err
	}
	m.ahead.Add(int64(jump))
	working, stop := context.WithCancel(ctx)
	var queues errgroup.Group
	queues.Go(func() error { m.Work(working, node.Turning, m.Rotations.Handlers()); return nil })
	queues.Go(func() error { m.Work(working, node.Lanes, m.Accounts.Handlers()); return nil })
	begun := time.Now()
	err = m.follow(ctx, &d, begun)
	d.took = time.Since(begun)
	stop()
	after, failed := m.CPU()
	d.cpu = after - before
	return d, errors.Join(err, failed, queues.Wait())
}

// follow waits until all rotations are done.
func (m *mill) follow(ctx context.Context, d *drain, begun time.Time) error {
	n := int64(m.N)
	for look := 0; ; look++ {
		if err := idly(ctx, glance)(); err != nil {
			return err
		}
		if d.begun == 0 && m.platforms.created.Load() >= n {
			d.begun = time.Since(begun)
		}
		if look%glances == 0 {
			files, err := m.OpenFiles()
			if err != nil {
				return err
			}
			d.files = max(d.files, files)
		}
		if m.platforms.deleted.Load() < n {
			continue
		}
		if done, err := m.done(ctx); err != nil || done == n {
			return err
		}
	}
}

// done counts the rotations that are done.
func (m *mill) done(ctx context.Context) (n int64, err error) {
	for i := 0; i < m.N; i += perAccount {
		account, _ := m.account(i)
		some, err := m.Rotations.Rotations(ctx, m.Caller(account), "", perAccount)
		if err != nil {
			return 0, err
		}
		for _, r := range some {
			if r.Step == rotation.Done {
				n++
			}
		}
	}
	return n, nil
}
