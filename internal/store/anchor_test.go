package store_test

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store"
	"github.com/keyward/keyward/internal/store/storetest"
)

func damage(err error) store.Damage {
	var d store.Damage
	errors.As(err, &d)
	return d
}

// A row that is put back to an older state that keyward wrote, or deleted, or put back
// after its deletion, is found before it is used: I11 of the invariants.
func TestOlderRowsAreNotBelieved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, ctx := start(t, url, "keyward/a", sealtest.Keyring(t), quiet), t.Context()
		k, v := newKey(1)
		a := &key.Alias{Account: "1", Name: "alias/a", Key: k.ID, CreatedAt: k.CreatedAt}
		if err := n.Store.CreateKey(ctx, record("test"), k, v, a, nil); err != nil {
			t.Fatal(err)
		}
		db := raw(t, url)
		exec := func(query string) {
			t.Helper()
			if _, err := db.ExecContext(ctx, query); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(what string, err error, want store.Damage) {
			t.Helper()
			if have := damage(err); have != want || fault.KindOf(err) != fault.Internal {
				t.Errorf("%s: have %v, want %q", what, err, want)
			}
		}
		exec(`CREATE TABLE old AS SELECT * FROM kms_key`)
		exec(`CREATE TABLE old_alias AS SELECT * FROM kms_alias`)
		k.State = key.Disabled
		if err := n.Store.UpdateKeys(ctx, record("test"), nil, k); err != nil {
			t.Fatal(err)
		}
		exec(`CREATE TABLE now AS SELECT * FROM kms_key`)
		exec(`DELETE FROM kms_key`)
		_, err := n.Store.Key(ctx, "1", k.ID)
		expect("a deleted key", err, store.Missing)
		_, _, err = n.Store.Keys(ctx, "1", key.Filter{}, key.Page{Number: 1, Size: 10})
		if err != nil {
			t.Error(err)
		}
		exec(`INSERT INTO kms_key SELECT * FROM old`)
		_, err = n.Store.Key(ctx, "1", k.ID)
		expect("a key put back", err, store.Stale)
		_, _, err = n.Store.Keys(ctx, "1", key.Filter{}, key.Page{Number: 1, Size: 10})
		expect("a list with a key put back", err, store.Stale)
		exec(`DELETE FROM kms_key`)
		exec(`INSERT INTO kms_key SELECT * FROM now`)
		if have, err := n.Store.Key(ctx, "1", k.ID); err != nil || have.State != key.Disabled {
			t.Errorf("after the attack the key is %v, %v", have.State, err)
		}

		if err := n.Store.DeleteAlias(ctx, record("test"), a); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Store.Alias(ctx, "1", "alias/a"); !fault.Is(err, fault.AliasNotFound) {
			t.Errorf("the removed alias: %v", err)
		}
		exec(`INSERT INTO kms_alias SELECT * FROM old_alias`)
		_, err = n.Store.Alias(ctx, "1", "alias/a")
		expect("an alias put back after its deletion", err, store.Stale)
		exec(`DELETE FROM kms_alias`)
		again := &key.Alias{Account: "1", Name: "alias/a", Key: k.ID, CreatedAt: k.CreatedAt}
		if err := n.Store.CreateAlias(ctx, record("test"), again); err != nil || again.Rev <= a.Rev {
			t.Errorf("made again: revision %d after %d, %v", again.Rev, a.Rev, err)
		}
		exec(`DELETE FROM kms_alias`)
		third := &key.Alias{Account: "1", Name: "alias/a", Key: k.ID, CreatedAt: k.CreatedAt}
		expect("making what was deleted behind keyward's back", n.Store.CreateAlias(ctx, record("test"), third), store.Missing)
	})
}

