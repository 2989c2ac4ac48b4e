package key_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/tag"
)

// A world is one node with a clock of its own.
type world struct {
	*keytest.Services
	node storetest.Node
	jobs *job.Runner

	destroyed func(key.Key) error // what Destroy does; nil for nothing

	mu     sync.Mutex
	now    time.Time
	served time.Duration
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// after is the served time when the service will have served for d more.
func (w *world) after(_ context.Context, d time.Duration) (time.Duration, error) {
	served, _ := w.servedNow()
	return served + d, nil
}

func (w *world) servedNow() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.served, true
}

// pass lets time pass and the jobs that are due then run.
func (w *world) pass(t testing.TB, d time.Duration) {
	w.mu.Lock()
	w.now, w.served = w.now.Add(d), w.served+max(d, 0)
	w.mu.Unlock()
	for {
		n, err := w.jobs.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func open(t testing.TB, url string) *world {
	t.Helper()
	return openWith(t, url, 0)
}

// openWith opens a world in which an account may have so many default keys.
func openWith(t testing.TB, url string, defaultKeys int) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	keyring := sealtest.Keyring(t)
	w.node = storetest.Start(t, storetest.Options{
		URL: url, Origin: "keyward/test", Keys: keyring, Now: w.clock,
		Changed: func(table, id string) { w.Changed(table, id) },
	})
	w.Services = keytest.New(keytest.Options{Store: kms.Store{Store: w.node.Store}, Tenants: sealtest.NewTenants(keyring), Log: w.node.Log, Now: w.clock, After: w.after, DefaultKeys: defaultKeys, External: atManager, Around: func(k key.Importer) key.Importer { return &watched{k, w} }})
	w.jobs = &job.Runner{Store: w.node.Store, Owner: "test", Handlers: w.handlers(), Now: w.clock, Served: w.servedNow, Logger: slog.New(slog.DiscardHandler)}
	return w
}

func (w *world) handlers() map[string]job.Handler {
	all := w.Handlers()
	maps.Copy(all, w.Imports.Handlers())
	return all
}

// root is the root user of an account.
func root(account string) *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: time.Now()}
}

const account = "1000000000000001"

func want(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Errorf("have %v, want %q", err, kind)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func encrypt(w *world, t testing.TB, keyName, plain string, ctx material.Context) (cryptography.Ciphertext, error) {
	return w.Encrypt(t.Context(), root(account), cryptography.EncryptInput{Key: keyName, Plaintext: material.NewBytes([]byte(plain)), Context: ctx})
}

func TestEncryptDecrypt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		for _, spec := range []material.Spec{material.AES256, material.AES192, material.AES128, material.SM4} {
			k := must(w.Create(t.Context(), root(account), lifecycle.CreateInput{Spec: spec}))(t)
			ct := must(encrypt(w, t, string(k.ID), "hello", material.Context{"a": "1", "b": "2"}))(t)
			if strings.Contains(string(ct.Blob), "hello") {
				t.Error("the plaintext is in the ciphertext")
			}
			pt := must(w.Decrypt(t.Context(), root(account), cryptography.DecryptInput{Ciphertext: ct.Blob, Context: material.Context{"b": "2", "a": "1"}}))(t)
			if string(pt.Data.Expose()) != "hello" || pt.Key != k.ID || pt.Version != k.Primary {
				t.Errorf("decrypts to %q with %s/%s", pt.Data.Expose(), pt.Key, pt.Version)
			}
			_, err := w.Decrypt(t.Context(), root(account), cryptography.DecryptInput{Ciphertext: ct.Blob, Context: material.Context{"a": "1"}})
			want(t, err, fault.InvalidCiphertext)
			_, err = w.Decrypt(t.Context(), root("2000000000000002"), cryptography.DecryptInput{Ciphertext: ct.Blob})
			want(t, err, fault.KeyNotFound)
			_, err = encrypt(w, t, string(k.ID), strings.Repeat("x", key.MaxPlaintext+1), nil)
			want(t, err, fault.InvalidParameter)
			must(encrypt(w, t, string(k.ID), strings.Repeat("x", key.MaxPlaintext), nil))(t)
			_, err = w.Encrypt(t.Context(), root(account), cryptography.EncryptInput{Key: string(k.ID), Plaintext: material.NewBytes([]byte("x")), DryRun: true})
			want(t, err, fault.DryRun)
		}
	})
}

