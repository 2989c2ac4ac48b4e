// Package stock measures what an inventory of many keys that others issued costs: what is
// waited for at a provider beside what its rate limits ask for, and what is stored, scanned
// and listed beside what encoding or decoding the same keys as JSON costs, in one run.
//
// The provider is a simulated Tencent Cloud, which enforces its limits, in a process of its
// own ([ServeCloud]). What reads it are the services of the product on a database of their
// own, in this process, put together as package app does; keyward's API is not in between.
//
// Only command bench calls it. Nothing of it is part of the product.
package stock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/bench/figure"
	"github.com/keyward/keyward/internal/bench/node"
	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
)

const (
	inventoryHead = `
| database | what | keys | seconds | ms per 1,000 keys | the limit's | ratio | note |
|---|---|--:|--:|--:|--:|--:|---|
`
	pagesHead = `
| database | page of 100 | pages | p50 ms | p99 ms | p50 of decoding it |
|---|---|--:|--:|--:|--:|
`
	beside = `
| database | Encrypt | calls | p50 ms | p99 ms | longest ms | failed |
|---|---|--:|--:|--:|--:|--:|
`
	large      = 20_000 // keys of the one account whose saving is measured
	pageSize   = 100
	maxPages   = 200              // of a list
	listTime   = 10 * time.Second // for a list, however many pages that makes
	encrypters = 8                // closed loops beside a large save
	// maxAge of the keys has about one in a hundred of them on the ladder of alarms.
	maxAge = 1030 * 24 * time.Hour
)

// An inventory is what one run of this mode measures on one database.
type inventory struct {
	*node.Node
	database string
	coding   coding
	resident func() (int64, error)
}

// coding is what JSON alone costs for the keys of the inventory: the limit of all that
// stores them or answers them.
type coding struct{ encode, decode time.Duration } // for 1,000 keys

// Options says what to measure.
type Options struct {
	Keys      int                   // about so many
	Accounts  int                   // that they are spread over
	Databases []string              // "sqlite" or "postgres"
	Dir       string                // for the database of SQLite
	Postgres  string                // URL of an empty database
	Resident  func() (int64, error) // the memory of this process in bytes
}

// Measure prints tables of an inventory on each database. The provider's rate limits are
// waited for once; other databases are given what was seen then. The program must call
// [ServeCloud] when its first argument is [CloudCommand].
func Measure(ctx context.Context, o Options) (err error) {
	c, err := startCloud(o.Accounts, (o.Keys+o.Accounts-1)/o.Accounts) // a user has one key on average
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	kind := tencent.Kind()
	if len(o.Databases) > 1 {
		kind = (&memory{seen: map[string]accesskey.Snapshot{}}).remembering(kind)
	}
	for i, database := range o.Databases {
		url := ""
		if database == "postgres" {
			url = o.Postgres
		}
		big := &made{}
		n, err := node.Open(ctx, node.Options{Dir: o.Dir, Postgres: url, Providers: []accesskey.KindOfProvider{kind, big.kind()}, Now: time.Now})
		if err != nil {
			return fmt.Errorf("opening a store on %s: %w", database, err)
		}
		err = (&inventory{Node: n, database: database, resident: o.Resident}).measure(ctx, c, big, i == 0)
		if err = errors.Join(err, n.Close()); err != nil {
			return fmt.Errorf("measuring the inventory on %s: %w", database, err)
		}
	}
	return nil
}

func (v *inventory) measure(ctx context.Context, c *cloud, big *made, paced bool) error {
	fmt.Print(inventoryHead)
	if err := v.fill(ctx, c, paced); err != nil {
		return err
	}
	if err := v.scanAll(ctx); err != nil {
		return err
	}
	if err := v.lists(ctx); err != nil {
		return err
	}
	return v.saves(ctx, big)
}