// What another node wrote is believed at once, and what is put back to before it is not.
func TestOtherNodesRowsAreBelieved(t *testing.T) {
	url, keys := storetest.Postgres(t), sealtest.Keyring(t)
	a := start(t, url, "keyward/a", keys, quiet)
	b := start(t, url, "keyward/b", keys, quiet)
	ctx := t.Context()
	k, v := newKey(1)
	if err := a.Store.CreateKey(ctx, record("test"), k, v, nil, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // in turns
		writer, reader := a, b
		if i%2 == 1 {
			writer, reader = b, a
		}
		mine, err := writer.Store.Key(ctx, "1", k.ID)
		if err != nil {
			t.Fatal(err)
		}
		mine.Description += "x"
		if err := writer.Store.UpdateKeys(ctx, record("test"), nil, &mine); err != nil {
			t.Fatal(err)
		}
		if have, err := reader.Store.Key(ctx, "1", k.ID); err != nil || have.Description != mine.Description {
			t.Fatalf("the other node reads %q, %v", have.Description, err)
		}
		if have, _, err := reader.Store.Keys(ctx, "1", key.Filter{}, key.Page{Number: 1, Size: 10}); err != nil || len(have) != 1 {
			t.Fatalf("the other node lists %d keys, %v", len(have), err)
		}
		u := &iam.User{Account: "1", Name: "u", Kind: "user", CreatedAt: k.CreatedAt}
		if err := writer.Store.CreateUser(ctx, record("test"), u); err != nil {
			t.Fatal(err)
		}
		if err := reader.Store.DeleteUser(ctx, record("test"), u); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Store.User(ctx, "1", "u"); !fault.Is(err, fault.ResourceNotFound) {
			t.Fatal(err)
		}
	}
	if n := a.Store.Tampered() + b.Store.Tampered(); n != 0 {
		t.Errorf("%d false alarms", n)
	}
}

// What one node made and another one removed is gone, in whichever order a third one reads
// their logs.
func TestRowsThatAnotherNodeRemovedAreGone(t *testing.T) {
	url, keys := storetest.Postgres(t), sealtest.Keyring(t)
	remover := start(t, url, "keyward/a", keys, quiet) // its log is read first
	maker := start(t, url, "keyward/b", keys, quiet)
	ctx := t.Context()
	k, _ := newKey(1)
	u := &iam.User{Account: "1", Name: "u", Kind: "user", CreatedAt: k.CreatedAt}
	if err := maker.Store.CreateUser(ctx, record("test"), u); err != nil {
		t.Fatal(err)
	}
	db := raw(t, url)
	exec := func(query string) {
		t.Helper()
		if _, err := db.ExecContext(ctx, query); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE old AS SELECT * FROM iam_user`)
	if err := remover.Store.DeleteUser(ctx, record("test"), u); err != nil {
		t.Fatal(err)
	}
	third := start(t, url, "keyward/c", keys, quiet)
	if _, err := third.Store.User(ctx, "1", "u"); !fault.Is(err, fault.ResourceNotFound) {
		t.Errorf("the removed user: %v", err)
	}
	exec(`INSERT INTO iam_user SELECT * FROM old`)
	if have, err := third.Store.User(ctx, "1", "u"); damage(err) != store.Stale {
		t.Errorf("the removed user, put back: revision %d, %v", have.Rev, err)
	}
}

// A row that is changed again and again while it is read is no false alarm.
func TestRowsThatChangeAllTheTimeAreBelieved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		keys := sealtest.Keyring(t)
		writer := start(t, url, "keyward/a", keys, quiet)
		reader := writer
		if strings.HasPrefix(url, "postgres") {
			reader = start(t, url, "keyward/b", keys, quiet)
		}
		ctx := t.Context()
		k, v := newKey(1)
		if err := writer.Store.CreateKey(ctx, record("test"), k, v, nil, nil); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		var readers sync.WaitGroup
		for range 16 {
			readers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if _, err := reader.Store.Key(ctx, "1", k.ID); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 1000 {
			k.Description = "x" + k.Description[:min(len(k.Description), 10)]
			if err := writer.Store.UpdateKeys(ctx, record("test"), nil, k); err != nil {
				t.Error(err)
				break
			}
		}
		close(done)
		readers.Wait()
		if n := reader.Store.Tampered(); n != 0 {
			t.Errorf("%d false alarms", n)
		}
	})
}

// Every column of every table is bound by the row's MAC, or by something else that is
// named here.
func TestEveryColumnIsBound(t *testing.T) {
	url := storetest.SQLite(t)
	db, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exceptions := map[string]string{
		"seal_envelope":       "all columns are in the associated data of its own encryption",
		"seal_epoch":          "all columns are in the associated data of its own encryption",
		"audit_log":           "the head is signed by a key that only the keyring opens, and which must fit public_key; created_at is for people",
		"audit_batch":         "the signed head",
		"nonce_block":         "who removes one can replay a captured request for minutes",
		"iam_access_key_use":  "for people; every use is in the audit log",
		"key_use":             "bound by its MAC, but not to the log, where every use is: who puts one back tells of fewer uses; docs/design/usage.md",
		"key_version_use":     "as key_use",
		"key_use_since":       "for people",
		"login_limit":         "who writes it can try more passwords, and use a code twice in its minute; docs/design/people.md",
		"clock":               "who forges it can delete rows anyway; docs/design/clock.md",
		"accesskey":           "what a provider told, which the next synchronisation says again; docs/design/inventory.md",
		"accesskey_principal": "as accesskey",
		"accesskey_state":     "as accesskey",
		"accesskey_check":     "how the last check went; the next one says it again",
		"ceremony":            "bound by its MAC, but not to the log: who puts an older one back has a proof twice within its minutes, for the same request",
		"secret_mark":         "bound by its MAC, but not to the log: who deletes one hides a leak; docs/design/scan.md",
		"leak_sighting":       "what was reported, which the next report says again; docs/design/scan.md",
		"watch_state":         "how the last look at a repository went; who writes it can have one that is unchanged since not be searched; docs/design/scan.md",
		"finding":             "what was found, which the next check says again; what people decided is bound",
		"expiry_scan":         "the next scan says it again",
		"notify_health":       "what the channel does next says it again",
		"notify_delivery":     "who writes it can drop or repeat messages, and can change no incident",
		"node_presence":       "what a node says next replaces it",
		"node_ack":            "what a node says next replaces it; who forges one can have a rotation go on too early; docs/design/rollout.md",
		"job":                 "says only when to look; the scrub plans again what is missing",
		"row_floor":           "who lowers it makes new rows unusable",
		"schema_migration":    "which migrations were applied",
	}
	have := map[string][]string{}
	rows, err := raw(t, url).QueryContext(t.Context(),
		`SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		if _, ok := exceptions[table]; !ok {
			have[table] = append(have[table], column)
		}
	}
	want := store.BoundColumns()
	for table := range want {
		want[table] = append(want[table], "rev", "mac_epoch", "mac")
		slices.Sort(want[table]) // what was added later stands at the end
		slices.Sort(have[table])
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("-bound +stored\n%s", diff)
	}
}

