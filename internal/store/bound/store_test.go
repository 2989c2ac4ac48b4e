package bound_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A node is one process with two stores.
type node struct {
	storetest.Node
	keys   kms.Store
	people identity.Store
}

func start(t *testing.T, url, origin string, keys *seal.Keyring, changed func(string, string)) node {
	n := storetest.Start(t, storetest.Options{URL: url, Origin: origin, Keys: keys, Changed: changed})
	return node{n, kms.Store{Store: n.Store}, identity.Store{Store: n.Store}}
}

func newKey(i int) (*key.Key, *key.Version) {
	id := key.NewID()
	now := time.Now().UTC().Truncate(time.Microsecond)
	v := &key.Version{Account: "1", Key: id, ID: key.NewVersionID(), Number: 1, Wrapped: []byte{1, 2, 3}, CreatedAt: now}
	k := &key.Key{
		Account: "1", ID: id, Spec: "Aliyun_AES_256", Usage: key.EncryptDecrypt, Origin: key.OriginKMS, ProtectionLevel: key.LevelSoftware,
		State: key.Enabled, Description: fmt.Sprintf("key %d", i), Creator: "1", CreatedAt: now, Primary: v.ID, Versions: 1,
		Rotation: key.Rotation{Enabled: true, Interval: 7 * 24 * time.Hour, Last: now}, Tags: []key.Tag{{Key: "a", Value: "b"}},
	}
	return k, v
}

// Eight workers on two nodes share one queue of jobs: each job is claimed once.
func TestJobsAreClaimedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n := start(t, url, "keyward/a", sealtest.Keyring(t), nil)
		const jobs = 400
		var due []job.Job
		for i := range jobs {
			due = append(due, job.Job{Kind: "test", Account: "1", Subject: fmt.Sprint(i), Due: time.Unix(1000, 0)})
		}
		k, v := newKey(0)
		if err := n.keys.CreateKey(t.Context(), storetest.Record("test"), k, v, nil, due); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		claims := map[string]int{}
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for {
					got, err := n.Store.Claim(t.Context(), job.Claim{Kinds: []string{"test"}, Owner: fmt.Sprint(worker), Now: time.Unix(2000, 0), Until: time.Unix(3000, 0), Limit: 5})
					if err != nil {
						t.Error(err)
						return
					}
					if len(got) == 0 {
						return
					}
					mu.Lock()
					for _, j := range got {
						claims[j.Subject]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		total := 0
		for _, n := range claims {
			total += n
		}
		if len(claims) != jobs || total != jobs {
			t.Errorf("%d claims of %d jobs, want %d of each", total, len(claims), jobs)
		}
		again, err := n.Store.Claim(t.Context(), job.Claim{Kinds: []string{"test"}, Owner: "later", Now: time.Unix(3000, 0), Until: time.Unix(4000, 0), Limit: jobs})
		if err != nil || len(again) != jobs {
			t.Errorf("after the lease %d jobs can be claimed, want %d; %v", len(again), jobs, err)
		}
		if err := n.Store.Settle(t.Context(), "0", job.Settlement{Job: again[0]}); err != nil { // the lease is somebody else's now
			t.Fatal(err)
		}
		if err := n.Store.Settle(t.Context(), "later", job.Settlement{Job: again[1]}, job.Settlement{Job: again[2], Again: time.Unix(9000, 0), Reason: "test"}); err != nil {
			t.Fatal(err)
		}
		last, err := n.Store.Claim(t.Context(), job.Claim{Kinds: []string{"test"}, Owner: "last", Now: time.Unix(4000, 0), Until: time.Unix(5000, 0), Limit: jobs})
		if err != nil || len(last) != jobs-2 {
			t.Errorf("one finished, one put off: %d left, want %d; %v", len(last), jobs-2, err)
		}
	})
}