// row prints how long something took for a number of keys, and the limit for 1,000.
func (v *inventory) row(what string, keys int, took, limit time.Duration, note string) {
	each := took * 1000 / time.Duration(max(keys, 1))
	fmt.Printf("| %s | %s | %d | %.2f | %.2f | %.2f | %s | %s |\n", v.database, what, keys, took.Seconds(), figure.Milliseconds(each), figure.Milliseconds(limit), figure.Ratio(each, limit), note)
}

// fill adds the cloud's accounts and synchronises all of them.
func (v *inventory) fill(ctx context.Context, c *cloud, paced bool) error {
	for i, k := range c.readers {
		draft := accesskey.Draft{Owner: fmt.Sprintf("team-%d", i%10), MaxAge: maxAge, Unchecked: true, Filling: form.Filling{
			Settings:   map[string]string{"endpoint": "http://" + c.address},
			Credential: map[string]material.Bytes{"secret_id": material.NewBytes([]byte(k.ID)), "secret_key": material.NewBytes([]byte(k.Secret))},
		}}
		if _, _, err := v.Accounts.Add(ctx, v.Caller(node.Account), fmt.Sprintf("account-%03d", i), "tencent", draft); err != nil {
			return err
		}
	}
	begun := time.Now()
	standings, err := synchronise(ctx, v.Node)
	if err != nil {
		return err
	}
	wall := time.Since(begun)
	keys, calls, took, limit := 0, 0, time.Duration(0), time.Duration(0)
	for _, st := range standings {
		keys, calls, took = keys+st.State.Keys, calls+st.State.Calls, took+st.State.Took
		// Each user is asked about by itself; the first calls may come at once. The
		// account's own user takes one call, too.
		limit += time.Duration(max(st.State.Principals-perSecond, 0)) * time.Second / perSecond
		for _, problem := range st.State.Problems {
			if problem.Subject != st.State.Identity.Account { // of the account itself nothing is told
				return fmt.Errorf("synchronising %s: %s: %s", st.Source.Name, problem.What, problem.Reason)
			}
		}
	}
	if err := v.learn(ctx); err != nil {
		return err
	}
	resident, err := v.resident()
	if err != nil {
		return err
	}
	debug.FreeOSMemory()
	rested, err := v.resident()
	if err != nil {
		return err
	}
	held := fmt.Sprintf("resident %s MB, %s at rest", figure.Megabytes(resident), figure.Megabytes(rested))
	if !paced {
		v.row("save what was observed", keys, wall, v.coding.encode, held)
		return nil
	}
	thousand := time.Duration(1000) * limit / time.Duration(max(keys, 1))
	v.row("synchronise one account after the other", keys, took, thousand, fmt.Sprintf("%d accounts, %.2f calls for a key", len(standings), float64(calls)/float64(max(keys, 1))))
	v.row(fmt.Sprintf("synchronise %d accounts at once", node.Lanes), keys, wall, thousand/time.Duration(min(node.Lanes, len(standings))), held)
	return nil
}

// learn measures what JSON costs for some of the keys.
func (v *inventory) learn(ctx context.Context) error {
	keys, _, err := v.Accounts.Keys(ctx, v.Caller(node.Account), accesskey.Query{Order: accesskey.BySubject, Limit: accesskey.MaxPage})
	if err != nil || len(keys) == 0 {
		return errors.Join(err, errors.New("there are too few keys to measure with"))
	}
	const rounds = 5
	for range rounds {
		for i := range keys {
			begun := time.Now()
			observed, err := json.Marshal(keys[i].Observed)
			principal, err2 := json.Marshal(keys[i].Principal)
			v.coding.encode += time.Since(begun)
			begun = time.Now()
			var k accesskey.AccessKey
			if err := errors.Join(err, err2, json.Unmarshal(observed, &k.Observed), json.Unmarshal(principal, &k.Principal)); err != nil {
				return err
			}
			v.coding.decode += time.Since(begun)
		}
	}
	v.coding.encode = v.coding.encode * 1000 / time.Duration(rounds*len(keys))
	v.coding.decode = v.coding.decode * 1000 / time.Duration(rounds*len(keys))
	return nil
}