func TestAsymmetricOperations(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c := root(account)
	digest := make([]byte, 32)
	for _, spec := range []material.Spec{material.RSA2048, material.P256, material.P256K, material.SM2} {
		k := must(w.Create(t.Context(), c, lifecycle.CreateInput{Spec: spec}))(t)
		if k.Usage != key.SignVerify {
			t.Errorf("%s: default usage %s", spec, k.Usage)
		}
		for _, alg := range spec.SigningAlgorithms() {
			in := cryptography.AsymmetricInput{Key: string(k.ID), Version: k.Primary, Algorithm: alg}
			s := must(w.AsymmetricSign(t.Context(), c, in, digest))(t)
			v := must(w.AsymmetricVerify(t.Context(), c, in, digest, s.Value))(t)
			if !v.Valid {
				t.Errorf("%s %s: the signature does not verify", spec, alg)
			}
			s.Value[len(s.Value)-1] ^= 1
			if v = must(w.AsymmetricVerify(t.Context(), c, in, digest, s.Value))(t); v.Valid {
				t.Errorf("%s %s: a changed signature verifies", spec, alg)
			}
			_, err := w.AsymmetricEncrypt(t.Context(), c, in, material.NewBytes([]byte("x")))
			want(t, err, fault.UnsupportedOperation)
		}
		if pem := must(w.PublicKey(t.Context(), c, string(k.ID), k.Primary, false))(t).PEM; !strings.HasPrefix(pem, "-----BEGIN PUBLIC KEY-----") {
			t.Errorf("%s: public key %q", spec, pem)
		}
		if len(spec.EncryptionAlgorithms()) == 0 {
			_, err := w.Create(t.Context(), c, lifecycle.CreateInput{Spec: spec, Usage: key.EncryptDecrypt})
			want(t, err, fault.InvalidParameter)
			continue
		}
		k = must(w.Create(t.Context(), c, lifecycle.CreateInput{Spec: spec, Usage: key.EncryptDecrypt}))(t)
		sym := must(w.Create(t.Context(), c, lifecycle.CreateInput{}))(t)
		for _, alg := range spec.EncryptionAlgorithms() {
			in := cryptography.AsymmetricInput{Key: string(k.ID), Version: k.Primary, Algorithm: alg}
			ct := must(w.AsymmetricEncrypt(t.Context(), c, in, material.NewBytes([]byte("secret"))))(t)
			pt := must(w.AsymmetricDecrypt(t.Context(), c, in, ct.Blob))(t)
			if string(pt.Data.Expose()) != "secret" {
				t.Errorf("%s %s: decrypts to %q", spec, alg, pt.Data.Expose())
			}
			re := must(w.ReEncrypt(t.Context(), c, cryptography.ReEncryptInput{
				Ciphertext: ct.Blob, SourceKey: string(k.ID), SourceVersion: k.Primary, SourceAlgorithm: alg, Destination: string(sym.ID),
			}))(t)
			if pt = must(w.Decrypt(t.Context(), c, cryptography.DecryptInput{Ciphertext: re.Blob}))(t); string(pt.Data.Expose()) != "secret" {
				t.Errorf("re-encrypted, it decrypts to %q", pt.Data.Expose())
			}
		}
	}
}

func TestRotationKeepsOldCiphertexts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		c := root(account)
		k := must(w.Create(t.Context(), c, lifecycle.CreateInput{Rotate: true, Interval: 7 * 24 * time.Hour}))(t)
		var blobs [][]byte
		for range 5 {
			blobs = append(blobs, must(encrypt(w, t, string(k.ID), "hello", nil))(t).Blob)
			w.pass(t, 7*24*time.Hour-time.Second)
			before := must(w.Describe(t.Context(), c, string(k.ID)))(t)
			w.pass(t, time.Second)
			after := must(w.Describe(t.Context(), c, string(k.ID)))(t)
			if before.Primary == after.Primary || after.Versions != before.Versions+1 {
				t.Fatalf("after a week: version %d, was %d", after.Versions, before.Versions)
			}
		}
		for i, b := range blobs {
			pt := must(w.Decrypt(t.Context(), c, cryptography.DecryptInput{Ciphertext: b}))(t)
			if string(pt.Data.Expose()) != "hello" {
				t.Errorf("ciphertext %d does not decrypt", i)
			}
		}
		// While disabled the policy is suspended; what was missed happens at once afterwards.
		if err := w.Disable(t.Context(), c, string(k.ID)); err != nil {
			t.Fatal(err)
		}
		w.pass(t, 30*24*time.Hour)
		if k = must(w.Describe(t.Context(), c, string(k.ID)))(t); k.Versions != 6 || k.RotationStatus() != key.RotationSuspended {
			t.Errorf("disabled: %d versions, %s", k.Versions, k.RotationStatus())
		}
		if err := w.Enable(t.Context(), c, string(k.ID)); err != nil {
			t.Fatal(err)
		}
		w.pass(t, 0)
		if k = must(w.Describe(t.Context(), c, string(k.ID)))(t); k.Versions != 7 {
			t.Errorf("enabled again: %d versions, want 7", k.Versions)
		}
	})
}