// L19: of a key that was deleted no material, alias or metadata is left in the database.
func TestL19DeletedKeysLeaveNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, ctx := start(t, url, "keyward/a", sealtest.Keyring(t), quiet), t.Context()
		k, v := newKey(1)
		if err := n.Store.CreateKey(ctx, record("test"), k, v, &key.Alias{Account: "1", Name: "alias/a", Key: k.ID}, nil); err != nil {
			t.Fatal(err)
		}
		if gone, err := n.Store.DeleteKey(ctx, record("test"), k); err != nil || !gone {
			t.Fatal(gone, err)
		}
		db := raw(t, url)
		for _, table := range []string{"kms_key", "kms_key_version", "kms_alias"} {
			if left := count(t, db, table); left != 0 {
				t.Errorf("%d rows are left in %s", left, table)
			}
		}
	})
}

func count(t *testing.T, db *sql.DB, table string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// What a column may hold has one spelling: queries look into the text of lists, so one
// that means the same and is spelt otherwise would hide a row from them.
func TestOtherSpellingsAreNotBelieved(t *testing.T) {
	url := storetest.SQLite(t)
	n, ctx := start(t, url, "keyward/a", sealtest.Keyring(t), quiet), t.Context()
	k, v := newKey(1)
	if err := n.Store.CreateKey(ctx, record("test"), k, v, nil, nil); err != nil {
		t.Fatal(err)
	}
	db := raw(t, url)
	for _, change := range []string{
		`tags = replace(tags, '"a"', '"\u0061"')`, `tags = tags || ' '`, `deletion_protected = 2`, `rotation_enabled = -1`, `state = CAST(state AS BLOB)`,
	} {
		if _, err := db.ExecContext(ctx, `CREATE TABLE saved AS SELECT * FROM kms_key`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(ctx, `UPDATE kms_key SET `+change); err != nil {
			t.Fatal(err)
		}
		_, err := n.Store.Key(ctx, "1", k.ID)
		if damage(err) == "" {
			t.Errorf("%s is believed: %v", change, err)
		}
		if _, err := db.ExecContext(ctx, `DELETE FROM kms_key; INSERT INTO kms_key SELECT * FROM saved; DROP TABLE saved`); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Store.Key(ctx, "1", k.ID); err != nil {
		t.Error(err)
	}
}
