package key_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/storetest"
)

func texts(of ...string) []material.Bytes {
	var out []material.Bytes
	for _, s := range of {
		out = append(out, material.NewBytes([]byte(s)))
	}
	return out
}

// What one batch encrypts another decrypts, and each single call, too; what is wrong fails alone.
func TestBatches(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c, ctx := root(account), t.Context()
	k := must(w.Create(ctx, c, lifecycle.CreateInput{Rotate: true, Interval: 7 * 24 * time.Hour}))(t)
	other := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	in := cryptography.BatchInput{Key: string(k.ID), Context: material.Context{"table": "cards"}}

	old := must(encrypt(w, t, string(k.ID), "old", in.Context))(t)
	w.pass(t, 7*24*time.Hour) // the key has rotated
	sealed := must(w.EncryptBatch(ctx, c, in, texts("one", "", "three", strings.Repeat("x", key.MaxPlaintext+1))))(t)
	for i, bad := range []bool{false, true, false, true} {
		if item := sealed.Items[i]; bad != fault.Is(item.Err, fault.InvalidParameter) || bad != (item.Blob == nil) {
			t.Errorf("item %d: %v", i, item.Err)
		}
	}
	if sealed.Version == old.Version {
		t.Error("it is encrypted with the old version")
	}
	alien := must(encrypt(w, t, string(other.ID), "alien", in.Context))(t)
	unbound := must(encrypt(w, t, string(k.ID), "unbound", nil))(t)
	changed := bytes.Clone(sealed.Items[0].Blob)
	changed[len(changed)-1] ^= 1
	nowhere := bytes.Clone(sealed.Items[0].Blob)
	nowhere[25] ^= 1 // another version
	opened := must(w.DecryptBatch(ctx, c, in, [][]byte{
		sealed.Items[0].Blob, old.Blob, sealed.Items[2].Blob, // these open
		alien.Blob, unbound.Blob, changed, nowhere, nil, []byte("rubbish"),
	}))(t)
	for i, item := range opened.Items {
		want := []string{"one", "old", "three"}
		if i < len(want) && (item.Err != nil || string(item.Data.Expose()) != want[i]) {
			t.Errorf("item %d: %q, %v", i, item.Data.Expose(), item.Err)
		}
		if i >= len(want) && (!fault.Is(item.Err, fault.InvalidCiphertext) || item.Data.Len() != 0) {
			t.Errorf("item %d: %v", i, item.Err)
		}
	}
	if opened.Items[0].Version != sealed.Version || opened.Items[1].Version != old.Version {
		t.Error("the versions are not those that encrypted")
	}
	single := must(w.Decrypt(ctx, c, cryptography.DecryptInput{Ciphertext: sealed.Items[2].Blob, Context: in.Context}))(t)
	if string(single.Data.Expose()) != "three" {
		t.Errorf("alone it decrypts to %q", single.Data.Expose())
	}
}

// A batch has one record, which tells of all its items, and nothing else of them.
func TestBatchesAreRecordedOnce(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c, ctx := root(account), t.Context()
	k := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	in := cryptography.BatchInput{Key: string(k.ID)}
	sealed := must(w.EncryptBatch(ctx, c, in, texts("one", "two", "")))(t)
	must(w.DecryptBatch(ctx, c, in, [][]byte{sealed.Items[0].Blob, sealed.Items[1].Blob, []byte("rubbish"), nil}))(t)
	records, _, err := audit.List(ctx, w.node.DB, audit.Query{Limit: 2}) // the newest first
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i, want := range []string{fmt.Sprintf("kms:Decrypt map[Failed:2 Items:4 KeyVersionId:%s]", k.Primary), "kms:Encrypt map[Failed:1 Items:3]"} {
		r := records[i]
		if have := fmt.Sprintf("%s %v", r.Action, r.Params); have != want || r.Result != "OK" || r.Resource != w.Keys.ARN(k) {
			t.Errorf("the record is of %s, %s, %s; want %s", have, r.Result, r.Resource, want)
		}
	}
}

func TestRulesOfBatches(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c, ctx := root(account), t.Context()
	k := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	in := cryptography.BatchInput{Key: string(k.ID)}
	many := make([]material.Bytes, key.MaxBatch+1)
	for i := range many {
		many[i] = material.NewBytes([]byte("x"))
	}
	for _, plaintexts := range [][]material.Bytes{nil, many} {
		_, err := w.EncryptBatch(ctx, c, in, plaintexts)
		want(t, err, fault.InvalidParameter)
		_, err = w.DecryptBatch(ctx, c, in, make([][]byte, len(plaintexts)))
		want(t, err, fault.InvalidParameter)
	}
	full := must(w.EncryptBatch(ctx, c, in, many[1:]))(t)
	if len(full.Items) != key.MaxBatch {
		t.Errorf("%d items", len(full.Items))
	}
	blob := full.Items[0].Blob
	dry := in
	dry.DryRun = true
	_, err := w.EncryptBatch(ctx, c, dry, texts("x"))
	want(t, err, fault.DryRun)
	_, err = w.DecryptBatch(ctx, c, dry, [][]byte{blob})
	want(t, err, fault.DryRun)
	_, err = w.DecryptBatch(ctx, root("2000000000000002"), in, [][]byte{blob})
	want(t, err, fault.KeyNotFound)
	// What is allowed for one context is not for another: the policy is asked for the batch's.
	bound := user(t, account, "clerk", `{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:table":"cards"}}}`)
	cards := in
	cards.Context = material.Context{"table": "cards"}
	sealed := must(w.EncryptBatch(ctx, bound, cards, texts("x")))(t)
	must(w.DecryptBatch(ctx, bound, cards, [][]byte{sealed.Items[0].Blob}))(t)
	_, err = w.DecryptBatch(ctx, bound, in, [][]byte{blob})
	want(t, err, fault.NoPermission)
	_, err = w.EncryptBatch(ctx, bound, in, texts("x"))
	want(t, err, fault.NoPermission)
	if err := w.Disable(ctx, c, string(k.ID)); err != nil {
		t.Fatal(err)
	}
	_, err = w.EncryptBatch(ctx, c, in, texts("x"))
	want(t, err, fault.KeyDisabled)
	_, err = w.DecryptBatch(ctx, c, in, [][]byte{blob})
	want(t, err, fault.KeyDisabled)
}