func TestDeletionKeepsItsPromise(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		c := root(account)
		k := must(w.Create(t.Context(), c, lifecycle.CreateInput{}))(t)
		if err := w.CreateAlias(t.Context(), c, "alias/a", string(k.ID)); err != nil {
			t.Fatal(err)
		}
		ct := must(encrypt(w, t, "alias/a", "hello", nil))(t)
		for _, days := range []int{-1, 0, 6, 367} {
			want(t, w.ScheduleDeletion(t.Context(), c, string(k.ID), days), fault.InvalidParameter)
		}
		if err := w.ScheduleDeletion(t.Context(), c, string(k.ID), 7); err != nil {
			t.Fatal(err)
		}
		_, err := w.Decrypt(t.Context(), c, cryptography.DecryptInput{Ciphertext: ct.Blob})
		want(t, err, fault.KeyPendingDeletion)
		w.pass(t, 7*24*time.Hour-time.Second)
		if k = must(w.Describe(t.Context(), c, string(k.ID)))(t); k.State != key.PendingDeletion {
			t.Fatalf("a second early: %s", k.State)
		}
		w.pass(t, time.Second)
		_, err = w.Describe(t.Context(), c, string(k.ID))
		want(t, err, fault.KeyNotFound)
		_, err = w.Describe(t.Context(), c, "alias/a")
		want(t, err, fault.AliasNotFound)
		_, err = w.Decrypt(t.Context(), c, cryptography.DecryptInput{Ciphertext: ct.Blob})
		want(t, err, fault.KeyNotFound)
		if err := w.CreateAlias(t.Context(), c, "alias/a", string(must(w.Create(t.Context(), c, lifecycle.CreateInput{}))(t).ID)); err != nil {
			t.Errorf("the alias of a deleted key is free again: %v", err)
		}
	})
}

func TestRules(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c, ctx := root(account), t.Context()
	k := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	id := string(k.ID)
	for _, name := range []string{"alias/", "a", "alias/acs/x", "alias/a b", "alias/ü", "alias/" + strings.Repeat("x", 250), ""} {
		want(t, w.CreateAlias(ctx, c, name, id), fault.InvalidParameter)
	}
	for _, name := range []string{"alias/a", "alias/a/b_c-D9", "alias/" + strings.Repeat("x", 249)} {
		if err := w.CreateAlias(ctx, c, name, id); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		want(t, w.CreateAlias(ctx, c, name, id), fault.AliasExists)
	}
	want(t, w.Tag(ctx, c, id, []key.Tag{{Key: "acs:x"}}), fault.InvalidTagKey)
	want(t, w.Tag(ctx, c, id, []key.Tag{{Key: "aliyunx"}}), fault.InvalidTagKey)
	want(t, w.Tag(ctx, c, id, []key.Tag{{Key: "a", Value: "!"}}), fault.InvalidTagValue)
	want(t, w.Tag(ctx, c, id, []key.Tag{{Key: "a"}, {Key: "a"}}), fault.DuplicateTagKey)
	var many []key.Tag
	for i := range tag.Max {
		many = append(many, key.Tag{Key: fmt.Sprintf("k%d", i), Value: "支付"})
	}
	if err := w.Tag(ctx, c, id, many); err != nil {
		t.Error(err)
	}
	want(t, w.Tag(ctx, c, id, []key.Tag{{Key: "one more"}}), fault.LimitExceeded)
	found, total, err := w.List(ctx, c, key.Filter{Tags: []key.Tag{{Key: "k1", Value: "支付"}}}, key.Page{Number: 1, Size: 10})
	if err != nil || total != 1 || len(found) != 1 {
		t.Errorf("found %d keys by tag, %v", total, err)
	}
	for _, f := range []key.Filter{{TagKeys: []string{"k"}}, {TagValues: []string{"支"}}, {TagKeys: []string{"%"}}, {TagKeys: []string{"K1"}}} {
		if _, total, err := w.List(ctx, c, f, key.Page{Number: 1, Size: 10}); err != nil || total != 0 {
			t.Errorf("%+v matches %d keys, %v", f, total, err)
		}
	}
	want(t, w.UpdateDescription(ctx, c, id, strings.Repeat("x", key.MaxDescription+1)), fault.InvalidParameter)
	want(t, w.UpdateRotationPolicy(ctx, c, id, true, 6*24*time.Hour), fault.InvalidParameter)
	want(t, w.UpdateRotationPolicy(ctx, c, id, true, 366*24*time.Hour), fault.InvalidParameter)
	_, err = w.CreateVersion(ctx, c, id)
	want(t, err, fault.UnsupportedOperation) // younger than seven days
	if err := w.SetDeletionProtection(ctx, c, id, true, "billing"); err != nil {
		t.Error(err)
	}
	want(t, w.ScheduleDeletion(ctx, c, id, 7), fault.UnsupportedOperation)
	rsa := must(w.Create(ctx, c, lifecycle.CreateInput{Spec: material.P256}))(t)
	want(t, w.UpdateRotationPolicy(ctx, c, string(rsa.ID), true, 30*24*time.Hour), fault.UnsupportedOperation)
	_, err = encrypt(w, t, string(rsa.ID), "x", nil)
	want(t, err, fault.UnsupportedOperation)
	for _, name := range []string{"nonsense", "acs:kms:cn-test:2000000000000002:key/" + id, "acs:kms:elsewhere:" + account + ":key/" + id, "acs:kms:"} {
		_, err = w.Describe(ctx, c, name)
		want(t, err, fault.KeyNotFound)
	}
	if got := must(w.Describe(ctx, c, w.Keys.ARN(k)))(t); got.ID != k.ID {
		t.Errorf("by ARN: %s", got.ID)
	}
}