// Whatever column of a bound row is changed behind keyward's back, by whatever amount,
// and also when two rows are exchanged: the row is not believed.
func TestChangedRowsAreNotBelieved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n := start(t, url, "keyward/a", sealtest.Keyring(t), nil)
		k, v := newKey(1)
		other, otherVersion := newKey(2)
		for _, pair := range []struct {
			k *key.Key
			v *key.Version
		}{{k, v}, {other, otherVersion}} {
			if err := n.keys.CreateKey(t.Context(), storetest.Record("test"), pair.k, pair.v, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		db := storetest.Raw(t, url)
		ctx := t.Context()
		read := func() error { _, err := n.keys.Key(ctx, "1", k.ID); return err }
		for column, change := range map[string]string{
			"spec": `'Aliyun_SM4'`, "usage": `'SIGN/VERIFY'`, "state": `'Disabled'`, "description": `'x'`, "creator": `'2'`,
			"created_at": `created_at + 1`, "primary_version": `'x'`, "versions": `versions + 1`, "rotation_enabled": `0`,
			"rotation_interval": `rotation_interval + 1`, "rotated_at": `rotated_at - 1`, "delete_at": `1`, "deletion_protected": `1`,
			"protection_note": `'x'`, "tags": `'[]'`, "rev": `rev + 1`, "mac_epoch": `mac_epoch + 1`, "mac": `(SELECT mac FROM kms_key WHERE id = '` + string(other.ID) + `')`,
			"origin": `'EXTERNAL'`, "protection_level": `'HSM'`, "more_usages": `'["SIGN/VERIFY"]'`,
		} {
			if err := read(); err != nil {
				t.Fatalf("before changing %s: %v", column, err)
			}
			exec := func(q string) {
				if _, err := db.ExecContext(ctx, q); err != nil {
					t.Fatal(err)
				}
			}
			where := ` WHERE id = '` + string(k.ID) + `'`
			exec(`CREATE TABLE saved AS SELECT * FROM kms_key` + where)
			exec(`UPDATE kms_key SET ` + column + ` = ` + change + where)
			if err := read(); err == nil {
				t.Errorf("a changed %s was believed", column)
			}
			exec(`DELETE FROM kms_key` + where)
			exec(`INSERT INTO kms_key SELECT * FROM saved`)
			exec(`DROP TABLE saved`)
		}
		if _, err := db.ExecContext(ctx, `UPDATE kms_key_version SET wrapped = (SELECT wrapped FROM kms_key_version WHERE key_id = $1), id = id WHERE key_id = $2`,
			string(k.ID), string(other.ID)); err != nil {
			t.Fatal(err)
		}
		if _, err := n.keys.Version(ctx, "1", k.ID, v.ID); err != nil {
			t.Errorf("an untouched version: %v", err)
		}
		if n.Store.Tampered() == 0 {
			t.Error("nothing was counted as tampering")
		}
	})
}

// A row that cannot even be read is tampering, too, and records of no log are found and not shown.
func TestStrangeRowsAreTampering(t *testing.T) {
	url := storetest.SQLite(t)
	n := start(t, url, "keyward/a", sealtest.Keyring(t), nil)
	k, v := newKey(1)
	if err := n.keys.CreateKey(t.Context(), storetest.Record("test"), k, v, nil, nil); err != nil {
		t.Fatal(err)
	}
	db := storetest.Raw(t, url)
	for i, change := range []string{`rev = 'abc'`, `tags = '{"a":"b"}'`, `mac_epoch = 99`} {
		if _, err := db.ExecContext(t.Context(), `UPDATE kms_key SET `+change); err != nil {
			t.Fatal(err)
		}
		if _, err := n.keys.Key(t.Context(), "1", k.ID); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", change, err)
		}
		if n.Store.Tampered() != uint64(i+1) {
			t.Errorf("%s is not counted", change)
		}
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO audit_batch SELECT 'keyward/evil', 0, count, at + 1, leaves, hashes FROM audit_batch`); err != nil {
		t.Fatal(err)
	}
	if strays, err := n.DB.Strays(t.Context()); err != nil || len(strays) != 1 {
		t.Errorf("strays %v, %v", strays, err)
	}
	entries, _, err := audit.List(t.Context(), n.DB, audit.Query{Limit: 10})
	if err != nil || len(entries) != 1 {
		t.Errorf("%d records are shown, want 1; %v", len(entries), err)
	}
}

// Of several writers that read the same revision one wins; the others are told.
func TestConcurrentUpdatesDoNotOverwrite(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n := start(t, url, "keyward/a", sealtest.Keyring(t), nil)
		k, v := newKey(0)
		if err := n.keys.CreateKey(t.Context(), storetest.Record("test"), k, v, nil, nil); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			wg.Go(func() {
				mine := *k
				err := n.keys.UpdateKeys(t.Context(), storetest.Record("test"), nil, &mine)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !fault.Is(err, fault.Changed) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d of 8 writers of one revision succeeded", won)
		}
	})
}

// A change on one node reaches the caches of the other within a second.
func TestChangesReachOtherNodes(t *testing.T) {
	url := storetest.Postgres(t)
	keys := sealtest.Keyring(t)
	heard := make(chan string, 100)
	a := start(t, url, "keyward/a", keys, nil)
	b := start(t, url, "keyward/b", keys, func(table, id string) { heard <- table + " " + id })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Store.Run(ctx) }()
	defer func() { cancel(); <-done }()
	deadline := time.After(10 * time.Second)
	for !b.Store.Fresh() {
		select {
		case <-deadline:
			t.Fatal("the other node never listened")
		case <-time.After(time.Millisecond):
		}
	}
	k, v := newKey(0)
	if err := a.keys.CreateKey(t.Context(), storetest.Record("test"), k, v, nil, nil); err != nil {
		t.Fatal(err)
	}
	committed := time.Now()
	for {
		select {
		case got := <-heard:
			if got == "kms_key 1/"+string(k.ID) {
				if took := time.Since(committed); took > time.Second {
					t.Errorf("it took %v", took)
				}
				return
			}
		case <-deadline:
			t.Fatal("the other node never heard of the change")
		}
	}
}