// scanAll runs whole and near scans.
func (v *inventory) scanAll(ctx context.Context) error {
	for _, what := range []string{"whole scan, which opens incidents", "whole scan", "near scan"} {
		if what != "near scan" { // it is due when there was none
			if err := v.Shelf.SaveScan(ctx, expiry.Scan{Account: node.Account}); err != nil {
				return err
			}
		}
		begun := time.Now()
		if _, err := v.Scans.Handlers()[expiry.JobScan](ctx, job.Job{Kind: expiry.JobScan, Account: node.Account}); err != nil {
			return err
		}
		took := time.Since(begun)
		last, err := v.Scans.Last(ctx, node.Account)
		if err != nil {
			return err
		}
		seen := last.Seen
		if what == "near scan" {
			seen = last.Due
		}
		v.row(what, seen, took, v.coding.decode, fmt.Sprintf("%d on the ladder", last.Due))
	}
	return nil
}

// lists measures pages of lists, with their policy decision and audit record.
func (v *inventory) lists(ctx context.Context) error {
	fmt.Print(pagesHead)
	for _, l := range []struct {
		name string
		accesskey.Query
	}{
		{"by due", accesskey.Query{Order: accesskey.ByDue}},
		{"by age", accesskey.Query{Order: accesskey.ByAge}},
		{"by use", accesskey.Query{Order: accesskey.ByUse}},
		{"by name", accesskey.Query{Order: accesskey.BySubject}},
		{"of one source", accesskey.Query{Order: accesskey.ByDue, Source: "account-000"}},
		{"of one owner in ten", accesskey.Query{Order: accesskey.ByDue, Owner: "team-3"}},
		{"of no owner: none", accesskey.Query{Order: accesskey.ByDue, Owner: "-"}},
		{"inactive ones", accesskey.Query{Order: accesskey.ByDue, Status: accesskey.Inactive}},
		{"gone ones: none", accesskey.Query{Order: accesskey.ByDue, Status: accesskey.Gone}},
		{"text in one of 256", accesskey.Query{Order: accesskey.ByDue, Text: "akida7"}},
		{"text in none", accesskey.Query{Order: accesskey.ByDue, Text: "no such key"}},
	} {
		var r figure.Times
		l.Limit = pageSize
		for end := time.Now().Add(listTime); len(r) < maxPages && time.Now().Before(end); {
			begun := time.Now()
			_, next, err := v.Accounts.Keys(ctx, v.Caller(node.Account), l.Query)
			if err != nil {
				return err
			}
			r = append(r, time.Since(begun))
			l.After = next // "" begins again
		}
		slices.Sort(r)
		p50 := r.Quantile(0.5)
		fmt.Printf("| %s | %s | %d | %.2f | %.2f | %s |\n", v.database, l.name, len(r), figure.Milliseconds(p50), figure.Milliseconds(r.Quantile(0.99)),
			figure.Ratio(p50, v.coding.decode*pageSize/1000))
	}
	return nil
}

// A made is a provider of one large account that needs no network.
type made struct{ snapshot accesskey.Snapshot }

func (m *made) kind() accesskey.KindOfProvider {
	return accesskey.KindOfProvider{Name: "made", Pace: accesskey.MaxPace, Open: func(accesskey.Opening) (accesskey.Provider, error) { return m, nil }}
}

// Check implements [accesskey.Provider].
func (m *made) Check(context.Context) (accesskey.Identity, error) {
	return accesskey.Identity{Account: "made"}, nil
}

// Observe implements [accesskey.Provider].
func (m *made) Observe(context.Context) (accesskey.Snapshot, error) {
	return accesskey.Snapshot{Keys: slices.Clone(m.snapshot.Keys), Principals: slices.Clone(m.snapshot.Principals)}, nil
}