// Every call, allowed, refused or wrong, leaves exactly one record with its outcome.
func TestEveryCallIsRecordedOnce(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	ctx := t.Context()
	k := must(w.Create(ctx, root(account), lifecycle.CreateInput{}))(t)
	stranger := root(account)
	stranger.Kind, stranger.Name = authz.User, "nobody"
	for _, call := range []struct {
		action string
		result string
		do     func() error
	}{
		{"kms:DisableKey", "OK", func() error { return w.Disable(ctx, root(account), string(k.ID)) }},
		{"kms:Encrypt", "KeyDisabled", func() error { _, err := encrypt(w, t, string(k.ID), "x", nil); return err }},
		{"kms:DescribeKey", "NoPermission", func() error { _, err := w.Describe(ctx, stranger, string(k.ID)); return err }},
		{"kms:DescribeKey", "NoPermission", func() error { _, err := w.Describe(ctx, stranger, "key-missing"); return err }},
		{"kms:DescribeKey", "KeyNotFound", func() error { _, err := w.Describe(ctx, root(account), "key-missing"); return err }},
		{"kms:ListKeys", "InvalidParameter", func() error { _, _, err := w.List(ctx, root(account), key.Filter{}, key.Page{}); return err }},
	} {
		before, _, err := audit.List(ctx, w.node.DB, audit.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		_ = call.do()
		after, _, err := audit.List(ctx, w.node.DB, audit.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(after) != len(before)+1 || after[0].Action != call.action || after[0].Result != call.result {
			t.Errorf("%s: %d new records, the newest %s %s", call.action, len(after)-len(before), after[0].Action, after[0].Result)
		}
	}
}

// When the audit log cannot be written nothing changes and nothing leaves.
func TestWithoutAuditNothingHappens(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	ctx, c := t.Context(), root(account)
	k := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	ct := must(encrypt(w, t, string(k.ID), "x", nil))(t)
	w.node.StopLog()
	out, err := w.Decrypt(ctx, c, cryptography.DecryptInput{Ciphertext: ct.Blob})
	want(t, err, fault.AuditUnavailable)
	if out.Data.Len() != 0 {
		t.Error("a plaintext left without a record")
	}
	want(t, w.Disable(ctx, c, string(k.ID)), fault.AuditUnavailable)
	if k, err := (kms.Store{Store: w.node.Store}).Key(ctx, account, k.ID); err != nil || k.State != key.Enabled {
		t.Errorf("the key changed to %s, %v", k.State, err)
	}
}

// A caller's text, however long, neither escapes the record nor costs anybody else a record.
func TestLongNamesHarmNobody(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	k := must(w.Create(t.Context(), root(account), lifecycle.CreateInput{}))(t)
	stranger := root(account)
	stranger.Kind, stranger.Name = authz.User, "nobody"
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if i%4 == 0 {
				_, err := w.Describe(t.Context(), stranger, "alias/"+strings.Repeat("<", 11_000))
				want(t, err, fault.InvalidParameter)
				_, err = w.AsymmetricSign(t.Context(), root(account), cryptography.AsymmetricInput{Key: string(k.ID), Version: key.VersionID(strings.Repeat("<", 11_000))}, nil)
				want(t, err, fault.UnsupportedOperation)
				return
			}
			if _, err := w.Describe(t.Context(), root(account), string(k.ID)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	entries, _, err := audit.List(t.Context(), w.node.DB, audit.Query{Limit: 1000})
	if err != nil || len(entries) != 1+150+2*50 {
		t.Errorf("%d records, want 251; %v", len(entries), err)
	}
}

// A key is deleted however many aliases and versions it has.
func TestKeyWithManyAliasesIsDeleted(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	ctx, c := t.Context(), root(account)
	k := must(w.Create(ctx, c, lifecycle.CreateInput{Rotate: true, Interval: 7 * 24 * time.Hour}))(t)
	for i := range 250 {
		if err := w.CreateAlias(ctx, c, fmt.Sprintf("alias/%s-%d", strings.Repeat("x", 240), i), string(k.ID)); err != nil {
			t.Fatal(err)
		}
	}
	w.pass(t, 7*24*time.Hour)
	if err := w.ScheduleDeletion(ctx, c, string(k.ID), 7); err != nil {
		t.Fatal(err)
	}
	w.pass(t, 7*24*time.Hour)
	_, err := w.Describe(ctx, c, string(k.ID))
	want(t, err, fault.KeyNotFound)
	if _, total, err := w.ListAliases(ctx, c, key.Page{Number: 1, Size: 1}); err != nil || total != 0 {
		t.Errorf("%d aliases are left, %v", total, err)
	}
}

// A job that is claimed before its time, because the clock was set back, is not lost.
func TestClockSetBackLosesNoJob(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	ctx, c := t.Context(), root(account)
	k := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	if err := w.ScheduleDeletion(ctx, c, string(k.ID), 7); err != nil {
		t.Fatal(err)
	}
	w.jobs.Handlers[key.JobDelete] = func(ctx context.Context, j job.Job) (time.Time, error) {
		w.mu.Lock()
		w.now = w.now.Add(-time.Hour)
		w.mu.Unlock()
		return w.Handlers()[key.JobDelete](ctx, j)
	}
	w.mu.Lock()
	w.now, w.served = w.now.Add(7*24*time.Hour), w.served+7*24*time.Hour
	w.mu.Unlock()
	if _, err := w.jobs.Step(ctx); err != nil {
		t.Fatal(err)
	}
	if k = must(w.Describe(ctx, c, string(k.ID)))(t); k.State != key.PendingDeletion {
		t.Fatalf("deleted early: %s", k.State)
	}
	w.jobs.Handlers = w.Handlers()
	w.pass(t, time.Hour)
	_, err := w.Describe(ctx, c, string(k.ID))
	want(t, err, fault.KeyNotFound)
}

// Who may not use a key does not learn what an alias points at.
func TestDenialKeepsToTheCallersWords(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	ctx := t.Context()
	k := must(w.Create(ctx, root(account), lifecycle.CreateInput{}))(t)
	if err := w.CreateAlias(ctx, root(account), "alias/there", string(k.ID)); err != nil {
		t.Fatal(err)
	}
	stranger := root(account)
	stranger.Kind, stranger.Name = authz.User, "nobody"
	_, there := w.Describe(ctx, stranger, "alias/there")
	_, gone := w.Describe(ctx, stranger, "alias/gone")
	if a, b := fault.Message(there), fault.Message(gone); strings.ReplaceAll(a, "there", "gone") != b || strings.Contains(a, string(k.ID)) {
		t.Errorf("%q and %q", a, b)
	}
}

// A key that is created with an alias gets it, or is not created.
func TestKeyIsCreatedWithItsAliasOrNotAtAll(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		ctx, c := t.Context(), root(account)
		k := must(w.Create(ctx, c, lifecycle.CreateInput{Alias: "alias/a"}))(t)
		if got := must(w.Describe(ctx, c, "alias/a"))(t); got.ID != k.ID {
			t.Errorf("the alias points at %s", got.ID)
		}
		_, err := w.Create(ctx, c, lifecycle.CreateInput{Alias: "alias/a"})
		want(t, err, fault.AliasExists)
		_, err = w.Create(ctx, c, lifecycle.CreateInput{Alias: "a"})
		want(t, err, fault.InvalidParameter)
		if _, total, err := w.List(ctx, c, key.Filter{}, key.Page{Number: 1, Size: 10}); err != nil || total != 1 {
			t.Errorf("%d keys, want 1; %v", total, err)
		}
	})
}
