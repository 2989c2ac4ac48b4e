package secret_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/tag"
)

var update = flag.Bool("update", false, "write golden files anew")

// Who disables the key takes its secrets, and the error names the key.
func TestSecretsFollowTheirKey(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c := root(account)
	mine := must(w.keys.Create(t.Context(), c, lifecycle.CreateInput{Alias: "alias/mine"}))(t)
	s := must(w.Create(t.Context(), c, secret.CreateInput{Name: "a", Key: "alias/mine", Data: data("one")}))(t)
	w.create(t, "b", "under the default key")
	if s.Key != mine.ID {
		t.Errorf("under key %s, want %s", s.Key, mine.ID)
	}
	check(t, w.keys.Disable(t.Context(), c, "alias/mine"))
	_, err := w.Get(t.Context(), c, secret.GetInput{Secret: "a"})
	want(t, err, fault.KeyDisabled)
	if !strings.Contains(fault.Message(err), string(mine.ID)) || !strings.Contains(fault.Message(err), "secret a") {
		t.Errorf("the error does not say which key, and which secret: %s", fault.Message(err))
	}
	_, _, err = w.Put(t.Context(), c, secret.PutInput{Secret: "a", Data: data("two")})
	want(t, err, fault.KeyDisabled)
	if have := w.get(t, "b", secret.Current); have != "under the default key" {
		t.Errorf("the other secret: %q", have)
	}
	check(t, w.Inspect(t.Context(), must(kms.Store{Store: w.node.Store}.SecretVersion(t.Context(), account, s.ID, s.At(secret.Current)))(t)))

	next := secret.DefaultKey // for the versions to come
	s = must(w.Update(t.Context(), c, secret.UpdateInput{Secret: "a", Key: &next}))(t)
	w.put(t, "a", "v2", "two")
	if have := w.get(t, "a", secret.Current); have != "two" || s.Key == mine.ID {
		t.Errorf("under another key: %q", have)
	}
	_, err = w.Get(t.Context(), c, secret.GetInput{Secret: "a", Stage: secret.Previous})
	want(t, err, fault.KeyDisabled)
	check(t, w.keys.Enable(t.Context(), c, "alias/mine"))
	if have := w.get(t, "a", secret.Previous); have != "one" {
		t.Errorf("when the key is enabled again: %q", have)
	}
}

// Reading takes the permission on the secret and on its key; each refusal says what is missing.
func TestPolicies(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	w.create(t, "pay/a", "one")
	w.create(t, "web/b", "two")
	must(w.Create(t.Context(), root(account), secret.CreateInput{Name: "web/tagged", Data: data("x"), Tags: []tag.Tag{{Key: "app", Value: "shop"}}}))(t)
	decrypt := `{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}`
	for _, c := range []struct {
		policy, name string
		kind         fault.Kind
		says         string
	}{
		{`{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"acs:kms:*:*:secret/pay/*"},` + decrypt, "pay/a", "", ""},
		{`{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"acs:kms:*:*:secret/pay/*"},` + decrypt, "web/b", fault.NoPermission, "kms:GetSecretValue"},
		{`{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"acs:kms:*:*:secret/pay/*"},` + decrypt, "web/missing", fault.NoPermission, "kms:GetSecretValue"},
		{`{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"*"}`, "pay/a", fault.NoPermission, "kms:Decrypt"},
		{`{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"kms:tag/app":"shop"}}},` + decrypt, "web/tagged", "", ""},
		{`{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"kms:tag/app":"shop"}}},` + decrypt, "pay/a", fault.NoPermission, "kms:GetSecretValue"},
		{`{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"*"},{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:keyward:secret":"pay/a"}}}`, "pay/a", "", ""},
		{`{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"*"},{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:keyward:secret":"pay/a"}}}`, "web/b", fault.NoPermission, "kms:Decrypt"},
		{`{"Effect":"Allow","Action":"kms:List*","Resource":"*"}`, "pay/a", fault.NoPermission, "kms:GetSecretValue"},
	} {
		_, err := w.Get(t.Context(), user(t, `{"Version":"1","Statement":[`+c.policy+`]}`), secret.GetInput{Secret: c.name})
		if fault.KindOf(err) != c.kind || c.kind != "" && !strings.Contains(fault.Message(err), c.says) {
			t.Errorf("%s of %s: %v", c.policy, c.name, err)
		}
	}
}