// grow makes the account anew, with n keys that were all used at a time.
func (m *made) grow(used time.Time, n int) {
	m.snapshot = accesskey.Snapshot{}
	for i := range n {
		user := fmt.Sprintf("user-%05d", i/2)
		if i%2 == 0 {
			m.snapshot.Principals = append(m.snapshot.Principals, accesskey.Principal{ID: user, Name: user, Kind: accesskey.User, CreatedAt: used.AddDate(-1, 0, 0)})
		}
		m.snapshot.Keys = append(m.snapshot.Keys, accesskey.Observed{
			ID: fmt.Sprintf("made-%05d", i), Principal: user, Status: accesskey.Active, CreatedAt: used.AddDate(-1, 0, 0), Use: accesskey.Use{Known: accesskey.Yes, At: used},
		})
	}
}

// saves stores one large account, new, as it was and changed, and has Encrypt run beside.
func (v *inventory) saves(ctx context.Context, big *made) error {
	if _, _, err := v.Accounts.Add(ctx, v.Caller(node.Account), "large", "made", accesskey.Draft{}); err != nil {
		return err
	}
	k, err := v.Keys.Create(ctx, v.Caller(node.Account), lifecycle.CreateInput{})
	if err != nil {
		return err
	}
	now := time.Now().Add(-time.Hour)
	var table strings.Builder
	fmt.Fprint(&table, beside)
	alone := v.encrypt(ctx, k.ID, func() { time.Sleep(2 * time.Second) })
	v.besideRow(&table, "alone", alone)
	fmt.Print(inventoryHead)
	for _, what := range []struct {
		name string
		used time.Time
	}{{"first", now}, {"unchanged", now}, {"all used since", now.Add(time.Minute)}} {
		big.grow(what.used, large)
		var took time.Duration
		var failed error
		r := v.encrypt(ctx, k.ID, func() {
			begun := time.Now()
			_, failed = v.Accounts.Handlers()[accesskey.JobSync](ctx, job.Job{Kind: accesskey.JobSync, Account: node.Account, Subject: "large"})
			took = time.Since(begun)
		})
		note := ""
		if failed != nil {
			note = failed.Error()
		}
		v.row("save one account, "+what.name, large, took, v.coding.encode, note)
		v.besideRow(&table, "beside saving, "+what.name, r)
		err = errors.Join(append(r.failed, err, failed)...)
	}
	fmt.Print(table.String())
	return err
}

func (v *inventory) besideRow(w *strings.Builder, what string, r calls) {
	slices.Sort(r.took)
	fmt.Fprintf(w, "| %s | %s | %d | %.2f | %.2f | %.2f | %d |\n", v.database, what, len(r.took),
		figure.Milliseconds(r.took.Quantile(0.5)), figure.Milliseconds(r.took.Quantile(0.99)), figure.Milliseconds(r.took.Quantile(1)), len(r.failed))
}

// calls are what came of calls: how long each took, and the errors of those that failed.
type calls struct {
	took   figure.Times
	failed []error
}

// encrypt encrypts in closed loops while something else is done.
func (v *inventory) encrypt(ctx context.Context, id key.ID, meanwhile func()) (out calls) {
	done := make(chan struct{})
	each := make([]calls, encrypters)
	var loops sync.WaitGroup
	for i := range each {
		loops.Go(func() {
			for more := true; more; {
				begun := time.Now()
				if _, err := v.Keys.Encrypt(ctx, v.Caller(node.Account), cryptography.EncryptInput{Key: string(id), Plaintext: material.NewBytes(make([]byte, 32))}); err != nil {
					each[i].failed = append(each[i].failed, err)
				}
				each[i].took = append(each[i].took, time.Since(begun))
				select {
				case <-done:
					more = false
				default:
				}
			}
		})
	}
	meanwhile()
	close(done)
	loops.Wait()
	for _, c := range each {
		out.took = append(out.took, c.took...)
		out.failed = append(out.failed, c.failed...)
	}
	return out
}
