package bound_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/storetest"
)

func damage(err error) bound.Damage {
	var d bound.Damage
	errors.As(err, &d)
	return d
}

// A row that is put back to an older state that keyward wrote, or deleted, or put back
// after its deletion, is found before it is used: I11 of the invariants.
func TestOlderRowsAreNotBelieved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, ctx := start(t, url, "keyward/a", sealtest.Keyring(t), nil), t.Context()
		k, v := newKey(1)
		a := &key.Alias{Account: "1", Name: "alias/a", Key: k.ID, CreatedAt: k.CreatedAt}
		if err := n.keys.CreateKey(ctx, storetest.Record("test"), k, v, a, nil); err != nil {
			t.Fatal(err)
		}
		db := storetest.Raw(t, url)
		exec := func(query string) {
			t.Helper()
			if _, err := db.ExecContext(ctx, query); err != nil {
				t.Fatal(err)
			}
		}
		var counted uint64
		expect := func(what string, err error, want bound.Damage) {
			t.Helper()
			before := counted
			if counted = n.Store.Tampered(); counted == before {
				t.Errorf("%s: it was not counted", what)
			}
			if have := damage(err); have != want || fault.KindOf(err) != fault.Internal {
				t.Errorf("%s: have %v, want %q", what, err, want)
			}
		}
		exec(`CREATE TABLE old AS SELECT * FROM kms_key`)
		exec(`CREATE TABLE old_alias AS SELECT * FROM kms_alias`)
		k.State = key.Disabled
		if err := n.keys.UpdateKeys(ctx, storetest.Record("test"), nil, k); err != nil {
			t.Fatal(err)
		}
		exec(`CREATE TABLE now AS SELECT * FROM kms_key`)
		exec(`DELETE FROM kms_key`)
		_, err := n.keys.Key(ctx, "1", k.ID)
		expect("a deleted key", err, bound.Missing)
		_, _, err = n.keys.Keys(ctx, "1", key.Filter{}, key.Page{Number: 1, Size: 10})
		if err != nil {
			t.Error(err)
		}
		exec(`INSERT INTO kms_key SELECT * FROM old`)
		_, err = n.keys.Key(ctx, "1", k.ID)
		expect("a key put back", err, bound.Stale)
		_, _, err = n.keys.Keys(ctx, "1", key.Filter{}, key.Page{Number: 1, Size: 10})
		expect("a list with a key put back", err, bound.Stale)
		exec(`DELETE FROM kms_key`)
		exec(`INSERT INTO kms_key SELECT * FROM now`)
		if have, err := n.keys.Key(ctx, "1", k.ID); err != nil || have.State != key.Disabled {
			t.Errorf("after the attack the key is %v, %v", have.State, err)
		}

		if err := n.keys.DeleteAlias(ctx, storetest.Record("test"), a); err != nil {
			t.Fatal(err)
		}
		if _, err := n.keys.Alias(ctx, "1", "alias/a"); !fault.Is(err, fault.AliasNotFound) {
			t.Errorf("the removed alias: %v", err)
		}
		exec(`INSERT INTO kms_alias SELECT * FROM old_alias`)
		_, err = n.keys.Alias(ctx, "1", "alias/a")
		expect("an alias put back after its deletion", err, bound.Stale)
		exec(`DELETE FROM kms_alias`)
		again := &key.Alias{Account: "1", Name: "alias/a", Key: k.ID, CreatedAt: k.CreatedAt}
		if err := n.keys.CreateAlias(ctx, storetest.Record("test"), again); err != nil || again.Rev <= a.Rev {
			t.Errorf("made again: revision %d after %d, %v", again.Rev, a.Rev, err)
		}
		exec(`DELETE FROM kms_alias`)
		third := &key.Alias{Account: "1", Name: "alias/a", Key: k.ID, CreatedAt: k.CreatedAt}
		expect("making what was deleted behind keyward's back", n.keys.CreateAlias(ctx, storetest.Record("test"), third), bound.Missing)
	})
}