// Each operation ends in one record, which names the secret, the version and the key; what
// it says of a refusal is what was refused.
func TestRecords(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	s := w.create(t, "a", "fake-value-one")
	entries := w.during(t, func() { w.get(t, "a", secret.Current) })
	if len(entries) != 1 {
		t.Fatalf("%d records", len(entries))
	}
	e := entries[0]
	if e.Action != "kms:GetSecretValue" || e.Resource != w.ARN(account, "a") || e.Result != "OK" || e.RequestID != "R" ||
		e.Params["VersionId"] != s.At(secret.Current) || !strings.HasSuffix(e.Params["KeyArn"], string(s.Key)) || e.Version == "" {
		t.Errorf("recorded %+v", e)
	}
	entries = w.during(t, func() { w.put(t, "a", "v2", "fake-value-two") })
	if len(entries) != 1 || entries[0].Action != "kms:PutSecretValue" || len(entries[0].Effects) != 2 {
		t.Errorf("recorded %+v", entries)
	}
	entries = w.during(t, func() {
		_, err := w.Rollback(t.Context(), root(account), "a", "")
		check(t, err)
	})
	if len(entries) != 1 || entries[0].Params["RemoveFromVersion"] != "v2" || entries[0].Params["MoveToVersion"] != s.At(secret.Current) {
		t.Errorf("recorded %+v", entries)
	}
	reader := user(t, `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"*"}]}`)
	entries = w.during(t, func() {
		_, err := w.Get(t.Context(), reader, secret.GetInput{Secret: "a"})
		want(t, err, fault.NoPermission)
	})
	if len(entries) != 1 || entries[0].Result != "NoPermission" || entries[0].Decision != string(authz.ByDefault) {
		t.Errorf("recorded %+v", entries)
	}
}

// What is not on record does not leave.
func TestNothingIsReadThatIsNotRecorded(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	w.create(t, "a", "fake-value")
	w.get(t, "a", secret.Current) // everything is cached
	w.node.StopLog()
	got, err := w.Get(t.Context(), root(account), secret.GetInput{Secret: "a"})
	want(t, err, fault.AuditUnavailable)
	if got.Data.Len() != 0 {
		t.Error("the value was answered")
	}
}

// A value opens as the value of its own version only.
func TestSwappedValuesDoNotOpen(t *testing.T) {
	dataKey := material.Random(32)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	v := secret.Version{Account: account, Secret: "ab", Name: "a", ID: "v1", Kind: secret.Text, CreatedAt: at}
	sealed := must(secret.SealValue(dataKey, data("fake-value"), v))(t)
	v.Sealed = sealed
	if value, ok := secret.OpenValue(dataKey, v); !ok || string(value.Expose()) != "fake-value" {
		t.Fatal("it does not open")
	}
	for name, change := range map[string]func(*secret.Version){
		"account": func(v *secret.Version) { v.Account = other }, "secret": func(v *secret.Version) { v.Secret = "cd" },
		"name": func(v *secret.Version) { v.Name = "b" }, "version": func(v *secret.Version) { v.ID = "v2" },
		"kind": func(v *secret.Version) { v.Kind = secret.Binary }, "time": func(v *secret.Version) { v.CreatedAt = at.Add(time.Microsecond) },
	} {
		moved := v
		change(&moved)
		if _, ok := secret.OpenValue(dataKey, moved); ok {
			t.Errorf("it opens with another %s", name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		bad := v
		bad.Sealed = slices.Clone(sealed)
		bad.Sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if _, ok := secret.OpenValue(dataKey, bad); ok {
			t.Fatal("it opens after a change")
		}
		bad.Sealed = sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "length")]
		if _, ok := secret.OpenValue(dataKey, bad); ok {
			t.Fatal("it opens when it is cut")
		}
	})
}

// A golden file is a sealed value with all that is needed to open it.
type golden struct {
	DataKey []byte
	Value   string
	Version secret.Version
}

// What was sealed by a released version opens for ever.
func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "golden", "value-1.json")
	if *update {
		dataKey := bytes.Repeat([]byte{7}, 32)
		v := secret.Version{
			Account: account, Secret: strings.Repeat("5e", 16), Name: "payment/api_key", ID: "v1", Number: 1, Kind: secret.Text,
			Key: "key-abcdefghijklmnopqrstuvwxyz", Wrapped: []byte("the data key, as the KMS key encrypts it"), CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC),
		}
		v.Sealed = must(secret.SealValue(material.NewBytes(bytes.Clone(dataKey)), data("an obviously fake value"), v))(t)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, append(must(json.MarshalIndent(golden{dataKey, "an obviously fake value", v}, "", "  "))(t), '\n'), 0o644))
	}
	var g golden
	check(t, json.Unmarshal(must(os.ReadFile(path))(t), &g))
	value, ok := secret.OpenValue(material.NewBytes(g.DataKey), g.Version)
	if !ok {
		t.Fatal("it does not open")
	}
	if diff := cmp.Diff(g.Value, string(value.Expose())); diff != "" {
		t.Error(diff)
	}
}