// What another node wrote is believed at once, and what is put back to before it is not.
func TestOtherNodesRowsAreBelieved(t *testing.T) {
	url, keys := storetest.Postgres(t), sealtest.Keyring(t)
	a := start(t, url, "keyward/a", keys, nil)
	b := start(t, url, "keyward/b", keys, nil)
	ctx := t.Context()
	k, v := newKey(1)
	if err := a.keys.CreateKey(ctx, storetest.Record("test"), k, v, nil, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // in turns
		writer, reader := a, b
		if i%2 == 1 {
			writer, reader = b, a
		}
		mine, err := writer.keys.Key(ctx, "1", k.ID)
		if err != nil {
			t.Fatal(err)
		}
		mine.Description += "x"
		if err := writer.keys.UpdateKeys(ctx, storetest.Record("test"), nil, &mine); err != nil {
			t.Fatal(err)
		}
		if have, err := reader.keys.Key(ctx, "1", k.ID); err != nil || have.Description != mine.Description {
			t.Fatalf("the other node reads %q, %v", have.Description, err)
		}
		if have, _, err := reader.keys.Keys(ctx, "1", key.Filter{}, key.Page{Number: 1, Size: 10}); err != nil || len(have) != 1 {
			t.Fatalf("the other node lists %d keys, %v", len(have), err)
		}
		u := &iam.User{Account: "1", Name: "u", Kind: "user", CreatedAt: k.CreatedAt}
		if err := writer.people.CreateUser(ctx, storetest.Record("test"), u); err != nil {
			t.Fatal(err)
		}
		if err := reader.people.DeleteUser(ctx, storetest.Record("test"), u); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.people.User(ctx, "1", "u"); !fault.Is(err, fault.ResourceNotFound) {
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
	remover := start(t, url, "keyward/a", keys, nil) // its log is read first
	maker := start(t, url, "keyward/b", keys, nil)
	ctx := t.Context()
	k, _ := newKey(1)
	u := &iam.User{Account: "1", Name: "u", Kind: "user", CreatedAt: k.CreatedAt}
	if err := maker.people.CreateUser(ctx, storetest.Record("test"), u); err != nil {
		t.Fatal(err)
	}
	db := storetest.Raw(t, url)
	exec := func(query string) {
		t.Helper()
		if _, err := db.ExecContext(ctx, query); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE old AS SELECT * FROM iam_user`)
	if err := remover.people.DeleteUser(ctx, storetest.Record("test"), u); err != nil {
		t.Fatal(err)
	}
	third := start(t, url, "keyward/c", keys, nil)
	if _, err := third.people.User(ctx, "1", "u"); !fault.Is(err, fault.ResourceNotFound) {
		t.Errorf("the removed user: %v", err)
	}
	exec(`INSERT INTO iam_user SELECT * FROM old`)
	if have, err := third.people.User(ctx, "1", "u"); damage(err) != bound.Stale {
		t.Errorf("the removed user, put back: revision %d, %v", have.Rev, err)
	}
}

// A row that is changed again and again while it is read is no false alarm.
func TestRowsThatChangeAllTheTimeAreBelieved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		keys := sealtest.Keyring(t)
		writer := start(t, url, "keyward/a", keys, nil)
		reader := writer
		if strings.HasPrefix(url, "postgres") {
			reader = start(t, url, "keyward/b", keys, nil)
		}
		ctx := t.Context()
		k, v := newKey(1)
		if err := writer.keys.CreateKey(ctx, storetest.Record("test"), k, v, nil, nil); err != nil {
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
					if _, err := reader.keys.Key(ctx, "1", k.ID); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 1000 {
			k.Description = "x" + k.Description[:min(len(k.Description), 10)]
			if err := writer.keys.UpdateKeys(ctx, storetest.Record("test"), nil, k); err != nil {
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

// L19: of a key that was deleted no material, alias or metadata is left in the database.
func TestL19DeletedKeysLeaveNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n, ctx := start(t, url, "keyward/a", sealtest.Keyring(t), nil), t.Context()
		k, v := newKey(1)
		if err := n.keys.CreateKey(ctx, storetest.Record("test"), k, v, &key.Alias{Account: "1", Name: "alias/a", Key: k.ID}, nil); err != nil {
			t.Fatal(err)
		}
		if gone, err := n.keys.DeleteKey(ctx, storetest.Record("test"), k); err != nil || !gone {
			t.Fatal(gone, err)
		}
		db := storetest.Raw(t, url)
		for _, table := range []string{"kms_key", "kms_key_version", "kms_alias"} {
			if left := storetest.Count(t, db, table); left != 0 {
				t.Errorf("%d rows are left in %s", left, table)
			}
		}
	})
}

// What a column may hold has one spelling: queries look into the text of lists, so one
// that means the same and is spelt otherwise would hide a row from them.
func TestOtherSpellingsAreNotBelieved(t *testing.T) {
	url := storetest.SQLite(t)
	n, ctx := start(t, url, "keyward/a", sealtest.Keyring(t), nil), t.Context()
	k, v := newKey(1)
	if err := n.keys.CreateKey(ctx, storetest.Record("test"), k, v, nil, nil); err != nil {
		t.Fatal(err)
	}
	db := storetest.Raw(t, url)
	for _, change := range []string{
		`tags = replace(tags, '"a"', '"\u0061"')`, `tags = tags || ' '`, `deletion_protected = 2`, `rotation_enabled = -1`, `state = CAST(state AS BLOB)`,
	} {
		if _, err := db.ExecContext(ctx, `CREATE TABLE saved AS SELECT * FROM kms_key`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(ctx, `UPDATE kms_key SET `+change); err != nil {
			t.Fatal(err)
		}
		_, err := n.keys.Key(ctx, "1", k.ID)
		if damage(err) == "" {
			t.Errorf("%s is believed: %v", change, err)
		}
		if _, err := db.ExecContext(ctx, `DELETE FROM kms_key; INSERT INTO kms_key SELECT * FROM saved; DROP TABLE saved`); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.keys.Key(ctx, "1", k.ID); err != nil {
		t.Error(err)
	}
}
